"""Which kernel a convolution goes to, and that all give the same."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from heatmap.conversion.check import relative_difference
from heatmap.conversion.kernels.convolution import Convolution


class PaddingOfConvolutions(TorchDispatchMode):
    """Records the padding, (rows, columns), that torch's convolutions are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[int]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.conv2d.default:
            self.seen.append(list(args[4]))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("capability", ["AVX2", "AVX512", "DEFAULT"])
@pytest.mark.parametrize(
    ("channels", "groups", "padding", "at_once"),
    [
        (6, 6, (8, 8), {"AVX2": (8, 0), "AVX512": (8, 0), "DEFAULT": (8, 0)}),
        (6, 6, (8, 6), {"AVX2": (8, 0), "AVX512": (8, 6), "DEFAULT": (8, 0)}),
        (6, 6, (3, 4), {"AVX2": (3, 4), "AVX512": (3, 4), "DEFAULT": (3, 4)}),
        (6, 3, (8, 8), {"AVX2": (8, 8), "AVX512": (8, 8), "DEFAULT": (8, 8)}),
    ],
)
def test_wide_padding_of_depthwise_convolutions_is_made_before(
    channels, groups, padding, at_once, capability, monkeypatch
):
    noise = torch.Generator().manual_seed(0)
    maps = torch.randn(1, channels, 21, 23, generator=noise)
    maps = maps.contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels // groups, 5, 5, generator=noise)
    bias = torch.randn(channels, generator=noise)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    with torch.inference_mode():
        with PaddingOfConvolutions() as asked:
            found = Convolution((1, 1), padding, (4, 4), groups)(maps, weight, bias)
        expected = functional.conv2d(maps, weight, bias, 1, padding, 4, groups)
    assert asked.seen == [list(at_once[capability])]
    assert found.shape == expected.shape
    assert relative_difference(found, expected) < 1e-6
