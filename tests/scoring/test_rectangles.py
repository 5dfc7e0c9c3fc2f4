"""The rectangles that the cells to score are gathered into."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.scoring.rectangles import rectangles

properties = settings(max_examples=100)


def cost(parts, halo_hw):
    return sum((b - a + halo_hw[0]) * (d - c + halo_hw[1]) for a, b, c, d in parts)


def check(wanted, halo_hw):
    """What any plan must be: a disjoint cover, no worse than one tight rectangle."""
    parts = rectangles(wanted, halo_hw)
    painted = np.zeros(wanted.shape, int)
    for row0, row1, column0, column1 in parts:
        assert wanted[row0:row1, column0:column1].any()
        painted[row0:row1, column0:column1] += 1
    assert painted.max(initial=0) <= 1
    assert (painted[wanted] == 1).all()
    rows, columns = (np.flatnonzero(wanted.any(axis=axis)) for axis in (1, 0))
    if rows.size:
        about_all = (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1)
        assert cost(parts, halo_hw) <= cost([about_all], halo_hw)
    return parts


@properties
@given(
    hw=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    halo=st.tuples(st.floats(0, 6), st.floats(0, 6)),
    share=st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0]),
    seed=st.integers(0, 99),
)
def test_rectangles_cover_all_wanted_cells_once_at_no_higher_cost(hw, halo, share, seed):
    wanted = np.random.default_rng(seed).random(hw) < share
    assert bool(check(wanted, halo)) == wanted.any()


@pytest.mark.parametrize(
    ("boxes", "halo", "expected"),
    [
        # Far apart; too near for a cut to pay; an L; side by side; a gap above the cut.
        ([(0, 10, 0, 10), (30, 40, 50, 60)], 6, [(0, 10, 0, 10), (30, 40, 50, 60)]),
        ([(2, 12, 0, 10), (2, 12, 13, 20)], 6, [(2, 12, 0, 20)]),
        ([(0, 40, 0, 8), (32, 40, 0, 60)], 3, [(0, 32, 0, 8), (32, 40, 0, 60)]),
        ([(0, 40, 0, 8), (0, 40, 50, 60)], 10, [(0, 40, 0, 8), (0, 40, 50, 60)]),
        (
            [(0, 5, 40, 60), (8, 13, 40, 60), (13, 40, 0, 60)],
            10,
            [(0, 13, 40, 60), (13, 40, 0, 60)],
        ),
    ],
)
def test_rectangles_of_known_plans(boxes, halo, expected):
    wanted = np.zeros((40, 60), bool)
    for row0, row1, column0, column1 in boxes:
        wanted[row0:row1, column0:column1] = True
    assert check(wanted, (halo, halo)) == expected
    # Turned by a quarter, where of two cuts of equal cost the other may be taken.
    assert cost(check(wanted.T, (halo, halo)), (halo, halo)) == cost(expected, (halo, halo))


def test_a_frame_about_nothing_is_cut_though_no_first_cut_pays():
    wanted = np.ones((100, 100), bool)
    wanted[10:90, 10:90] = False
    parts = check(wanted, (2, 2))
    assert cost(parts, (2, 2)) < 0.6 * 102**2


@pytest.mark.slow
def test_a_large_plan_of_blobs_costs_little_more_than_the_blobs():
    random = np.random.default_rng(0).random((400, 400)).astype(np.float32)
    smooth = cv2.resize(cv2.GaussianBlur(random, (0, 0), 8), (4000, 4000))
    for share, most in ((0.5, 0.65), (0.1, 0.15)):
        wanted = smooth > np.quantile(smooth[::8, ::8], 1 - share)
        assert cost(check(wanted, (8, 8)), (8, 8)) < most * 4008**2


def test_the_cells_given_are_not_changed():
    wanted = np.random.default_rng(0).random((20, 20)) < 0.1
    wanted.flags.writeable = False
    assert rectangles(wanted, (1, 1)) == rectangles(wanted.copy(), (1, 1))
