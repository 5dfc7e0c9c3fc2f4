"""Training: what is learnt, what is kept, and going on where it was stopped."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

import heatmap
from heatmap import ModelError, PhotoError, ResultError, Schedule, load_classifier, train
from heatmap.photo.photo import read_photo
from heatmap.training.augment import view
from heatmap.training.fit import Fit, LabelledRows
from heatmap.training.train import TrainingReporter
from tests.support.training import COLOURS, NETWORK, coloured_photos, content, paint

SHORT = Schedule(epochs=5, batch=8, rate=1e-2, views=3, patience=5)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Three folders of ten coloured photos."""
    monkeypatch.chdir(tmp_path)
    return coloured_photos(tmp_path / "photos")


def trained(photos, output="net.safetensors", **given):
    options = {"window": 20, **given.pop("options", {})}
    schedule = given.pop("schedule", SHORT)
    return train(photos, output, NETWORK, schedule=schedule, options=options, **given)


class StopsAfter(TrainingReporter):
    """Interrupts a training as Ctrl-C would."""

    def __init__(self, epoch: int) -> None:
        self.wanted = epoch

    def epoch(self, epoch, best):
        if epoch.number == self.wanted:
            raise KeyboardInterrupt


class Records(TrainingReporter):
    def __init__(self) -> None:
        self.views = self.went_on = 0
        self.epochs = []

    def advance(self, done, total):
        self.views = done

    def resumed(self, epochs):
        self.went_on = epochs

    def epoch(self, epoch, best):
        self.epochs.append((epoch.number, best))


@pytest.mark.parametrize("freeze", ["trunk", "none"])
def test_interrupting_and_resuming_gives_the_same_checkpoint(photos, freeze):
    trained(photos, options={"freeze": freeze})
    whole = content()
    for stopped in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            trained(
                photos, "cut.safetensors", options={"freeze": freeze}, reporter=StopsAfter(stopped)
            )
        told = Records()
        trained(photos, "cut.safetensors", options={"freeze": freeze}, resume=True, reporter=told)
        assert content("cut.safetensors") == whole
        assert told.went_on == stopped
        assert [number for number, _ in told.epochs] == list(range(stopped + 1, 6))
        # The views of the first start serve the second.
        assert told.views == 0


def test_colours_are_learnt_and_found_in_a_larger_photo(photos, tmp_path):
    done = trained(photos, schedule=replace(SHORT, epochs=12))
    assert done.best.validation_accuracy == 1
    assert done.examples.counts() == dict.fromkeys(COLOURS, (8, 2))
    drawn = np.random.default_rng(5)
    halves = tmp_path / "halves.png"
    paint(halves, COLOURS["red"], (60, 100), drawn)
    pixels = cv2.imread(str(halves))
    pixels[:, 50:] = np.clip(COLOURS["blue"] + drawn.normal(0, 25, (60, 50, 3)), 0, 255)
    grid = heatmap.score(np.ascontiguousarray(pixels[..., ::-1]), model=done.path)
    assert grid.classes.names == ("blue", "green", "red")
    heat = np.stack([grid.heatmap(name) for name in COLOURS])
    assert (heat.argmax(0)[:, :45] == 2).mean() > 0.95
    assert (heat.argmax(0)[:, 55:] == 0).mean() > 0.95


def test_the_checkpoint_holds_what_the_best_epoch_gave(photos):
    done = trained(photos, schedule=replace(SHORT, epochs=8, rate=0.05))
    losses = [epoch.validation_loss for epoch in done.history]
    assert done.best.validation_loss == min(losses)
    found = load_classifier(done.path)
    preprocessing = found.preprocessing
    logits = torch.cat(
        [
            found.module(
                preprocessing.tensor(view(read_photo(photos / one.photo).pixels, None, 20))
            )
            for one in done.examples.validation
        ]
    )
    wanted = torch.tensor([one.label for one in done.examples.validation])
    loss = nn.functional.cross_entropy(logits, wanted).item()
    assert loss == pytest.approx(done.best.validation_loss, rel=1e-4)


