"""Write an evaluation to files: a page with its best and worst photos, and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import PhotoError
from ..files import of_bytes, write_all
from ..geometry import shrunk_hw
from ..marks import Mark
from ..names import EVALUATION, EVALUATION_PAGE, check_length
from ..ownership import Ownership
from ..photo.photo import read_photo
from ..progress import Progress, reporting
from ..rendering.overlay import encode_image
from ..rendering.truth import annotated_with_truth
from ..runs.request import Request
from ..scoring.scorer import Scorer
from .evaluate_photos import EvaluationReport, unnamed_findings
from .photo_figures import PhotoFigures, best_and_worst
from .report_page import ShownPhoto, report_page

# At most so many photos are shown, of the best and of the worst.
MOST_PHOTOS = 6
# Longer side of their pictures.
_PICTURE_PX = 640


def write_report(
    folder: str | Path,
    report: EvaluationReport,
    photos: str | Path,
    scorer: Scorer,
    request: Request,
    *,
    progress: Progress = False,
) -> tuple[Path, ...]:
    """Write ``evaluation.html`` and ``evaluation.json``, both or neither.

    The page has the tables, and the up to six best and worst photos by F1, drawn with what was
    found and with their ground-truth boxes. They are scored again for that, one at a time.

    Args:
        folder: where the files go; created if missing.
        report: the result of :func:`heatmap.evaluate`.
        photos: the folder that was given to it.
        scorer, request: what it scored with, and how; the request says whether strangers' files
            and the evaluation of other photos are replaced.
        progress: as in :func:`heatmap.score`; counts the photos drawn.

    Returns:
        The paths of the files.

    A photo that cannot be read any more is shown without its picture.

    Raises:
        ResultError: the files cannot be written, or must not be replaced.
    """
    owner = report_owner(folder, photos, read=scorer.files, overwrite=request.overwrite)
    best, worst = best_and_worst(report.photos, MOST_PHOTOS)
    chosen, shown = [*best, *worst], []
    with reporting(progress) as reporter:
        reporter.stage("drawing the best and worst photos")
        for done, figures in enumerate(chosen, start=1):
            path = Path(photos, figures.file)
            shown.append(_shown(figures, path, scorer, request))
            reporter.advance(done, len(chosen))
    page = report_page(
        report,
        shown[: len(best)],
        shown[len(best) :],
        subject=_subject(report, Path(photos), scorer),
        conf=request.display.conf,
        mark=owner.mark,
    )
    described = {"generator": owner.mark.text, **describe_evaluation(report)}
    told = json.dumps(described, indent=2)
    home = Path(folder)
    files = {home / EVALUATION_PAGE: of_bytes(page), home / EVALUATION: of_bytes(told.encode())}
    write_all(files, owner)
    return tuple(files)


def report_owner(
    folder: str | Path, photos: str | Path, *, read: Iterable[object] = (), overwrite: bool = False
) -> Ownership:
    """Which files the report on a folder of photos may replace, checked before any is scored.

    Those of ``read`` that are files, such as the boxes, never are.

    Raises:
        ResultError: a file of its name is a stranger's, or of other photos.
    """
    check_length(Path(folder) / EVALUATION)
    owner = replace(Ownership.of(read, overwrite=overwrite), mark=Mark.of(photos))
    owner.check([Path(folder) / EVALUATION_PAGE, Path(folder) / EVALUATION])
    return owner


def describe_evaluation(report: EvaluationReport) -> dict[str, Any]:
    """A report, for JSON, with all notes together."""
    told = asdict(report)
    del told["written"]
    return {**told, "notes": (*told.pop("network_notes"), *report.notes)}


def _subject(report: EvaluationReport, photos: Path, scorer: Scorer) -> str:
    classifier = scorer.facts
    return (
        f"{len(report.photos)} photos of {photos.absolute().name} · {classifier.name} · "
        f"weights: {classifier.weights}"
    )


def _shown(figures: PhotoFigures, path: Path, scorer: Scorer, request: Request) -> ShownPhoto:
    """Find again what is on a photo, and draw it."""
    try:
        photo = read_photo(path, reading=request.limits.reading)
    except PhotoError:
        return ShownPhoto(figures)
    display = request.display
    search = replace(display, classes=()).search
    findings = unnamed_findings(photo, scorer, request.placement, search)
    hw = shrunk_hw(photo.hw, _PICTURE_PX)
    picture = annotated_with_truth(
        np.concatenate(list(photo.strips(scaled_hw=hw))),
        findings,
        [(each.label, each.xyxy) for each in figures.objects],
        conf=display.conf,
        color_range=display.color_range,
        alpha=display.alpha,
    )
    return ShownPhoto(figures, encode_image(picture, ".jpg"), picture.shape[:2])
