"""Bands: a part of a photo in strips of rows gives what one pass over the whole gives.

The reference is the trunk run on the whole photo, cut to the wanted part of its map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

import heatmap
from heatmap.conversion.check import relative_difference
from heatmap.conversion.network import FullyConvolutional
from heatmap.conversion.shapes import shapes_at
from heatmap.networks.registry import architecture
from heatmap.scoring.bands.plan import BandPlan
from heatmap.scoring.bands.receptive_field import NotInBands, Reach, links_of
from heatmap.scoring.bands.roller import Roller
from heatmap.scoring.bands.scanner import Scanner
from tests.support.networks import Classifier, heads, randomise, scenes

properties = settings(max_examples=12, deadline=None, derandomize=True)
WINDOW = 48


class Network(nn.Module):
    """Layers by name, a function from photo to map, and a head: mean and linear."""

    def __init__(self, function: Callable[..., Tensor], channels: int, **layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.layers = nn.ModuleDict(layers)
        self.fc = nn.Linear(channels, 5)

    def forward(self, photo: Tensor) -> Tensor:
        return self.fc(self.function(photo, self.layers).mean([2, 3]))


def stem(stride: int = 2, channels: int = 8) -> nn.Module:
    conv = nn.Conv2d(3, channels, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


def joined(maps: Sequence[Tensor]) -> Tensor:
    """Branches cut to the smallest, beside each other."""
    height, width = (min(one.shape[axis] for one in maps) for axis in (2, 3))
    return torch.cat([one[:, :, :height, :width] for one in maps], 1)


def pools(*kinds: nn.Module) -> Network:
    """Pools beside each other, twice, so that each also meets what the others made."""

    def function(photo: Tensor, at: nn.ModuleDict) -> Tensor:
        # Below 0 too, where padding of 0 would be the largest.
        maps = at["stem"](photo) - 2
        maps = at["mix"](joined([pool(maps) for pool in at["pools"]]))
        return joined([pool(maps) for pool in at["pools"]])

    count = 4 * len(kinds)
    layers = {"stem": stem(channels=4), "mix": nn.Conv2d(count, 4, 1)}
    return Network(function, count, **layers, pools=nn.ModuleList(kinds))


def max_pools() -> Network:
    return pools(
        nn.MaxPool2d(3, 2, padding=1),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.MaxPool2d(2, 2, dilation=2),
        nn.MaxPool2d((1, 5), 2, padding=(0, 2)),
    )


def average_pools() -> Network:
    return pools(
        nn.AvgPool2d(3, 2, padding=1),
        nn.AvgPool2d(3, 2, padding=1, count_include_pad=False),
        nn.AvgPool2d(3, 2, padding=1, divisor_override=7),
        nn.AvgPool2d((5, 3), 2, padding=(2, 0)),
    )


def ceiling_pools() -> Network:
    return pools(
        nn.AvgPool2d(3, 2, ceil_mode=True),
        nn.AvgPool2d(3, 2, padding=1, ceil_mode=True),
        nn.AvgPool2d(3, 2, padding=1, ceil_mode=True, count_include_pad=False),
        nn.AvgPool2d(2, 2, ceil_mode=True),
    )


def pads_and_slices() -> Network:
    """Uneven pads of any value, crops by negative pads, slices that begin late or leave gaps."""

    def function(photo: Tensor, at: nn.ModuleDict) -> Tensor:
        maps = at["stem"](functional.pad(photo, (0, 1, 3, 2), value=0.5))
        maps = joined([maps[:, :, ::2, 1::2], maps[:, :, 1::2, ::2]])
        maps = at["conv"](functional.pad(maps, (2, 1, 1, 3, 1, 1), value=-1.0)).relu()
        maps = functional.pad(maps, (-1, -2, -2, 0))
        return torch.cat([maps[:, :, 1:, :-1], maps[:, :, :-1, 1:]], 1)

    return Network(function, 16, stem=stem(), conv=nn.Conv2d(18, 8, 3, stride=2))


def shuffled() -> Network:
    """Chunks, one of them past a depthwise and a dilated convolution; channels shuffled."""

    def unit(maps: Tensor, conv: nn.Module) -> Tensor:
        left, right = maps.chunk(2, 1)
        maps = torch.cat([left, conv(right)], 1)
        batch, channels, height, width = maps.shape
        split = maps.view(batch, 2, channels // 2, height, width).transpose(1, 2)
        return split.reshape(batch, channels, height, width)

    def function(photo: Tensor, at: nn.ModuleDict) -> Tensor:
        maps = unit(at["stem"](photo), at["depthwise"])
        return unit(at["down"](maps), at["dilated"])

    return Network(
        function,
        8,
        stem=stem(),
        depthwise=nn.Conv2d(4, 4, 5, padding=2, groups=4),
        down=nn.Conv2d(8, 8, 1, stride=2),
        dilated=nn.Sequential(nn.Conv2d(4, 4, 3, padding=3, dilation=3), nn.ReLU(inplace=True)),
    )


def branches() -> Network:
    """Branches that lag behind each other, added and joined; kernels and strides uneven."""

    def function(photo: Tensor, at: nn.ModuleDict) -> Tensor:
        maps = at["uneven"](at["stem"](photo))
        maps = at["wide"](maps) + at["tall"](maps) + maps
        maps = torch.cat([at["short"](maps), at["far"](maps)], 1)
        return (at["down"](maps) + at["beside"](maps)).relu()

    return Network(
        function,
        8,
        stem=stem(),
        uneven=nn.Sequential(
            nn.Conv2d(8, 8, (3, 1), (2, 1)), nn.ReLU(), nn.Conv2d(8, 8, (1, 3), (1, 2))
        ),
        wide=nn.Conv2d(8, 8, (1, 7), padding=(0, 3)),
        tall=nn.Conv2d(8, 8, (7, 1), padding=(3, 0)),
        short=nn.Conv2d(8, 4, 1),
        far=nn.Sequential(nn.Conv2d(8, 4, 3, padding=1), nn.Conv2d(4, 4, 5, padding=2)),
        down=nn.Conv2d(8, 8, 3, stride=2, padding=1),
        beside=nn.Conv2d(8, 8, 1, stride=2),
    )


def channels_last() -> Network:
    """Rows and columns before channels, as in ConvNeXt and Swin's patch merging."""

    def function(photo: Tensor, at: nn.ModuleDict) -> Tensor:
        maps = at["patches"](photo)
        last = at["expand"](at["norm"](at["depthwise"](maps).permute(0, 2, 3, 1)))
        last = maps.permute(0, 2, 3, 1) + at["shrink"](functional.gelu(last))
        last = functional.pad(last, (0, 0, 1, 1, 1, 1))
        quarters = [last[:, down::2, across::2] for down in (0, 1) for across in (0, 1)]
        return at["reduce"](torch.cat(quarters, -1)).permute(0, 3, 1, 2)

    return Network(
        function,
        8,
        patches=nn.Conv2d(3, 6, 4, stride=4),
        depthwise=nn.Conv2d(6, 6, 7, padding=3, groups=6),
        norm=nn.LayerNorm(6),
        expand=nn.Linear(6, 12),
        shrink=nn.Linear(12, 6),
        reduce=nn.Linear(24, 8, bias=False),
    )


