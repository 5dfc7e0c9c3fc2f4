"""Fit a box regression: where objects end in crops that are not quite right.

R. Girshick et al., "Rich feature hierarchies for accurate object detection and semantic
segmentation", CVPR 2014, appendix C: ridge regression on the features of boxes near the true one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt

from ..geometry import Box
from ..localization.box_regression import BoxRegression
from ..localization.confirm import widened
from ..photo.photo import read_photo
from ..scoring.scorer import Scorer
from .examples import Example, Examples
from .sampling import seed_digest

# About so many crops in all, but no more of one object than that. Of persons of COCO, 82 and 123
# objects, average precision at IoU 0.3 and 0.5 is 22.6 and 7.7 with a third of them, 24.2 and 8.8
# with all; four random thirds gave from 21.4 to 23.0 and from 6.3 to 9.4.
MOST_CROPS = 3000
MOST_OF_ONE = 40
# What detections' boxes miss objects by: the logarithm of both sides and of each, and the centre
# in sides (standard deviations). One that overlaps less is of nothing.
_SIZE, _SIDE, _CENTRE = 0.35, 0.25, 0.2
_LEAST_IOU = 0.25
# Boxes drawn for each that is wanted; about two of three overlap enough.
_DRAWS = 8
# The ridge, in units of the mean squared length of the examples. With 1, 3 and 10 average precision
# of the same persons is 22.8 and 7.7, 24.2 and 8.8, 23.7 and 7.6. Training photos left out of the
# fit agree, of cars too (docs/evaluation.md).
_RIDGE = 3.0

Doubles = npt.NDArray[np.float64]


def fit_boxes(scorer: Scorer, examples: Examples, *, seed: int = 0) -> BoxRegression | None:
    """Fit a box regression to the objects of some examples.

    Around the box of each object others are drawn at random, widened as boxes are that are
    confirmed, and cropped; what is fitted are the edges of the object in each crop.

    Args:
        scorer: the trained network.
        examples: those of boxes, of which both parts are used.
        seed: random seed of the boxes drawn.

    Returns:
        The regression; None where the examples have no boxes, or the network cannot slide.

    Raises:
        PhotoError: a photo cannot be read.
    """
    every = sorted((*examples.training, *examples.validation), key=lambda one: one.photo)
    objects = _spread([one for one in every if one.box is not None])
    if not objects or scorer.engine != "slide":
        return None
    count = min(max(MOST_CROPS // len(objects), 1), MOST_OF_ONE)
    profiles, fractions = [], []
    for name, of_photo in groupby(objects, key=lambda one: one.photo):
        photo = read_photo(examples.folder / name, reading=examples.reading)
        noise = np.random.default_rng(list(seed_digest(seed, "box regression", name)))
        pairs = [
            (box, widened(near, photo.hw))
            for one in of_photo
            for box in [one.box]
            if box is not None
            for near in boxes_near(box, photo.hw, count, noise)
        ]
        if pairs:
            true, crops = map(np.array, zip(*pairs, strict=True))
            fractions.append(fractions_of(true, crops))
            given = scorer.box_outputs(photo, [crop for _, crop in pairs], profiles=True)
            assert given.profiles is not None
            profiles.append(given.profiles)
    return fitted(np.concatenate(profiles), np.concatenate(fractions))


def _spread(objects: Sequence[Example]) -> Sequence[Example]:
    """Not more objects than crops are wanted, from all photos alike."""
    if len(objects) <= MOST_CROPS:
        return objects
    return [objects[round(at)] for at in np.linspace(0, len(objects) - 1, MOST_CROPS)]


def boxes_near(
    xyxy: Box, photo_hw: tuple[int, int], count: int, noise: np.random.Generator
) -> list[Box]:
    """Random boxes within the photo that overlap a box by an IoU above 0.25, at most ``count``.

    Args:
        xyxy: the box, px, within the photo.
        photo_hw: height and width of the photo, px.
        count: number of boxes; there are fewer only where hardly any overlap enough.
        noise: random generator.
    """
    true = np.array(xyxy)
    sides = true[2:] - true[:2]
    draws = _DRAWS * count
    size = noise.normal(0, _SIZE, (draws, 1)) + noise.normal(0, _SIDE, (draws, 2))
    centres = (true[:2] + true[2:]) / 2 + noise.normal(0, _CENTRE, (draws, 2)) * sides
    half = sides * np.exp(size) / 2
    near = np.hstack([centres - half, centres + half]).clip(0, np.tile(photo_hw[::-1], 2))
    enough = near[_ious(near, true) > _LEAST_IOU][:count]
    return [(a, b, c, d) for a, b, c, d in enough.tolist()]


def _ious(boxes: Doubles, other: Doubles) -> Doubles:
    """IoU of boxes (B, 4) with one."""
    low, high = np.maximum(boxes[:, :2], other[:2]), np.minimum(boxes[:, 2:], other[2:])
    shared = (high - low).clip(0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (other[2:] - other[:2]).prod()
    return np.asarray(shared / (areas - shared))


def fractions_of(boxes: Doubles, crops: Doubles) -> Doubles:
    """Left, top, right and bottom of boxes (B, 4) in fractions of the sides of crops (B, 4)."""
    starts, sides = crops[:, :2], crops[:, 2:] - crops[:, :2]
    return (boxes - np.tile(starts, 2)) / np.tile(sides, 2)


def fitted(profiles: npt.NDArray[np.float32], fractions: Doubles) -> BoxRegression:
    """The ridge regression of edges on profiles.

    Args:
        profiles: float32 (B, 2, F), see :func:`box_regression.profiles_of`.
        fractions: left, top, right and bottom (B, 4) in fractions of the crops.
    """
    # Columns for left and right, rows for top and bottom.
    of_axis = [ridge(profiles[:, axis], fractions[:, axis::2]) for axis in (0, 1)]
    weights = np.stack([of_axis[edge % 2][0][edge // 2] for edge in range(4)])
    biases = np.stack([of_axis[edge % 2][1][edge // 2] for edge in range(4)])
    return BoxRegression(weights.astype(np.float32), biases.astype(np.float32), len(profiles))


def ridge(features: npt.NDArray[np.float32], targets: Doubles) -> tuple[Doubles, Doubles]:
    """Ridge regression with a bias, which is not shrunk: weights (T, F) and biases (T,).

    In its dual form, a system of as many equations as examples (C. Saunders et al., "Ridge
    Regression Learning Algorithm in Dual Variables", ICML 1998), since features are more. The
    ridge is 3 times the mean squared length of the examples around their mean.

    Args:
        features: (B, F).
        targets: (B, T).
    """
    mean, middle = features.mean(0, dtype=np.float64), targets.mean(0)
    around = features - mean
    kernel = around @ around.T
    # Examples that are all alike tell nothing: weights of 0.
    shrink = _RIDGE * float(np.trace(kernel)) / len(kernel) or 1.0
    dual = np.linalg.solve(kernel + shrink * np.eye(len(kernel)), targets - middle)
    weights = dual.T @ around
    return weights, middle - weights @ mean
