"""How objects show themselves in a console or a notebook: in one line."""

from __future__ import annotations

import dataclasses

import pytest

import heatmap
from tests.support.runs import PHOTO


@pytest.fixture(scope="module")
def result():
    return heatmap.run(PHOTO, scales=1, conf=0.05, backend="torch")


def test_a_grid_says_its_size_and_where_it_is_from(result):
    grid = result.grid
    rows, columns = grid.geometry.grid_hw
    assert repr(dataclasses.replace(grid)) == (
        f"ScoreGrid {rows} row{'s' * (rows > 1)} x {columns} column{'s' * (columns > 1)} x "
        "1000 classes, stride 32 px, efficientnet_lite0, scale 1"
    )


def test_others_name_what_tells_them_apart(result):
    scorer = heatmap.prepare(backend="torch")
    assert repr(scorer) == (
        "Scorer efficientnet_lite0, 1000 classes, window 224 px, stride 32 px, engine slide, "
        "backend torch"
    )
    assert repr(scorer.facts.classes) == (
        "ClassList of 1000: tench, goldfish, great white shark, ..."
    )
    assert repr(result.photo) == "Photo (in memory), 120 x 100 px"
    assert repr(result.findings).startswith(f"Findings {len(result)} detections, ")


def test_none_is_longer_than_a_line(result):
    scorer = heatmap.prepare(backend="torch")
    for shown in (result, result.grid, result.maps, result.photo, result.findings, scorer):
        assert "\n" not in repr(shown)
        assert len(repr(shown)) < 200
