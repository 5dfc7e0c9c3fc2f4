"""Figures of single photos, and which of them are best and worst."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatmap.evaluation.photo_figures import (
    JudgedDetection,
    JudgedObject,
    PhotoFigures,
    best_and_worst,
)

BOX = (0.0, 0.0, 9.0, 9.0)


def photo(file, hits=0, missed=0, false=0, others=0) -> PhotoFigures:
    verdicts = ["hit"] * hits + ["false"] * false + ["other"] * others
    return PhotoFigures.of(
        file,
        tuple(JudgedObject("cat", BOX, found) for found in [True] * hits + [False] * missed),
        tuple(JudgedDetection("tabby", 0.9, BOX, verdict) for verdict in verdicts),
    )


@pytest.mark.parametrize(
    ("counts", "f1"),
    [
        ({"hits": 2}, 1),
        ({"hits": 1, "missed": 1}, 2 / 3),
        ({"hits": 1, "false": 2, "others": 4}, 0.5),
        ({"missed": 3}, 0),
        ({"false": 1}, 0),
        ({"others": 1}, None),
        ({}, None),
    ],
)
def test_f1_is_the_mean_of_precision_and_recall(counts, f1):
    one = photo("a", **counts)
    assert one.f1 == (None if f1 is None else pytest.approx(f1))
    assert (one.count("hit"), one.count("false"), one.missed) == tuple(
        counts.get(name, 0) for name in ("hits", "false", "missed")
    )


def names(photos) -> str:
    return "".join(photo.file for photo in photos)


def test_of_equal_f1_hits_then_false_detections_then_misses_then_names_decide():
    photos = [
        photo("a", hits=1),
        photo("b", hits=3),
        photo("c", missed=2),
        photo("d", false=1),
        photo("e", missed=4),
        photo("f", missed=2),
        photo("g", others=2),
    ]
    best, worst = best_and_worst(photos, 6)
    assert names(best) == "ba"
    assert names(worst) == "defc"


def test_few_photos_are_divided_and_the_faultless_are_never_among_the_worst():
    half = photo("a", hits=1, missed=1)
    assert [names(some) for some in best_and_worst([half, photo("b", missed=1)], 6)] == ["a", "b"]
    assert [names(some) for some in best_and_worst([half], 6)] == ["a", ""]
    third = photo("b", hits=1, missed=2)
    assert [names(some) for some in best_and_worst([third, half], 6)] == ["a", "b"]
    right = [photo(name, hits=1) for name in "abc"]
    assert [names(some) for some in best_and_worst(right, 6)] == ["abc", ""]
    wrong = [photo(name, missed=1) for name in "abc"]
    assert [names(some) for some in best_and_worst(wrong, 6)] == ["", "cba"]
    assert best_and_worst([photo("a")], 6) == ([], [])


COUNTS = st.fixed_dictionaries(
    {name: st.integers(0, 3) for name in ("hits", "missed", "false", "others")}
)


@given(counts=st.lists(COUNTS, max_size=20), most=st.integers(1, 6), seed=st.integers(0, 9))
def test_no_photo_is_both_and_the_order_of_photos_makes_no_difference(counts, most, seed):
    photos = [photo(str(place), **one) for place, one in enumerate(counts)]
    best, worst = best_and_worst(photos, most)
    assert max(len(best), len(worst)) <= most
    assert not {each.file for each in best} & {each.file for each in worst}
    assert all(each.f1 > 0 for each in best)
    assert all(each.f1 < 1 for each in worst)
    if best and worst:
        assert min(each.f1 for each in best) >= max(each.f1 for each in worst)
    shuffled = random.Random(seed).sample(photos, len(photos))
    assert best_and_worst(shuffled, most) == (best, worst)
