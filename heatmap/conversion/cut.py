"""Photos cut to whole windows: what every network that slides is given."""

from __future__ import annotations

from torch import Tensor

from ..geometry import length_of_windows, whole_windows


def cut_to_windows(photos: Tensor, window_px: int, stride_px: int) -> Tensor:
    """The part of (B, C, H, W) that windows tile, from the top left: a view.

    Padding would make cells of what lies behind the last whole window. H and W are at least
    ``window_px``. Sizes may be symbolic, as in a network that is recorded for any size.
    """
    for axis in (-2, -1):
        count = whole_windows(photos.shape[axis], window_px, stride_px)
        # No slice: its length would be the shorter of two numbers, unknown which.
        photos = photos.narrow(axis, 0, length_of_windows(count, window_px, stride_px))
    return photos
