"""Collecting scores: the same grid in memory and on disk, and a file that never stays behind."""

import gc
import resource
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.classes import ClassList
from heatmap.errors import ResultError
from heatmap.geometry import Placement, plan_grid
from heatmap.grid import collector as collecting
from heatmap.grid import score_grid as grid
from heatmap.grid.collector import Collector, grid_bytes
from heatmap.grid.origin import Origin, Weights
from heatmap.grid.outputs import above_chance, probabilities_of

GEOMETRY = plan_grid((60, 70), window=20, native_stride=10)  # 5 x 6 windows
CLASSES = ClassList(("cat", "dog", "wall", "door"))
ORIGIN = Origin("cat.jpg", "d", "made", Weights("random", "random", "w"), "slide", "exact")
SCORES = np.random.default_rng(0).normal(0, 3, (5, 6, 4)).astype(np.float32)


@contextmanager
def large_from(size: int):
    """Grids of more bytes than this are large."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid, "LARGE_GRID_BYTES", size)
        patch.setattr(collecting, "LARGE_GRID_BYTES", size)
        yield


@pytest.fixture
def large():
    with large_from(0):
        yield


def collected(folder: Path, blocks=((0, 5, 0, 6),), **options):
    collector = Collector(GEOMETRY, CLASSES, "logits", folder=folder, **options)
    for top, bottom, left, right in blocks:
        collector.write(top, left, SCORES[top:bottom, left:right])
    return collector.finish(ORIGIN)


def spans(end: int):
    return st.tuples(st.integers(0, end), st.integers(0, end)).map(sorted)


@settings(max_examples=25)
@given(
    blocks=st.lists(st.tuples(spans(5), spans(6)).map(lambda s: (*s[0], *s[1])), max_size=6),
    stored=st.none() | st.lists(st.integers(0, 3), min_size=1, max_size=5),
    on_disk=st.booleans(),
)
def test_any_blocks_give_the_cells_written_and_nan_elsewhere(
    tmp_path_factory, blocks, stored, on_disk
):
    expected = np.full_like(SCORES, np.nan)
    for top, bottom, left, right in blocks:
        expected[top:bottom, left:right] = SCORES[top:bottom, left:right]
    names = CLASSES.names
    if stored is not None:
        kept = list(dict.fromkeys(stored))
        exact = np.exp(expected.astype(float))
        expected = (exact / exact.sum(axis=2, keepdims=True))[:, :, kept]
        names = tuple(names[index] for index in kept)
    with large_from(0 if on_disk else 2**20):
        made = collected(tmp_path_factory.mktemp("grid"), blocks, stored=stored)
        assert isinstance(made.scores, np.memmap) == on_disk
        np.testing.assert_allclose(made.scores, expected, rtol=1e-5)
        assert made.classes.names == names
        assert made.kind == ("logits" if stored is None else "probabilities")
        np.testing.assert_array_equal(made.scored, ~np.isnan(expected[:, :, 0]))


def test_stored_classes_are_those_of_the_softmax_over_all(tmp_path):
    made = collected(tmp_path, stored=[2, 0])
    whole = collected(tmp_path)
    np.testing.assert_array_equal(made.scores, whole.probabilities()[:, :, [2, 0]])
    # Chance is that among all classes of the network, not among those stored.
    known = replace(made, origin=replace(ORIGIN, network_classes=4))
    np.testing.assert_array_equal(known.class_map("wall"), whole.class_map("wall"))
    with pytest.raises(ResultError, match="only some classes were stored"):
        made.class_map("wall", kind="logits")


@pytest.mark.parametrize("kind", ["independent logits", "independent probabilities"])
def test_stored_independent_classes_stay_independent(tmp_path, kind):
    collector = Collector(GEOMETRY, CLASSES, kind, stored=[2, 0], folder=tmp_path)
    scores = 1 / (1 + np.exp(-SCORES)) if kind == "independent probabilities" else SCORES
    collector.write(0, 0, scores)
    made = collector.finish(ORIGIN)
    assert made.kind == "independent probabilities"
    expected = 1 / (1 + np.exp(-SCORES[:, :, [2, 0]].astype(float)))
    np.testing.assert_allclose(made.scores, expected, rtol=1e-5)


def test_what_a_large_grid_tells_is_what_a_small_one_tells(tmp_path, monkeypatch):
    monkeypatch.setattr(grid, "_BLOCK_BYTES", 200)
    blocks = ((0, 3, 0, 6), (3, 5, 2, 6))
    small = collected(tmp_path, blocks)
    with large_from(0):
        made = collected(tmp_path, blocks)
        assert made.is_large
        rows = [list(range(5))[block] for block in made.row_blocks()]
        assert [row for block in rows for row in block] == [0, 1, 2, 3, 4]
        assert len(rows) > 1
    for one, other in zip(made.best(), small.best(), strict=True):
        np.testing.assert_array_equal(one, other)
    probabilities = probabilities_of(small.scores, "logits")
    maps = made.class_maps(CLASSES.find_all([3, 1]))
    np.testing.assert_array_equal(maps, above_chance(probabilities[:, :, [3, 1]], 0.25))
    np.testing.assert_array_equal(small.best()[1], above_chance(probabilities.max(axis=2), 0.25))
    np.testing.assert_array_equal(made.heatmap("dog"), small.heatmap("dog"))
    assert made.winners(4) == small.winners(4)


def test_the_file_stays_as_long_as_anything_holds_its_scores(tmp_path, large):
    made = collected(tmp_path)
    assert [path.name.startswith(".heatmap-") for path in tmp_path.iterdir()] == [True]
    row = made.scores[2]
    del made
    assert len(list(tmp_path.iterdir())) == 1
    np.testing.assert_array_equal(row, SCORES[2])
    del row
    assert list(tmp_path.iterdir()) == []


def test_the_file_goes_when_the_work_is_interrupted(tmp_path, large):
    def interrupted():
        collector = Collector(GEOMETRY, CLASSES, "logits", folder=tmp_path)
        collector.write(0, 0, SCORES[:2])
        assert len(list(tmp_path.iterdir())) == 1
        raise KeyboardInterrupt

    gc.disable()
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            interrupted()
        del caught
    finally:
        gc.enable()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_not_made_before_saving(tmp_path, large):
    made = collected(tmp_path / "results" / "today")
    assert made.grown_in.parent == tmp_path
    made.save(tmp_path / "results" / "today" / "cat.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_a_disk_without_room_is_refused_before_anything_is_written(tmp_path, large, free_disk):
    free_disk(479)
    with pytest.raises(
        ResultError,
        match=r"^the scores take 0\.0 GB, 0\.0 GB is free .*: use store_classes",
    ):
        collected(tmp_path)
    assert list(tmp_path.iterdir()) == []
    free_disk(480)
    np.testing.assert_array_equal(collected(tmp_path).scores, SCORES)


def test_a_disk_that_fills_up_is_one_line_and_leaves_nothing(tmp_path, large):
    collector = Collector(GEOMETRY, CLASSES, "logits", folder=tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
    try:
        with pytest.raises(ResultError, match=f"^{tmp_path}: cannot be written: ") as caught:
            collector.write(4, 0, SCORES[4:])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    del caught, collector
    assert list(tmp_path.iterdir()) == []


def test_no_class_to_keep_is_refused(tmp_path):
    with pytest.raises(ResultError, match="no class is stored: name at least one in store_classes"):
        collected(tmp_path, stored=[])


def test_grid_bytes_are_those_that_the_issue_of_a_gigapixel_names():
    gigapixel = (31623, 31623)
    coarse = plan_grid(gigapixel, window=224, native_stride=32)
    fine = plan_grid(gigapixel, Placement(stride=8), window=224, native_stride=32)
    assert grid_bytes(coarse, 1000) == pytest.approx(3.9e9, rel=0.02)
    assert grid_bytes(fine, 1000) == pytest.approx(62e9, rel=0.02)
    assert grid_bytes(GEOMETRY, 4) == SCORES.nbytes
