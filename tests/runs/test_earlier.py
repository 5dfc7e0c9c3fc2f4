"""Earlier results of a photo, and strangers' files: what a run replaces, removes and refuses."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from heatmap.errors import PhotoError, ResultError
from heatmap.names import ResultNames
from heatmap.runs.formats import FORMATS
from heatmap.runs.photo_run import PhotoRun
from heatmap.runs.possible import possible_names
from heatmap.runs.request import Display, Extras, Request
from heatmap.runs.sources import gather
from tests.support.batches import files
from tests.support.runs import (
    EVERY_CLASS,
    PLAIN,
    SEVERAL,
    Recorder,
    another,
    names,
    refused,
    run,
    told,
)

EVERYTHING = Extras(FORMATS, html=True, thumbnail=True, save_grid=True, save_crops=True)


# A rerun replaces results as a whole.


def test_files_of_earlier_settings_go(tmp_path, scorer, photo):
    run(photo, scorer, tmp_path / "out", display=EVERY_CLASS, extras=Extras(FORMATS, html=True))
    run(photo, scorer, tmp_path / "out", extras=Extras(save_crops=True, thumbnail=True))
    done = run(photo, scorer, tmp_path / "out")
    assert names(tmp_path / "out") == PLAIN
    assert done.saved.kept == ()


def test_a_rerun_is_as_a_first_run(tmp_path, scorer, photo):
    for display in (EVERY_CLASS, Display()):
        for extras in (EVERYTHING, Extras(save_grid=True)):
            run(photo, scorer, tmp_path / "out", display=display, extras=extras)
    run(photo, scorer, tmp_path / "new", extras=Extras(save_grid=True))
    assert files(tmp_path / "out") == files(tmp_path / "new")


def test_all_files_are_listed_with_their_digests(tmp_path, scorer, photo):
    done = run(photo, scorer, tmp_path / "out", display=EVERY_CLASS, extras=EVERYTHING)
    expected = files(tmp_path / "out")
    del expected["cat.json"]
    assert told(done)["files"]["written"] == expected
    assert any(name.startswith("cat.crops/01-") for name in expected)


def test_a_file_that_was_changed_stays_and_is_told(tmp_path, scorer, photo):
    out = tmp_path / "out"
    first = run(photo, scorer, out, display=EVERY_CLASS, extras=Extras(("csv",), save_crops=True))
    changed = [next(iter(first.saved.per_class.values())), *sorted((out / "cat.crops").iterdir())]
    for path in changed[:2]:
        path.write_bytes(b"somebody's")
    (out / "cat.csv").unlink()
    done = run(photo, scorer, out)
    assert set(done.saved.kept) == set(changed[:2])
    left = [path.relative_to(out).as_posix() for path in changed[:2]]
    assert names(out) == sorted([*PLAIN, *(Path(name).name for name in left), "cat.crops"])
    # From now on they are somebody's.
    assert run(photo, scorer, out).saved.kept == ()


def test_files_of_others_beside_the_results_stay(tmp_path, scorer, photo):
    out = tmp_path / "out"
    run(photo, scorer, out, display=EVERY_CLASS, extras=Extras(save_crops=True))
    for name in ("notes.md", "cat.notes.md", "cat.crops/notes.md"):
        (out / name).write_text("somebody's")
    run(photo, scorer, out)
    assert {"notes.md", "cat.notes.md"} <= set(names(out))
    assert (out / "cat.crops" / "notes.md").read_text() == "somebody's"


def test_a_failure_keeps_the_earlier_results(tmp_path, scorer, photo, monkeypatch):
    run(photo, scorer, tmp_path / "out", display=EVERY_CLASS)
    before = files(tmp_path / "out")

    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("heatmap.runs.pictures.encode_image", fail)
    with pytest.raises(KeyboardInterrupt):
        run(photo, scorer, tmp_path / "out")
    assert files(tmp_path / "out") == before


def test_a_saved_grid_goes_only_on_insistence(tmp_path, scorer, photo):
    out = tmp_path / "out"
    run(photo, scorer, out, placement=SEVERAL, extras=Extras(save_grid=True))
    message = r"grid\.npz: is a saved score grid, and would be removed: .*save_grid=True.*overwrite"
    refused(photo, scorer, out, message)
    # Other scales: a grid is written, if not each of the earlier ones.
    run(photo, scorer, out, extras=Extras(save_grid=True))
    assert [name for name in names(out) if "grid" in name] == ["cat.grid.npz"]
    run(photo, scorer, out, overwrite=True)
    assert names(out) == PLAIN


@pytest.mark.parametrize("change", ["touched", "replaced by a link"])
def test_a_grid_that_is_no_longer_the_saved_one_is_not_removed(tmp_path, scorer, photo, change):
    out, kept = tmp_path / "out", tmp_path / "kept.npz"
    run(photo, scorer, out, extras=Extras(save_grid=True))
    (out / "cat.grid.npz").write_bytes(b"somebody's")
    if change != "touched":
        shutil.move(out / "cat.grid.npz", kept)
        (out / "cat.grid.npz").symlink_to(kept)
    run(photo, scorer, out)
    assert (out / "cat.grid.npz").read_bytes() == b"somebody's"


def test_two_runs_at_once_do_not_disturb_each_other(tmp_path, scorer, photo):
    """Both begin, then both end; the last one's results are there."""
    underway = []
    for display in (Display(), EVERY_CLASS):
        underway.append(PhotoRun(photo, scorer, Request(display, extras=Extras(("csv",)))))
        underway[-1].claim(tmp_path / "out")
        underway[-1].score(tmp_path, Recorder())
    for each in reversed(underway):
        each.finish()
    run(photo, scorer, tmp_path / "new", extras=Extras(("csv",)))
    assert files(tmp_path / "out") == files(tmp_path / "new")


