"""Finer strides: every k-th cell is the native grid, those between are shifted photos' own."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import nn
from torch.nn import functional

import heatmap
from heatmap.conversion.check import relative_difference
from heatmap.conversion.phases import shift_and_stitch
from heatmap.errors import GeometryError
from heatmap.networks.registry import bare_network
from tests.support.networks import Classifier, converted, heads, randomise, scenes


class Branches(nn.Module):
    """Pools of every kind beside each other, joined: native stride 8, window 48."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU())
        self.pool = pool
        self.conv = nn.Conv2d(6, 6, pool.kernel_size, pool.stride, bias=False)
        self.last = nn.Conv2d(12, 8, 3, stride=2, groups=2)
        self.fc = nn.Linear(8, 5)

    def forward(self, photo: torch.Tensor) -> torch.Tensor:
        maps = self.stem(photo)
        pooled = self.pool(maps)
        padded = functional.pad(maps, (1, 1, 1, 1))
        beside = self.conv(padded)[..., : pooled.shape[2], : pooled.shape[3]]
        maps = self.last(torch.cat([pooled, beside], 1)).relu()
        return self.fc(maps.mean([2, 3]))


POOLS = {
    "max": nn.MaxPool2d(3, 2),
    "max padded": nn.MaxPool2d(3, 2, padding=1),
    "max to the ceiling": nn.MaxPool2d(3, 2, ceil_mode=True),
    "max dilated": nn.MaxPool2d(2, 2, dilation=2),
    "average": nn.AvgPool2d(3, 2),
    "average padded": nn.AvgPool2d(3, 2, padding=1),
    "average, padding left out": nn.AvgPool2d(3, 2, padding=1, count_include_pad=False),
    "average to the ceiling": nn.AvgPool2d(3, 2, ceil_mode=True),
    "average padded to the ceiling": nn.AvgPool2d(3, 2, padding=1, ceil_mode=True),
    "average by 7": nn.AvgPool2d(3, 2, padding=1, divisor_override=7),
}


def _compare(
    module: nn.Module, native: heatmap.FullyConvolutional, stride: int, more: int = 2
) -> float:
    window = native.window_px
    k = native.native_stride_px // stride
    side = window + more * native.native_stride_px
    photos = scenes(2, side, side + native.native_stride_px, seed=3)
    dense = heatmap.convert(module, window, stride=stride)
    with torch.inference_mode():
        reference, found = native(photos), dense(photos)
    assert found.shape[2:] == (
        (side - window) // stride + 1,
        (photos.shape[3] - window) // stride + 1,
    )
    return relative_difference(found[..., ::k, ::k], reference)


@cache
def with_pool(name: str) -> tuple[nn.Module, heatmap.FullyConvolutional]:
    module = randomise(Branches(POOLS[name]), 48)
    return module, heatmap.convert(module, 48)


@pytest.mark.few(3)
@pytest.mark.parametrize(
    "stride", [2, *(pytest.param(each, marks=pytest.mark.slow) for each in (1, 4))]
)
@pytest.mark.parametrize(
    "pool",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (number % 3 != 0))
        for number, name in enumerate(POOLS)
    ],
)
def test_every_kth_cell_is_the_native_grid_for_every_pool(pool: str, stride: int) -> None:
    assert _compare(*with_pool(pool), stride) < 1e-5


@pytest.mark.few(6)
@pytest.mark.parametrize(
    ("head", "stride"),
    [
        *((name, 2) for name in heads()),
        ("average and maximum", 1),
        *(
            pytest.param(name, 1, marks=pytest.mark.slow)
            for name in heads()
            if "average" not in name
        ),
    ],
)
def test_every_kth_cell_is_the_native_grid_for_every_head(head: str, stride: int) -> None:
    assert _compare(*converted(head), stride) < 1e-5


@pytest.mark.parametrize("stride", [2, 1])
def test_without_padding_all_cells_are_those_of_shifted_photos(stride: int) -> None:
    head = nn.Sequential(nn.Flatten(), nn.Linear(8 * 7 * 7, 5))
    module = randomise(Classifier(head, padding=0), 31)
    native, dense = heatmap.convert(module, 31), heatmap.convert(module, 31, stride=stride)
    photos = scenes(1, 50, 61, seed=4)
    with torch.inference_mode():
        stitched = shift_and_stitch(native, photos, 31, 4, stride)
        assert relative_difference(dense(photos), stitched) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "timm/tf_efficientnet_lite0"])
def test_known_networks_at_a_finer_stride(name: str) -> None:
    module = randomise(bare_network(name)[0], 64)
    assert _compare(module, heatmap.convert(module, 64), 8, more=1) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("stride", [16, 8, 4])
@pytest.mark.parametrize(
    "name", ["resnet18", "timm/tf_efficientnet_lite0", "vgg16", "densenet121", "convnext_tiny"]
)
def test_known_networks_at_finer_strides(name: str, stride: int) -> None:
    module = randomise(bare_network(name)[0], 224)
    assert _compare(module, heatmap.convert(module, 224), stride, more=1) < 1e-5


def test_what_dilation_cannot_do_is_stitched() -> None:
    class Enlarging(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
            self.second = nn.Conv2d(4, 4, 3, stride=2, padding=1)
            self.third = nn.Conv2d(4, 5, 3, stride=2, padding=1)

        def forward(self, photo: torch.Tensor) -> torch.Tensor:
            fine = self.first(photo)
            coarse = functional.interpolate(self.second(fine), scale_factor=2, mode="nearest")
            return self.third(fine + coarse).mean([2, 3])

    module = randomise(Enlarging(), 32)
    native, dense = heatmap.convert(module, 32), heatmap.convert(module, 32, stride=2)
    assert dense.stitched
    photos = scenes(1, 40, 44, seed=5)
    with torch.inference_mode():
        found = dense(photos)
        assert found.shape[2:] == (5, 7)
        assert torch.equal(found[..., 1::2, ::2], native(photos[..., 2:, :])[..., :2, :])
        assert torch.equal(found[..., ::2, 1::2], native(photos[..., :, 2:]))


def test_a_stride_that_the_network_does_not_have_is_refused_with_the_list() -> None:
    module = Classifier(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    with pytest.raises(GeometryError, match="stride is 3 px, the network slides at 4, 2, 1 px"):
        heatmap.convert(module, 32, stride=3)
    with pytest.raises(GeometryError, match="stride is 8 px"):
        heatmap.convert(module, 32, stride=8)


def test_shifts_are_put_back_in_their_places() -> None:
    """Scores that are pixel values themselves tell where each cell came from."""
    photos = torch.arange(12.0 * 15).view(1, 1, 12, 15).expand(1, 3, 12, 15)

    def corner(part: torch.Tensor) -> torch.Tensor:
        rows, columns = (part.shape[2] - 6) // 4 + 1, (part.shape[3] - 6) // 4 + 1
        return part[:, :1, ::4, ::4][..., :rows, :columns]

    stitched = shift_and_stitch(corner, photos, 6, 4, 2)
    assert torch.equal(stitched, photos[:, :1, :7:2, :10:2])
