"""A convolution by the fastest of torch's kernels for it, and ours."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .prepared import WINOGRAD_OUTPUTS, PreparedWeights
from .winograd import TransformedWeights, convolve

aten = torch.ops.aten

# The most columns of padding with which oneDNN has a fast depthwise kernel; with more it computes
# every channel as a matrix product, 4 to 14 times slower (benchmarks/conv.py).
_DEPTHWISE_PADDING = {"AVX512": 6}
_LEAST_DEPTHWISE_PADDING = 4


@dataclass(frozen=True)
class Convolution:
    """Stride, padding and dilation, (rows, columns) each, and groups, as conv2d takes them."""

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def __call__(
        self,
        maps: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        prepared: PreparedWeights | None = None,
    ) -> Tensor:
        """What conv2d gives for maps (B, C, h, w) and weights (K, C / groups, n, m).

        ``prepared`` holds the weights in another form, where there may be one.
        """
        transformed = self._transformed(maps, weight, prepared)
        if transformed is not None:
            return convolve(maps, transformed, bias, self.padding, self.dilation[0])
        padding = list(self.padding)
        if _has_no_fast_kernel(maps, weight, padding[1], self.groups):
            maps = functional.pad(maps, (padding[1], padding[1]))
            padding[1] = 0
        stride, dilation = list(self.stride), list(self.dilation)
        if _wants_onednn(maps, weight):
            return aten.mkldnn_convolution.default(  # type: ignore[no-any-return]
                maps, weight, bias, padding, stride, dilation, self.groups
            )
        return aten.conv2d.default(  # type: ignore[no-any-return]
            maps, weight, bias, stride, padding, dilation, self.groups
        )

    def _transformed(
        self, maps: Tensor, weight: Tensor, prepared: PreparedWeights | None
    ) -> TransformedWeights | None:
        """The weights for Winograd's form, where that pays."""
        if prepared is None:
            return None
        outputs = maps.shape[0] * math.prod(
            length + 2 * padding - (kernel - 1) * dilation
            for length, padding, kernel, dilation in zip(
                maps.shape[2:], self.padding, weight.shape[2:], self.dilation, strict=True
            )
        )
        if outputs < WINOGRAD_OUTPUTS * self.dilation[0] ** 2:
            return None
        form = prepared.form(weight, maps, outputs)
        return form if isinstance(form, TransformedWeights) else None


def _has_no_fast_kernel(maps: Tensor, weight: Tensor, columns: int, groups: int) -> bool:
    """Whether so much padding at the sides keeps oneDNN from its kernel for depthwise maps."""
    return (
        columns > _LEAST_DEPTHWISE_PADDING
        and weight.shape[:2] == (groups, 1)
        and maps.device.type == "cpu"
        and columns > _most_depthwise_padding()
    )


def _most_depthwise_padding() -> int:
    capability = torch.backends.cpu.get_cpu_capability()
    return _DEPTHWISE_PADDING.get(capability, _LEAST_DEPTHWISE_PADDING)


def _wants_onednn(maps: Tensor, weight: Tensor) -> bool:
    """Whether torch would not use oneDNN although it is available and faster.

    On one thread torch computes 1 x 1 convolutions as plain matrix products, image by image.
    """
    return (
        weight.shape[2:] == (1, 1)
        and torch.get_num_threads() == 1
        and maps.device.type == "cpu"
        and maps.dtype == weight.dtype == torch.float32
        # That would not be computed in another format (torch.autocast).
        and not torch.is_autocast_enabled("cpu")
        and bool(torch.backends.mkldnn.enabled)
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    )
