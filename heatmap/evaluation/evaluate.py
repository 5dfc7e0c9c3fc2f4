"""Evaluate this package's heatmaps and class activation maps on photos with boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

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
from .metrics import Answer, Evaluation, Method, evaluate_methods
from .pairs import match_labels, pair_up

# Scales of class activation maps: the original size, and enlarged for small objects.
CAM_SCALES = (1.0, 2.0, 3.0)
# Without a confidence threshold each class is detected at least once on every photo.
_ANY_CONFIDENCE = 0.0
# Only the best box counts; further ones would only cost time.
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
    """Measure how well heatmaps point at objects, and how well boxes lie on them.

    Each class that has boxes on a photo is searched on it. The same figures are computed for
    class activation maps of the same network: CAM and Grad-CAM, at one, two and three times the
    photo's size. docs/evaluation.md explains the figures (pointing game: Zhang et al., ECCV 2016;
    MaxBoxAcc: Choe et al., CVPR 2020).

    Args:
        photos: the folder of the photos.
        boxes: a file of ground-truth boxes: COCO instances, or a plain list as JSON or CSV.
        scorer: the network, from :func:`heatmap.prepare`.
        scales: resize factors of the photo for the heatmaps, which are fused; None chooses them
            by the photo's size ("auto"); empty evaluates both scale 1 and "auto".
        fuse: "mean" or "max": how several scales are fused where the network has no sharp maps.
        mapping: a JSON file that maps labels to classes; None takes the class or group with the
            name of the label.
        cam: whether to evaluate class activation maps too; needs torchcam.
        progress: called with the number of photos done and the total.

    Returns:
        The figures of each method over all (photo, class) pairs, and by label, as shares of
        pairs, 0..1.

    Raises:
        ClassError: the mapping names a class that the network does not have.
        ModelError: torchcam is not installed, or the network has no class activation maps.
        PhotoError: a photo is missing, cannot be read, or has another size than listed.
        ResultError: ``boxes`` or ``mapping`` cannot be read, a box lies outside its photo, or no
            label is a class.
    """
    box_file = read_boxes(boxes)
    labels = match_labels(
        box_file.label_counts(),
        scorer.classifier.classes,
        None if mapping is None else read_mapping(mapping),
    )
    pairing = pair_up(box_file, photos, labels)
    methods: dict[str, Method] = {}
    for chosen in [(1.0,), None] if scales == () else [scales]:
        methods[f"heatmap, {_named(chosen)}"] = heatmap_method(scorer, chosen, fuse)
    if cam:
        for scale in CAM_SCALES:
            methods[f"CAM, scale {scale:g}"] = cam_method(scorer.classifier, "cam", scale)
        for scale in CAM_SCALES:
            methods[f"Grad-CAM, scale {scale:g}"] = cam_method(scorer.classifier, "gradcam", scale)
    return evaluate_methods(pairing, methods, progress=progress)


def _named(scales: Sequence[float] | None) -> str:
    if scales is None:
        return "scales auto"
    listed = ", ".join(f"{scale:g}" for scale in scales)
    return f"scale{'s' if len(scales) > 1 else ''} {listed}"


def heatmap_method(
    scorer: Scorer, scales: Sequence[float] | None = (1.0,), fuse: Fusion = "mean"
) -> Method:
    """The heatmaps and boxes that :func:`heatmap.run` gives, as a method to evaluate.

    Sharp maps where the network has them, otherwise heatmaps of whole windows.
    """

    def answer(photo: Photo, groups: Sequence[ClassGroup]) -> list[Answer]:
        window = scorer.classifier.preprocessing.window_px
        factors = auto_scales(photo.hw, window) if scales is None else scales
        placements = [Placement(scale=factor) for factor in factors]
        scored = [scorer.score_positions(photo, placement) for placement in placements]
        sharp = [positions for positions in scored if positions is not None]
        if len(sharp) == len(scored):
            return _sharp(sharp, groups)
        grids = [
            scorer.score(photo, placement) if positions is None else positions.windows
            for placement, positions in zip(placements, scored, strict=True)
        ]
        return _plain(grids, fuse, groups)

    return answer


def _sharp(scored: Sequence[PositionScores], groups: Sequence[ClassGroup]) -> list[Answer]:
    maps = sharp_maps(scored, groups)
    windows = [positions.windows for positions in scored]
    return [
        _answer(
            maps.heatmap(maps.classes.single(index)),
            tighten(_best(windows, group), maps, groups),
        )
        for index, group in enumerate(groups)
    ]


def _plain(grids: Sequence[ScoreGrid], fuse: Fusion, groups: Sequence[ClassGroup]) -> list[Answer]:
    grid = fuse_scales(grids, fuse)
    return [_answer(grid.heatmap(group), _best(grids, group)) for group in groups]


def _best(grids: Sequence[ScoreGrid], group: ClassGroup) -> tuple[Detection, ...]:
    return localize(grids, [group], conf=_ANY_CONFIDENCE, max_det=_MOST_BOXES)


def _answer(heat: npt.NDArray[np.float32], detections: Sequence[Detection]) -> Answer:
    boxes_xyxy = tuple(detection.xyxy for detection in detections)
    return Answer(heat, boxes_xyxy, tuple(detection.confidence for detection in detections))
