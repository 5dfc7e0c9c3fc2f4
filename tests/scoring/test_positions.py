"""Scoring single positions of the feature map, whose means are the scores of windows."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

import heatmap
from heatmap.conversion import heads as head_module
from heatmap.conversion.convert import convert
from heatmap.conversion.heads import NoPool, convert_head
from heatmap.conversion.position_network import position_network
from heatmap.geometry import Placement
from heatmap.networks.tensors import photo_tensor
from heatmap.scoring import scorer as scoring
from tests.support.networks import (
    INEXACT,
    REFUSED,
    WINDOW,
    Classifier,
    heads,
    randomise,
)
from tests.support.positions import around_heads, slow_mean
from tests.support.scoring import photo
from tests.support.zoo import build

SMALL = "timm/test_resnet"
LARGER = ("resnet18", "densenet121", "squeezenet1_0", "mobilenet_v2", "timm/tf_efficientnet_lite0")
# Windows smaller than the usual, for speed: 3 x 3 positions or 5 x 5.
WINDOWS = dict.fromkeys((SMALL, *LARGER), 96) | {"inception_v3": 139}


@pytest.fixture(
    scope="module",
    params=[
        name if name == "timm/test_resnet" else pytest.param(name, marks=pytest.mark.slow)
        for name in WINDOWS
    ],
)
def scorer(request):
    with warnings.catch_warnings():
        # Inception's initial weights will be others one day.
        warnings.simplefilter("ignore", FutureWarning)
        module, _ = build(request.param)
    window = WINDOWS[request.param]
    return heatmap.prepare(randomise(module, window), window=window)


def small(head: nn.Module | str = "global pool", padding: int = 1) -> nn.Module:
    torch.manual_seed(0)
    made = {**heads(), **around_heads()}[head] if isinstance(head, str) else head
    return randomise(Classifier(made, padding), WINDOW)


@cache
def prepared(head: nn.Module | str = "global pool", **options) -> heatmap.Scorer:
    return heatmap.prepare(small(head), window=WINDOW, **options)


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize(
    ("k", "border"), [(1, "valid"), pytest.param(2, "cover", marks=pytest.mark.slow)]
)
def test_windows_are_the_means_of_their_positions(scorer, k, border):
    pixels = photo(170, 210)
    stride = scorer.native_stride_px // k
    placement = Placement(stride=stride, border=border)
    expected = scorer.score(pixels, placement)
    assert expected.scores.std(axis=(0, 1)).max() > 1e-2 * np.abs(expected.scores).max()
    found = scorer.score_positions(pixels, placement)
    assert found.k == k
    windows = found.windows
    assert (windows.geometry, windows.origin) == (expected.geometry, expected.origin)
    assert windows.kind == found.positions.kind == "logits"
    assert relative(windows.scores, expected.scores) < 1e-5
    own = found.positions.scores
    means = slow_mean(own, found.map_hw, k)
    assert relative(means, expected.scores) < 1e-5
    # Single positions say more than that.
    assert own.std(axis=(0, 1)).mean() > 1.2 * means.std(axis=(0, 1)).mean()


@pytest.mark.parametrize("memory", [160_000, 2**30])
def test_bands_and_progress_of_positions(memory):
    scorer, pixels, seen = prepared(), photo(90, 101), []
    found = scorer.score_positions(pixels, memory=memory, progress=lambda *done: seen.append(done))
    rows, columns = found.positions.geometry.grid_hw
    assert seen[-1] == (rows * columns, rows * columns)
    assert (len(seen) > 1) == (memory == 160_000)
    assert relative(found.windows.scores, scorer.score(pixels).scores) < 1e-5
    photos = photo_tensor(photo(96, 96), scorer.classifier.preprocessing)
    with torch.inference_mode():
        whole = scorer.positions_at(4)(photos)[0].permute(1, 2, 0).numpy()
    again = scorer.score_positions(photo(96, 96), memory=memory).positions.scores
    assert relative(again, whole) < 1e-5


@pytest.mark.parametrize("scale", [0.5, 1.7])
def test_positions_at_other_scales(scale):
    scorer, pixels = prepared(), photo(90, 101)
    found = scorer.score_positions(pixels, Placement(scale=scale))
    assert (
        relative(found.windows.scores, scorer.score(pixels, Placement(scale=scale)).scores) < 1e-5
    )


def test_a_photo_smaller_than_the_window_has_the_positions_of_one_window():
    found = prepared().score_positions(photo(20, 9))
    assert found.windows.geometry.grid_hw == (1, 1)
    assert found.positions.geometry.grid_hw == found.map_hw == (8, 8)


def test_more_padding_than_a_window_has_room_for():
    """10 x 10 positions, 4 px apart, in 32 px: the outermost lie outside."""
    torch.manual_seed(0)
    module = randomise(Classifier(heads()["global pool"]), WINDOW)
    for layer in (module.trunk[0], module.trunk[3]):
        layer.padding = (2, 2)
    scorer, pixels = heatmap.prepare(module, window=WINDOW), photo(60, 83)
    found = scorer.score_positions(pixels)
    assert found.map_hw == (10, 10)
    assert relative(found.windows.scores, scorer.score(pixels).scores) < 1e-5


@pytest.mark.few(4)
@pytest.mark.parametrize(
    "head",
    [
        *["global pool", "fixed pool of the whole map", "mean", "mean over tokens"],
        *["BatchNorm1d", "convolution, then pool", "scale and shift"],
    ],
)
@pytest.mark.parametrize(
    "stride", [2, *(pytest.param(each, marks=pytest.mark.slow) for each in (4, 1))]
)
def test_heads_that_have_positions(head, stride):
    scorer, pixels = prepared(head), photo(40, 50)
    expected = scorer.score(pixels, Placement(stride=stride))
    found = scorer.score_positions(pixels, Placement(stride=stride))
    assert relative(found.windows.scores, expected.scores) < 1e-5


@pytest.mark.few(3)
@pytest.mark.parametrize(
    "head", ["flatten", "fc layers", "adaptive pool to its own size", "softmax"]
)
def test_heads_that_have_none(head):
    scorer = prepared(head)
    assert scorer.positions_at(4) is None
    assert scorer.score_positions(photo(40, 50)) is None
    assert scorer.why_no_positions(4)
    assert not prepared().why_no_positions(4)


@pytest.mark.parametrize("name", ["alexnet", pytest.param("vgg16", marks=pytest.mark.slow)])
def test_networks_that_have_none(name):
    module, _ = build(name)
    with pytest.raises(NoPool, match=r"single positions|apart"):
        position_network(convert(randomise(module, 96), 96))


def test_what_the_structure_does_not_show_noise_does(monkeypatch):
    monkeypatch.setattr(head_module, "is_linear", lambda *_: True)
    network = convert(small("pooled convolutions"), WINDOW)
    assert convert_head(network.plan, pooled=False) is not None
    with pytest.raises(NoPool, match="differ by"):
        position_network(network)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "end", [nn.Softmax(dim=1), nn.Sigmoid(), nn.LogSoftmax(dim=1), nn.Hardsigmoid()]
)
def test_an_activation_at_the_end_is_applied_to_positions_as_to_windows(end):
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5), end)
    scorer, pixels = prepared(head), photo(40, 50)
    found, expected = scorer.score_positions(pixels), scorer.score(pixels)
    assert relative(found.windows.scores, expected.scores) < 1e-5
    plain = heatmap.prepare(small_without(head), window=WINDOW).score_positions(pixels)
    ended = end(torch.tensor(plain.positions.scores).permute(2, 0, 1)[None])[0]
    assert relative(found.positions.scores, ended.permute(1, 2, 0).numpy()) < 1e-5


def small_without(head: nn.Sequential) -> nn.Module:
    """The same classifier, with the same weights, without its last layer."""
    module = small(head)
    module.head = head[:-1]
    return module


def test_means_of_independent_probabilities_have_positions():
    head = nn.Sequential(nn.Conv2d(8, 5, 1), nn.Sigmoid(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    scorer, pixels = prepared(head), photo(40, 50)
    found, expected = scorer.score_positions(pixels), scorer.score(pixels)
    assert found.positions.kind == found.windows.kind == expected.kind
    assert expected.kind == "independent probabilities"
    assert relative(found.windows.scores, expected.scores) < 1e-5


def test_sharp_maps_of_independent_classes_are_independent():
    scorer = prepared("global pool", activation="sigmoid")
    found = scorer.score_positions(photo(40, 50))
    assert found.positions.kind == found.windows.kind == "independent logits"
    groups = [found.windows.classes.single(index) for index in range(5)]
    maps = found.attributed(groups)
    assert maps.kind == "independent probabilities"
    alone = found.attributed(groups[2:3])
    np.testing.assert_array_equal(maps.scores[:, :, 2], alone.scores[:, :, 0])


def test_networks_that_crop_have_none():
    assert prepared().positions_at(4) is not None
    assert prepared(engine="crop").positions_at(4) is None
    assert prepared(engine="crop").score_positions(photo(40, 50)) is None
    refused = heatmap.prepare(Classifier(REFUSED["attention"][0]).eval(), window=WINDOW)
    assert refused.score_positions(photo(40, 50)) is None


def test_stitched_strides_have_none():
    module = INEXACT["squeeze-and-excitation"].eval()
    scorer = heatmap.prepare(module, window=WINDOW, engine="slide")
    assert scorer.network_at(4).stitched is False
    assert scorer.positions_at(4) is not None
    assert scorer.network_at(2).stitched
    assert scorer.positions_at(2) is None


def test_a_network_without_weights_has_positions():
    module = nn.Sequential(nn.AvgPool2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    scorer, pixels = heatmap.prepare(module, window=WINDOW), photo(40, 50)
    found = scorer.score_positions(pixels)
    assert relative(found.windows.scores, scorer.score(pixels).scores) < 1e-5


@pytest.mark.parametrize("stride", [4, 2])
def test_positions_in_half_precision(stride):
    scorer, pixels = prepared(dtype="bfloat16"), photo(40, 50)
    expected = prepared().score(pixels, Placement(stride=stride)).scores
    found = scorer.score_positions(pixels, Placement(stride=stride))
    # Weights stay in float32, so that no copy is made of the trunk.
    shared = scorer.positions_at(stride).trunk is scorer.network.trunk
    assert shared == (stride == scorer.native_stride_px)
    difference = relative(found.windows.scores, expected)
    # Not zero, or it was not computed in bfloat16.
    assert 1e-5 < difference < 3e-2


def test_too_large_for_memory_gives_none(monkeypatch):
    scorer, pixels = prepared(), photo(60, 83)
    scores = scorer.score_positions(pixels).positions.scores
    monkeypatch.setattr(scoring, "LARGE_GRID_BYTES", scores.nbytes)
    assert scorer.score_positions(pixels) is not None
    monkeypatch.setattr(scoring, "LARGE_GRID_BYTES", scores.nbytes - 1)
    assert scorer.score_positions(pixels) is None


def test_the_network_of_positions_is_made_once_and_shares_the_trunk():
    scorer = prepared()
    made = scorer.positions_at(4)
    assert scorer.positions_at(4) is made
    assert made.trunk is scorer.network_at(4).trunk
    assert (made.positions, made.map_hw, made.window_px) == (True, (1, 1), 4)
    assert (
        made.window_receptive_field_px
        == made.receptive_field_px
        == scorer.network.receptive_field_px
    )


def test_positions_lie_where_the_photo_says():
    """A bright square changes the position that it lies in the most."""
    module = nn.Sequential(
        nn.Conv2d(3, 4, 8, stride=8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    )
    scorer = heatmap.prepare(randomise(module, WINDOW), window=WINDOW)
    dark = np.zeros((61, 83, 3), np.uint8)
    lit = dark.copy()
    before, (row, column) = scorer.score_positions(dark), (4, 7)
    left, top, right, bottom = (
        round(side) for side in before.positions.geometry.window_xyxy(row, column)
    )
    lit[top:bottom, left:right] = 255
    changed = np.abs(scorer.score_positions(lit).positions.scores - before.positions.scores)
    assert np.argwhere(changed.max(axis=2) > 1e-4).tolist() == [[row, column]]
