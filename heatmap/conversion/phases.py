"""A finer stride as phases: interleaved grids at the native stride.

At a stride of native / k, cells (i, j) with the same i mod k and j mod k form a grid at the native
stride, a *phase*. So code for the native stride works for every phase.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from ..geometry import whole_windows


class PhasedHead(nn.Module):
    """A converted head applied to a feature map k times denser than the native one.

    (B, C, h, w) -> (B, K, h - (n - 1) k, w - (m - 1) k). The phases of the map go
    through the head as a batch, so fully connected layers need no dilated kernels.
    """

    def __init__(self, head: nn.Module, k: int, map_hw: tuple[int, int]) -> None:
        super().__init__()
        self.head = head
        self.k = k
        self.map_hw = map_hw

    def forward(self, maps: Tensor) -> Tensor:
        height, width = maps.shape[-2:]
        rows = height - (self.map_hw[0] - 1) * self.k
        columns = width - (self.map_hw[1] - 1) * self.k
        return _join(self.head(_part(maps, self.k)), self.k)[:, :, :rows, :columns]


def _part(maps: Tensor, k: int) -> Tensor:
    """(B, C, h, w) -> (k k B, C, ceil(h / k), ceil(w / k)); the last phases end in zeros."""
    batch, channels, height, width = maps.shape
    # Negative numbers are not divided, since exported programs round them differently.
    rows, columns = (height + k - 1) // k, (width + k - 1) // k
    padding = (0, columns * k - width, 0, rows * k - height)
    whole = functional.pad(maps, padding).permute(0, 2, 3, 1)
    parts = whole.reshape(batch, rows, k, columns, k, channels)
    return parts.permute(2, 4, 0, 1, 3, 5).flatten(0, 2).permute(0, 3, 1, 2)


def _join(parts: Tensor, k: int) -> Tensor:
    """(k k B, K, N, M) -> (B, K, k N, k M)."""
    _, classes, rows, columns = parts.shape
    apart = parts.permute(0, 2, 3, 1).reshape(k, k, -1, rows, columns, classes)
    joined = apart.permute(2, 3, 0, 4, 1, 5).reshape(-1, rows * k, columns * k, classes)
    return joined.permute(0, 3, 1, 2)


def shift_and_stitch(
    score: Callable[[Tensor], Tensor], photos: Tensor, window: int, native: int, stride: int
) -> Tensor:
    """Score shifted photos at the native stride and interleave the grids.

    This is the definition of a finer stride, at (native / stride)^2 times the work (Sermanet et
    al., "OverFeat", arXiv 1312.6229, section 3.3): the reference for dilation, and the fallback
    for trunks that dilation cannot make denser.

    Args:
        score: (B, 3, H, W) -> (B, K, N, M), windows ``native`` px apart.
        photos: (B, 3, H, W), at least one window.
        window, native, stride: px; ``stride`` divides ``native``.

    Returns:
        (B, K, (H - window) // stride + 1, (W - window) // stride + 1).
    """
    rows, columns = (whole_windows(length, window, stride) for length in photos.shape[-2:])
    k = native // stride
    stitched: Tensor | None = None
    for down in range(min(k, rows)):
        for across in range(min(k, columns)):
            phase = score(photos[..., down * stride :, across * stride :])
            if stitched is None:
                stitched = phase.new_empty(*phase.shape[:2], rows, columns)
            stitched[:, :, down::k, across::k] = phase
    assert stitched is not None
    return stitched
