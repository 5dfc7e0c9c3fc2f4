"""The annotated picture of a photo with its ground-truth boxes over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..geometry import Box
from ..localization.findings import Findings
from .annotated import Annotation, enlarged
from .labels import labels
from .legend import text_px
from .marks import Paste, Spot, alternating, whole_px
from .paint import ALPHA, Image
from .palette import PAPER

# Width of the lines, as a share of the height of letters.
_LINE = 1 / 7


def annotated_with_truth(
    pixels: Image,
    findings: Findings,
    objects: Sequence[tuple[str, Box]],
    *,
    conf: float,
    color_range: tuple[float, float] | None = None,
    alpha: float = ALPHA,
) -> Image:
    """As :func:`annotated.annotated`, with the true boxes in dashes of black and white by turns.

    Their labels, white on black, lie beside the labels of detections; those that have no room are
    left out.

    Args:
        pixels: the photo at any size, RGB uint8 (H, W, 3).
        findings: what was found on it.
        objects: label and box, px of the photo that was scored, of each object.
        conf, color_range, alpha: as :meth:`annotated.Annotation.of` takes them.

    Raises:
        ResultError: as :meth:`annotated.Annotation.of`.
    """
    pixels = enlarged(pixels)
    hw = (pixels.shape[0], pixels.shape[1])
    annotation = Annotation.of(findings, hw, conf=conf, color_range=color_range, alpha=alpha)
    return with_truth(annotation, objects, findings.maps.geometry.photo_hw).picture(pixels)


def with_truth(
    annotation: Annotation, objects: Sequence[tuple[str, Box]], photo_hw: tuple[int, int]
) -> Annotation:
    """A planned picture with true boxes over the others, and under the labels.

    Args:
        annotation: the picture.
        objects: label and box of each, px of the photo.
        photo_hw: height and width of the photo, px.
    """
    # The largest first: it has most room for a label, and is drawn below the smaller ones.
    spots = sorted(
        ((_spot(box, photo_hw, annotation.picture_hw), label) for label, box in objects),
        key=lambda one: -_area(one[0]),
    )
    size = text_px(annotation.picture_hw)
    width = max(2, round(size * _LINE))
    lines = [line for spot, _ in spots for line in alternating(spot, width)]
    return replace(
        annotation,
        lines=(*annotation.lines, *lines),
        labels=(*annotation.labels, *_labels(annotation, spots, size)),
    )


def _labels(annotation: Annotation, spots: Sequence[tuple[Spot, str]], size: int) -> list[Paste]:
    return labels(
        [(label, "") for _, label in spots],
        [PAPER] * len(spots),
        [spot for spot, _ in spots],
        annotation.picture_hw,
        size,
        taken=[label.spot for label in annotation.labels],
    )


def _spot(box: Box, photo_hw: tuple[int, int], picture_hw: tuple[int, int]) -> Spot:
    down, across = (side / full for side, full in zip(picture_hw, photo_hw, strict=True))
    left, top, right, bottom = box
    return whole_px((left * across, top * down, right * across, bottom * down), picture_hw)


def _area(spot: Spot) -> int:
    return (spot[2] - spot[0]) * (spot[3] - spot[1])