# Strangers' files.

FIXED = [
    *("cat.json", "cat.heatmap.jpg", "cat.maps.npz", "cat.grid.npz", "cat.areas.jpg"),
    *("cat.thumbnail.jpg", "cat.html", "cat.csv", "cat.coco.json", "cat.coco.dataset.json"),
    *("cat.geojson", "cat.txt", "cat.classes.txt", "cat.xml", "cat.labelme.json"),
    "cat.x0.5.grid.npz",
    # Whatever class is found.
    *("cat.class-3.jpg", "cat.class-3.heat.tif", "cat.crops/07-class-3-0.50.jpg"),
]


ALL_OF_IT = {
    "placement": SEVERAL,
    "extras": EVERYTHING,
    "display": Display(conf=0.05, per_class=True, areas=True),
}


@pytest.mark.parametrize("name", FIXED)
def test_a_strangers_file_is_refused_before_scoring(tmp_path, scorer, photo, name):
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("somebody's")
    reason = "exists, and was not written by this tool"
    error = refused(photo, scorer, out, reason, **ALL_OF_IT)
    assert error.message.startswith(f"{out / name}: ")


def test_strangers_files_are_replaced_on_insistence(tmp_path, scorer, photo):
    out = tmp_path / "out"
    (out / "cat.crops").mkdir(parents=True)
    for name in FIXED:
        (out / name).write_text("somebody's")
    done = run(photo, scorer, out, overwrite=True, **ALL_OF_IT)
    left = {name for name in FIXED if (out / name).read_bytes() == b"somebody's"}
    # Class 3 was not found, so that there is nothing to replace its files.
    assert left == {name for name in FIXED if "class-3" in name}
    assert {out / name for name in left}.isdisjoint(done.saved.written)


def test_a_strangers_file_that_would_not_be_written_is_no_matter(tmp_path, scorer, photo):
    out = tmp_path / "out"
    out.mkdir()
    for name in (name for name in FIXED if name not in PLAIN and "/" not in name):
        (out / name).write_text("somebody's")
    run(photo, scorer, out)
    assert (out / "cat.csv").read_text() == "somebody's"


