"""Both backends give the same: ONNX Runtime, from the prepared form of a network, and torch."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from torch import nn

import heatmap
from heatmap import Scorer
from heatmap.classes import ClassGroup
from heatmap.errors import ModelError
from heatmap.geometry import Placement
from heatmap.grid.skip import Skip
from heatmap.localization.box_regression import BoxRegression
from heatmap.networks.load import load_classifier
from heatmap.photo.reduced import open_photo
from tests.conversion.test_zoo import INEXACT, INEXACT_MORE, REFUSED, REFUSED_MORE, TIMM
from tests.support.command_networks import pooled, squeezing
from tests.support.local_networks import EVEN, LAYERS, network
from tests.support.networks import WINDOW, heads, randomise, slice_heads, small_classifier
from tests.support.positions import around_heads
from tests.support.scoring import photo
from tests.support.zoo import build

# Of the largest score.
SAME = 1e-5
PHOTO = photo(90, 71)
BOXES = ((0.0, 0.0, 71.0, 90.0), (10.0, 20.0, 41.0, 50.5), (-3.0, 60.0, 9.0, 90.0))
GROUPS = [ClassGroup("even", (0, 2, 4)), ClassGroup("odd", (1, 3)), ClassGroup("first", (0,))]


def in_grey(network: nn.Sequential) -> nn.Module:
    """The network with one channel."""
    first = network[0]
    network[0] = nn.Conv2d(1, 8, 3, stride=2, padding=1)
    network[0].weight.data, network[0].bias.data = first.weight[:, :1].data, first.bias.data
    return network


def assert_same(given, expected) -> None:
    assert np.array_equal(np.isnan(given), np.isnan(expected))
    largest = np.nanmax(np.abs(expected))
    np.testing.assert_allclose(given, expected, atol=SAME * largest, rtol=0)


def both(model: object, **options: object) -> tuple[Scorer, Scorer]:
    options = options if isinstance(model, heatmap.Classifier) else {"window": WINDOW, **options}
    onnx, torch_ = (heatmap.prepare(model, backend=name, **options) for name in ("onnx", "torch"))
    assert (onnx.facts, onnx.engine) == (torch_.facts, torch_.engine)
    return onnx, torch_


def compare(onnx: Scorer, in_torch: Scorer, placement: Placement = Placement()) -> None:
    """All ways to score, with both backends."""
    grids = [scorer.score(PHOTO, placement) for scorer in (onnx, in_torch)]
    assert [grid.origin.computation.backend for grid in grids] == ["onnx", "torch"]
    assert np.ptp(grids[1].scores, axis=(0, 1)).max() > 1e-3
    assert_same(*(grid.scores for grid in grids))
    given, expected = (scorer.score_positions(PHOTO, placement) for scorer in (onnx, in_torch))
    assert (given is None) == (expected is None)
    if given is not None:
        assert given.positions.origin.computation.backend == "onnx"
        assert (given.map_hw, given.k) == (expected.map_hw, expected.k)
        assert_same(given.positions.scores, expected.positions.scores)
        assert_same(given.windows.scores, expected.windows.scores)
    asked, told = (scorer.ask_crops(PHOTO, BOXES, GROUPS) for scorer in (onnx, in_torch))
    np.testing.assert_allclose(asked.probabilities, told.probabilities, atol=SAME)
    assert (asked.boxes is None) == (told.boxes is None)
    if asked.boxes is not None:
        np.testing.assert_allclose(asked.boxes, told.boxes, atol=1e-3)


@pytest.mark.parametrize(
    ("names", "stride"),
    [
        pytest.param(("groups",), None, marks=pytest.mark.slow),
        pytest.param(("both pools", "response normalisation"), 4, marks=pytest.mark.slow),
        pytest.param(("between channels", "split attention"), None, marks=pytest.mark.slow),
    ],
)
def test_local_statistics_are_the_same(shared_cache, names, stride):
    module = network(*(LAYERS[name]() for name in names))
    onnx, in_torch = both(module, window=EVEN, statistics="local")
    assert onnx.slides.statistics == "local"
    compare(onnx, in_torch, Placement(stride=stride))


@pytest.mark.slow
@pytest.mark.parametrize("head", heads())
def test_heads_give_the_same(shared_cache, head):
    compare(*both(small_classifier(heads()[head])))


# By default `test_box.py` has boxes, which these are made of, in ONNX Runtime.
@pytest.mark.slow
@pytest.mark.parametrize("head", ["two layers", "log-sum-exp pool"])
def test_positions_in_the_window_around_them_are_the_same(shared_cache, head):
    onnx, in_torch = both(small_classifier(around_heads()[head]))
    assert onnx.why_no_positions(onnx.native_stride_px) == ""
    compare(onnx, in_torch)


def test_positions_boxes_and_the_order_of_channels_are_the_same(shared_cache):
    """With another mean and deviation for each channel, blue first, and box regression."""
    noise = np.random.default_rng(0)
    weights = noise.normal(0, 0.1, (4, 8 * 8)).astype(np.float32)
    boxes = BoxRegression(weights, np.array([0.1, 0.2, 0.8, 0.9], np.float32), examples=9)
    classifier = replace(
        load_classifier(
            small_classifier(heads()["global pool"]),
            window=WINDOW,
            mean=(0.1, 0.2, 0.3),
            std=(0.4, 0.5, 0.6),
            channel_order="bgr",
        ),
        box_regression=boxes,
    )
    onnx, in_torch = both(classifier)
    assert onnx.refines
    compare(onnx, in_torch)


@pytest.mark.slow
@pytest.mark.parametrize("stride", [2, 1])
def test_finer_strides_give_the_same(shared_cache, stride):
    onnx, in_torch = both(small_classifier(heads()["global pool"]))
    compare(onnx, in_torch, Placement(stride=stride))


@pytest.mark.slow
@pytest.mark.parametrize("placement", [Placement(scale=1.7), Placement(border="valid")])
def test_scaled_photos_give_the_same(shared_cache, placement):
    compare(*both(small_classifier(heads()["global pool"])), placement)


@pytest.mark.slow
def test_without_padding_they_give_the_same(shared_cache):
    head = nn.Sequential(nn.Flatten(), nn.Linear(8 * 7 * 7, 5))
    compare(*both(small_classifier(head, padding=0)))


@pytest.mark.slow
@pytest.mark.parametrize("head", slice_heads())
def test_heads_that_run_slice_by_slice_give_the_same(shared_cache, head):
    compare(*both(small_classifier(slice_heads()[head])))


@pytest.mark.slow
def test_grey_is_the_same(shared_cache):
    onnx, in_torch = both(in_grey(pooled()))
    assert onnx.facts.preprocessing.channels == 1
    compare(onnx, in_torch)


@pytest.mark.slow
def test_single_windows_in_grey_give_the_same(shared_cache):
    onnx, in_torch = both(in_grey(squeezing()))
    assert (onnx.engine, onnx.facts.preprocessing.channels) == ("crop", 1)
    compare(onnx, in_torch, Placement(stride=9))


@pytest.mark.slow
def test_windows_that_are_left_out_are_the_same(shared_cache):
    scorers = both(squeezing())
    mask = np.zeros((90, 71), bool)
    mask[:40] = True
    given, expected = (
        scorer.score(PHOTO, Placement(stride=9), skip=Skip(mask=mask)).scores for scorer in scorers
    )
    assert np.isnan(expected).any()
    assert_same(given, expected)


# Networks of each family, at windows smaller than their own where they can have one.
FAMILIES = (
    "alexnet convnext_tiny densenet121 googlenet inception_v3 mnasnet0_5 mobilenet_v2 "
    "regnet_x_400mf resnet18 resnext50_32x4d shufflenet_v2_x0_5 squeezenet1_1 vgg11 vgg11_bn "
    "wide_resnet50_2 efficientnet_b0 mobilenet_v3_small regnet_y_400mf maxvit_t swin_t vit_b_16"
).split()
OF_TIMM = [f"timm/{name}" for name in TIMM]
SMALL = 96
WINDOWS = {
    **dict.fromkeys(("inception_v3", "timm/inception_v4", "timm/inception_resnet_v2"), 139),
    **dict.fromkeys(("timm/nasnetalarge", "timm/pnasnet5large"), 139),
    **dict.fromkeys(("maxvit_t", "swin_t", "vit_b_16", *REFUSED, *REFUSED_MORE), None),
}
# Those that torch has to score, and why.
IN_TORCH = {
    # Pools that round up, in sizes that are not known yet.
    "googlenet": "cannot be exported: Expected op to be",
    "swin_t": "changes part of a tensor that is used again",
}


def of_zoo(name: str) -> tuple[nn.Module, int]:
    with warnings.catch_warnings():
        # Inception's initial weights will be others one day.
        warnings.simplefilter("ignore", FutureWarning)
        module, own = build(name)
    window = WINDOWS.get(name, SMALL) or own
    return randomise(module, window), window


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", dict.fromkeys((*FAMILIES, *OF_TIMM, *INEXACT, *INEXACT_MORE, *REFUSED, *REFUSED_MORE))
)
def test_families_give_the_same(cache, name):
    module, window = of_zoo(name)
    if name in IN_TORCH:
        with pytest.raises(ModelError, match=IN_TORCH[name]):
            heatmap.prepare(module, window=window, backend="onnx")
        return
    onnx, in_torch = (
        heatmap.prepare(module, window=window, backend=backend) for backend in ("onnx", "torch")
    )
    stride = onnx.native_stride_px
    pixels = photo(window + 2 * stride + 5, window + stride)
    given, expected = (scorer.score(pixels) for scorer in (onnx, in_torch))
    assert given.origin.computation.backend == "onnx"
    assert_same(given.scores, expected.scores)
    given, expected = (scorer.score_positions(pixels) for scorer in (onnx, in_torch))
    assert (given is None) == (expected is None)
    if given is not None:
        assert_same(given.positions.scores, expected.positions.scores)


def test_prepared_network_serves_only_scorers_of_its_engine(kept_checkpoint):
    scorer = heatmap.prepare(kept_checkpoint)
    assert scorer.prepared_at(32) is not None
    crops = replace(scorer, engine="crop").score(PHOTO, Placement(stride=24))
    expected = heatmap.prepare(kept_checkpoint, engine="crop", backend="torch")
    assert_same(crops.scores, expected.score(PHOTO, Placement(stride=24)).scores)


def test_feature_maps_are_asked_only_of_files_that_have_them(kept_checkpoint):
    scorer = heatmap.prepare(kept_checkpoint)
    regression = BoxRegression(np.zeros((4, 2), np.float32), np.zeros(4, np.float32), 1)
    asking = replace(scorer, facts=replace(scorer.facts, box_regression=regression))
    assert asking.box_outputs(open_photo(PHOTO), BOXES, profiles=True).profiles is not None
