"""Windows that show more no data than photo are not scored; all others are, to the same bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import pyvips

import heatmap
from heatmap.geometry import Placement
from heatmap.grid.skip import Skip, no_data_cells
from tests.support import scoring
from tests.support.scoring import padded, padding_free, photo

SEVERAL = [Placement(), Placement(scale=1.7, stride=2), Placement(scale=0.6, border="valid")]


def prepare(module, **options):
    """A scorer whose bits do not depend on what was scored before."""
    return replace(scoring.prepare(module, **options), steady=True)


@pytest.fixture
def transparent(tmp_path):
    """A photo with a transparent corner, and the same as it looks: opaque."""
    pixels = photo(90, 131)
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    alpha[:60, :70] = 0
    pixels[alpha == 0] = 255
    path = tmp_path / "corner.png"
    pyvips.Image.new_from_array(np.dstack([pixels, alpha])).pngsave(str(path))
    return heatmap.read_photo(path), pixels


def assert_left_out(found, whole, cells):
    """NaN in these cells, and elsewhere the same bits."""
    assert cells is not None
    assert 0 < cells.sum() < cells.size
    assert np.isnan(found[cells]).all()
    np.testing.assert_array_equal(found[~cells], whole[~cells])


@pytest.mark.few(3)
@pytest.mark.parametrize("placement", SEVERAL)
@pytest.mark.parametrize("engine", ["slide", "crop"])
def test_scores_of_the_other_windows_are_the_same_bits(transparent, placement, engine):
    opened, pixels = transparent
    scorer = prepare(padding_free(), engine=engine)
    # The last batch of crops can be smaller, which changes bits.
    assert_ = assert_left_out if engine == "slide" else assert_left_out_nearly
    cells = no_data_cells(opened, scorer.plan(opened.hw, placement))
    assert_(scorer.score(opened, placement).scores, scorer.score(pixels, placement).scores, cells)


def assert_left_out_nearly(found, whole, cells):
    assert np.isnan(found[cells]).all()
    np.testing.assert_allclose(found[~cells], whole[~cells], rtol=0, atol=1e-5)


@pytest.mark.few(1)
@pytest.mark.parametrize("placement", SEVERAL)
def test_positions_stay_and_windows_are_left_out(transparent, placement):
    opened, pixels = transparent
    scorer = prepare(padded("global pool"))
    cells = no_data_cells(opened, scorer.plan(opened.hw, placement))
    found, whole = (scorer.score_positions(each, placement) for each in (opened, pixels))
    assert_left_out(found.windows.scores, whole.windows.scores, cells)
    np.testing.assert_array_equal(found.positions.scores, whole.positions.scores)
    groups = [found.windows.classes.single(index) for index in range(3)]
    sharp, before = found.attributed(groups).scores, whole.attributed(groups).scores
    # A position is attributed something where a window that holds it was scored.
    held_by, left_out = np.zeros(sharp.shape[:2]), np.zeros(sharp.shape[:2])
    for row, column in np.ndindex(found.map_hw):
        down, across = row * found.k, column * found.k
        here = slice(down, down + len(cells)), slice(across, across + cells.shape[1])
        held_by[here] += 1
        left_out[here] += cells
    np.testing.assert_array_equal(np.isnan(sharp[:, :, 0]), held_by == left_out)
    assert (held_by == left_out).any()
    np.testing.assert_allclose(sharp[left_out == 0], before[left_out == 0], rtol=1e-5)


def test_progress_counts_the_windows_that_are_scored(transparent):
    opened, _ = transparent
    for engine in ("slide", "crop"):
        scorer, seen = prepare(padding_free(), engine=engine), []
        grid = scorer.score(opened, progress=lambda *done, seen=seen: seen.append(done))
        assert seen[-1] == (grid.scored.sum(), grid.scored.sum())


def test_no_data_adds_to_what_is_skipped(transparent):
    opened, _ = transparent
    scorer = prepare(padding_free())
    mask = np.zeros((90, 131, 3), np.uint8)
    mask[:, :60] = 255
    skipped = scorer.score(opened.pixels, skip=Skip(mask=mask)).scored
    found = scorer.score(opened, skip=Skip(mask=mask)).scored
    cells = no_data_cells(opened, scorer.plan(opened.hw))
    np.testing.assert_array_equal(found, skipped & ~cells)
    assert not skipped.all()


def test_the_note_says_how_many_and_nothing_at_all_is_refused(transparent, tmp_path):
    opened, pixels = transparent
    scorer = prepare(padding_free())
    grid = heatmap.score(opened.path, scorer)
    missing, windows = (~grid.scored).sum(), grid.scored.size
    said = f"{missing} of {windows} windows show mostly no data and were not scored"
    assert said in grid.origin.notes
    assert not any("no data" in note for note in heatmap.score(pixels, scorer).origin.notes)
    path = tmp_path / "nothing.png"
    clear = np.dstack([pixels, np.zeros(pixels.shape[:2], np.uint8)])
    pyvips.Image.new_from_array(clear).pngsave(str(path))
    with pytest.raises(heatmap.PhotoError, match=rf"nothing.png: all {windows} windows show most"):
        heatmap.score(path, scorer)


def test_verify_compares_the_windows_that_are_scored(transparent, tmp_path):
    opened, _ = transparent
    report = heatmap.verify(opened, prepare(padding_free()), scales=(1.0, 2))
    assert report.passed
    for scale in report.scales:
        assert scale.everywhere.windows == min(128, scale.grid.scored.sum())
        assert np.isfinite(scale.everywhere.largest)
    assert heatmap.draw_report(opened, report).ndim == 3