def test_the_description_says_how_it_came_about(photos):
    done = trained(photos)
    described = json.loads(done.path.with_suffix(".json").read_text())
    assert described["class_names"] == list(COLOURS)
    assert described["preprocessing"]["window_px"] == 20
    record = described["training"]
    assert record["schedule"]["seed"] == 0
    assert record["examples"]["red"] == [8, 2]
    assert [epoch["number"] for epoch in record["history"]] == [1, 2, 3, 4, 5]
    assert "trained on photos" in load_classifier(done.path).weights
    assert not done.path.with_suffix(".training").exists()


def test_the_seed_decides_and_nothing_else_is_touched(photos):
    before = torch.random.get_rng_state()
    trained(photos)
    one = content()
    assert torch.equal(before, torch.random.get_rng_state())
    trained(photos)
    assert content() == one
    trained(photos, schedule=replace(SHORT, seed=1))
    assert content() != one


def test_patience_ends_training(photos):
    done = trained(photos, schedule=replace(SHORT, epochs=40, rate=0.3, patience=2))
    assert len(done.history) < 40
    assert len(done.history) == done.best.number + 2


def test_without_a_validation_split_every_epoch_is_trained(photos):
    schedule = replace(SHORT, validation_split=0.0, patience=1)
    done = trained(photos, schedule=schedule)
    assert len(done.history) == done.best.number == 5
    assert done.best.validation_loss is None
    assert done.examples.counts()["red"] == (10, 0)


def test_what_is_frozen_is_computed_once_and_stays(photos, monkeypatch):
    told = Records()
    done = trained(photos, reporter=told)
    assert told.views == 24 * 3 + 6
    original = load_classifier(NETWORK, window=20).module.state_dict()
    made = done.classifier.module.state_dict()
    assert torch.equal(made["trunk.0.weight"], original["0.weight"])
    assert torch.equal(made["trunk.1.running_mean"], original["1.running_mean"])
    assert not torch.equal(made["head.0.weight"].flatten(1), original["6.weight"])
    free = trained(photos, options={"freeze": "none"}).classifier.module.state_dict()
    assert not torch.equal(free["trunk.0.weight"], original["0.weight"])
    assert torch.equal(free["trunk.1.running_mean"], original["1.running_mean"])


def test_training_goes_on_from_an_adapted_checkpoint(photos):
    first = trained(photos)
    before = content()
    again = train(photos, "more.safetensors", first.classifier, schedule=SHORT)
    assert again.history[0].loss < first.history[0].loss
    loaded = train(photos, "more.safetensors", "net.safetensors", schedule=SHORT)
    assert loaded.history == again.history
    assert content() == before
    with pytest.raises(ModelError, match="adapted already: leave window out"):
        train(photos, "more.safetensors", "net.safetensors", options={"window": 20})
    (photos / "red").rename(photos / "rouge")
    with pytest.raises(ModelError, match="tells blue, green, red; the photos show blue, green, r"):
        train(photos, "more.safetensors", "net.safetensors")


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


def test_weights_of_classes_make_up_for_their_numbers():
    """At an even start the gradients of eight examples and of two cancel exactly."""
    rows = torch.ones(10, 4)
    labels = np.array([0] * 8 + [1] * 2)

    def moved(weights):
        learner = nn.Linear(4, 2, bias=False)
        nn.init.zeros_(learner.weight)
        task = LabelledRows(
            lambda places: rows[places % len(rows)], labels, np.array([], np.int64), weights
        )
        fit = Fit(learner, task, Schedule(epochs=1, batch=10, views=1, validation_split=0.0))
        list(fit.epochs())
        return learner.weight.abs().max().item()

    assert moved(torch.tensor([0.625, 2.5])) == 0
    assert moved(torch.ones(2)) > 1e-4


def test_a_loss_that_is_no_number_ends_training():
    rows = torch.full((4, 3), float("inf"))
    task = LabelledRows(
        lambda places: rows[places % len(rows)],
        np.array([0, 1, 0, 1]),
        np.array([0]),
        torch.ones(2),
    )
    fit = Fit(nn.Linear(3, 2), task, Schedule(views=1))
    with pytest.raises(ModelError, match=r"astray in epoch 1: losses are nan and .*below 0.001"):
        list(fit.epochs())


