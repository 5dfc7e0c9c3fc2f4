"""Reports of evaluations, made up."""

from __future__ import annotations

import numpy as np

from heatmap.classes import ClassGroup
from heatmap.evaluation.evaluate_photos import HEATMAP, EvaluationReport
from heatmap.evaluation.metrics import (
    BoxAccuracy,
    Cases,
    Evaluation,
    Figures,
    MethodFigures,
)
from heatmap.evaluation.pairs import LeftOut
from heatmap.evaluation.photo_figures import PhotoFigures, best_and_worst
from heatmap.evaluation.report_page import ShownPhoto, report_page
from heatmap.evaluation.unnamed import figures_of, judge
from heatmap.localization.detection import Detection
from heatmap.rendering.overlay import encode_image

# A label that would be an element of the page.
HOSTILE = "<img src=x onerror=alert(1)>"
BOX, FAR = (0.0, 0.0, 100.0, 100.0), (200.0, 200.0, 250.0, 250.0)
LABELS = {HOSTILE: ClassGroup(HOSTILE, (0,)), "dog": ClassGroup("dog", (1,))}
_TABBY, _DOG, _SCREW = (
    ClassGroup(name, (index,)) for index, name in enumerate(("<b>tabby</b>", "dog", "screw"))
)


def make_report(labels: int = 3) -> EvaluationReport:
    """Of two photos, on one of which nothing is found."""
    cases = Cases(*[Figures(1, 0.5, tuple(BoxAccuracy(iou, 0.25, None, 0.1) for iou in _IOUS))] * 3)
    by_label = {f"label {number}": cases for number in range(labels)}
    left = LeftOut({HOSTILE: 2}, 0, 1, 0)
    named = Evaluation(2, labels, left, {HEATMAP: MethodFigures(cases, by_label)})
    judged = [
        judge(_found(), [(HOSTILE, BOX), ("dog", FAR), ("dog", FAR)], LABELS, 0.3),
        judge([], [("dog", BOX)], LABELS, 0.3),
    ]
    photos = (
        PhotoFigures.of(name, one.objects, one.detections)
        for name, one in zip((f"{HOSTILE}.jpg", "sub/b.jpg"), judged, strict=True)
    )
    return EvaluationReport(named, figures_of(judged, 0.3), tuple(photos))


_IOUS = (0.3, 0.5, 0.7)


def _found() -> list[Detection]:
    return [
        Detection(group, confidence, BOX, BOX, (0, 0), 1.0, confidence)
        for group, confidence in ((_SCREW, 0.9), (_TABBY, 0.8), (_DOG, 0.7))
    ]


def make_page(report: EvaluationReport, hw: tuple[int, int] = (480, 640)) -> bytes:
    """The page of a report, with grey pictures."""
    jpeg = encode_image(np.full((*hw, 3), 128, np.uint8), ".jpg")
    best, worst = (
        [ShownPhoto(figures, jpeg, hw) for figures in some]
        for some in best_and_worst(report.photos, 6)
    )
    return report_page(report, best, worst, subject=f"2 photos of {HOSTILE}", conf=0.3)