def channels_last_to_the_head() -> nn.Module:
    """The head itself takes rows and columns before channels."""
    return Classifier(heads()["permute before flatten"])


def enlarging() -> Network:
    """Coarse maps enlarged by 2, nearest and between, and joined with the fine one."""

    def function(photo: Tensor, at: nn.ModuleDict) -> Tensor:
        fine = at["stem"](photo)
        coarse = at["coarse"](fine)
        nearest = functional.interpolate(coarse, scale_factor=2, mode="nearest")
        between = functional.interpolate(coarse, scale_factor=2, mode="bilinear")
        return at["last"](torch.cat([fine, nearest, between + fine], 1)).relu()

    return Network(
        function,
        8,
        stem=stem(),
        coarse=nn.Conv2d(8, 8, 3, stride=2, padding=1),
        last=nn.Conv2d(24, 8, 3, stride=2, padding=1),
    )


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "max pools": (max_pools, WINDOW),
    "average pools": (average_pools, WINDOW),
    "average pools to the ceiling": (ceiling_pools, WINDOW),
    "pads and slices": (pads_and_slices, WINDOW),
    "chunks and shuffles": (shuffled, WINDOW),
    "branches": (branches, WINDOW),
    "channels last": (channels_last, WINDOW),
    "channels last to the head": (channels_last_to_the_head, 32),
    "enlarging": (enlarging, WINDOW),
    "padding-free": (lambda: Classifier(nn.Sequential(nn.Flatten(), nn.Linear(392, 5)), 0), 31),
}
FINER = {"enlarging": (1,)}
CASES = [(name, k) for name in NETWORKS for k in FINER.get(name, (1, 2, 4))]


