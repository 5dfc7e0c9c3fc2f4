"""What is on a photo: from the scores of all scales to confirmed detections with tight boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..classes import ClassGroup, ClassList, Wanted
from ..geometry import Geometry
from ..grid.coarse import Sought
from ..grid.position_scores import PositionScores
from ..grid.score_grid import ScoreGrid
from .auto_scales import scale_weights
from .confirm import CONFIRM, Crops, confirm
from .detection import Detection
from .localize import CONFIDENCE_THRESHOLD, IOU_THRESHOLD, background_of, localize
from .merge import merge
from .sharpen import sharp_maps, tighten, tighten_at_own_scale

# The scores of a photo at one scale, of single positions too where the network has them.
Scored = ScoreGrid | PositionScores


@dataclass(frozen=True)
class Search:
    """What to look for in the scores of a photo.

    Attributes:
        classes: classes and groups; None looks for all of them.
        conf, iou, max_det: as in :func:`heatmap.localize`; ``conf`` is the lowest confidence after
            confirming.
        confirm: number of detections that are confirmed by cropping.
        exclude: classes that are left out where all are looked for.
    """

    classes: Sequence[Wanted] | None = None
    conf: float = CONFIDENCE_THRESHOLD
    iou: float = IOU_THRESHOLD
    max_det: int | None = None
    confirm: int = CONFIRM
    exclude: Sequence[Wanted] = ()


def sought_at(geometries: Sequence[Geometry], search: Search, classes: ClassList) -> list[Sought]:
    """What windows of one photo are scored for at each scale, where they are cropped for that.

    Without named classes finer scales, which count less (:func:`auto_scales.scale_weights`), need
    higher probabilities.

    Args:
        geometries: of the grid at each scale.
        search: what to look for.
        classes: of the network.

    Raises:
        ClassError: an unknown class.
    """
    if search.classes is not None:
        groups = tuple(group.indices for group in classes.find_all(search.classes))
        return [Sought(search.conf, groups) for _ in geometries]
    left_out = (*background_of(classes), *classes.indices(search.exclude))
    return [Sought(search.conf / w, left_out=left_out) for w in scale_weights(geometries)]


@dataclass(frozen=True)
class Found:
    """What was found on a photo.

    Attributes:
        detections: most confident first, in photo px.
        unconfirmed: how many of them were past the number that is confirmed.
    """

    detections: tuple[Detection, ...]
    unconfirmed: int = 0


def windows_of(scored: Scored) -> ScoreGrid:
    """The scores of windows."""
    return scored if isinstance(scored, ScoreGrid) else scored.windows


def detect(scored: Sequence[Scored], search: Search, crops: Crops | None = None) -> Found:
    """Detect objects: localize, draw tight boxes, confirm by cropping, merge.

    Args:
        scored: the scores of one photo at each scale.
        search: what to look for.
        crops: asks the network of boxes by themselves; None confirms none of them.

    Raises:
        ClassError, GeometryError, ResultError: as :func:`heatmap.localize`.
    """
    grids = [windows_of(one) for one in scored]
    most = search.confirm if crops is not None else 0
    # sqrt(slide x crop) reaches the threshold only where slide reaches its square.
    least = search.conf**2 if most else search.conf
    limit = None if search.max_det is None else max(search.max_det, most)
    found = localize(
        grids, search.classes, conf=least, iou=search.iou, max_det=limit, exclude=search.exclude
    )
    # Past those that are confirmed only slide counts.
    found = found[:most] + tuple(each for each in found[most:] if each.slide >= search.conf)
    refines = most > 0 and crops is not None and crops.refines
    found = tightened(scored, found, named=search.classes is not None, refined=refines)
    if most:
        assert crops is not None
        found = confirm(found, crops, grids[0].geometry.photo_hw, most=most)
        found = tuple(each for each in found if each.confidence >= search.conf)
    if search.classes is None and grids[0].is_exclusive:
        found = merge(found, grids[0].classes.groups)
    found = _at_most(found, search.max_det, each_class=search.classes is not None)
    return Found(found, sum(each.crop is None for each in found) if most else 0)


def maps_of(
    scored: Sequence[Scored], groups: Sequence[ClassGroup], *, named: bool
) -> ScoreGrid | None:
    """The sharp maps of some classes; None where a scale has no positions, or without classes."""
    positions = _positions(scored)
    if positions is None or not groups:
        return None
    weights = None if named else scale_weights(one.windows.geometry for one in positions)
    return sharp_maps(positions, groups, weights)


def _positions(scored: Sequence[Scored]) -> list[PositionScores] | None:
    """The scores of positions at each scale; None where a scale has none."""
    positions = [one for one in scored if isinstance(one, PositionScores)]
    return positions if len(positions) == len(scored) else None


def tightened(
    scored: Sequence[Scored],
    detections: Sequence[Detection],
    *,
    named: bool,
    refined: bool = False,
) -> tuple[Detection, ...]:
    """The detections with tight boxes, where there are sharp maps.

    Boxes that will be ``refined`` are those of each detection's own scale: they are there to be
    cropped, and several scales together tell apart less of what stands close together.
    """
    if refined and (positions := _positions(scored)) is not None:
        return tighten_at_own_scale(detections, positions)
    groups = list(dict.fromkeys(detection.group for detection in detections))
    maps = maps_of(scored, groups, named=named)
    return tuple(detections) if maps is None else tighten(detections, maps, groups)


def _at_most(
    detections: Sequence[Detection], most: int | None, *, each_class: bool
) -> tuple[Detection, ...]:
    """The first ``most`` detections, or the first of each class."""
    if most is None:
        return tuple(detections)
    if not each_class:
        return tuple(detections[:most])
    counts: dict[ClassGroup, int] = {}
    kept = []
    for detection in detections:
        counts[detection.group] = counts.get(detection.group, 0) + 1
        if counts[detection.group] <= most:
            kept.append(detection)
    return tuple(kept)
