"""Curves as SVG: where values lie, and what stands beside the axes."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from heatmap.rendering.curves import Axes, Curve, Moment, axes_of, curves_svg


def drawn(curves, *, share=False, moments=()):
    return ElementTree.fromstring(curves_svg(curves, axes_of(curves, share=share), moments, "<&"))


def points(svg):
    return [
        [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        for line in svg.iter("polyline")
    ]


def labels(svg, anchor):
    """Of an axis: values end at it, numbers stand in the middle below it."""
    found = svg.iterfind(f"text[@class='axis'][@text-anchor='{anchor}']")
    return {each.text: float(each.get("y" if anchor == "end" else "x")) for each in found}


def test_values_lie_where_the_axes_say():
    svg = drawn([Curve("a", "b", (4.0, 0.0, 2.0))])
    assert list(labels(svg, "end")) == ["0", "1", "2", "3", "4"]
    assert list(labels(svg, "middle")) == ["1", "2", "3"]
    heights, columns = labels(svg, "end"), labels(svg, "middle")
    (line,) = points(svg)
    assert [x for x, _ in line] == list(columns.values())
    # Letters stand 4 units lower than what they are of.
    assert [y for _, y in line] == pytest.approx([heights[name] - 4 for name in ("4", "0", "2")])


@pytest.mark.parametrize("missing", [None, math.nan, math.inf])
def test_a_value_that_is_none_leaves_a_gap(missing):
    whole = points(drawn([Curve("a", "b", (1.0, 2.0, 3.0, 4.0))]))[0]
    svg = drawn([Curve("a", "b", (1.0, 2.0, missing, 4.0))])
    assert points(svg) == [whole[:2], whole[3:]]
    assert len(list(svg.iter("circle"))) == 3


@pytest.mark.parametrize(
    ("values", "share", "range_"),
    [
        ((0.3, 4.1), False, (0, 5)),
        ((0.0,), False, (0, 1)),
        ((7e9,), False, (0, 8e9)),
        ((1e-7,), False, (0, 1e-7)),
        ((None,), False, (0, 1)),
        ((0.2, 0.9), True, (0, 1)),
        ((0.5, 0.9), True, (0.5, 1)),
        ((0.93, 1.0), True, (0.9, 1)),
        ((math.nan,), True, (0, 1)),
    ],
)
def test_axes_show_all_values_and_end_at_round_ones(values, share, range_):
    axes = axes_of([Curve("a", "b", values)], share=share)
    assert (axes.low, axes.high) == pytest.approx(range_)
    assert drawn([Curve("a", "b", values)], share=share) is not None


@pytest.mark.parametrize("last", [1, 2, 7, 8, 9, 40, 41, 99, 1000])
def test_numbers_below_the_axis_are_few_and_not_too_close(last):
    places = labels(drawn([Curve("a", "b", (1.0,) * last)]), "middle")
    numbers = [int(text) for text in places]
    assert numbers[0] == 1
    assert numbers[-1] == last
    assert len(numbers) <= 10
    apart = [b - a for a, b in zip(places.values(), list(places.values())[1:], strict=False)]
    assert all(gap > 15 for gap in apart)


def test_shares_are_percentages_and_points_tell_theirs():
    svg = drawn([Curve("training", "t", (0.25, 0.5))], share=True)
    assert "100%" in labels(svg, "end")
    assert [each.text for each in svg.iter("title")] == ["training, 1: 25%", "training, 2: 50%"]


def test_long_curves_have_no_points():
    svg = drawn([Curve("a", "b", (1.0,) * 61)])
    assert len(points(svg)[0]) == 61
    assert list(svg.iter("circle")) == []


def test_moments_have_a_line_and_a_word_that_stays_within_the_picture():
    curves = [Curve("a", "b", (1.0,) * 11)]
    moments = [Moment(1, "first", "x"), Moment(11, "last <", "y", 2), Moment(5.5, "", "z")]
    svg = drawn(curves, moments=moments)
    lines = {each.get("class"): each for each in svg.iter("line")}
    columns = labels(svg, "middle")
    assert float(lines["moment x"].get("x1")) == columns["1"]
    assert float(lines["moment y"].get("x1")) == columns["11"]
    between = columns["1"] + 0.45 * (columns["11"] - columns["1"])
    assert float(lines["moment z"].get("x1")) == pytest.approx(between)
    words = {each.text: each for each in svg.iter("text") if each.get("class") in ("x", "y")}
    assert words["first"].get("text-anchor") == "start"
    assert words["last <"].get("text-anchor") == "end"
    assert float(words["first"].get("y")) < float(words["last <"].get("y"))
    assert svg.get("aria-label") == "<&"


def test_a_single_value_stands_in_the_middle():
    axes = Axes(1, 0.0, 1.0)
    svg = curves_svg([Curve("a", "b", (0.5,))], axes, [], "one")
    (x,) = re.findall(r'cx="([\d.]+)"', svg)
    assert float(x) == pytest.approx(axes.x(1), abs=0.05)
    assert 44 < float(x) < 390