def test_parameters_that_are_no_numbers_end_training_too():
    """The loss is taken before the step that spoils them."""
    rows = torch.tensor([[3e38, 1.0], [1.0, 1.0]])
    task = LabelledRows(
        lambda places: rows[places % len(rows)], np.array([0, 1]), np.array([], int), torch.ones(2)
    )
    fit = Fit(nn.Linear(2, 2), task, Schedule(epochs=1, views=1, rate=99.0, decay=99.0))
    fit.optimizer.register_step_post_hook(lambda *_: fit.module.weight.data.fill_(torch.nan))
    with pytest.raises(ModelError, match="went astray in epoch 1"):
        list(fit.epochs())
    assert fit.history == []


@pytest.mark.parametrize("batch", [1, 3, 10])
def test_weights_of_classes_count_in_every_batch(batch):
    """Loss is linear in the weights, however examples fall into batches."""
    labels = np.array([0] * 8 + [1] * 2)
    rows = torch.ones(10, 2)
    weights = torch.tensor([0.625, 2.5])
    task = LabelledRows(lambda indices: rows[indices % len(rows)], labels, labels, weights)
    module = nn.Linear(2, 2)
    nn.init.zeros_(module.weight)
    nn.init.zeros_(module.bias)
    fit = Fit(module, task, Schedule(epochs=1, batch=batch, rate=1e-9, views=1))
    (epoch,) = fit.epochs()
    # Each class adds the loss of half of the examples at an even chance.
    assert epoch.validation_loss == pytest.approx(np.log(2), rel=1e-5)
    assert epoch.loss == pytest.approx(np.log(2), rel=1e-5)


def test_boxes_make_a_background_class(photos, tmp_path):
    drawn = np.random.default_rng(1)
    listed = []
    for number in range(12):
        pixels = np.clip(np.full((80, 120, 3), 128) + drawn.normal(0, 25, (80, 120, 3)), 0, 255)
        left, top = int(drawn.integers(0, 90)), int(drawn.integers(0, 50))
        name = ("red", "blue")[number % 2]
        pixels[top : top + 25, left : left + 25] = COLOURS[name]
        path = tmp_path / "whole" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), pixels.astype(np.uint8))
        box = {"label": name, "xmin": left, "ymin": top, "xmax": left + 25, "ymax": top + 25}
        listed.append({"file": path.name, "boxes": [box]})
    (tmp_path / "boxes.json").write_text(json.dumps(listed))
    schedule = replace(SHORT, epochs=10)
    done = trained(
        tmp_path / "whole",
        boxes=tmp_path / "boxes.json",
        options={"freeze": "none"},
        schedule=schedule,
    )
    assert done.classifier.classes.names == ("blue", "red", "background")
    assert done.best.validation_accuracy >= 0.8
    assert all(sum(both) for both in done.examples.counts().values())
    found = heatmap.localize(heatmap.score(tmp_path / "whole" / "0.png", model=done.path))
    assert "background" not in {one.name for one in found}
    grid = heatmap.score(tmp_path / "whole" / "0.png", model=done.path)
    assert heatmap.localize(grid, ["background"], conf=0.0)


def unfinished(photos, **given):
    with pytest.raises(KeyboardInterrupt):
        trained(photos, reporter=StopsAfter(2), **given)


def test_an_unfinished_training_is_neither_lost_nor_mixed_up(photos):
    unfinished(photos)
    with pytest.raises(ModelError, match=r"net.training holds a training .*: go on with resume"):
        trained(photos)
    for other in ({"schedule": replace(SHORT, rate=0.02)}, {"options": {"freeze": "none"}}):
        with pytest.raises(ModelError, match="begun with other photos, network or settings"):
            trained(photos, resume=True, **other)
    photo = photos / "red" / "3.png"
    kept = photo.read_bytes()
    cv2.imwrite(str(photo), np.zeros((30, 30, 3), np.uint8))
    with pytest.raises(ModelError, match="begun with other photos"):
        trained(photos, resume=True)
    photo.write_bytes(kept)
    assert len(trained(photos, resume=True).history) == 5
    # With nothing to go on from it begins.
    assert len(trained(photos, resume=True).history) == 5


