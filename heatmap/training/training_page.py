"""The page of a training: its curves, and what the network makes of the validation split."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from html import escape
from string import Template

from ..marks import MARK
from ..rendering.curves import Curve, Moment, axes_of, curves_svg
from ..rendering.html import asset, policy
from ..text_table import TextTable, table_html
from .fit import Epoch
from .tables import classes_table, confusions_table
from .trained import Trained, epochs_table, outcome_lines, parameter_counts
from .validation import Validation, WrongExample
from .wrong_pictures import SIDE_PX, wrong_pictures

# Longer tables are folded away.
_FEW_ROWS = 12
# Of more classes not the whole matrix is shown, but the pairs that are confused most often.
MOST_IN_MATRIX = 20
MOST_PAIRS = 50
# Of each example that was classified wrong, so many of the most probable classes are named.
_MOST_PROBABLE = 3
# Shades of a cell of the matrix, by its share of the row.
_SHADES = 10
_FIGURES_OF = (
    "Training figures are those of the batches that were trained on: augmented views, with "
    "dropout, while the network still changed. Validation figures are of plain views, after each "
    "epoch. The loss is the cross-entropy, in which all classes have the same weight."
)
_MEASURES = (
    "Precision: how many of the examples classified so are right. Recall: how many examples of "
    "the class are classified so. F1: the harmonic mean of both."
)


def training_page(trained: Trained) -> bytes:
    """One HTML file that needs no other, no network and no scripts.

    Of the photos that were classified worst, it reads those that can still be read.
    """
    style = "".join(
        asset(*name)
        for name in (("sheet", "sheet.css"), ("report", "report.css"), ("report", "training.css"))
    )
    parts = (*_outcome(trained), *_curves(trained), *_validation(trained), *_settings(trained))
    page = Template(asset("report", "template.html")).substitute(
        mark=MARK,
        policy=policy(style, images="data:"),
        title="Training",
        style=style,
        subject=escape(_subject(trained)),
        main="\n".join(parts),
    )
    # A name that is not UTF-8 contains lone surrogates.
    return page.encode("utf-8", "replace")


def _subject(trained: Trained) -> str:
    photos = trained.examples.folder.absolute().name
    return f"{trained.path.name} · {trained.classifier.name} · trained on {photos}"


def _outcome(trained: Trained) -> Iterator[str]:
    best, examples = trained.best, trained.examples
    figures = [("right in training", best.accuracy)]
    if best.validation_accuracy is not None:
        figures.insert(0, ("right in validation", best.validation_accuracy))
    yield "<section>"
    yield '<dl class="figures">'
    yield from (f"<div><dt>{name}</dt><dd>{share:.1%}</dd></div>" for name, share in figures)
    yield f"<div><dt>classes</dt><dd>{len(examples.classes):,}</dd></div>"
    yield f"<div><dt>training examples</dt><dd>{len(examples.training):,}</dd></div>"
    yield f"<div><dt>validation examples</dt><dd>{len(examples.validation):,}</dd></div>"
    yield '</dl><ul class="lines">'
    yield from (f"<li>{escape(_sentence(line))}</li>" for line in outcome_lines(trained))
    yield "</ul></section>"


def _sentence(line: str) -> str:
    return f"{line[0].upper()}{line[1:]}."


def _curves(trained: Trained) -> Iterator[str]:
    history = trained.history
    moments = _moments(trained)
    yield '<section><h2>Curves</h2><p class="soft"><span class="swatch training"></span>training'
    yield '<span class="swatch validation"></span>validation' * (trained.validation is not None)
    yield '</p><div class="charts">'
    for title, share in (("Loss", False), ("Accuracy", True)):
        curves = _of_history(history, share=share)
        svg = curves_svg(curves, axes_of(curves, share=share), moments, f"{title} by epoch")
        yield f"<figure><figcaption>{title} by epoch</figcaption>{svg}</figure>"
    yield f'</div><p class="soft">{_FIGURES_OF}</p>'
    yield _folded(f"all epochs ({len(history)})", epochs_table(trained, every=True))
    yield "</section>"


def _of_history(history: Sequence[Epoch], *, share: bool) -> list[Curve]:
    """The curves of loss or of accuracy; validation above training."""
    training = tuple(epoch.accuracy if share else epoch.loss for epoch in history)
    validation = tuple(
        epoch.validation_accuracy if share else epoch.validation_loss for epoch in history
    )
    curves = [Curve("training", "training", training)]
    if any(value is not None for value in validation):
        curves.append(Curve("validation", "validation", validation))
    return curves


def _moments(trained: Trained) -> list[Moment]:
    best, last = trained.best.number, len(trained.history)
    moments = [
        # It was interrupted between two epochs. Only the first has room for a word.
        Moment(min(after + 0.5, last), "resumed" * (place == 0), "resumed", 1)
        for place, after in enumerate(trained.resumed_after)
    ]
    if trained.stopped_early:
        moments.append(Moment(last, "stopped early", "stopped", 2))
    told = f"epochs 1 to {best} are repeated" if trained.refitted else f"epoch {best} is kept"
    return [*moments, Moment(best, told, "kept", 0)]


def _validation(trained: Trained) -> Iterator[str]:
    if (validation := trained.validation) is None:
        yield '<section><h2>Validation</h2><p class="soft">There was no validation split.</p>'
        yield "</section>"
        return
    yield '<div class="beside"><section>'
    yield from _confusions(validation)
    yield "</section><section><h2>Classes</h2>"
    yield f'<p class="soft">{_MEASURES}</p>'
    table = classes_table(validation.classes)
    yield _folded(f"validation split, by class ({len(table.rows)})", table)
    yield "</section></div><section><h2>Most wrong</h2>"
    yield from _worst(trained, validation)
    yield "</section>"


def _confusions(validation: Validation) -> Iterator[str]:
    whole = len(validation.classes) <= MOST_IN_MATRIX
    yield (
        f"<h2>{'Confusion matrix' if whole else 'Confusions'}</h2>"
        f'<p class="soft">{validation.total - validation.wrong:,} of {validation.total:,} '
        "validation examples are classified right.</p>"
    )
    if whole:
        yield _matrix(validation)
        return
    pairs = validation.confusions()
    if len(pairs) > MOST_PAIRS:
        yield (
            f'<p class="soft">Of {len(pairs):,} pairs of classes that are confused, the '
            f"{MOST_PAIRS} most frequent ones:</p>"
        )
    if pairs:
        yield table_html(confusions_table(pairs[:MOST_PAIRS]))


def _matrix(validation: Validation) -> str:
    names = [escape(each.name) for each in validation.classes]
    # Long names are cut.
    heads = "".join(f'<th title="{name}"><span>{name}</span></th>' for name in names)
    rows = "".join(
        f'<tr><th title="{name}">{name}</th>{_matrix_row(validation, row)}</tr>'
        for row, name in enumerate(names)
    )
    return (
        '<div class="wide" tabindex="0"><table class="matrix"><thead><tr>'
        f'<th><span class="soft">class ↓<br>classified as →</span></th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _matrix_row(validation: Validation, row: int) -> str:
    counts, names = validation.confusion[row].tolist(), [one.name for one in validation.classes]
    total = sum(counts)

    def cell(column: int, count: int) -> str:
        kind = "right" if column == row else "wrong"
        shade = -(-_SHADES * count // total) if count else 0
        told = f"{count} of {total} {names[row]} classified as {names[column]}"
        return f'<td class="{kind} shade-{shade}" title="{escape(told)}">{count or "·"}</td>'

    return "".join(cell(column, count) for column, count in enumerate(counts))


def _worst(trained: Trained, validation: Validation) -> Iterator[str]:
    shown = len(validation.worst)
    if not shown:
        yield '<p class="soft">No validation example is classified wrong.</p>'
        return
    which = "all" if shown == validation.wrong else f"the {shown} worst of"
    yield (
        f'<p class="soft">Validation examples that are classified wrong, {which} '
        f"{validation.wrong:,}, the one with the lowest probability of its own class first. The "
        "pictures show what the network saw; it may be the label that is wrong.</p>"
    )
    examples = trained.examples
    pictures = wrong_pictures(validation.worst, examples.folder, examples.reading)
    cards = map(_card, validation.worst, pictures, [examples.classes] * shown)
    yield f'<ol class="wrong-ones">{"".join(cards)}</ol>'


def _card(example: WrongExample, jpeg: bytes, classes: Sequence[str]) -> str:
    probability = dict(zip(classes, example.probabilities, strict=True))
    ranked = sorted(classes, key=lambda name: -probability[name])[:_MOST_PROBABLE]
    # Its own class stands there however improbable it is.
    named = [*ranked, *([] if example.true in ranked else [example.true])]
    listed = "".join(
        f"{'<dt class=hit>' if name == example.true else '<dt>'}{escape(name)}</dt>"
        f"<dd>{probability[name]:.1%}</dd>"
        for name in named
    )
    return (
        f'<li><div class="stage">{_picture(example, jpeg)}</div>'
        f'<h3>{escape(example.true)} <span class="soft">taken for</span> '
        f"{escape(example.predicted)}</h3>"
        f'<p class="soft">{escape(example.photo + _where(example))}</p><dl>{listed}</dl></li>'
    )


def _where(example: WrongExample) -> str:
    region = example.box or example.xyxy
    if region is None:
        return ""
    left, top, right, bottom = (round(edge) for edge in region)
    return f", {right - left} x {bottom - top} px at {left}, {top}"


def _picture(example: WrongExample, jpeg: bytes) -> str:
    if not jpeg:
        return "<p>The photo cannot be read any more.</p>"
    content = base64.b64encode(jpeg).decode("ascii")
    return (
        f'<img src="data:image/jpeg;base64,{content}" width="{SIDE_PX}" height="{SIDE_PX}" '
        f'alt="{escape(example.photo)}: {escape(example.true)}">'
    )


def _settings(trained: Trained) -> Iterator[str]:
    yield '<section><h2>What was trained</h2><dl class="settings">'
    for name, text in _told(trained):
        yield f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>"
    yield "</dl></section>"


def _told(trained: Trained) -> Iterator[tuple[str, str]]:
    classifier, examples, schedule = trained.classifier, trained.examples, trained.schedule
    trainable, fixed = parameter_counts(classifier)
    yield "checkpoint", trained.path.name
    yield "network", f"{classifier.name}, window {classifier.preprocessing.window_px} px"
    yield "weights", f"{classifier.weights}; SHA-256 {classifier.weights_digest[:12]}…"
    if classifier.adaptation is not None:
        freeze = classifier.adaptation.freeze
        frozen = freeze if isinstance(freeze, str) else f"the first {freeze}"
        yield "head", f"{classifier.adaptation.head}; frozen layers: {frozen}"
    yield "parameters", f"{trainable:,} trainable, {fixed:,} fixed"
    if classifier.box_regression is not None:
        yield "boxes", f"refined by {classifier.box_regression.examples:,} examples"
    yield "photos", str(examples.folder)
    yield "views of each example", f"{schedule.views}, of which {schedule.views - 1} augmented"
    patience = "all are run" if schedule.patience is None else f"patience {schedule.patience}"
    yield "epochs", f"at most {schedule.epochs}; {patience}"
    yield "batch", str(schedule.batch)
    yield "optimizer", f"AdamW, learning rate {schedule.rate:g}, weight decay {schedule.decay:g}"
    yield "validation split", f"{schedule.validation_split:g} of the photos"
    yield "seed", str(schedule.seed)
    for note in (*examples.notes, *classifier.notes):
        yield "note", note
    for photo in examples.broken:
        yield "left out", str(photo)


def _folded(summary: str, table: TextTable) -> str:
    opened = " open" if len(table.rows) <= _FEW_ROWS else ""
    return f"<details{opened}><summary>{escape(summary)}</summary>{table_html(table)}</details>"
