"""What a training returns and writes beside its checkpoint, from the first epoch to the page."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix

from heatmap import ResultError, load_classifier
from heatmap.networks.tensors import photo_tensor
from heatmap.photo.photo import read_photo
from heatmap.training.augment import view
from heatmap.training.fit import Fit, Schedule
from heatmap.training.training_reporter import TrainingReporter
from tests.support.training import NETWORK, SHORT, StopsAfter, boxed_squares, content, trained
from tests.support.trainings import tables_of

# So little that there are mistakes.
POOR = Schedule(epochs=2, batch=8, views=2, validation_split=0.5, rate=3e-4)


def probabilities_again(done):
    """Of the validation examples: the written network on each plain view, one after the other."""
    found = load_classifier(done.path, architecture=NETWORK)
    rows = []
    for one in done.examples.validation:
        pixels = read_photo(done.examples.folder / one.photo).pixels
        batch = photo_tensor(view(pixels, one.xyxy, 20), found.preprocessing)
        rows.append(torch.softmax(found.module(batch).detach().double(), 1)[0])
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("boxed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_page_and_result_are_what_the_written_network_gives(photos, tmp_path, enough, boxed):
    if boxed:
        boxes = boxed_squares(tmp_path / "whole")
        done = trained(tmp_path / "whole", boxes=boxes, schedule=POOR)
    else:
        done = trained(photos, schedule=POOR)
    shares = probabilities_again(done)
    labels = [one.label for one in done.examples.validation]
    validation = done.validation
    counted = confusion_matrix(labels, shares.argmax(1), labels=range(len(done.examples.classes)))
    assert validation.confusion.tolist() == counted.tolist()
    assert validation.wrong > 0
    assert done.best.validation_accuracy == 1 - validation.wrong / validation.total
    own = shares[np.arange(len(labels)), labels]
    order = [at for at in np.argsort(own) if shares[at].argmax() != labels[at]][:20]
    assert [one.photo for one in validation.worst] == [
        done.examples.validation[at].photo for at in order
    ]
    for one, at in zip(validation.worst, order, strict=True):
        np.testing.assert_allclose(one.probabilities, shares[at], atol=1e-4)
        assert one.box == done.examples.validation[at].box
        assert one.true == done.examples.classes[labels[at]]
    page = done.page.read_text("utf-8")
    epochs, matrix, _ = tables_of(page)
    assert [row[1] for row in epochs[1:]] == [f"{one.loss:.4f}" for one in done.history]
    assert [[int(text.replace("·", "0")) for text in row[1:]] for row in matrix[1:]] == (
        counted.tolist()
    )
    assert page.count('src="data:image/jpeg') == len(validation.worst)
    assert ("px at" in page) == any(one.xyxy for one in validation.worst)


def test_no_pass_is_made_for_what_early_stopping_has_computed(photos, enough, monkeypatch):
    passes, computed = [], Fit._validation_logits
    monkeypatch.setattr(Fit, "_validation_logits", lambda fit: passes.append(1) or computed(fit))
    done = trained(photos, schedule=SHORT)
    assert len(passes) == len(done.history) == 5
    assert done.validation.total == 6


def test_epochs_say_how_long_they_took_and_the_checkpoint_does_not(photos):
    done = trained(photos, schedule=POOR)
    assert all(epoch.seconds > 0 for epoch in done.history)
    assert done.seconds > done.epoch_seconds == sum(epoch.seconds for epoch in done.history)
    assert {epoch.rate for epoch in done.history} == {3e-4}
    described = json.loads(done.path.with_suffix(".json").read_text())
    wanted = [asdict(epoch) for epoch in done.history]
    for epoch in wanted:
        del epoch["seconds"]
    assert described["training"]["history"] == wanted


def test_a_resumed_training_shows_all_epochs_and_where_it_was_resumed(photos, once):
    for stopped in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            trained(photos, "cut.safetensors", progress=StopsAfter(stopped), resume=stopped > 1)
    done = trained(photos, "cut.safetensors", resume=True)
    assert once.resumed_after == ()
    assert done.resumed_after == (1, 3)
    assert done.history == once.history
    assert done.validation.confusion.tolist() == once.validation.confusion.tolist()
    assert done.validation.worst == once.validation.worst
    # Those before the interruptions too.
    assert all(epoch.seconds > 0 for epoch in done.history)
    page = done.page.read_text("utf-8")
    assert "Resumed after epochs 1 and 3." in page
    assert {row[0] for row in tables_of(page)[0] if "resumed" in row[-1]} == {"2", "4"}


@pytest.mark.parametrize("taken", ["stranger", "folder"])
def test_a_page_of_somebody_else_stays_and_is_refused_before_training(photos, tmp_path, taken):
    page = tmp_path / "net.html"
    if taken == "folder":
        page.mkdir()
    else:
        page.write_text("<p>my own page</p>")
    with pytest.raises(ResultError, match=r"net\.html: "):
        trained(photos, schedule=POOR)
    assert not (tmp_path / "net.training").exists()
    assert page.is_dir() or page.read_text() == "<p>my own page</p>"
    if taken == "stranger":
        assert trained(photos, schedule=POOR, overwrite=True).page.samefile(page)
        assert trained(photos, schedule=POOR).page.samefile(page)


def test_all_files_of_a_training_are_written_or_none(photos, tmp_path, enough, monkeypatch):
    trained(photos, schedule=POOR)
    before, page = content(), (tmp_path / "net.html").read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("heatmap.networks.checkpoint.save_file", full)
        with pytest.raises(ResultError, match="No space left on device"):
            trained(photos, schedule=replace(POOR, seed=1))
    assert (content(), (tmp_path / "net.html").read_bytes()) == (before, page)
    # The epochs are not lost.
    done = trained(photos, schedule=replace(POOR, seed=1), resume=True)
    assert done.resumed_after == (2,)
    shares = dict(
        zip((one.photo for one in done.examples.validation), probabilities_again(done), strict=True)
    )
    assert done.validation.worst
    for one in done.validation.worst:
        np.testing.assert_allclose(one.probabilities, shares[one.photo], atol=1e-4)
    assert content() != before
    assert (tmp_path / "net.html").read_bytes() != page


def test_a_photo_that_is_gone_at_the_end_does_not_lose_the_training(photos, monkeypatch):
    """Without its picture the example is still named."""
    with pytest.raises(KeyboardInterrupt):
        trained(photos, schedule=POOR, progress=StopsAfter(2))
    told = []

    class Removes(TrainingReporter):
        def resumed(self, epochs):
            for path in photos.rglob("*.png"):
                path.unlink()
            told.append(epochs)

    # The rule of its scales looks at the photos too.
    monkeypatch.setattr("heatmap.training.train.upright_hw", lambda _: (24, 30))
    done = trained(photos, schedule=POOR, resume=True, progress=Removes())
    assert told == [2]
    page = done.page.read_text("utf-8")
    assert page.count("The photo cannot be read any more.") == len(done.validation.worst) > 0
    assert re.search(r"<h3>\w+ <span", page)
