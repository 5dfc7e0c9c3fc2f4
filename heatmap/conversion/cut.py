"""Cut photos to whole windows, as sliding networks need them."""

from __future__ import annotations

from torch import Tensor

from ..geometry import length_of_windows, whole_windows


def cut_to_windows(photos: Tensor, window_px: int, stride_px: int) -> Tensor:
    """Cut (B, C, H, W) at the right and bottom to a whole number of windows; returns a view.

    With padding, the rest behind the last whole window would give extra cells. H and W are at least
    ``window_px``, and may be symbolic, as when a network is recorded for any size.
    """
    for axis in (-2, -1):
        count = whole_windows(photos.shape[axis], window_px, stride_px)
        # Not a slice, whose symbolic length would be the minimum of two numbers.
        photos = photos.narrow(axis, 0, length_of_windows(count, window_px, stride_px))
    return photos
