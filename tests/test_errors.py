"""Errors: the message, and the ways out as data."""

from __future__ import annotations

import pickle

import pytest

from heatmap import GeometryError, HeatmapError, PhotoError
from heatmap.errors import Use, reason_of

SMALL = GeometryError("no window fits", Use("border", "cover"), Use("scale", 2))


@pytest.mark.parametrize(
    ("ways", "advice"),
    [
        ((), ""),
        ((Use("stride"),), ": use stride"),
        ((Use("border", "cover"), Use("scale", 2)), ": use border='cover' or scale=2"),
        (
            (Use("store_classes"), Use("stride", text="use a larger {}"), Use("scale")),
            ": use store_classes, a larger stride or scale",
        ),
        ((Use("weights", text="leave {} out"), Use("model")), ": leave weights out or use model"),
    ],
)
def test_ways_out_follow_the_message(ways, advice):
    assert str(HeatmapError("too large", *ways)) == f"too large{advice}"


def test_a_way_that_has_no_words_is_left_out():
    words = {"scale": "use --scale 2"}
    assert SMALL.worded(lambda way: words.get(way.parameter, "")) == "no window fits: use --scale 2"


def test_a_subject_goes_before_the_message_and_keeps_kind_and_ways():
    error = SMALL.about("cat.jpg")
    assert type(error) is GeometryError
    assert (error.message, error.ways) == ("cat.jpg: no window fits", SMALL.ways)


def test_errors_travel_between_processes():
    again = pickle.loads(pickle.dumps(SMALL))
    assert (type(again), again.message, again.ways) == (GeometryError, SMALL.message, SMALL.ways)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FileNotFoundError(2, "No such file or directory", "a.jpg"), "No such file or directory"),
        (ValueError("first line.\nsecond line"), "first line"),
        (KeyError(), "KeyError"),
        (PhotoError("is empty"), "is empty"),
    ],
)
def test_a_reason_is_one_line(error, reason):
    assert reason_of(error) == reason
