"""Training: what is learnt, what is kept, and what is refused."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import cv2
import numpy as np
import pytest
import torch
from torch import nn

import heatmap
from heatmap import ModelError, PhotoError, ResultError, load_classifier, train
from heatmap.networks.tensors import photo_tensor
from heatmap.photo.photo import read_photo
from heatmap.training.augment import view
from heatmap.training.fit import Fit
from tests.support.training import (
    COLOURS,
    NETWORK,
    SHORT,
    Records,
    boxed_squares,
    content,
    paint,
    trained,
)

ONE_EPOCH = asdict(replace(SHORT, epochs=1))


def test_colours_are_learnt_and_found_in_a_larger_photo(photos, tmp_path):
    done = trained(photos, schedule=replace(SHORT, epochs=12))
    assert done.best.validation_accuracy == 1
    assert done.examples.counts() == dict.fromkeys(COLOURS, (8, 2))
    drawn = np.random.default_rng(5)
    halves = tmp_path / "halves.png"
    paint(halves, COLOURS["red"], (60, 100), drawn)
    pixels = cv2.imread(str(halves))
    pixels[:, 50:] = np.clip(COLOURS["blue"] + drawn.normal(0, 25, (60, 50, 3)), 0, 255)
    grid = heatmap.score(np.ascontiguousarray(pixels[..., ::-1]), model=done.classifier)
    assert grid.classes.names == ("blue", "green", "red")
    heat = np.stack([grid.heatmap(name) for name in COLOURS])
    assert (heat.argmax(0)[:, :45] == 2).mean() > 0.95
    assert (heat.argmax(0)[:, 55:] == 0).mean() > 0.95


def test_the_checkpoint_holds_what_the_best_epoch_gave(photos, enough):
    done = trained(photos, schedule=replace(SHORT, epochs=8, rate=0.05))
    losses = [epoch.validation_loss for epoch in done.history]
    assert done.best.validation_loss == min(losses)
    found = load_classifier(done.path, architecture=NETWORK)
    preprocessing = found.preprocessing
    logits = torch.cat(
        [
            found.module(
                photo_tensor(view(read_photo(photos / one.photo).pixels, None, 20), preprocessing)
            )
            for one in done.examples.validation
        ]
    )
    wanted = torch.tensor([one.label for one in done.examples.validation])
    loss = nn.functional.cross_entropy(logits, wanted).item()
    assert loss == pytest.approx(done.best.validation_loss, rel=1e-4)


def test_a_trained_head_is_that_of_a_softmax(photos, once):
    assert json.loads(once.path.with_suffix(".json").read_text())["outputs"] == "logits"
    found = load_classifier(once.path, architecture=NETWORK)
    assert found.outputs == once.classifier.outputs == "logits"
    # Whatever it was said to be before.
    meant = replace(once.classifier, outputs="independent logits")
    again = train(photos, "again.safetensors", meant, **ONE_EPOCH)
    assert load_classifier(again.path, architecture=NETWORK).outputs == "logits"


def test_the_description_says_how_it_came_about(once):
    described = json.loads(once.path.with_suffix(".json").read_text())
    assert described["class_names"] == list(COLOURS)
    assert described["preprocessing"]["window_px"] == 20
    record = described["training"]
    assert record["schedule"]["seed"] == 0
    assert record["examples"]["red"] == [8, 2]
    assert [epoch["number"] for epoch in record["history"]] == [1, 2, 3, 4, 5]
    assert "trained on photos" in load_classifier(once.path, architecture=NETWORK).weights
    assert not once.path.with_suffix(".training").exists()


def test_the_seed_decides_and_nothing_else_is_touched(photos, once):
    before = torch.random.get_rng_state()
    trained(photos)
    assert content() == content(once.path)
    assert torch.equal(before, torch.random.get_rng_state())
    trained(photos, schedule=replace(SHORT, seed=1))
    assert content()[0] != content(once.path)[0]


def test_patience_ends_training(photos):
    done = trained(photos, schedule=replace(SHORT, epochs=40, rate=0.3, patience=2))
    assert len(done.history) < 40
    assert len(done.history) == done.best.number + 2
    assert done.stopped_early
    assert "Stopped early: no lower validation loss in 2 epochs." in done.page.read_text("utf-8")


def test_without_a_validation_split_every_epoch_is_trained(photos):
    schedule = replace(SHORT, epochs=3, validation_split=0.0, patience=1)
    done = trained(photos, schedule=schedule)
    assert len(done.history) == done.best.number == 3
    assert done.best.validation_loss is None
    assert (done.validation, done.stopped_early) == (None, False)
    assert "There was no validation split." in done.page.read_text("utf-8")
    assert done.examples.counts()["red"] == (10, 0)


def test_what_is_frozen_is_computed_once_and_stays(photos, monkeypatch, caplog):
    told, schedule = Records(), replace(SHORT, epochs=2)
    done = trained(photos, schedule=schedule, progress=told)
    assert told.views == 30 * 3
    original = load_classifier(NETWORK, window=20).module.state_dict()
    made = done.classifier.module.state_dict()
    assert torch.equal(made["trunk.0.weight"], original["0.weight"])
    assert torch.equal(made["trunk.1.running_mean"], original["1.running_mean"])
    assert not torch.equal(made["head.0.weight"].flatten(1), original["6.weight"])
    caplog.set_level("INFO")
    seen = []
    other = trained(
        photos, schedule=schedule, freeze="none", progress=lambda *done: seen.append(done)
    )
    views = seen.index((24 * 3 + 6, 24 * 3 + 6)) + 1
    assert seen[views:] == [(each.number, 2) for each in other.history]
    stages = [record.getMessage() for record in caplog.records]
    assert {"reading", "making views", "writing the page"} <= set(stages)
    assert f"epoch 1: loss {other.history[0].loss:.4f}, best so far" in stages
    free = other.classifier.module.state_dict()
    assert not torch.equal(free["trunk.0.weight"], original["0.weight"])
    assert torch.equal(free["trunk.1.running_mean"], original["1.running_mean"])


def test_training_goes_on_from_an_adapted_checkpoint(photos, once):
    before = content(once.path)
    again = train(photos, "more.safetensors", once.classifier, **ONE_EPOCH)
    assert again.history[0].loss < once.history[0].loss
    named = {"architecture": NETWORK}
    loaded = train(photos, "more.safetensors", once.path, **ONE_EPOCH, **named)
    assert loaded.history == again.history
    assert content(once.path) == before
    with pytest.raises(ModelError, match="adapted already: leave window out"):
        train(photos, "more.safetensors", once.path, window=20, **named)
    (photos / "red").rename(photos / "rouge")
    with pytest.raises(
        ModelError, match="has the classes blue, green, red; the photos show blue, green, r"
    ):
        train(photos, "more.safetensors", once.path, **named)
    with pytest.raises(ModelError, match="no code runs because a file names it"):
        train(photos, "more.safetensors", once.path)


def test_rare_classes_count_as_much_as_others(photos, monkeypatch):
    for number in range(5):
        (photos / "red" / f"{number}.png").unlink()
    tasks = []
    monkeypatch.setattr(
        "heatmap.training.train.Fit", lambda *given: tasks.append(given[1]) or Fit(*given)
    )
    trained(photos, schedule=replace(SHORT, epochs=1))
    counts = np.bincount(tasks[0].train_labels)
    assert list(counts) == [8, 8, 4]
    assert (tasks[0].class_weights.numpy() * counts).tolist() == pytest.approx([20 / 3] * 3)


def test_boxes_make_a_background_class(photos, tmp_path):
    boxes = boxed_squares(tmp_path / "whole")
    schedule = replace(SHORT, epochs=10)
    done = trained(
        tmp_path / "whole",
        boxes=boxes,
        freeze="none",
        schedule=schedule,
    )
    assert done.classifier.classes.names == ("blue", "red", "background")
    assert done.best.validation_accuracy >= 0.8
    assert all(sum(both) for both in done.examples.counts().values())
    grid = heatmap.score(tmp_path / "whole" / "0.png", model=done.classifier)
    assert "background" not in {one.name for one in heatmap.localize(grid)}
    assert heatmap.localize(grid, ["background"], conf=0.0)


def test_a_folder_of_the_background_makes_that_class(photos, tmp_path):
    drawn = np.random.default_rng(2)
    for number in range(6):
        paint(tmp_path / "beside" / f"{number}.png", (128, 128, 128), (60, 90), drawn)
    done = trained(photos, background=tmp_path / "beside", schedule=replace(SHORT, epochs=10))
    assert done.classifier.classes.names == (*COLOURS, "background")
    pieces = [one for one in (*done.examples.training, *done.examples.validation) if one.xyxy]
    # About as many as photos of each colour, and as large as these.
    assert 6 <= len(pieces) <= 12
    assert {one.xyxy[2] - one.xyxy[0] for one in pieces} <= set(range(20, 31))
    assert all(one.label == 3 for one in pieces)
    grey = np.clip(128 + drawn.normal(0, 25, (60, 100, 3)), 0, 255).astype(np.uint8)
    grid = heatmap.score(grey, model=done.classifier)
    assert heatmap.localize(grid) == ()
    assert heatmap.localize(grid, ["background"], conf=0.2)


def test_what_was_trained_says_how_large_its_examples_were(once):
    # Photos of 21 to 30 px on their short side are about as large as the window of 20 px.
    rule = once.classifier.scale_rule
    assert rule.learned == "sizes"
    assert rule.sizes_px == pytest.approx((25.5,), abs=1.5)
    assert load_classifier(once.path, architecture=NETWORK).scale_rule == rule


def test_classes_without_names_get_those_of_the_folders(photos):
    adapted = heatmap.adapt(NETWORK, window=20, num_classes=3)
    done = train(photos, "net.safetensors", adapted, **ONE_EPOCH)
    assert load_classifier(done.path, architecture=NETWORK).classes.names == tuple(COLOURS)


def test_a_module_is_refused_before_training(photos):
    module = load_classifier(NETWORK, window=20).module
    with pytest.raises(ModelError, match="was given as a module and cannot be built again by name"):
        train(photos, "net.safetensors", module, window=20)


def test_gradients_that_the_caller_turned_off_are_no_hindrance(photos, once):
    with torch.no_grad():
        trained(photos)
    assert content() == content(once.path)


@pytest.mark.parametrize("taken", ["net.safetensors", "net.json"])
def test_a_folder_in_the_way_is_refused_before_training(photos, tmp_path, taken):
    (tmp_path / taken).mkdir()
    with pytest.raises(ResultError, match=rf"{taken}: cannot be written: is a directory"):
        trained(photos)
    assert not (tmp_path / "net.training").exists()


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"output": "net.pt"}, ResultError, "a checkpoint's name ends in .safetensors"),
        ({"freeze": 5}, ModelError, "every layer is frozen"),
        ({"boxes": "none.json"}, ResultError, "none.json"),
        ({"background": "none"}, PhotoError, "none: no such folder"),
        ({"background": ".", "boxes": "b.json"}, ModelError, "beside the boxes is the background"),
    ],
)
def test_what_cannot_be_trained_is_one_line(photos, given, error, said):
    with pytest.raises(error, match=said):
        trained(photos, **given)
