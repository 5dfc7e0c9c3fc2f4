"""Photos of one stem never mix; pages and pictures are made for the photo that was scored."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from heatmap.errors import ResultError
from heatmap.marks import mark_of
from heatmap.runs.view import render, view
from tests.support.batches import files
from tests.support.runs import EVERY_CLASS, PLAIN, another, names, refused, run, told


def test_another_photo_of_the_same_stem_is_refused_before_scoring(tmp_path, scorer, photo):
    run(photo, scorer, tmp_path / "out", display=EVERY_CLASS)
    for other in (another(tmp_path / "b" / "cat.tif"), another(photo.with_suffix(".tiff"))):
        message = f"cat.json: holds the results of {photo}, another photo than {other}: choose .*"
        refused(other, scorer, tmp_path / "out", message)
    # Insisted on, nothing of the first photo is left.
    run(other, scorer, tmp_path / "out", overwrite=True)
    assert names(tmp_path / "out") == PLAIN
    run(other, scorer, tmp_path / "new")
    assert files(tmp_path / "out") == files(tmp_path / "new")


def test_photos_of_one_relative_path_in_two_folders_are_two(tmp_path, scorer, photo, monkeypatch):
    another(tmp_path / "b" / "cat.tif")
    monkeypatch.chdir(photo.parent)
    run("cat.tif", scorer, "../out")
    monkeypatch.chdir(tmp_path / "b")
    refused("cat.tif", scorer, Path("../out"), "holds the results of cat.tif, another photo than")


@pytest.mark.parametrize("how", ["edited", "moved", "copied", "linked", "otherwise reached"])
def test_the_same_photo_is_known_again(tmp_path, scorer, photo, how):
    run(photo, scorer, tmp_path / "out", display=EVERY_CLASS)
    again = tmp_path / "elsewhere" / "cat.tif"
    again.parent.mkdir()
    if how == "edited":
        again = another(photo)
    elif how == "moved":
        photo.rename(again)
    elif how == "copied":
        shutil.copy(photo, again)
    elif how == "linked":
        again.symlink_to(photo)
    else:
        again = tmp_path / "elsewhere" / ".." / "photos" / "cat.tif"
    run(again, scorer, tmp_path / "out")
    assert names(tmp_path / "out") == PLAIN


# Pages and pictures from saved results.


def test_a_page_is_listed_and_goes_with_the_rest(tmp_path, scorer, photo, monkeypatch):
    monkeypatch.setattr("heatmap.photo.photo_file.LARGE_PX", 1000)
    out = tmp_path / "out"
    done = run(photo, scorer, out)
    view(out)
    first = files(out)
    view(out)
    assert files(out) == first
    assert {name for name in first if name != "cat.json"} == told(done)["files"]["written"].keys()
    assert "cat.tiles/levels/0/0_0.jpg" in first
    run(photo, scorer, out)
    assert names(out) == PLAIN


def test_pictures_drawn_again_are_still_the_runs_own(tmp_path, scorer, photo):
    out = tmp_path / "out"
    run(photo, scorer, out, display=EVERY_CLASS)
    render(out, out, alpha=0.2)
    render(out, tmp_path / "again")
    render(out, tmp_path / "again", alpha=0.2)
    assert (tmp_path / "again/cat.heatmap.jpg").read_bytes() == (
        out / "cat.heatmap.jpg"
    ).read_bytes()
    run(photo, scorer, out)
    assert names(out) == PLAIN


@pytest.mark.parametrize("name", ["cat.html", "cat.heatmap.jpg"])
def test_a_page_or_picture_of_somebody_else_stays(tmp_path, scorer, photo, name):
    out, again = tmp_path / "out", tmp_path / "again"
    run(photo, scorer, out)
    target = out if name == "cat.html" else again
    target.mkdir(exist_ok=True)
    (target / name).write_text("somebody's")

    def write(**options):
        return view(out, **options) if name == "cat.html" else render(out, again, **options)

    before = files(tmp_path)
    with pytest.raises(ResultError, match=f"{name}: exists, and was not written by this tool"):
        write()
    assert files(tmp_path) == before
    write(overwrite=True)
    assert mark_of(target / name) is not None


def test_pictures_of_another_photo_of_the_stem_are_not_drawn_over(tmp_path, scorer, photo):
    other = another(tmp_path / "b" / "cat.tif")
    for number, path in enumerate((photo, other)):
        run(path, scorer, tmp_path / str(number))
    render(tmp_path / "0", tmp_path / "again")
    with pytest.raises(ResultError, match=r"heatmap\.jpg: exists, and was made of other photos"):
        render(tmp_path / "1", tmp_path / "again")
    with pytest.raises(ResultError, match=r"holds the results of .*, another photo than"):
        render(tmp_path / "1", tmp_path / "0")
