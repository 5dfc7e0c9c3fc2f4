"""How well heatmaps point at objects, and how well boxes lie on them, over a folder of photos.

Methods are compared on the same pairs of photo and class (:mod:`pairs`).
docs/evaluation.md says what each figure means, and where it comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torchvision.ops import box_iou

from ..classes import ClassGroup
from ..errors import ResultError
from ..geometry import Box
from ..photo.photo import Photo, read_photo
from .pairs import LeftOut, Pairing, PhotoClassPair

# How far from a box the heatmap's maximum still counts as pointing at it.
POINTING_TOLERANCE_PX = 15
IOUS = (0.3, 0.5, 0.7)
# Where a heatmap is cut, as shares of the way from its smallest to its largest value.
THRESHOLDS = tuple(step / 20 for step in range(1, 20))


# Compared by identity: arrays do not compare to one truth value.
@dataclass(frozen=True, eq=False)
class Answer:
    """One method's heatmap and boxes for one class on one photo.

    Attributes:
        heat: float32 (H, W), finite, of any range: the higher, the likelier the class is there.
        boxes_xyxy: boxes of the objects that it finds, in photo px, most confident first.
        scores: the confidence of each, of any range.
    """

    heat: npt.NDArray[np.float32]
    boxes_xyxy: tuple[Box, ...]
    scores: tuple[float, ...]


# Of a photo and classes, an answer for each class.
Method: TypeAlias = Callable[[Photo, Sequence[ClassGroup]], list[Answer]]


@dataclass(frozen=True)
class BoxAccuracy:
    """Shares of pairs, in 0..1, whose box reaches an IoU with a true one; None of no pairs.

    ``found`` is that of the method's best box. ``region`` is that of the box around the
    largest region of its heatmap above ``threshold`` of the way from the smallest to the
    largest value: the threshold that is best over all pairs of the evaluation.
    """

    iou: float
    found: float | None
    region: float | None
    threshold: float


@dataclass(frozen=True)
class Figures:
    """What one method reaches over some pairs.

    ``pointing`` is the share of pairs, in 0..1, whose heatmap has its maximum at a box;
    None of no pairs. ``boxes`` holds one entry for each of ``IOUS``.
    """

    pairs: int
    pointing: float | None
    boxes: tuple[BoxAccuracy, ...]


@dataclass(frozen=True)
class Cases:
    """The figures over all pairs, those of small objects, and the hard ones among these."""

    all: Figures
    small: Figures
    hard: Figures


@dataclass(frozen=True)
class MethodFigures:
    """One method over every pair, and over those of each label."""

    total: Cases
    labels: dict[str, Cases]


@dataclass(frozen=True)
class Evaluation:
    """Every method by its name, on the same pairs; ``dataclasses.asdict`` makes it JSON."""

    photos: int
    pairs: int
    left_out: LeftOut
    methods: dict[str, MethodFigures]


def evaluate_methods(
    pairing: Pairing,
    methods: Mapping[str, Method],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Ask every method about every pair, and compare its answers with the true boxes.

    Args:
        pairing: photos, the classes to ask about on each, and their boxes.
        methods: by name; each is asked about all classes of a photo at once.
        progress: called with the number of photos done and of all.

    Raises:
        PhotoError: a photo cannot be read.
        ResultError: a method does not answer as :class:`Answer` says.
    """
    verdicts: dict[str, list[_Verdict]] = {name: [] for name in methods}
    for done, paired in enumerate(pairing.photos, start=1):
        photo = read_photo(paired.path)
        for name, method in methods.items():
            answers = method(photo, [pair.group for pair in paired.pairs])
            _check_answers(answers, len(paired.pairs), photo.hw, name)
            verdicts[name] += map(_judge, answers, paired.pairs)
        if progress is not None:
            progress(done, len(pairing.photos))
    pairs = [pair for paired in pairing.photos for pair in paired.pairs]
    figures = {name: _method_figures(judged, pairs) for name, judged in verdicts.items()}
    return Evaluation(len(pairing.photos), len(pairs), pairing.left_out, figures)