def test_what_is_left_without_settings_is_not_gone_on_with(photos, tmp_path):
    """As a kill while the folder is being removed may leave it."""
    trained(photos)
    whole = content()
    unfinished(photos, schedule=replace(SHORT, seed=5))
    (tmp_path / "net.training" / "settings.json").unlink()
    told = Records()
    trained(photos, resume=True, reporter=told)
    assert (told.went_on, content()) == (0, whole)


def test_photos_are_never_taken_for_a_training(photos, tmp_path):
    photos.rename(tmp_path / "net.training")
    with pytest.raises(ResultError, match=r"net.training: holds .*, which is no training's"):
        trained(tmp_path / "net.training")
    assert len(list((tmp_path / "net.training").rglob("*.png"))) == 30


def test_a_file_of_boxes_is_never_taken_for_a_description(photos, tmp_path):
    (tmp_path / "net.json").write_text("[]")
    with pytest.raises(ResultError, match=r"net.json: is there already and describes no check"):
        trained(photos)
    assert (tmp_path / "net.json").read_text() == "[]"


def test_training_may_lie_among_the_photos(photos, monkeypatch):
    monkeypatch.chdir(photos)
    unfinished(".")
    done = trained(".", resume=True)
    assert done.classifier.classes.names == tuple(COLOURS)
    assert "trained on photos" in done.classifier.weights
    assert len(trained(".").history) == 5


def test_a_broken_photo_stops_before_anything_is_to_go_on_from(photos, tmp_path):
    photo = photos / "red" / "3.png"
    kept = photo.read_bytes()
    photo.write_bytes(b"no photo")
    with pytest.raises(PhotoError, match=r"red/3.png"):
        trained(photos)
    photo.write_bytes(kept)
    assert len(trained(photos).history) == 5


def test_classes_without_names_get_those_of_the_folders(photos):
    adapted = heatmap.adapt(NETWORK, window=20, num_classes=3)
    done = train(photos, "net.safetensors", adapted, schedule=SHORT)
    assert load_classifier(done.path).classes.names == tuple(COLOURS)


def test_a_module_is_refused_before_training(photos):
    module = load_classifier(NETWORK, window=20).module
    with pytest.raises(ModelError, match="came as a module and cannot be built again by name"):
        train(photos, "net.safetensors", module, options={"window": 20})


def test_gradients_that_the_caller_turned_off_are_no_hindrance(photos):
    trained(photos)
    whole = content()
    with torch.no_grad():
        trained(photos)
    assert content() == whole


def test_a_damaged_state_is_refused(photos, tmp_path):
    unfinished(photos)
    state = tmp_path / "net.training" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"cannot be gone on from: .* remove it to start anew"):
        trained(photos, resume=True)


def test_the_state_is_replaced_whole(photos, tmp_path, monkeypatch):
    """An epoch whose state cannot be written leaves the earlier one as it was."""
    unfinished(photos)
    state = tmp_path / "net.training" / "state.safetensors"
    before = state.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("heatmap.training.fit.save_file", full)
        with pytest.raises(ResultError, match="No space left on device"):
            trained(photos, resume=True)
    assert state.read_bytes() == before
    with safe_open(state, framework="pt") as opened:
        assert len(json.loads(opened.metadata()["fit"])["history"]) == 2


def test_views_that_do_not_fit_on_the_disk_are_refused_beforehand(photos, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(ResultError, match=r"78 views take .* GB.* use fewer views"):
        trained(photos)
    assert not (tmp_path / "net.training" / "views.npy").exists()


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
        ({"options": {"freeze": 5}}, ModelError, "every layer is frozen"),
        ({"boxes": "none.json"}, ResultError, "none.json"),
    ],
)
def test_what_cannot_be_trained_is_one_line(photos, given, error, said):
    with pytest.raises(error, match=said):
        trained(photos, **given)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"views": 0}, "views is 0"),
        ({"patience": 0}, "patience is 0"),
        ({"rate": 0.0}, "rate is 0: give one above 0 and below 100"),
        ({"rate": 100.0}, "rate is 100: give one above 0 and below 100"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"decay": -1.0}, "decay is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**63}, "seed is 9223372036854775808"),
    ],
)
def test_schedules_that_cannot_be_meant_are_refused(values, said):
    with pytest.raises(ModelError, match=said):
        Schedule(**values)
