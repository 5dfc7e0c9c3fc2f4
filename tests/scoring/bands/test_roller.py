"""Bands: a part of a photo in strips of rows gives what one pass over the whole gives.

The reference is the trunk run on the whole photo, cut to the wanted part of its map.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

import heatmap
from heatmap.conversion.check import relative_difference
from heatmap.conversion.network import FullyConvolutional
from heatmap.conversion.shapes import shapes_at
from heatmap.networks.registry import bare_network
from heatmap.scoring.bands.plan import BandPlan
from heatmap.scoring.bands.receptive_field import NotInBands, ReceptiveField, links_of
from heatmap.scoring.bands.roller import Roller
from heatmap.scoring.bands.scanner import Scanner
from tests.support.band_networks import (
    DRAWN_CASES,
    NETWORKS,
    WINDOW,
    Network,
    converted,
    ranges,
    stem,
)
from tests.support.networks import randomise, scenes

properties = settings(max_examples=5)


class Whole:
    """The slow reference: a photo in one pass through a trunk, and its links and shapes."""

    def __init__(self, network: FullyConvolutional, height: int, width: int, seed: int = 0) -> None:
        self.network = network
        self.photo = network.whole_windows(scenes(1, height, width, seed))
        with torch.inference_mode():
            self.features = network.trunk(self.photo)
        self.links = links_of(network.trunk)
        self.shapes = shapes_at(network.trunk, tuple(self.photo.shape))

    def plan(self, rows: tuple[int, int], columns: tuple[int, int]) -> BandPlan:
        return BandPlan.of(self.links, self.shapes, rows, columns)

    def check(self, plan: BandPlan, starts: Sequence[int]) -> None:
        """Bands give the same, and every row that was planned is made once."""
        left, right = plan.columns[plan.photo]
        bands = (self.photo[:, :, top:end, left:right].clone() for top, end in pairwise(starts))
        roller = Roller(self.network.trunk, plan)
        with torch.inference_mode():
            found = list(roller.roll(bands, starts))
        rows, columns = plan.rows[plan.feature], plan.columns[plan.feature]
        expected = self.features[:, :, slice(*rows), slice(*columns)]
        assert expected.numel()
        assert all(part.shape[2] for part in found)
        whole = torch.cat(found, 2)
        assert whole.shape == expected.shape
        assert relative_difference(whole, expected) < 1e-5
        assert roller.rows_made == {
            node: end - first for node, (first, end) in plan.rows.items() if first < end
        }


@pytest.mark.few(3)
@pytest.mark.parametrize(("name", "k"), DRAWN_CASES)
@properties
@given(data=st.data())
def test_any_bands_of_any_part_equal_the_whole(name: str, k: int, data: st.DataObject) -> None:
    network = converted(name, k)
    more = st.integers(0, 9 * network.native_stride_px)
    height, width = (network.window_px + data.draw(more) for _ in "hw")
    whole = Whole(network, height, width, seed=data.draw(st.integers(0, 9)))
    rows, columns = (ranges(data.draw, length) for length in whole.features.shape[2:])
    plan = whole.plan(rows, columns)
    first, end = plan.rows[plan.photo]
    cuts = data.draw(st.sets(st.integers(first, end), max_size=12))
    whole.check(plan, sorted({first, end} | cuts))


@pytest.mark.few(4)
@pytest.mark.parametrize(("name", "k"), DRAWN_CASES)
@pytest.mark.parametrize(
    "band_px", [8, *(pytest.param(px, marks=pytest.mark.slow) for px in (1, 37, 10_000))]
)
def test_bands_of_one_height_equal_the_whole(name: str, k: int, band_px: int) -> None:
    network = converted(name, k)
    side = network.window_px + 5 * network.native_stride_px
    whole = Whole(network, side, side + network.native_stride_px)
    rows, columns = whole.features.shape[2:]
    plan = whole.plan((0, rows), (0, columns))
    assert plan.whole_width
    whole.check(plan, plan.starts(band_px))


@pytest.mark.few(3)
@pytest.mark.parametrize("name", NETWORKS)
def test_one_thread_gives_the_same(name: str) -> None:
    """On one thread 1 x 1 convolutions go another way."""
    network = converted(name, 1)
    whole = Whole(network, *[network.window_px + 5 * network.native_stride_px] * 2)
    plan = whole.plan(*[(0, length) for length in whole.features.shape[2:]])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole.check(plan, plan.starts(37))
    finally:
        torch.set_num_threads(threads)


def test_maps_differ_between_scenes() -> None:
    """A map that hardly depends on its photo would prove nothing above."""
    for name in NETWORKS:
        one, other = (Whole(converted(name, 1), 90, 90, seed).features for seed in (0, 1))
        assert (one - other).abs().max() > 0.05 * one.abs().max(), name


FIELDS = st.builds(
    ReceptiveField,
    step=st.integers(1, 4),
    before=st.integers(-3, 5),
    span=st.integers(1, 7),
    repeat=st.just(1),
)
ENLARGING = [ReceptiveField(repeat=2), ReceptiveField(before=1, span=3, repeat=3)]
EVERY_FIELD = FIELDS | st.sampled_from(ENLARGING)


@settings(max_examples=200)
@given(field=EVERY_FIELD, total=st.integers(1, 30), outputs=st.tuples(*[st.integers(0, 12)] * 2))
def test_a_range_of_outputs_reads_what_each_of_them_reads(field, total, outputs):
    first, end = min(outputs), max(outputs)
    each = [range(field.first(output), field.end(output)) for output in range(first, end)]
    between = range(min(map(min, each)), max(map(max, each)) + 1) if each else range(0)
    start, stop = field.read((first, end), total)
    assert 0 <= start <= stop <= total
    assert list(range(start, stop)) == [place for place in between if 0 <= place < total]


@settings(max_examples=200)
@given(field=EVERY_FIELD, available=st.integers(0, 40))
@example(field=ReceptiveField(before=5, span=2), available=0)
def test_determined_outputs_are_those_that_read_no_further(field, available):
    count = field.determined(available, available)
    assert count >= 0
    if count:
        assert field.end(count - 1) <= available
    assert field.end(count) > available


@pytest.mark.few(1)
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(1, 1, 1), (1, 4, 3), (3, 2, 4)])
def test_outputs_of_nothing_but_padding(kernel: int, stride: int, padding: int) -> None:
    def function(photo: Tensor, at: nn.ModuleDict) -> Tensor:
        return at["after"](at["padded"](at["stem"](photo)).relu())

    torch.manual_seed(0)
    layers = {"padded": nn.Conv2d(8, 8, kernel, stride, padding), "after": nn.Conv2d(8, 8, 3)}
    module = randomise(Network(function, 8, stem=stem(), **layers), WINDOW)
    whole = Whole(heatmap.convert(module, WINDOW), 80, 96)
    rows, columns = whole.features.shape[2:]
    down, across = whole.network.map_hw
    for part in ((0, columns), (0, across), (columns - across, columns)):
        for cells in ((0, rows), (0, down), (rows - down, rows)):
            plan = whole.plan(cells, part)
            whole.check(plan, plan.starts(1))


def test_stitched_networks_do_not_roll() -> None:
    network = converted("enlarging", 2)
    assert network.stitched
    with pytest.raises(NotInBands):
        Scanner(network, (96, 96))


def test_padding_by_reflection_does_not_roll() -> None:
    def function(photo: Tensor, at: nn.ModuleDict) -> Tensor:
        return at["conv"](functional.pad(at["stem"](photo), (1, 1, 1, 1), mode="reflect"))

    module = Network(function, 4, stem=stem(), conv=nn.Conv2d(8, 4, 3, stride=2))
    network = heatmap.convert(randomise(module, WINDOW), WINDOW)
    with pytest.raises(NotInBands):
        links_of(network.trunk)


@pytest.mark.slow
@pytest.mark.parametrize("stride", [None, 8])
@pytest.mark.parametrize(
    "name",
    [
        "vgg16",
        "resnet18",
        "densenet121",
        "convnext_tiny",
        "timm/tf_efficientnet_lite0",
        "googlenet",
        "shufflenet_v2_x1_0",
    ],
)
def test_known_networks_in_bands(name: str, stride: int | None) -> None:
    network = heatmap.convert(randomise(bare_network(name)[0], 224), 224, stride=stride)
    whole = Whole(network, 224 + 3 * 32, 224 + 4 * 32, seed=3)
    rows, columns = whole.features.shape[2:]
    for band_px in (17, 64):
        plan = whole.plan((0, rows), (0, columns))
        whole.check(plan, plan.starts(band_px))
    plan = whole.plan((1, rows), (2, columns - 3))
    whole.check(plan, plan.starts(48))


class Joins(TorchDispatchMode):
    """Counts the channels of all maps that are joined by ``torch.cat``."""

    def __init__(self) -> None:
        super().__init__()
        self.channels: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.cat.default:
            self.channels |= {maps.shape[1] for maps in args[0]}
        return func(*args, **(kwargs or {}))


def test_activations_are_computed_behind_the_rows_that_are_held() -> None:
    def function(photo: Tensor, at: nn.ModuleDict) -> Tensor:
        return at["first"](at["stem"](photo)).relu()

    layers = {"stem": stem(), "first": nn.Conv2d(8, 16, 5, padding=2)}
    network = heatmap.convert(randomise(Network(function, 16, **layers), WINDOW), WINDOW)
    whole = Whole(network, WINDOW + 64, WINDOW)
    rows, columns = whole.features.shape[2:]
    plan = whole.plan((0, rows), (0, columns))
    with Joins() as joined:
        whole.check(plan, plan.starts(24))
    # The photo's own rows, and the rows of the feature map that are compared.
    assert joined.channels == {3, 16}
