"""This package's heatmaps and class activation maps on the same photos with boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..classes import ClassGroup
from ..geometry import Placement
from ..grid.origin import Fusion
from ..grid.position_scores import PositionScores
from ..grid.score_grid import ScoreGrid
from ..localization.localize import Detection, localize
from ..localization.scales import auto_scales, fuse_scales
from ..localization.sharpen import sharp_maps, tighten
from ..photo.annotations import read_boxes, read_mapping
from ..photo.photo import Photo
from ..scoring.scorer import Scorer
from .cam import cam_method
from .metrics import Answer, Evaluation, Method, measure
from .pairs import match_labels, pair_up

# Of the photo, for class activation maps: its own and enlarged for small objects.
CAM_SCALES = (1.0, 2.0, 3.0)
# Without a threshold each class is found at least once on every photo.
_ANY_SCORE = 0.0
# Only the best box is asked about; what comes after it costs time.
_MOST_BOXES = 5


def evaluate(
    photos: str | Path,
    boxes: str | Path,
    scorer: Scorer,
    *,
    scales: Sequence[float] | None = (),
    fuse: Fusion = "mean",
    mapping: str | Path | None = None,
    cam: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Evaluate heatmaps and their boxes, and CAM and Grad-CAM of the same network.

    Args:
        photos: the folder of the photos.
        boxes: their true boxes, as :func:`annotations.read_boxes` takes them.
        scorer: the network.
        scales: of the photo for the heatmaps, together; None is "auto". Of no scale, both
            the photo's own size and "auto" are evaluated.
        fuse: how several scales are fused where the network has no sharp maps.
        mapping: which classes each label means (:func:`annotations.read_mapping`).
        cam: whether to evaluate class activation maps too.
        progress: called with the photos done and their number.

    Raises:
        HeatmapError: a file that cannot be read or does not fit, or a network without CAM.
    """
    found = read_boxes(boxes)
    labels = match_labels(
        found.label_counts(),
        scorer.classifier.classes,
        None if mapping is None else read_mapping(mapping),
    )
    pairing = pair_up(found, photos, labels)
    methods: dict[str, Method] = {}
    for wanted in [(1.0,), None] if scales == () else [scales]:
        methods[f"heatmap, {_named(wanted)}"] = heatmap_method(scorer, wanted, fuse)
    if cam:
        for scale in CAM_SCALES:
            methods[f"CAM, scale {scale:g}"] = cam_method(scorer.classifier, "cam", scale)
        for scale in CAM_SCALES:
            methods[f"Grad-CAM, scale {scale:g}"] = cam_method(scorer.classifier, "gradcam", scale)
    return measure(pairing, methods, progress=progress)


def _named(scales: Sequence[float] | None) -> str:
    if scales is None:
        return "scales auto"
    listed = ", ".join(f"{scale:g}" for scale in scales)
    return f"scale{'s' if len(scales) > 1 else ''} {listed}"


def heatmap_method(
    scorer: Scorer, scales: Sequence[float] | None = (1.0,), fuse: Fusion = "mean"
) -> Method:
    """The heatmaps and boxes that `heatmap run` gives, as a method to evaluate.

    Sharp maps where the network has them, else those of whole windows.
    """

    def answer(photo: Photo, groups: Sequence[ClassGroup]) -> list[Answer]:
        window = scorer.classifier.preprocessing.window_px
        at = auto_scales(photo.hw, window) if scales is None else scales
        positions = [scorer.score_positions(photo, Placement(scale=scale)) for scale in at]
        if all(positions):
            return _sharp([one for one in positions if one is not None], groups)
        grids = [
            scorer.score(photo, Placement(scale=scale)) if one is None else one.windows
            for scale, one in zip(at, positions, strict=True)
        ]
        return _plain(grids, fuse, groups)

    return answer


def _sharp(scored: Sequence[PositionScores], groups: Sequence[ClassGroup]) -> list[Answer]:
    maps = sharp_maps(scored, groups)
    windows = [one.windows for one in scored]
    return [
        _answer(
            maps.heatmap(maps.classes.single(place)),
            tighten(_best(windows, group), maps, groups),
        )
        for place, group in enumerate(groups)
    ]


def _plain(grids: Sequence[ScoreGrid], fuse: Fusion, groups: Sequence[ClassGroup]) -> list[Answer]:
    grid = fuse_scales(grids, fuse)
    return [_answer(grid.heatmap(group), _best(grids, group)) for group in groups]


def _best(grids: Sequence[ScoreGrid], group: ClassGroup) -> tuple[Detection, ...]:
    return localize(grids, [group], conf=_ANY_SCORE, max_det=_MOST_BOXES)


def _answer(heat: np.ndarray, found: Sequence[Detection]) -> Answer:
    return Answer(heat, tuple(one.xyxy for one in found), tuple(one.confidence for one in found))
