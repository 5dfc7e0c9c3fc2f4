"""The page of an evaluation: its tables, and the photos that went best and worst."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from string import Template

from ..marks import NO_PHOTO, Mark
from ..rendering.html import asset, policy
from ..text_table import table_html
from .evaluate_photos import EvaluationReport
from .photo_figures import JudgedDetection, PhotoFigures, Verdict
from .tables import (
    counts_line,
    labels_table,
    methods_table,
    named_lines,
    unnamed_table,
)

# More labels than this are folded away.
_FEW_LABELS = 12
_TRUTH = (
    '<span class="truth"></span>Dashed in black and white: the objects, as they were annotated. '
    '<span class="found"></span>In colour: what was detected, or where nothing was, guessed (?).'
)


@dataclass(frozen=True, eq=False)
class ShownPhoto:
    """A photo on the page.

    Attributes:
        figures: what was hit and missed.
        jpeg: its picture; empty where it cannot be read any more.
        hw: height and width of the picture, px.
    """

    figures: PhotoFigures
    jpeg: bytes = b""
    hw: tuple[int, int] = (0, 0)


def report_page(
    report: EvaluationReport,
    best: Sequence[ShownPhoto],
    worst: Sequence[ShownPhoto],
    *,
    subject: str,
    conf: float,
    mark: Mark = NO_PHOTO,
) -> bytes:
    """One HTML file that needs no other, no network and no scripts.

    Args:
        report: the figures.
        best, worst: the photos that are shown, in this order.
        subject: what was evaluated, in a few words.
        conf: the confidence threshold of the report.
        mark: that of the files of the evaluation.
    """
    style = asset("sheet", "sheet.css") + asset("report", "report.css")
    parts = (*_figures(report, conf), *_photos(best, worst, conf))
    page = Template(asset("report", "template.html")).substitute(
        mark=mark.text,
        policy=policy(style, images="data:"),
        title="Evaluation",
        style=style,
        subject=escape(subject),
        main="\n".join(parts),
    )
    # A name that is not UTF-8 contains lone surrogates.
    return page.encode("utf-8", "replace")


def _figures(report: EvaluationReport, conf: float) -> Iterator[str]:
    """The tables that the command prints."""
    named, unnamed = report.named, report.unnamed
    yield "<section><h2>Classes named</h2>"
    yield from (f'<p class="soft">{escape(line)}</p>' for line in named_lines(named, report.notes))
    yield table_html(methods_table(named))
    labels = labels_table(named)
    opened = " open" if len(labels.rows) <= _FEW_LABELS else ""
    yield f"<details{opened}><summary>heatmap, by label ({len(labels.rows)})</summary>"
    yield table_html(labels)
    yield "</details></section><section><h2>No class named</h2>"
    yield f'<p class="soft">{unnamed.objects} objects</p>'
    yield table_html(unnamed_table(unnamed, conf))
    yield f'<p class="soft">{escape(counts_line(unnamed))}</p></section>'


def _photos(best: Sequence[ShownPhoto], worst: Sequence[ShownPhoto], conf: float) -> Iterator[str]:
    rule = (
        f"Ranked by F1 at confidence {conf:g} and IoU 0.3: 2 × hits / (detections of annotated "
        "classes + objects)."
    )
    yield f'<section><h2>Photos</h2><p class="soft">{rule}</p><p class="soft">{_TRUTH}</p>'
    for heading, photos, nothing in (
        ("Best", best, "No object was hit on any photo."),
        ("Worst", worst, "No photo has a mistake."),
    ):
        yield f"<h3>{heading}</h3>"
        if photos:
            yield f'<ol class="judged">{"".join(map(_card, photos))}</ol>'
        else:
            yield f'<p class="soft">{nothing}</p>'
    yield "</section>"


def _card(photo: ShownPhoto) -> str:
    figures, name = photo.figures, escape(photo.figures.file)
    return (
        f'<li><div class="stage">{_picture(photo, name)}</div>'
        f'<div><h4>{name}</h4><p class="soft">{_summary(figures)}</p>'
        f"<dl>{''.join(_said(figures))}</dl></div></li>"
    )


def _picture(photo: ShownPhoto, name: str) -> str:
    if not photo.jpeg:
        return "The photo cannot be read any more."
    content, (height, width) = base64.b64encode(photo.jpeg).decode("ascii"), photo.hw
    return (
        f'<img src="data:image/jpeg;base64,{content}" width="{width}" height="{height}" '
        f'alt="{name} with its objects and detections">'
    )


def _summary(figures: PhotoFigures) -> str:
    found, objects = len(figures.objects) - figures.missed, len(figures.objects)
    return f"F1 {figures.f1:.2f}: {found} of {objects} objects found"


def _said(figures: PhotoFigures) -> Iterator[str]:
    """What was hit, missed and falsely found, as entries of a list."""
    missed = Counter(each.label for each in figures.objects if not each.found)
    for heading, kind, items in (
        ("Hit", "hit", _listed(figures, "hit")),
        ("Missed", "bad", [_counted(*one) for one in sorted(missed.items())]),
        ("False", "bad", _listed(figures, "false")),
        ("Not annotated", "soft", _listed(figures, "other")),
    ):
        if items:
            yield f'<dt class="{kind}">{heading}</dt>'
            yield from (f"<dd>{item}</dd>" for item in items)


def _listed(figures: PhotoFigures, verdict: Verdict) -> list[str]:
    return [_detected(each) for each in figures.detections if each.verdict == verdict]


def _detected(detection: JudgedDetection) -> str:
    text = f"{escape(detection.name)} {max(1, round(100 * detection.confidence))} %"
    if detection.label is None:
        return text
    on = "" if detection.label == detection.name else f"{escape(detection.label)}, "
    return f'{text} <span class="soft">{on}IoU {detection.iou:.2f}</span>'


def _counted(label: str, count: int) -> str:
    return escape(label) + (f" × {count}" if count > 1 else "")