def test_a_strangers_file_that_comes_while_it_is_scored_stays(tmp_path, scorer, photo):
    underway = PhotoRun(photo, scorer, Request())
    underway.claim(tmp_path / "out")
    underway.score(tmp_path, Recorder())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cat.maps.npz").write_text("somebody's")
    with pytest.raises(ResultError, match=r"cat\.maps\.npz: exists, and was not written"):
        underway.finish()
    assert files(tmp_path / "out").keys() == {"cat.maps.npz"}


def test_the_picture_that_somebody_drew_on_is_refused(tmp_path, scorer, photo):
    run(photo, scorer, tmp_path / "out")
    path = tmp_path / "out" / "cat.heatmap.jpg"
    path.write_bytes(path.read_bytes() + b"drawn on")
    refused(photo, scorer, tmp_path / "out", "has been changed since it was written")
    run(photo, scorer, tmp_path / "out", overwrite=True)


@pytest.mark.parametrize("linked", ["link", "hard link"])
def test_the_photo_is_never_replaced(tmp_path, scorer, photo, linked):
    out = tmp_path / "out"
    out.mkdir()
    if linked == "link":
        (out / "cat.heatmap.jpg").symlink_to(photo)
    else:
        os.link(photo, out / "cat.heatmap.jpg")
    before = photo.read_bytes()
    for overwrite in (False, True):
        refused(photo, scorer, out, "is read, and would be replaced", overwrite=overwrite)
    assert photo.read_bytes() == before


def test_an_output_that_is_the_photo_is_refused_before_scoring(tmp_path, scorer, photo):
    reporter = Recorder()
    with pytest.raises(ResultError, match="is a file, not a folder"):
        run(photo, scorer, photo, progress=reporter)
    assert reporter.events == []


def test_every_name_that_is_written_was_foreseen(tmp_path, scorer, photo):
    display = Display(conf=0.0, per_class=True, areas=True, full=True)
    request = Request(display, SEVERAL, extras=EVERYTHING)
    done = run(
        *(photo, scorer, tmp_path), display=display, placement=SEVERAL, extras=request.extras
    )
    classes = scorer.classifier.classes
    foreseen = possible_names(ResultNames(tmp_path, "cat"), request, classes, done.grids)
    assert {path.name for path in done.saved.written} <= foreseen
    assert len(done.saved.per_class) > 1


# Descriptions as somebody may have left them.


@pytest.mark.parametrize(
    "name", ["../thesis.doc", "cat.x/../../thesis.doc", "/etc/passwd", "thesis.doc", "", "cat"]
)
def test_a_description_that_lists_files_of_others_removes_none(tmp_path, scorer, photo, name):
    out = tmp_path / "out"
    description = run(photo, scorer, out).saved.description
    (tmp_path / "thesis.doc").write_text("thesis")
    (out / "thesis.doc").write_text("thesis")
    described = json.loads(description.read_text())
    digest = files(tmp_path)["thesis.doc"]
    described["files"]["written"][name] = digest
    description.write_text(json.dumps(described))
    run(photo, scorer, out)
    assert (tmp_path / "thesis.doc").read_text() == "thesis"
    assert (out / "thesis.doc").read_text() == "thesis"


def test_results_beside_the_photo_are_no_photos(tmp_path, scorer, photo):
    run(photo, scorer, photo.parent, display=EVERY_CLASS, extras=EVERYTHING)
    gathered = gather([photo.parent], tmp_path / "out")
    assert [item.name for item in gathered.photos] == ["cat.tif"]
    assert gathered.others == ()


def test_photos_in_the_folder_of_a_batchs_results_are_refused(tmp_path):
    out = tmp_path / "out"
    cut = another(out / "photos" / "cat.tif" / "cat.cut.tif")
    (tmp_path / "link").symlink_to(out)
    for named in (cut, tmp_path / "link" / "photos" / "cat.tif" / "cat.cut.tif"):
        with pytest.raises(PhotoError, match="results would lie among the photos"):
            gather([named], out)
    assert gather([tmp_path], out, may_be_empty=True).photos == ()
