"""What a network's outputs mean: seen from their values, and the same for every engine."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

import heatmap
from heatmap import ModelError, adapt, load_classifier
from heatmap.grid.outputs import above_chance
from heatmap.networks.checkpoint import save_checkpoint
from heatmap.networks.tensors import photo_tensor
from tests.support.networks import REFUSED, WINDOW, Classifier, Function
from tests.support.scoring import padding_free, photo, prepare


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(axis=-1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def made(function) -> nn.Module:
    return Function(lambda x, _: function(x))


# What stands behind the logits of a network, the kind of outputs that this makes, and their
# probabilities.
ENDS = {
    "nothing": (nn.Identity(), "logits", softmax),
    "log_softmax": (nn.LogSoftmax(1), "log-probabilities", softmax),
    "softmax": (nn.Softmax(1), "probabilities", softmax),
    "exp of log_softmax": (
        nn.Sequential(nn.LogSoftmax(1), made(torch.exp)),
        "probabilities",
        softmax,
    ),
    "softmax, one class cut off": (
        nn.Sequential(nn.Softmax(1), made(lambda x: x[:, :4])),
        "independent probabilities",
        lambda logits: softmax(logits)[..., :4],
    ),
    "sigmoid": (nn.Sigmoid(), "independent probabilities", sigmoid),
    "sigmoid, clamped": (
        nn.Sequential(nn.Sigmoid(), made(lambda x: x.clamp(1e-3, 0.999))),
        "independent probabilities",
        lambda logits: sigmoid(logits).clip(1e-3, 0.999),
    ),
    "sigmoid, viewed": (
        nn.Sequential(nn.Sigmoid(), made(lambda x: x.view(len(x), -1))),
        "independent probabilities",
        sigmoid,
    ),
    "Hardsigmoid": (
        nn.Hardsigmoid(),
        "independent probabilities",
        lambda logits: (logits / 6 + 0.5).clip(0, 1),
    ),
    "ReLU": (nn.ReLU(), "logits", lambda logits: softmax(logits.clip(0))),
}


@cache
def five_logits() -> nn.Module:
    """Sliding equals cropping, and probabilities are far from 0, 1 and a fifth."""
    module = copy.deepcopy(padding_free())
    with torch.no_grad():
        module.head[1].weight *= 4
    return module


@pytest.fixture(scope="module")
def logits() -> np.ndarray:
    return prepare(five_logits()).score(photo(40, 44)).scores


@pytest.mark.parametrize("engine", ["slide", pytest.param("crop", marks=pytest.mark.slow)])
@pytest.mark.parametrize("end", ENDS)
def test_probabilities_are_right_whatever_the_network_ends_in(end, engine, logits):
    behind, kind, probable = ENDS[end]
    scorer = prepare(nn.Sequential(five_logits(), behind).eval(), engine=engine)
    grid = scorer.score(photo(40, 44))
    assert grid.kind == scorer.classifier.outputs == kind
    expected = probable(logits)
    assert expected.std() > 0.05
    np.testing.assert_allclose(grid.probabilities(), expected, atol=1e-5)
    chance = 0 if kind.startswith("independent") else 1 / 5
    np.testing.assert_allclose(grid.class_map(1), above_chance(expected[..., 1], chance), atol=2e-5)


@pytest.mark.parametrize("end", ["nothing", "softmax", "sigmoid", "log_softmax"])
def test_outputs_are_recognised_where_the_network_cannot_slide(end):
    behind, kind, _ = ENDS[end]
    scorer = prepare(nn.Sequential(Classifier(REFUSED["attention"][0]), behind).eval())
    assert (scorer.sliding, scorer.classifier.outputs) == ("refused", kind)


@pytest.mark.parametrize("engine", ["slide", "crop"])
def test_one_output_goes_through_a_sigmoid(engine, logits):
    module = nn.Sequential(five_logits(), made(lambda x: x[:, :1])).eval()
    grid = prepare(module, engine=engine).score(photo(40, 44))
    assert grid.kind == "independent logits"
    expected = sigmoid(logits[..., 0])
    np.testing.assert_allclose(grid.class_map(0), expected, atol=1e-5)
    highest = float(expected.max())
    assert 0.1 < highest < 0.9
    assert heatmap.localize(grid, conf=highest + 0.01) == ()
    assert heatmap.localize(grid, conf=highest - 0.01)[0].confidence == pytest.approx(highest)


def test_one_output_in_0_to_1_is_a_probability(logits):
    module = nn.Sequential(five_logits(), made(lambda x: x[:, :1]), nn.Sigmoid()).eval()
    grid = prepare(module).score(photo(40, 44))
    assert grid.kind == "independent probabilities"
    np.testing.assert_allclose(grid.class_map(0), sigmoid(logits[..., 0]), atol=1e-5)


OVERRIDES = {"softmax": ("logits", softmax), "sigmoid": ("independent logits", sigmoid)}


@pytest.mark.parametrize("activation", OVERRIDES)
def test_the_activation_given_overrides_what_the_values_say(activation, logits):
    kind, probable = OVERRIDES[activation]
    grid = prepare(five_logits(), activation=activation).score(photo(40, 44))
    assert grid.kind == kind
    np.testing.assert_allclose(grid.probabilities(), probable(logits), atol=1e-5)
    # Probabilities can be meant as logits; then they are.
    again = prepare(nn.Sequential(five_logits(), nn.Sigmoid()).eval(), activation=activation)
    assert again.classifier.outputs == kind


@pytest.mark.parametrize(
    ("end", "activation", "kind"),
    [
        ("log_softmax", "softmax", "log-probabilities"),
        ("softmax", "none", "probabilities"),
        ("sigmoid", "none", "independent probabilities"),
    ],
)
def test_the_activation_given_leaves_to_the_values_what_it_does_not_say(end, activation, kind):
    module = nn.Sequential(five_logits(), ENDS[end][0]).eval()
    assert load_classifier(module, window=WINDOW, activation=activation).outputs == kind


@pytest.mark.parametrize(
    ("outputs", "activation", "line"),
    [
        (5, "relu", "activation is 'relu': choose one of auto, softmax, sigmoid, none"),
        (1, "softmax", "the softmax of one output is always 1: use activation='sigmoid'"),
        (
            5,
            "none",
            "outputs are logits, not probabilities in 0..1: use activation='softmax' for classes "
            "that exclude each other or activation='sigmoid' for independent ones",
        ),
    ],
)
def test_an_activation_that_cannot_be_is_refused_in_one_line(outputs, activation, line):
    module = nn.Sequential(five_logits(), made(lambda x: x[:, :outputs])).eval()
    with pytest.raises(ModelError) as refusal:
        load_classifier(module, window=WINDOW, activation=activation)
    assert str(refusal.value) == f"Sequential: {line}"


def test_a_loaded_network_takes_no_other_activation():
    classifier = load_classifier(five_logits(), window=WINDOW)
    with pytest.raises(ModelError, match="is loaded already"):
        load_classifier(classifier, activation="sigmoid")
    assert load_classifier(classifier, activation="auto") is classifier


class Counting(nn.Module):
    """Counts the windows that it is run on."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module, self.windows = module, 0

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        self.windows += len(windows)
        return self.module(windows)


