"""How good detections are where no class is named: average precision, precision and recall.

Every detection is compared with the ground-truth boxes of its label. docs/evaluation.md explains
the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..classes import ClassGroup
from ..geometry import Box, iou
from ..localization.detection import Detection, as_stored
from .photo_figures import JudgedDetection, JudgedObject

# The areas at which COCO divides small, medium and large objects, px.
SIZES: Mapping[str, tuple[float, float]] = {
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, float("inf")),
}
IOUS = (0.5, 0.3)
# Detections below this confidence are not ranked: they would change no figure in its third digit.
LOWEST_CONFIDENCE = 0.01
# Samples of photos, and the share of them that an interval holds.
_SAMPLES, _SHARE = 1000, 0.95

# Whether a box finds an object, and how well: 0 where it does not.
_Fits = Callable[[Box, Box], float]


@dataclass(frozen=True)
class Share:
    """A share, 0..1, and the interval that holds it in 95 % of bootstrap samples of photos.

    ``value`` and both ends are None where there is nothing to divide by.
    """

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Counts:
    """Detections at the confidence threshold.

    Attributes:
        annotated: detections of classes that the ground truth has a label for.
        hits: those of them that reach an IoU of 0.3 with an object of their label.
        others: detections of classes that nobody annotated, on which nothing can be said.
    """

    annotated: int
    hits: int
    others: int


@dataclass(frozen=True)
class UnnamedFigures:
    """The figures of detections without a class being named.

    Attributes:
        objects: number of ground-truth boxes.
        average_precision: area under the curve of precision over recall, by the IoU to reach
            ("0.5", "0.3"), and for "pointing", where the box's centre lies on the object.
        precision, recall: at the confidence threshold and an IoU of 0.3.
        counts: the numbers behind them.
        recall_by_size: recall of small, medium and large objects, as COCO divides them.
    """

    objects: int
    average_precision: Mapping[str, Share]
    precision: Share
    recall: Share
    counts: Counts
    recall_by_size: Mapping[str, Share]


@dataclass(frozen=True)
class JudgedPhoto:
    """The detections on a photo and what they hit.

    Attributes:
        confidences: of the detections of annotated classes, most confident first.
        hits: for each criterion, whether each of them finds an object not found before.
        areas: of the objects, square px.
        found: whether each object is found at an IoU of 0.3 above the threshold.
        others: the number of detections of other classes above the threshold.
        objects: the objects, in their order.
        detections: those above the threshold, of any class, and what they hit at an IoU of 0.3.
    """

    confidences: npt.NDArray[np.float64]
    hits: Mapping[str, npt.NDArray[np.bool_]]
    areas: npt.NDArray[np.float64]
    found: npt.NDArray[np.bool_]
    others: int
    objects: tuple[JudgedObject, ...]
    detections: tuple[JudgedDetection, ...]


def judge(
    detections: Sequence[Detection],
    objects: Sequence[tuple[str, Box]],
    labels: Mapping[str, ClassGroup],
    conf: float,
) -> JudgedPhoto:
    """Compare the detections on a photo with its objects.

    A detection of a class is one of each label that the class belongs to, and finds, most
    confident first, the object of such a label that it fits best and that none found before: as
    in M. Everingham et al., "The Pascal Visual Object Classes Challenge", IJCV 2010.

    Args:
        detections: most confident first.
        objects: label and box, photo px, of each object whose label is in ``labels``.
        labels: the class or group of each label.
        conf: confidence threshold.
    """
    ranked = [(each, _labels_of(each.group, labels)) for each in detections]
    annotated = [(each, names) for each, names in ranked if names]
    criteria: dict[str, tuple[_Fits, float]] = {
        **{f"{level:g}": (iou, level) for level in IOUS},
        "pointing": (_points, 1.0),
    }
    matches = {
        name: _match(annotated, objects, fits, least) for name, (fits, least) in criteria.items()
    }
    confident = [index for index, (each, _) in enumerate(annotated) if each.confidence >= conf]
    reached = {matches["0.3"][index] for index in confident}
    found = [index in reached for index in range(len(objects))]
    told = tuple(_verdicts(ranked, matches["0.3"], objects, conf))
    return JudgedPhoto(
        np.array([each.confidence for each, _ in annotated]),
        {name: np.array([hit is not None for hit in hits], bool) for name, hits in matches.items()},
        np.array([(box[2] - box[0]) * (box[3] - box[1]) for _, box in objects]),
        np.array(found, bool),
        sum(each.verdict == "other" for each in told),
        tuple(JudgedObject(*each, hit) for each, hit in zip(objects, found, strict=True)),
        told,
    )


def _verdicts(
    ranked: Sequence[tuple[Detection, set[str]]],
    hits: Sequence[int | None],
    objects: Sequence[tuple[str, Box]],
    conf: float,
) -> Iterator[JudgedDetection]:
    """What each detection above the threshold is, to the digits that files have.

    Args:
        ranked: the detections, and the labels of each.
        hits: the index of the object that each detection with labels hits; None where none.
        objects, conf: as :func:`judge` takes them.
    """
    indices = iter(hits)
    for detection, names in ranked:
        hit = next(indices) if names else None
        if detection.confidence < conf:
            continue
        one = as_stored(detection)
        told = JudgedDetection(one.name, one.confidence, one.xyxy, "false" if names else "other")
        if hit is not None:
            label, box = objects[hit]
            told = replace(told, verdict="hit", label=label, iou=iou(detection.xyxy, box))
        yield told


def _labels_of(group: ClassGroup, labels: Mapping[str, ClassGroup]) -> set[str]:
    """The labels that all classes of a group belong to."""
    return {label for label, wanted in labels.items() if set(group.indices) <= set(wanted.indices)}


def _points(box: Box, true: Box) -> float:
    """1 where the centre of a box lies in the other."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return float(true[0] <= x <= true[2] and true[1] <= y <= true[3])


