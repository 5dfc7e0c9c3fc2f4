"""How well heatmaps point at objects, and how well boxes lie on them, over a folder of photos.

Methods are compared on the same (photo, class) pairs (:mod:`pairs`). docs/evaluation.md explains
the figures and their sources.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..classes import ClassGroup
from ..errors import PhotoError, ResultError
from ..geometry import Box, iou
from ..photo.broken import BrokenPhoto
from ..photo.photo import Photo, read_photo
from ..progress import Progress, reporting
from .pairs import LeftOut, PairedPhoto, Pairing, PhotoClassPair, nothing_left

# Distance from a box at which the maximum of a heatmap still counts as pointing at it.
POINTING_TOLERANCE_PX = 15
IOUS = (0.3, 0.5, 0.7)
# The name of this package's heatmaps among the methods.
HEATMAP = "heatmap"
# Thresholds of a heatmap, as shares of its range of values.
THRESHOLDS = tuple(step / 20 for step in range(1, 20))


# Compared by identity: arrays do not compare to one truth value.
@dataclass(frozen=True, eq=False)
class Answer:
    """One method's heatmap and boxes for one class on one photo.

    Attributes:
        heat: float32 (H, W), finite, of any range; higher where the class is more likely.
        boxes_xyxy: boxes of the detected objects, photo px, most confident first.
        scores: the confidence of each box, of any range.
    """

    heat: npt.NDArray[np.float32]
    boxes_xyxy: tuple[Box, ...]
    scores: tuple[float, ...]


# Takes a photo and classes, and gives an answer for each class.
Method: TypeAlias = Callable[[Photo, Sequence[ClassGroup]], list[Answer]]


@dataclass(frozen=True)
class BoxAccuracy:
    """Shares of pairs, 0..1, with a box that reaches an IoU with a ground-truth box.

    Attributes:
        iou: the IoU to reach.
        detected: share for the most confident box; None without pairs.
        region: share for the box around the largest region of the heatmap above ``threshold``;
            None without pairs.
        threshold: share of the heatmap's range of values: the best over all pairs.
    """

    iou: float
    detected: float | None
    region: float | None
    threshold: float


@dataclass(frozen=True)
class Figures:
    """The figures of one method over some pairs.

    Attributes:
        pairs: number of pairs.
        pointing: share of pairs, 0..1, whose heatmap has its maximum at a box; None without
            pairs.
        boxes: one entry for each of ``IOUS``.
    """

    pairs: int
    pointing: float | None
    boxes: tuple[BoxAccuracy, ...]


@dataclass(frozen=True)
class Cases:
    """The figures over all pairs, pairs with small objects, and the hard pairs among these."""

    all: Figures
    small: Figures
    hard: Figures


@dataclass(frozen=True)
class MethodFigures:
    """The figures of one method over all pairs, and by label."""

    total: Cases
    labels: dict[str, Cases]


@dataclass(frozen=True)
class Evaluation:
    """The figures of all methods, by name, on the same pairs; ``dataclasses.asdict`` gives JSON."""

    photos: int
    pairs: int
    left_out: LeftOut
    methods: dict[str, MethodFigures]


@dataclass(frozen=True)
class Verdict:
    """One method on one pair.

    Attributes:
        points: whether its heatmap has its maximum at a box.
        iou: of its most confident box.
        region_ious: an entry for each of ``THRESHOLDS``.
    """

    points: bool
    iou: float
    region_ious: tuple[float, ...]


@dataclass(frozen=True)
class JudgedPairs:
    """The pairs of a photo, and by method a verdict on each."""

    pairs: tuple[PhotoClassPair, ...]
    verdicts: Mapping[str, tuple[Verdict, ...]]


def evaluate_methods(
    pairing: Pairing,
    methods: Mapping[str, Method],
    *,
    progress: Progress = False,
) -> Evaluation:
    """Run every method on every pair, and compare its answers with the ground-truth boxes.

    A photo that turns out to be damaged when it is read is left out, of all methods.

    Args:
        pairing: photos, the classes to search on each, and their boxes.
        methods: methods by name; each gets all classes of a photo at once.
        progress: as in :func:`heatmap.score`; counts photos.

    Raises:
        PhotoError: no photo can be read.
        ResultError: a method gives answers that :class:`Answer` does not allow.
    """
    judged, broken = [], []
    with reporting(progress, "evaluating photos") as reporter:
        for done, paired in enumerate(pairing.photos, start=1):
            try:
                judged.append(judge_pairs(paired, read_photo(paired.path), methods))
            except PhotoError as error:
                broken.append(BrokenPhoto(str(paired.path), error.message))
            reporter.advance(done, len(pairing.photos))
    if not judged:
        raise nothing_left(broken)
    left_out = pairing.left_out
    return evaluation_of(judged, replace(left_out, broken=(*left_out.broken, *broken)))


def judge_pairs(paired: PairedPhoto, photo: Photo, methods: Mapping[str, Method]) -> JudgedPairs:
    """Run every method on the pairs of a photo, and compare its answers with the boxes.

    Raises:
        ResultError: as :func:`evaluate_methods`.
    """
    verdicts = {}
    for name, method in methods.items():
        answers = method(photo, [pair.group for pair in paired.pairs])
        _check_answers(answers, len(paired.pairs), photo.hw, name)
        verdicts[name] = tuple(map(_judge, answers, paired.pairs))
    return JudgedPairs(paired.pairs, verdicts)


def evaluation_of(judged: Sequence[JudgedPairs], left_out: LeftOut) -> Evaluation:
    """The figures of all methods over some photos, at least one."""
    pairs = [pair for of_photo in judged for pair in of_photo.pairs]
    figures = {
        name: _method_figures([one for photo in judged for one in photo.verdicts[name]], pairs)
        for name in judged[0].verdicts
    }
    return Evaluation(len(judged), len(pairs), left_out, figures)


def points_at(heat: npt.NDArray[np.float32], boxes_xyxy: Sequence[Box]) -> bool:
    """The pointing game: whether the maximum lies within ``POINTING_TOLERANCE_PX`` of a box.

    Of several equal maxima the first in reading order counts. Zhang et al., "Top-down Neural
    Attention by Excitation Backprop", ECCV 2016.
    """
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    x, y = column + 0.5, row + 0.5
    return any(
        np.hypot(max(left - x, 0, x - right), max(top - y, 0, y - bottom)) <= POINTING_TOLERANCE_PX
        for left, top, right, bottom in boxes_xyxy
    )


def region_box(heat: npt.NDArray[np.float32], threshold: float) -> Box | None:
    """The box around the largest connected region above a threshold; None for a flat heatmap.

    ``threshold`` is a share, 0..1, of the heatmap's range of values.
    Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016.
    """
    # Imported here, since that takes a second.
    from skimage.measure import label, regionprops

    low, high = float(heat.min()), float(heat.max())
    above = heat > low + threshold * (high - low)
    labels = label(above, connectivity=2)  # type: ignore[no-untyped-call]
    regions = regionprops(labels)  # type: ignore[no-untyped-call]
    if not regions:
        return None
    top, left, bottom, right = max(regions, key=lambda region: region.area).bbox
    return float(left), float(top), float(right), float(bottom)


def _check_answers(answers: list[Answer], count: int, hw: tuple[int, int], name: str) -> None:
    if len(answers) != count:
        raise ResultError(f"method {name!r} gives {len(answers)} answers for {count} classes")
    for answer in answers:
        if answer.heat.shape != hw or not np.isfinite(answer.heat).all():
            raise ResultError(
                f"method {name!r} gives a heatmap of shape {answer.heat.shape}, expected {hw} "
                "and finite values"
            )


def _judge(answer: Answer, pair: PhotoClassPair) -> Verdict:
    best = answer.boxes_xyxy[0] if answer.boxes_xyxy else None
    regions = [region_box(answer.heat, threshold) for threshold in THRESHOLDS]
    iou, *region_ious = _best_ious([best, *regions], pair.boxes_xyxy)
    return Verdict(points_at(answer.heat, pair.boxes_xyxy), iou, tuple(region_ious))


def _best_ious(boxes: Sequence[Box | None], true: Sequence[Box]) -> list[float]:
    """The largest IoU of each box with any ground-truth box; 0 for no box."""
    return [max(iou(box, each) for each in true) if box else 0.0 for box in boxes]


def _method_figures(verdicts: Sequence[Verdict], pairs: Sequence[PhotoClassPair]) -> MethodFigures:
    thresholds = _best_thresholds(verdicts)

    def cases(label: str | None) -> Cases:
        of_label = [
            (verdict, pair)
            for verdict, pair in zip(verdicts, pairs, strict=True)
            if label in (None, pair.label)
        ]
        return Cases(
            all=_figures([verdict for verdict, _ in of_label], thresholds),
            small=_figures([verdict for verdict, pair in of_label if pair.small], thresholds),
            hard=_figures([verdict for verdict, pair in of_label if pair.hard], thresholds),
        )

    labels = sorted({pair.label for pair in pairs})
    return MethodFigures(cases(None), {label: cases(label) for label in labels})


def _best_thresholds(verdicts: Sequence[Verdict]) -> list[int]:
    """For each of ``IOUS``, the index in ``THRESHOLDS`` at which most regions reach it.

    As in MaxBoxAcc of Choe et al., "Evaluating Weakly Supervised Object Localization Methods
    Right", CVPR 2020.
    """
    ious = np.array([verdict.region_ious for verdict in verdicts])
    return [int((ious >= iou).sum(axis=0).argmax()) for iou in IOUS]


def _figures(verdicts: Sequence[Verdict], thresholds: Sequence[int]) -> Figures:
    boxes = [
        BoxAccuracy(
            iou=iou,
            detected=_share([verdict.iou >= iou for verdict in verdicts]),
            region=_share([verdict.region_ious[index] >= iou for verdict in verdicts]),
            threshold=THRESHOLDS[index],
        )
        for iou, index in zip(IOUS, thresholds, strict=True)
    ]
    return Figures(len(verdicts), _share([verdict.points for verdict in verdicts]), tuple(boxes))


def _share(right: Sequence[bool]) -> float | None:
    return sum(right) / len(right) if right else None
