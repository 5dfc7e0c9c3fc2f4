"""Which scales to score: a rule for each kind of network, in integers of the photo's size.

Scales decide what is found: a classifier recognises what fills its window about as its training
photos did, and at finer scales it names bark, sky and gravel instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from ..errors import GeometryError
from ..geometry import Geometry

Learned = Literal["photo", "sizes", "native"]
Resolution = Literal["normal", "fine", "finer"]
# "auto" is what the network learned from; the others insist.
Automatic = Literal["auto", "photo", "native"]
RESOLUTIONS: tuple[Resolution, ...] = get_args(Resolution)
AUTOMATIC: tuple[Automatic, ...] = get_args(Automatic)

# Of the photo rule, in units; the last only where classes are named, whose small objects are
# asked for. docs/evaluation.md has the figures of these and other scales.
_UNITS = (0.5, 1.0, 2.0)
_NAMED_UNIT = 3.0
# At scale 1 unit the short side of the photo is about this many windows.
_WINDOWS_A_UNIT = 2
# Below this many windows along the short side a window sees mostly reflections.
_FEWEST_WINDOWS = 0.7
# Scales closer than this find the same things.
_CLOSEST = 1.4
# Percentiles of the sizes of training examples that fill a window at one scale each; the middle
# one comes first where they are close.
_PERCENTILES = (50, 10, 90)
# The largest scale of "sizes": those further up cost more than they find. Of persons of COCO, a
# tenth of which are smaller than 18 px, average precision at IoU 0.3 is 12 with scales up to 4, 18
# up to 8, and 20 up to 12, in more than twice the time.
_FINEST = 8
# Training photos whose typical size is more than this many windows were fitted into it.
_FITTED_WINDOWS = 2
# Power of the number of windows by which finer scales count less.
_PENALTY = -0.5


@dataclass(frozen=True)
class ScaleRule:
    """How large the things were that a network learned from: what the scales "auto" mean for it.

    Attributes:
        learned: "photo" (whole photos, fitted into a window: published networks), "sizes"
            (examples of known sizes), or "native" (nothing is known: scale 1).
        sizes_px: for "sizes", the sizes of examples to look for, px of the photo, increasing.

    >>> ScaleRule("sizes", (80, 150, 420)).scales((1000, 1500), 224)
    (0.533, 1.49, 2.8)
    """

    learned: Learned = "photo"
    sizes_px: tuple[float, ...] = ()

    def scales(
        self,
        photo_hw: tuple[int, int],
        window: int,
        *,
        named: bool = False,
        resolution: Resolution = "normal",
    ) -> tuple[float, ...]:
        """The scales for a photo, smallest first, at least one.

        "photo" follows the photo: with unit = 2^-k, k = max(0, round(log2(short side / (2
        windows)))), the scales are 0.5, 1 and 2 units, and 3 where classes are named. So a VGA
        photo is scored at 0.5, 1 and 2, one of 3000 px at 1/16, 1/8 and 1/4, and both cost the
        same. "sizes" makes each size fill a window. Of both, scales at which the short side is
        below 0.7 windows are left out; where none is left, the photo is enlarged by the power of
        two at which its short side is nearest to a window. "native" is scale 1.

        Args:
            photo_hw: height and width of the photo, px.
            window: side of the classifier's input, px.
            named: whether classes are named.
            resolution: "fine" and "finer" go one and two octaves further, for smaller things.

        Raises:
            GeometryError: an unknown resolution.

        >>> ScaleRule("photo").scales((480, 640), 224, named=True)
        (0.5, 1.0, 2.0, 3.0)
        >>> ScaleRule("photo").scales((3000, 4000), 224)
        (0.0625, 0.125, 0.25)
        """
        if resolution not in RESOLUTIONS:
            raise GeometryError(
                f"resolution is {resolution!r}: choose one of {', '.join(RESOLUTIONS)}"
            )
        short = min(photo_hw)
        if self.learned == "native":
            base: tuple[float, ...] = (1.0,)
        elif self.learned == "sizes":
            base = tuple(float(f"{window / size:.3g}") for size in reversed(self.sizes_px))
        else:
            base = _photo_scales(short, window, named=named)
        octaves = RESOLUTIONS.index(resolution)
        further = (*base, *(base[-1] * 2.0**octave for octave in range(1, octaves + 1)))
        if self.learned == "native":
            return further
        enough = tuple(scale for scale in further if short * scale >= _FEWEST_WINDOWS * window)
        return enough or (2.0 ** round(math.log2(window / short)),)


# Whole photos, fitted into a window: the rule of published networks.
PHOTO = ScaleRule("photo")
NATIVE = ScaleRule("native")


def _photo_scales(short: int, window: int, *, named: bool) -> tuple[float, ...]:
    unit = 2.0 ** -max(0, round(math.log2(short / (_WINDOWS_A_UNIT * window))))
    return tuple(unit * factor for factor in (*_UNITS, *[_NAMED_UNIT] * named))


def rule_of_examples(
    sides_px: Sequence[float], window: int, *, whole_photos: bool = False
) -> ScaleRule:
    """The rule of a network that was trained on examples of these sizes.

    The scales are those at which the 10th, 50th and 90th percentile of the sizes fill a window, at
    most 8, the median first, and of those closer than a factor of 1.4 only one. Whole photos that
    are typically more than twice as large as the window were fitted into it: "photo".

    Args:
        sides_px: sides of the squares that were resized to the window, px of their photos.
        window: side of the classifier's input, px.
        whole_photos: whether the squares are whole photos, not regions.

    >>> rule_of_examples([224] * 9, 224, whole_photos=True).scales((800, 900), 224)
    (1.0,)
    >>> rule_of_examples([900, 1200], 224, whole_photos=True).learned
    'photo'
    """
    sizes = [max(float(size), window / _FINEST) for size in np.percentile(sides_px, _PERCENTILES)]
    if whole_photos and sizes[0] > _FITTED_WINDOWS * window:
        return PHOTO
    kept: list[float] = []
    for size in sizes:
        if all(max(size / other, other / size) >= _CLOSEST for other in kept):
            kept.append(size)
    return ScaleRule("sizes", tuple(sorted(round(size, 1) for size in kept)))


def in_words(rule: ScaleRule) -> str:
    """What the scales of a rule follow.

    >>> print(in_words(ScaleRule("sizes", (80.0, 150.0))))
    those at which things of 80 and 150 px fill a window
    """
    if rule.learned == "photo":
        return "those that fit the photo"
    if rule.learned == "native":
        return "1"
    *first, last = (f"{size:.0f}" for size in rule.sizes_px)
    listed = f"{', '.join(first)} and {last}" if first else last
    return f"those at which things of {listed} px fill a window"


def described_rule(rule: ScaleRule) -> dict[str, Any]:
    """A rule as JSON data; :func:`read_rule` reads it back."""
    return {**asdict(rule), "sizes_px": list(rule.sizes_px)}


def read_rule(described: Mapping[str, Any]) -> ScaleRule:
    """The rule of :func:`described_rule`.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    learned, sizes = described["learned"], tuple(map(float, described["sizes_px"]))
    if learned not in get_args(Learned) or bool(sizes) != (learned == "sizes"):
        raise ValueError(f"scales are learned from {learned!r} with {len(sizes)} sizes")
    if not all(math.isfinite(size) and size > 0 for size in sizes):
        raise ValueError(f"sizes are {sizes}")
    return ScaleRule(learned, sizes)


