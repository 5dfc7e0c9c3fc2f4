"""Prove that a network computes in bands what it computes in one pass over the photo (claim 2).

The rules of receptive_field.py and operations.py say how each operation is cut. A wrong one would
give wrong scores that look right; so each form of a network is tried once, on a small photo.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx

from ...conversion.check import relative_difference
from ...conversion.network import FullyConvolutional
from ...conversion.shapes import run_with_shapes
from ...errors import reason_of
from ...networks.tensors import photo_tensor
from ...prepared.preprocessing import Preprocessing
from ...tolerance import ROUNDING_TOLERANCE
from .plan import BandPlan
from .receptive_field import NotInBands, Range, links_of
from .roller import Roller

# Rows and columns of native strides that the photo has beyond the first position: enough for
# bands that complete no row of the last map, one, or several.
_ROWS, _COLUMNS = 5, 2
# The same beyond the first window, where scores are compared.
_WINDOW_ROWS, _WINDOW_COLUMNS = 2, 1
# Heights of bands, px. Columns are cut as well with the second.
_BANDS_PX = (24, 72)
# Side of the photo's random squares, px.
_SQUARE_PX = 4
# Largest relative difference by rounding in float64; wrong rules give more than in float32.
_TOLERANCE_64 = 1e-10


def prove_bands(network: FullyConvolutional, preprocessing: Preprocessing) -> str:
    """Try a network in bands of two heights against one pass.

    First its feature maps are compared, for a photo of a few positions, which takes a fraction of
    scoring one window. Where they differ by more than 1e-5 of the largest value, the scores of
    a few windows decide: a deep network may round its features so much and its scores less. Where
    scores differ by more as well, they are computed in float64: what then is gone was rounding, by
    which one pass is as far from the exact scores.

    Returns:
        Why the network cannot be cut into bands; "" if it can, or never is.
    """
    try:
        links_of(network.trunk)
    except NotInBands:
        return ""
    if network.statistics == "whole" or network.stitched:
        return ""

    def photo(side_px: tuple[int, int], *more: int) -> Tensor:
        down, across = (
            side + count * network.native_stride_px
            for side, count in zip(side_px, more, strict=True)
        )
        weights = next(network.trunk.parameters(), torch.empty(0))
        return photo_tensor(_squares(down, across), preprocessing).to(weights.device)

    window = network.window_px
    position = [window - (side - 1) * network.native_stride_px for side in network.map_hw]
    try:
        with torch.inference_mode():
            few = photo((position[0], position[1]), _ROWS, _COLUMNS)
            # Boxes of local statistics have all of their positions in whole windows only.
            plain = network.statistics is None
            if plain and largest_difference(network.trunk, few) <= ROUNDING_TOLERANCE:
                return ""
            windows = photo((window, window), _WINDOW_ROWS, _WINDOW_COLUMNS)
            difference = largest_difference(network.trunk, windows, network.head)
    except (RuntimeError, ValueError, IndexError, KeyError) as error:
        return f"in bands it does not run ({reason_of(error)})"
    if difference <= ROUNDING_TOLERANCE or _is_rounding(network, windows):
        return ""
    return f"in bands its scores would differ by {difference:.1e} of the largest"


def _is_rounding(network: FullyConvolutional, windows: Tensor) -> bool:
    """Whether scores in bands and in one pass are the same in float64, which not all GPUs have."""
    # A network with constants of its own in float32 may not run in float64.
    with suppress(RuntimeError), torch.inference_mode():
        trunk = copy.deepcopy(network.trunk).to("cpu", torch.float64)
        head = copy.deepcopy(network.head).to("cpu", torch.float64)
        return largest_difference(trunk, windows.to("cpu", torch.float64), head) <= _TOLERANCE_64
    return False


def _squares(height: int, width: int) -> npt.NDArray[np.uint8]:
    """A photo of random squares, RGB uint8 (height, width, 3)."""
    count = (-(-height // _SQUARE_PX), -(-width // _SQUARE_PX), 3)
    small = np.random.default_rng(0).integers(0, 256, count, dtype=np.uint8)
    return small.repeat(_SQUARE_PX, axis=0).repeat(_SQUARE_PX, axis=1)[:height, :width]


def largest_difference(
    trunk: fx.GraphModule, photo: Tensor, head: Callable[[Tensor], Tensor] | None = None
) -> float:
    """Largest relative difference of what a head makes of feature maps in bands and in one pass.

    Args:
        trunk: photos (B, C, H, W) -> feature map, from :class:`FullyConvolutional`.
        photo: (1, C, H, W).
        head: makes of them what is compared; None compares them.
    """
    expected, shapes = run_with_shapes(trunk, photo)
    links = links_of(trunk)
    (rows, columns), middle = expected.shape[2:], expected.shape[3] // 2

    def in_bands(band_px: int, columns: Range) -> Tensor:
        plan = BandPlan.of(links, shapes, (0, rows), columns)
        starts, (left, right) = plan.starts(band_px), plan.columns[plan.photo]
        bands = (photo[:, :, top:end, left:right] for top, end in pairwise(starts))
        return torch.cat(list(Roller(trunk, plan).roll(bands, starts)), dim=2)

    low, high = _BANDS_PX
    parts = [in_bands(high, part) for part in pairwise(sorted({0, middle, columns}))]
    found = (in_bands(low, (0, columns)), torch.cat(parts, dim=3))
    compared, *others = (maps if head is None else head(maps) for maps in (expected, *found))
    return max(relative_difference(other, compared) for other in others)
