"""Evaluate on photos with boxes in one call: `heatmap.evaluate`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from ..keywords import check_keywords
from ..networks.model_names import DEFAULT_MODEL
from ..progress import Progress, reporting
from ..runs.options import EvaluateOptions, request_of, scorer_of
from .evaluate_photos import EvaluationReport, evaluate_photos
from .write_report import report_owner, write_report

if TYPE_CHECKING:
    from ..networks.load import Model
    from ..scoring.scorer import Scorer


def evaluate(
    photos: str | Path,
    boxes: str | Path,
    model: Model | Scorer = DEFAULT_MODEL,
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    labels: str | Path | None = None,
    cam: bool = True,
    progress: Progress = False,
    **options: Unpack[EvaluateOptions],
) -> EvaluationReport:
    """Measure how well heatmaps point at objects, and how good detections are.

    >>> report = heatmap.evaluate("photos", "boxes.json", cam=False)  # doctest: +SKIP
    >>> report.unnamed.average_precision["0.5"].value                 # doctest: +SKIP

    Each photo is searched twice, with the settings of :func:`heatmap.run`: for each class that
    has boxes on it, and without a class being named. Named classes are also measured for class
    activation maps (CAM, Grad-CAM) at one, two and three times the photo's size.
    docs/evaluation.md explains the figures.

    Photos that are missing or damaged, or have another size than listed or a faulty box, are left
    out of all figures and listed in ``named.left_out.broken``.

    Args:
        photos: the folder of the photos.
        boxes: a file of ground-truth boxes: COCO instances, or a plain list as JSON or CSV.
        model: as of :func:`heatmap.run`.
        output: folder for ``evaluation.html`` and ``evaluation.json``; None writes nothing.
        overwrite: also replace files that this tool did not write, or wrote of other photos.
        labels: a JSON file that maps labels of the boxes to classes; None goes by their names.
        cam: whether to evaluate class activation maps too; needs torchcam.
        progress: as in :func:`heatmap.score`; counts photos.
        options: of :class:`heatmap.RunOptions` those of the model and of reading, and
            ``statistics, backend, scales, resolution, stride, fuse, conf, confirm``.

    Returns:
        The figures, over all photos, by label and of each photo; shares are 0..1.

    Raises:
        ClassError: ``labels`` names a class that the network does not have.
        ModelError: torchcam is missing, or the network has no class activation maps.
        PhotoError: no photo can be used.
        ResultError: a file cannot be read, no label is a class, or files cannot be written.
    """
    check_keywords(evaluate, options, EvaluateOptions)
    request = request_of(options, overwrite=overwrite)
    # Refused before the photos are scored, not after.
    if output is not None:
        read = (boxes, labels, model, *options.values())
        report_owner(output, photos, read=read, overwrite=overwrite)
    with reporting(progress) as reporter:
        scorer = scorer_of(model, options, reporter)
        reporter.notes(scorer.notes_at(scorer.native_stride_px)[len(scorer.facts.notes) :])
        report = evaluate_photos(photos, boxes, scorer, request, reporter, labels=labels, cam=cam)
        if output is not None:
            written = write_report(output, report, photos, scorer, request, progress=reporter)
            report = replace(report, written=written)
        return report