def points_at(heat: npt.NDArray[np.float32], boxes_xyxy: Sequence[Box]) -> bool:
    """The pointing game: whether the maximum lies within ``POINTING_TOLERANCE_PX`` of a box.

    Of several equal ones the first in reading order counts. Zhang et al., "Top-down Neural
    Attention by Excitation Backprop", ECCV 2016.
    """
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    x, y = column + 0.5, row + 0.5
    return any(
        np.hypot(max(left - x, 0, x - right), max(top - y, 0, y - bottom)) <= POINTING_TOLERANCE_PX
        for left, top, right, bottom in boxes_xyxy
    )


def region_box(heat: npt.NDArray[np.float32], threshold: float) -> Box | None:
    """The box around the largest connected region above a threshold; None of a flat heatmap.

    ``threshold`` is a share, in 0..1, of the way from the smallest to the largest value.
    Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016.
    """
    # Imported here, since it takes a second.
    from skimage.measure import label, regionprops

    low, high = float(heat.min()), float(heat.max())
    above = heat > low + threshold * (high - low)
    labels = label(above, connectivity=2)  # type: ignore[no-untyped-call]
    regions = regionprops(labels)  # type: ignore[no-untyped-call]
    if not regions:
        return None
    top, left, bottom, right = max(regions, key=lambda region: region.area).bbox
    return float(left), float(top), float(right), float(bottom)


@dataclass(frozen=True)
class _Verdict:
    """One method on one pair; ``region_ious`` has one entry for each of ``THRESHOLDS``."""

    points: bool
    iou: float
    region_ious: tuple[float, ...]


def _check_answers(answers: list[Answer], count: int, hw: tuple[int, int], name: str) -> None:
    if len(answers) != count:
        raise ResultError(f"method {name!r} gives {len(answers)} answers for {count} classes")
    for answer in answers:
        if answer.heat.shape != hw or not np.isfinite(answer.heat).all():
            raise ResultError(
                f"method {name!r} gives a heatmap of shape {answer.heat.shape}, expected {hw} "
                "and finite values"
            )


def _judge(answer: Answer, pair: PhotoClassPair) -> _Verdict:
    best = answer.boxes_xyxy[0] if answer.boxes_xyxy else None
    regions = [region_box(answer.heat, threshold) for threshold in THRESHOLDS]
    iou, *region_ious = _best_ious([best, *regions], pair.boxes_xyxy)
    return _Verdict(points_at(answer.heat, pair.boxes_xyxy), iou, tuple(region_ious))


def _best_ious(boxes: Sequence[Box | None], true: Sequence[Box]) -> list[float]:
    """The largest IoU of each box with any true one; 0 of no box."""
    # A box without an area at the corner shares nothing with any other.
    given = torch.tensor([box or (0.0, 0.0, 0.0, 0.0) for box in boxes], dtype=torch.float64)
    ious = box_iou(given, torch.tensor(true, dtype=torch.float64))
    return [float(iou) for iou in ious.amax(dim=1)]


def _method_figures(verdicts: Sequence[_Verdict], pairs: Sequence[PhotoClassPair]) -> MethodFigures:
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


def _best_thresholds(verdicts: Sequence[_Verdict]) -> list[int]:
    """For each of ``IOUS`` the index in ``THRESHOLDS`` of that at which most regions reach it.

    As MaxBoxAcc of Choe et al., "Evaluating Weakly Supervised Object Localization Methods
    Right", CVPR 2020.
    """
    ious = np.array([verdict.region_ious for verdict in verdicts])
    return [int((ious >= iou).sum(axis=0).argmax()) for iou in IOUS]


def _figures(verdicts: Sequence[_Verdict], thresholds: Sequence[int]) -> Figures:
    boxes = [
        BoxAccuracy(
            iou=iou,
            found=_share([verdict.iou >= iou for verdict in verdicts]),
            region=_share([verdict.region_ious[index] >= iou for verdict in verdicts]),
            threshold=THRESHOLDS[index],
        )
        for iou, index in zip(IOUS, thresholds, strict=True)
    ]
    return Figures(len(verdicts), _share([verdict.points for verdict in verdicts]), tuple(boxes))


def _share(right: Sequence[bool]) -> float | None:
    return sum(right) / len(right) if right else None
