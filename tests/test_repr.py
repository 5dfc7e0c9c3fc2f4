"""How objects show themselves in a console or a notebook: in one line."""

from __future__ import annotations

import dataclasses

import pytest

import heatmap
from tests.support.batches import MODEL, WINDOW
from tests.support.runs import PHOTO


@pytest.fixture(scope="module")
def scorer():
    return heatmap.prepare(MODEL, window=WINDOW, backend="torch")


@pytest.fixture(scope="module")
def result(scorer):
    return heatmap.run(PHOTO, scorer, scales=1, conf=0.05)


def test_a_grid_says_its_size_and_where_it_is_from(result):
    grid = result.grid
    rows, columns = grid.geometry.grid_hw
    assert repr(dataclasses.replace(grid)) == (
        f"ScoreGrid {rows} rows x {columns} columns x 5 classes, stride 4 px, {MODEL}, scale 1"
    )


def test_others_name_what_tells_them_apart(result, scorer):
    assert repr(scorer) == (
        f"Scorer {MODEL}, 5 classes, window 32 px, stride 4 px, engine slide, backend torch"
    )
    assert repr(scorer.facts.classes) == "ClassList of 5: class 0, class 1, class 2, ..."
    assert repr(result.photo) == "Photo (in memory), 120 x 100 px"
    assert repr(result.findings).startswith(f"Findings {len(result)} detections, ")


def test_none_is_longer_than_a_line(result, scorer):
    for shown in (result, result.grid, result.maps, result.photo, result.findings, scorer):
        assert "\n" not in repr(shown)
        assert len(repr(shown)) < 200
