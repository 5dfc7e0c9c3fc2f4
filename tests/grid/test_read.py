"""Large grids on disk: scores beside the grid's file, moved and not copied, read as needed."""

import errno
import json
import os
from dataclasses import asdict, replace

import numpy as np
import pytest

from heatmap import files
from heatmap.classes import ClassList
from heatmap.errors import ResultError
from heatmap.geometry import plan_grid
from heatmap.grid import collector as collecting
from heatmap.grid import score_grid as grid
from heatmap.grid.collector import Collector
from heatmap.grid.origin import Computation, Origin, Weights
from heatmap.grid.read import load
from heatmap.grid.score_grid import ScoreGrid

GEOMETRY = plan_grid((60, 70), window=20, native_stride=10)  # 5 x 6 windows
CLASSES = ClassList(("cat", "dog", "wall"), ("n1", "n2", "n3"))
ORIGIN = Origin(
    "cat.jpg",
    "d",
    "made",
    Weights("random", "random", "w"),
    "slide",
    "exact",
    computation=Computation(threads=2),
)
SCORES = np.random.default_rng(0).normal(0, 3, (5, 6, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def large(monkeypatch):
    monkeypatch.setattr(grid, "LARGE_GRID_BYTES", 0)
    monkeypatch.setattr(collecting, "LARGE_GRID_BYTES", 0)


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def collected(folder) -> ScoreGrid:
    collector = Collector(GEOMETRY, CLASSES, "logits", folder=folder)
    collector.write(0, 0, SCORES)
    return collector.finish(ORIGIN)


def in_memory(scores=SCORES) -> ScoreGrid:
    return ScoreGrid(scores, GEOMETRY, CLASSES, "logits", ORIGIN)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("make", [collected, lambda _: in_memory()], ids=["grown", "in memory"])
def test_a_large_grid_comes_back_whole_and_mapped(results, make):
    made = make(results)
    path = made.save(results / "cat.npz")
    assert names(results) == ["cat.npz", "cat.scores.npy"]
    loaded = load(path)
    assert isinstance(loaded.scores, np.memmap)
    np.testing.assert_array_equal(loaded.scores, SCORES)
    for part in ("geometry", "classes", "kind", "origin"):
        assert getattr(loaded, part) == getattr(made, part)
    np.testing.assert_array_equal(np.load(results / "cat.scores.npy"), SCORES)


def test_scores_that_grew_on_the_same_disk_are_moved_and_stay_readable(results):
    made = collected(results)
    number = made.grown_in.stat().st_ino
    made.save(results / "cat.npz")
    assert (results / "cat.scores.npy").stat().st_ino == number
    np.testing.assert_array_equal(made.scores, SCORES)
    del made
    assert names(results) == ["cat.npz", "cat.scores.npy"]


def test_scores_that_grew_on_another_disk_are_copied(results, monkeypatch):
    made = collected(results)
    replace = os.replace

    def across(source, target):
        if str(source) == str(made.grown_in):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        replace(source, target)

    monkeypatch.setattr(os, "replace", across)
    made.save(results / "cat.npz")
    assert made.grown_in.exists()
    np.testing.assert_array_equal(load(results / "cat.npz").scores, SCORES)


def test_a_grid_can_be_saved_again_elsewhere(results):
    made = collected(results)
    made.save(results / "cat.npz")
    made.save(results / "again.npz")
    for name in ("cat", "again"):
        np.testing.assert_array_equal(load(results / f"{name}.npz").scores, SCORES)


@pytest.mark.parametrize("change", [lambda scores: scores * 2, lambda scores: scores[::-1]])
def test_other_scores_in_place_of_those_that_grew_are_the_ones_saved(results, change):
    made = collected(results)
    replace(made, scores=change(made.scores)).save(results / "other.npz")
    np.testing.assert_array_equal(load(results / "other.npz").scores, change(SCORES))
    made.save(results / "cat.npz")
    np.testing.assert_array_equal(load(results / "cat.npz").scores, SCORES)


def test_a_copy_of_mapped_scores_is_as_good_as_any(results):
    copied = replace(collected(results), scores=collected(results).scores.copy())
    np.testing.assert_array_equal(copied.best()[0], SCORES.argmax(axis=2))


def test_saving_a_loaded_grid_leaves_its_own_files_where_they_are(results, tmp_path):
    in_memory().save(results / "cat.npz")
    load(results / "cat.npz").save(tmp_path / "copy" / "cat.npz")
    np.testing.assert_array_equal(load(results / "cat.npz").scores, SCORES)
    np.testing.assert_array_equal(load(tmp_path / "copy" / "cat.npz").scores, SCORES)


def test_a_loaded_grid_can_be_saved_over_itself(results):
    path = in_memory().save(results / "cat.npz")
    load(path).save(path)
    np.testing.assert_array_equal(load(path).scores, SCORES)


def test_scores_in_any_memory_order_are_saved_as_they_are(results):
    path = in_memory(np.asfortranarray(SCORES)).save(results / "cat.npz")
    np.testing.assert_array_equal(load(path).scores, SCORES)


def test_what_a_caller_wrote_into_a_private_mapping_is_not_lost(results):
    np.save(results / "own.npy", np.zeros_like(SCORES))
    own = np.load(results / "own.npy", mmap_mode="c")
    own[:] = SCORES
    made = in_memory(own)
    made.best()
    np.testing.assert_array_equal(made.scores, SCORES)


def test_a_save_that_fails_leaves_nothing_and_the_grid_can_be_saved_elsewhere(results):
    made = collected(results)
    (results / "cat.npz").mkdir()
    with pytest.raises(ResultError, match=r"cat\.npz: cannot be written: is a directory"):
        made.save(results / "cat.npz")
    made.save(results / "dog.npz")
    np.testing.assert_array_equal(load(results / "dog.npz").scores, SCORES)
    del made
    assert names(results) == ["cat.npz", "dog.npz", "dog.scores.npy"]


def test_an_interrupted_save_leaves_the_earlier_files_as_they_were(results, monkeypatch):
    in_memory(SCORES + 1).save(results / "cat.npz")

    def interrupted(*_):
        raise KeyboardInterrupt

    made = in_memory()
    monkeypatch.setattr(grid, "packed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made.save(results / "cat.npz")
    assert names(results) == ["cat.npz", "cat.scores.npy"]
    np.testing.assert_array_equal(load(results / "cat.npz").scores, SCORES + 1)


def test_all_files_are_written_before_the_first_is_renamed(results):
    def late(path):
        assert not (results / "a").exists()
        path.write_text("late")

    files.write_all({results / "a": lambda path: path.write_text("early"), results / "b": late})
    assert [(results / name).read_text() for name in names(results)] == ["early", "late"]


def missing(path):
    path.unlink()


def of_another_shape(path):
    np.save(path, SCORES[:, :, :2])


def of_another_type(path):
    np.save(path, SCORES.astype(np.float64))


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-4])


def no_array(path):
    path.write_text("nothing")


def a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (missing, r"its scores are missing: cat\.scores\.npy must lie beside it"),
        (of_another_shape, r"cat\.scores\.npy holds \(5, 6, 2\), the grid says \(5, 6, 3\)"),
        (of_another_type, r"scores are float64 \(5, 6, 3\), expected float32"),
        (cut_short, r"cat\.scores\.npy: not scores that can be read"),
        (no_array, r"cat\.scores\.npy: not scores that can be read"),
        (a_folder, r"cat\.scores\.npy: not scores that can be read"),
    ],
)
def test_scores_that_do_not_fit_are_one_clear_line(results, spoil, message):
    path = in_memory().save(results / "cat.npz")
    spoil(results / "cat.scores.npy")
    with pytest.raises(ResultError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(str(results))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("told", [None, {}, {"file": "x.npy"}, {"file": 3, "shape": 4}, "x"])
def test_a_large_grid_that_does_not_say_where_its_scores_are_is_refused(results, told):
    path = in_memory().save(results / "cat.npz")
    with np.load(path) as arrays:
        meta = json.loads(str(arrays["meta"]))
    np.savez_compressed(path, meta=np.array(json.dumps({**meta, "scores": told})))
    with pytest.raises(ResultError, match=r"cat\.npz: "):
        load(path)


def test_scores_are_never_looked_for_in_another_folder(results, tmp_path):
    np.save(tmp_path / "secret.npy", SCORES)
    path = in_memory().save(results / "cat.npz")
    with np.load(path) as arrays:
        meta = json.loads(str(arrays["meta"]))
    meta["scores"]["file"] = "../secret.npy"
    np.savez_compressed(path, meta=np.array(json.dumps(meta)))
    with pytest.raises(ResultError, match=r"secret\.npy must lie beside it"):
        load(path)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_files_of_earlier_formats_are_refused_with_what_to_do(results, number):
    """They hold the origin as words; the third calls independent probabilities probabilities."""
    meta = {
        "format": number,
        "kind": "logits",
        "geometry": asdict(GEOMETRY),
        "names": CLASSES.names,
        "wnids": CLASSES.wnids,
        "origin": {"weights": "random (seed 0)", "settings": {"threads": 2}},
    }
    path = results / "old.npz"
    np.savez_compressed(path, scores=SCORES, meta=np.array(json.dumps(meta)))
    with pytest.raises(ResultError, match="this version reads formats 7 and 8") as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}: grid format {number}, this version reads formats 7 and 8: score the photo again"
    )


@pytest.mark.parametrize("name", ["cat.npz", "cat.scores.npy"])
def test_a_grid_replaces_grids_and_no_other_file(results, name):
    (results / name).write_bytes(b"somebody's")
    with pytest.raises(ResultError, match=f"{name}: exists, and was not written by this tool"):
        in_memory().save(results / "cat.npz")
    assert names(results) == [name]
    assert (results / name).read_bytes() == b"somebody's"
    in_memory().save(results / "cat.npz", overwrite=True)
    path = in_memory(-SCORES).save(results / "cat.npz")
    np.testing.assert_array_equal(load(path).scores, -SCORES)
