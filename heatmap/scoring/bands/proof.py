"""Prove that a network computes in bands what it computes in one pass over the photo (claim 2).

The rules of receptive_field.py and operations.py say how each operation is cut. A wrong one would
give wrong scores that look right; so each form of a network is tried once, on a small photo.
"""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx

from ...conversion.check import ROUNDING_TOLERANCE, relative_difference
from ...conversion.network import FullyConvolutional
from ...conversion.shapes import run_with_shapes
from ...errors import reason_of
from ...networks.classifier import Preprocessing
from .plan import BandPlan
from .receptive_field import NotInBands, Range, links_of
from .roller import Roller

# Rows and columns of native strides that the photo has beyond the first position: enough for
# bands that complete no row of the last map, one, or several.
_ROWS, _COLUMNS = 5, 2
# Heights of bands, px. Columns are cut as well with the second.
_BANDS_PX = (24, 72)
# Side of the photo's random squares, px.
_SQUARE_PX = 4


def prove_bands(network: FullyConvolutional, preprocessing: Preprocessing) -> str:
    """Try a network, in float32, in bands of two heights against one pass.

    Feature maps are compared, since the head's rows do not depend on each other; the photo is a few
    positions large. Where they differ by more than 1e-5 of the largest value, they must agree
    in float64, or the difference is no rounding.

    Returns:
        Why the network cannot be cut into bands; "" if it can, or never is.
    """
    try:
        links_of(network.trunk)
    except NotInBands:
        return ""
    if network.whole_input or network.stitched:
        return ""
    weights = next(network.trunk.parameters(), torch.empty(0))
    photo = preprocessing.tensor(_random_photo(network)).to(weights.device)
    try:
        with torch.inference_mode():
            if largest_difference(network.trunk, photo) <= ROUNDING_TOLERANCE:
                return ""
            exact = copy.deepcopy(network.trunk).double()
            difference = largest_difference(exact, photo.double())
    except (RuntimeError, ValueError, IndexError, KeyError) as error:
        return f"in bands it does not run ({reason_of(error)})"
    if difference <= ROUNDING_TOLERANCE:
        return ""
    return f"in bands its feature map would differ by {difference:.1e} of its largest value"


def _random_photo(network: FullyConvolutional) -> npt.NDArray[np.uint8]:
    """Random squares, uint8 (H, W, 3), in the size of a few positions of the feature map."""
    native, window = network.native_stride_px, network.window_px
    hw = [
        window - (side - 1) * native + more * native
        for side, more in zip(network.map_hw, (_ROWS, _COLUMNS), strict=True)
    ]
    squares = np.random.default_rng(0).integers(
        0, 256, (*(-(-side // _SQUARE_PX) for side in hw), 3), dtype=np.uint8
    )
    large = squares.repeat(_SQUARE_PX, axis=0).repeat(_SQUARE_PX, axis=1)
    return large[: hw[0], : hw[1]]


def largest_difference(trunk: fx.GraphModule, photo: Tensor) -> float:
    """Largest relative difference of feature maps in bands from that in one pass.

    Args:
        trunk: photos (B, C, H, W) -> feature map, from :class:`FullyConvolutional`.
        photo: (1, C, H, W), in the dtype of the trunk.
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
    return max(relative_difference(maps, expected) for maps in found)