@cache
def converted(name: str, k: int) -> FullyConvolutional:
    """A network at a stride k times finer than its own."""
    torch.manual_seed(0)
    make, window = NETWORKS[name]
    module = randomise(make(), window)
    stride = heatmap.convert(module, window).native_stride_px // k
    return heatmap.convert(module, window, stride=stride)


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


def ranges(draw: st.DrawFn, length: int) -> tuple[int, int]:
    first = draw(st.integers(0, length - 1))
    return first, draw(st.integers(first + 1, length))


@pytest.mark.parametrize(("name", "k"), CASES)
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


@pytest.mark.parametrize(("name", "k"), CASES)
@pytest.mark.parametrize("band_px", [1, 8, 37, 10_000])
def test_bands_of_one_height_equal_the_whole(name: str, k: int, band_px: int) -> None:
    network = converted(name, k)
    side = network.window_px + 5 * network.native_stride_px
    whole = Whole(network, side, side + network.native_stride_px)
    rows, columns = whole.features.shape[2:]
    plan = whole.plan((0, rows), (0, columns))
    assert plan.whole_width
    whole.check(plan, plan.starts(band_px))


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


REACHES = st.builds(
    Reach,
    step=st.integers(1, 4),
    before=st.integers(-3, 5),
    span=st.integers(1, 7),
    repeat=st.just(1),
)
EVERY_REACH = REACHES | st.sampled_from([Reach(repeat=2), Reach(before=1, span=3, repeat=3)])


@settings(max_examples=200, derandomize=True)
@given(reach=EVERY_REACH, total=st.integers(1, 30), outputs=st.tuples(*[st.integers(0, 12)] * 2))
def test_a_range_of_outputs_reads_what_each_of_them_reads(reach, total, outputs):
    first, end = min(outputs), max(outputs)
    each = [range(reach.first(output), reach.end(output)) for output in range(first, end)]
    between = range(min(map(min, each)), max(map(max, each)) + 1) if each else range(0)
    start, stop = reach.read((first, end), total)
    assert 0 <= start <= stop <= total
    assert list(range(start, stop)) == [place for place in between if 0 <= place < total]


@settings(max_examples=200, derandomize=True)
@given(reach=EVERY_REACH, available=st.integers(0, 40))
@example(reach=Reach(before=5, span=2), available=0)
def test_determined_outputs_are_those_that_read_no_further(reach, available):
    count = reach.determined(available)
    assert count >= 0
    if count:
        assert reach.end(count - 1) <= available
    assert reach.end(count) > available


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
    network = heatmap.convert(randomise(architecture(name)[0], 224), 224, stride=stride)
    whole = Whole(network, 224 + 3 * 32, 224 + 4 * 32, seed=3)
    rows, columns = whole.features.shape[2:]
    for band_px in (17, 64):
        plan = whole.plan((0, rows), (0, columns))
        whole.check(plan, plan.starts(band_px))
    plan = whole.plan((1, rows), (2, columns - 3))
    whole.check(plan, plan.starts(48))