@pytest.mark.parametrize(("end", "windows"), [("nothing", 1), ("ReLU", 2), ("softmax", 6)])
def test_loading_a_network_of_logits_runs_no_more_windows_than_before(end, windows):
    module = Counting(nn.Sequential(five_logits(), ENDS[end][0])).eval()
    load_classifier(module, window=WINDOW)
    assert module.windows <= windows


def test_logits_that_lie_in_0_to_1_on_photos_are_logits():
    module = nn.Sequential(five_logits(), made(lambda x: 0.5 + x / 1000)).eval()
    classifier = load_classifier(module, window=WINDOW)
    assert classifier.outputs == "logits"
    scores = module(photo_tensor(photo(WINDOW, WINDOW), classifier.preprocessing))
    assert scores.min() > 0
    assert scores.max() < 1


def test_windows_that_a_network_does_not_take_say_nothing():
    def strict(x: torch.Tensor) -> torch.Tensor:
        if x.abs().max() > 100:
            raise ValueError("this is no photo")
        # The standard deviation of a window of one colour is 0.
        return (x - x.mean()) / x.std()

    module = nn.Sequential(made(strict), five_logits(), nn.Softmax(1)).eval()
    assert load_classifier(module, window=WINDOW).outputs == "probabilities"


@pytest.mark.parametrize("engine", ["slide", "crop"])
def test_scores_that_are_no_probabilities_after_all_are_refused(engine):
    classifier = replace(
        load_classifier(five_logits(), window=WINDOW), outputs="independent probabilities"
    )
    line = r"taken for independent probabilities, here they are -\S+ to \S+: use activation='softm"
    with pytest.raises(ModelError, match=line):
        heatmap.prepare(classifier, engine=engine).score(photo(40, 44))


@pytest.fixture
def own(tmp_path, monkeypatch) -> str:
    (tmp_path / "own_outputs.py").write_text(
        "from torch import nn\ndef make(): return nn.Sequential(nn.Flatten(), nn.Linear(192, 3))\n"
    )
    monkeypatch.chdir(tmp_path)
    return "own_outputs:make"


def test_a_checkpoint_keeps_the_activation(own, tmp_path):
    given = load_classifier(own, window=8, activation="sigmoid")
    path = save_checkpoint(given, tmp_path / "net.safetensors")
    assert load_classifier(path, architecture=own).outputs == "independent logits"
    overridden = load_classifier(path, architecture=own, activation="softmax")
    assert overridden.outputs == "logits"


def test_a_checkpoint_that_says_no_activation_is_read_by_its_values(own, tmp_path):
    path = save_checkpoint(load_classifier(own, window=8), tmp_path / "net.safetensors")
    described = json.loads(path.with_suffix(".json").read_text())
    assert described.pop("outputs") == "logits"
    path.with_suffix(".json").write_text(json.dumps(described))
    assert load_classifier(path, architecture=own).outputs == "logits"
    path.with_suffix(".json").write_text(json.dumps({**described, "outputs": "sigmoids"}))
    with pytest.raises(ModelError, match=r"does not fit format \d: outputs are 'sigmoids'"):
        load_classifier(path, architecture=own)


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"num_classes": 3}, "logits"),
        ({"num_classes": 3, "softmax": True}, "probabilities"),
        ({"num_classes": 3, "activation": "sigmoid"}, "independent logits"),
        ({"num_classes": 1}, "independent logits"),
        ({}, "independent logits"),
        ({"softmax": True}, "probabilities"),
        ({"activation": "softmax"}, "logits"),
    ],
)
def test_a_new_head_is_a_softmaxs_and_kept_classes_keep_theirs(averaging, options, kind):
    original = replace(averaging, outputs="independent logits")
    assert adapt(original, **options).outputs == kind


def test_an_adapted_network_without_a_softmax_gives_no_probabilities(averaging):
    with pytest.raises(ModelError, match=r"outputs are logits, not probabilities in 0\.\.1"):
        adapt(averaging, num_classes=3, activation="none")
