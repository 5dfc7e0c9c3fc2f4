"""Small networks with every kind of operation that a trunk in bands may meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

import heatmap
from heatmap.conversion.network import FullyConvolutional
from tests.support.local_networks import EVEN, LAYERS, network
from tests.support.networks import Classifier, heads, randomise

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


def local() -> nn.Module:
    """Statistics over boxes: gates of them, norms by them, and some of others."""
    layers = (LAYERS[name]() for name in ("both pools", "groups", "response normalisation"))
    return network(*layers)


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
    "local statistics": (local, EVEN),
    "padding-free": (lambda: Classifier(nn.Sequential(nn.Flatten(), nn.Linear(392, 5)), 0), 31),
}
FINER = {"enlarging": (1,), "local statistics": (1, 4)}
CASES = [(name, k) for name in NETWORKS for k in FINER.get(name, (1, 2, 4))]
# Every network at its own stride, and two at finer ones: to convert one takes a fifth of a second.
BY_DEFAULT = [(name, k) for name, k in CASES if k == 1]
BY_DEFAULT += [("branches", 4), ("channels last", 2)]
# Where what is tested is not the operations: branches that lag, maps enlarged, and statistics.
FEW = ("branches", "enlarging", "local statistics")
DRAWN_CASES = [
    pytest.param(name, k, marks=[pytest.mark.slow] * ((name, k) not in BY_DEFAULT))
    for name, k in CASES
]
FEW_CASES = [
    pytest.param(name, k, marks=[pytest.mark.slow] * ((name, k) not in [(few, 1) for few in FEW]))
    for name, k in CASES
]


@cache
def converted(name: str, k: int) -> FullyConvolutional:
    """A network at a stride k times finer than its own."""
    torch.manual_seed(0)
    make, window = NETWORKS[name]
    module = randomise(make(), window)
    stride = heatmap.convert(module, window, statistics="local").native_stride_px // k
    return heatmap.convert(module, window, stride=stride, statistics="local")


def ranges(draw: st.DrawFn, length: int) -> tuple[int, int]:
    first = draw(st.integers(0, length - 1))
    return first, draw(st.integers(first + 1, length))