def _match(
    detections: Sequence[tuple[Detection, set[str]]],
    objects: Sequence[tuple[str, Box]],
    fits: _Fits,
    least: float,
) -> list[int | None]:
    """The index of the object that each detection finds; None where it finds none."""
    free: set[int | None] = set(range(len(objects)))
    matches: list[int | None] = []
    for detection, names in detections:
        fitting = {
            index: fits(detection.xyxy, objects[index][1])
            for index in range(len(objects))
            if index in free and objects[index][0] in names
        }
        best = max(fitting, key=fitting.__getitem__, default=None)
        if best is not None and fitting[best] < least:
            best = None
        matches.append(best)
        free -= {best}
    return matches


def figures_of(photos: Sequence[JudgedPhoto], conf: float) -> UnnamedFigures:
    """The figures over photos, with intervals by resampling the photos (seed 0).

    B. Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 1979.

    Args:
        photos: from :func:`judge`.
        conf: the confidence threshold that they were judged at.
    """
    chance = np.random.default_rng(0)
    every = np.arange(len(photos))
    samples = [every, *chance.integers(len(photos), size=(_SAMPLES, len(photos)))]

    def share(of: Callable[[npt.NDArray[np.intp]], float | None]) -> Share:
        value, *others = (of(sample) for sample in samples)
        known = [other for other in others if other is not None]
        if value is None or not known:
            return Share(value, None, None)
        low, high = np.quantile(known, ((1 - _SHARE) / 2, (1 + _SHARE) / 2))
        return Share(value, float(low), float(high))

    ranking = _Ranking.of(photos)
    objects = np.array([len(one.areas) for one in photos])
    hits = np.array([int(one.found.sum()) for one in photos])
    annotated = np.array([int((one.confidences >= conf).sum()) for one in photos])
    by_size = {}
    for name, (low, high) in SIZES.items():
        within = [(one.areas >= low) & (one.areas < high) for one in photos]
        of_size = np.array([int(inside.sum()) for inside in within])
        found = np.array(
            [int((one.found & inside).sum()) for one, inside in zip(photos, within, strict=True)]
        )
        by_size[name] = share(_ratio(found, of_size))
    return UnnamedFigures(
        int(objects.sum()),
        {name: share(ranking.precision_of(name, objects)) for name in ranking.hits},
        share(_ratio(hits, annotated)),
        share(_ratio(hits, objects)),
        Counts(int(annotated.sum()), int(hits.sum()), sum(one.others for one in photos)),
        by_size,
    )


def _ratio(
    part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]
) -> Callable[[npt.NDArray[np.intp]], float | None]:
    """The ratio of two sums over a sample of photos."""

    def of(sample: npt.NDArray[np.intp]) -> float | None:
        total = int(whole[sample].sum())
        return int(part[sample].sum()) / total if total else None

    return of


@dataclass(frozen=True)
class _Ranking:
    """All detections of annotated classes, most confident first: their photos, and their hits."""

    photos: npt.NDArray[np.intp]
    hits: Mapping[str, npt.NDArray[np.bool_]]

    @classmethod
    def of(cls, photos: Sequence[JudgedPhoto]) -> _Ranking:
        confidences = np.concatenate([one.confidences for one in photos])
        order = np.argsort(-confidences, kind="stable")
        home = np.repeat(np.arange(len(photos)), [len(one.confidences) for one in photos])
        names = photos[0].hits
        hits = {name: np.concatenate([one.hits[name] for one in photos])[order] for name in names}
        return cls(home[order], hits)

    def precision_of(
        self, name: str, objects: npt.NDArray[np.int64]
    ) -> Callable[[npt.NDArray[np.intp]], float | None]:
        """The average precision over a sample of photos."""

        def of(sample: npt.NDArray[np.intp]) -> float | None:
            # A photo that is drawn twice has its detections twice.
            times = np.bincount(sample, minlength=len(objects))
            return average_precision(
                self.hits[name], int((objects * times).sum()), times[self.photos]
            )

        return of


def average_precision(
    hits: npt.NDArray[np.bool_], objects: int, times: npt.NDArray[np.int64] | None = None
) -> float | None:
    """The area under the curve of precision over recall, 0..1; None without objects.

    Precision at a recall is the highest at this or any larger recall (Everingham et al., IJCV
    2010, section 4.2, at every recall).

    Args:
        hits: whether each detection finds an object, most confident first.
        objects: number of objects.
        times: how often each detection counts; None is once.

    >>> round(average_precision(np.array([True, False, True]), 4), 4)
    0.4167
    """
    if objects == 0:
        return None
    weights = np.ones(len(hits), np.int64) if times is None else times
    right = np.cumsum(hits * weights)
    precision = right / np.maximum(np.cumsum(weights), 1)
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    return float((highest * hits * weights).sum() / objects)