def scale_weights(geometries: Iterable[Geometry]) -> list[float]:
    """What a window's probability counts at each scale, where no class is named: u^-0.5.

    u is how many times more windows a scale has along the short side of the photo than the
    coarsest scale: finer scales look at more places, and raise more false alarms.

    Args:
        geometries: one of each scale, of one photo.

    >>> from heatmap.geometry import Placement, plan_grid
    >>> scales = [Placement(scale=scale) for scale in (0.5, 1.0, 2.0)]
    >>> plans = [plan_grid((448, 600), at, window=224, native_stride=32) for at in scales]
    >>> [round(weight, 3) for weight in scale_weights(plans)]
    [1.0, 0.707, 0.5]
    """
    along = [
        max(1.0, min(map(math.prod, zip(one.photo_hw, one.scale_yx, strict=True))) / one.window_px)
        for one in geometries
    ]
    return [(windows / min(along)) ** _PENALTY for windows in along]


def sizes_looked_for(
    scales: Sequence[float], photo_hw: tuple[int, int], window: int
) -> tuple[int, int]:
    """The sizes of things that windows at these scales show well, px of the photo.

    From half a window of the finest scale to a whole one of the coarsest, at most the photo's
    short side; rounded to two digits, at least 1.

    >>> sizes_looked_for((0.0625, 0.125, 0.25), (3000, 4000), 224)
    (450, 3000)
    """
    smallest, largest = window / max(scales) / 2, min(window / min(scales), min(photo_hw))
    low, high = (float(f"{side:.2g}") for side in (min(smallest, largest), largest))
    return max(1, int(low)), max(1, int(high))
