"""Curves over whole numbers, such as epochs, as an SVG picture within a page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal, TypeGuard

# Width and height of the picture and of the margins around its axes, in its own units; 11 of them
# are the height of its letters, which stay legible where it is 360 px wide.
_WIDTH, _HEIGHT = 400.0, 240.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 10.0, 47.0, 26.0
# Points of longer curves are not marked one by one.
_MOST_POINTS = 60
_TICKS_X, _TICKS_Y = 8, 5
# Rows of words above the axes.
_ROWS_Y = (12.0, 25.0, 38.0)


@dataclass(frozen=True)
class Curve:
    """A value at each of the numbers 1, 2, 3, ...

    Attributes:
        name: what it is of.
        kind: its class in the style of the page, which decides its colour.
        values: None or a value that is not finite leaves a gap.
    """

    name: str
    kind: str
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Moment:
    """A line across the picture, at a number.

    Attributes:
        at: the number, which may lie between two whole ones.
        text: a word above it; "" for none.
        kind: its class in the style of the page.
        row: in which of three rows the word stands, from 0.
    """

    at: float
    text: str
    kind: str
    row: Literal[0, 1, 2] = 0


@dataclass(frozen=True)
class Axes:
    """Which numbers and values a picture shows, and where.

    Attributes:
        last: the greatest number, 1 or more.
        low, high: the range of values.
        percent: whether values are written as percentages.
    """

    last: int
    low: float
    high: float
    percent: bool = False

    def x(self, number: float) -> float:
        """Where a number lies, in units of the picture."""
        # A single one stands in the middle.
        share = 0.5 if self.last == 1 else (number - 1) / (self.last - 1)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Where a value lies, in units of the picture."""
        share = (value - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    def written(self, value: float) -> str:
        """A value as text beside the axis."""
        return f"{100 * value:.4g}%" if self.percent else f"{value:.4g}"


def axes_of(curves: Sequence[Curve], *, share: bool = False) -> Axes:
    """The axes that show all finite values of some curves.

    Args:
        curves: at least one, of one length.
        share: values are shares of 1, of which the upper end is always shown; others are 0 or
            more, and 0 is always shown.
    """
    values = [value for curve in curves for value in curve.values if _is_finite(value)]
    last = max(1, *(len(curve.values) for curve in curves))
    if share:
        least = min(values, default=0.0)
        low = next(low for low in (0.9, 0.5, 0.0) if low <= least or low == 0)
        return Axes(last, low, 1.0, percent=True)
    most = max(values, default=0.0)
    step = _step(most, _TICKS_Y) if most > 0 else 1.0
    return Axes(last, 0.0, step * max(1, math.ceil(most / step)))


def curves_svg(curves: Sequence[Curve], axes: Axes, moments: Sequence[Moment], title: str) -> str:
    """The picture as an SVG element, whose colours come from the style of the page.

    Args:
        curves: drawn in this order.
        axes: what is shown.
        moments: lines across, under the curves.
        title: what it shows, for those who cannot see it.
    """
    parts = [
        *_grid(axes),
        *(part for moment in moments for part in _moment(axes, moment)),
        *(part for curve in curves for part in _curve(axes, curve)),
    ]
    return (
        f'<svg class="curves" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def _grid(axes: Axes) -> Iterator[str]:
    step = _step(axes.high - axes.low, _TICKS_Y)
    for count in range(round((axes.high - axes.low) / step) + 1):
        value = axes.low + count * step
        y = axes.y(value)
        yield _line("grid", _LEFT, y, _WIDTH - _RIGHT, y)
        yield _text(_LEFT - 5, y + 4, "end", axes.written(value))
    for number in _numbers(axes.last):
        yield _text(axes.x(number), _HEIGHT - _BOTTOM + 16, "middle", str(number))


def _numbers(last: int) -> Iterator[int]:
    """The numbers below the axis: 1, the last, and round ones between that have room."""
    step = max(1, round(_step(last, _TICKS_X)))
    yield 1
    room = step / 2
    yield from (each for each in range(step, last, step) if 1 + room < each <= last - room)
    if last > 1:
        yield last


def _moment(axes: Axes, moment: Moment) -> Iterator[str]:
    x = axes.x(moment.at)
    yield _line(f"moment {moment.kind}", x, _TOP - 4, x, _HEIGHT - _BOTTOM)
    if moment.text:
        # Towards the middle, so that it ends within the picture.
        to_left = x > (_LEFT + _WIDTH - _RIGHT) / 2
        anchor = "end" if to_left else "start"
        yield _text(x, _ROWS_Y[moment.row], anchor, moment.text, moment.kind)


def _curve(axes: Axes, curve: Curve) -> Iterator[str]:
    for first, values in _runs(curve.values):
        places = [
            (axes.x(first + place), axes.y(value), first + place, value)
            for place, value in enumerate(values)
        ]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in places)
        yield f'<polyline class="curve {curve.kind}" points="{points}"/>'
        if len(curve.values) <= _MOST_POINTS:
            for x, y, number, value in places:
                told = f"{curve.name}, {number}: {axes.written(value)}"
                yield (
                    f'<circle class="{curve.kind}" cx="{x:.1f}" cy="{y:.1f}" r="2.5">'
                    f"<title>{escape(told)}</title></circle>"
                )


def _runs(values: Sequence[float | None]) -> Iterator[tuple[int, list[float]]]:
    """The numbers from which on there are values without a gap, and these."""
    run: list[float] = []
    for number, value in enumerate((*values, None), start=1):
        if _is_finite(value):
            run.append(value)
        elif run:
            yield number - len(run), run
            run = []


def _is_finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _step(span: float, most: int) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that divides a span into at most so many."""
    power = 10.0 ** math.floor(math.log10(span / most))
    steps = (power, 2 * power, 5 * power)
    # Rounded: 0.1 / 0.02 may be more than 5.
    return next((step for step in steps if round(span / step, 6) <= most), 10 * power)


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, anchor: str, text: str, kind: str = "axis") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )
