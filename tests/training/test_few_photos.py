"""Small validation splits: when training ends, and what is trained again."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from heatmap import load_classifier, train
from heatmap.classes import ClassList
from heatmap.networks.tensors import photo_tensor
from heatmap.photo.photo import read_photo
from heatmap.training import few_photos
from heatmap.training.augment import view
from heatmap.training.examples import Example, Examples
from heatmap.training.few_photos import FEWEST_PHOTOS, PATIENCE, scarce_classes, with_known
from tests.support.training import NETWORK, SHORT, coloured_photos, content, trained

# The patience is left open.
HASTY = replace(SHORT, epochs=8, rate=0.3, patience=None)


def test_photos_count_and_not_examples():
    def of(photos):
        many = tuple(Example(f"{photo}.jpg", 0) for photo in range(photos) for _ in range(12))
        return Examples(Path("photos"), ("cat", "dog"), (), (*many, Example("0.jpg", 1)))

    assert scarce_classes(of(FEWEST_PHOTOS - 1)) == ("cat", "dog")
    assert scarce_classes(of(FEWEST_PHOTOS)) == ("dog",)
    assert scarce_classes(Examples(Path("photos"), ("cat", "dog"), (), ())) == ()


def test_of_few_photos_all_epochs_are_run_and_all_examples_learnt_from(photos):
    """The only photos of a second kind of blue are in the validation split."""
    done = trained(photos)
    odd = [one for one in done.examples.validation if one.photo.startswith("blue")]
    for one in odd:
        cv2.imwrite(str(photos / one.photo), np.full((30, 30, 3), (40, 200, 200), np.uint8))
    schedule = replace(SHORT, epochs=20, patience=None)
    done = trained(photos, "odd.safetensors", schedule=schedule)
    assert done.refitted
    assert len(done.history) == done.best.number == 20
    assert done.schedule.patience is None
    assert not done.stopped_early
    taken = [done.examples.classes[row.argmax()] for row in outputs_of(done, odd)]
    assert taken == ["blue", "blue"]
    # The network before had not seen them.
    assert {one.true for one in done.validation.worst} == {"blue"}
    told = " ".join(done.page.read_text("utf-8").split())
    few = "fewer than 10 photos of blue, green, red are in the validation split, too few"
    assert f"All 20 epochs were run: {few} to say when to stop." in told
    again = "Then 20 epochs on all examples, from the start; validation figures are from before."
    assert again in told
    assert "at most 20; all are run" in told
    assert json.loads(Path("odd.json").read_text())["training"]["refitted"]


def outputs_of(done, examples, architecture=NETWORK):
    found = load_classifier(done.path, architecture=architecture)
    views = [
        view(read_photo(done.examples.folder / one.photo).pixels, one.xyxy, 20) for one in examples
    ]
    with torch.inference_mode():
        return [found.module(photo_tensor(each, found.preprocessing))[0] for each in views]


def test_scarce_classes_that_the_network_has_itself_are_noted():
    original = replace(
        load_classifier(NETWORK, window=20), classes=ClassList(("ant", "Bee", "dogfish", "tick"))
    )

    def noted(*names, photos=1):
        split = [
            Example(f"{name}-{number}.jpg", label)
            for label, name in enumerate(names)
            for number in range(photos)
        ]
        examples = Examples(Path("photos"), names, (), tuple(split), notes=("first",))
        return with_known(examples, original).notes

    said = "without training, it may find"
    assert noted("bee", "cat")[1:] == (
        f"{original.name} itself knows bee: {said} it better than what learns from so few photos",
    )
    assert f"itself knows ant, bee: {said} them better" in noted("ant", "bee")[1]
    # A prefix is not its name.
    assert noted("cat", "dog") == ("first",)
    assert noted("bee", "cat", photos=FEWEST_PHOTOS) == ("first",)


def test_a_patience_that_is_given_ends_training_and_decides_how_long_it_is_repeated(photos):
    done = trained(photos, schedule=replace(HASTY, epochs=40, patience=2))
    assert done.stopped_early
    assert len(done.history) == done.best.number + 2
    assert done.refitted
    told = " ".join(done.page.read_text("utf-8").split())
    best = f"is the best: its validation loss, {done.best.validation_loss:.4f}, is the lowest."
    assert best in told
    assert f"Then {done.best.number} epoch" in told
    assert "too few to spare; validation figures are from before." in told


@pytest.mark.parametrize("why", ["the trunk is trained", "photos enough", "no split"])
def test_otherwise_the_best_epoch_is_kept(photos, monkeypatch, why):
    if why == "photos enough":
        monkeypatch.setattr(few_photos, "FEWEST_PHOTOS", 2)
    schedule = replace(HASTY, epochs=2, validation_split=0.0 if why == "no split" else 0.2)
    freeze = "none" if why == "the trunk is trained" else "trunk"
    done = trained(photos, schedule=schedule, freeze=freeze)
    assert not done.refitted
    assert done.schedule.patience == PATIENCE
    assert "on all examples" not in done.page.read_text("utf-8")


def test_interrupted_while_it_is_repeated_it_is_repeated_whole(photos, once, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("heatmap.training.train.refit", stopped)
        with pytest.raises(KeyboardInterrupt):
            trained(photos)
    done = trained(photos, resume=True)
    assert done.resumed_after == (len(once.history),)
    assert content() == content(once.path)


@pytest.mark.parametrize("few", [True, False])
def test_a_layer_that_is_trained_alone_begins_at_zero(tmp_path, monkeypatch, few):
    """A rate that changes nothing leaves what it began with."""
    monkeypatch.chdir(tmp_path)
    if not few:
        monkeypatch.setattr(few_photos, "FEWEST_PHOTOS", 2)
    still = asdict(replace(SHORT, epochs=1, rate=1e-12, decay=0.0))
    with_one_layer = f"{__name__}:pooled"
    photos = coloured_photos(tmp_path / "photos")
    done = train(photos, "alone.safetensors", with_one_layer, window=20, **still)
    (row, *_) = outputs_of(done, done.examples.validation, with_one_layer)
    assert (row.abs().max() < 1e-6) == few


def pooled():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        layers = nn.Conv2d(3, 6, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        return nn.Sequential(*layers, nn.Linear(6, 4))


def test_hidden_layers_that_are_trained_too_do_not_begin_at_zero(photos):
    still = replace(SHORT, epochs=1, rate=1e-12, decay=0.0)
    done = trained(photos, schedule=still)
    assert done.refitted
    (row, *_) = outputs_of(done, done.examples.validation)
    assert row.std() > 1e-3
