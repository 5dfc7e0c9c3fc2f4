"""Which photos a batch is of: folders, globs, lists, and names that never collide."""

from __future__ import annotations

import os
import unicodedata

import pytest

from heatmap.errors import PhotoError
from heatmap.marks import marked
from heatmap.runs.one_picture import run_into
from heatmap.runs.request import Display, Request
from heatmap.runs.sources import gather
from tests.support.paths import too_deep
from tests.support.runs import run


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def names(gathered):
    return [item.name for item in gathered.photos]


@pytest.fixture
def tree(tmp_path):
    touch(
        tmp_path / "in", "b.jpg", "a/c.PNG", "a/b/d.tif", "a/notes.txt", ".hidden.jpg", ".x/e.jpg"
    )
    return tmp_path / "in"


def test_a_folder_is_gone_through_to_the_bottom(tree, tmp_path):
    found = gather([tree], tmp_path / "out")
    assert names(found) == ["a/b/d.tif", "a/c.PNG", "b.jpg"]
    assert [item.name for item in found.others] == ["a/notes.txt"]
    assert all(item.path == tree / item.name for item in found.photos)


def test_the_output_folder_is_left_out(tree):
    touch(tree, "results/photos/b.jpg/b.tabby.png")
    assert names(gather([tree], tree / "results")) == ["a/b/d.tif", "a/c.PNG", "b.jpg"]
    assert "results" not in " ".join(names(gather([f"{tree}/**/*"], tree / "results")))


@pytest.mark.parametrize(("source", "output"), [(".", "."), ("photos", "."), ("photos/x", ".")])
def test_results_may_not_lie_among_the_photos(tmp_path, source, output):
    touch(tmp_path, "photos/x/a.jpg")
    for given in (tmp_path / source, f"{tmp_path / source}/*"):
        with pytest.raises(PhotoError, match="results would lie among the photos"):
            gather([given], tmp_path / output)


def test_the_output_may_hold_the_source(tree):
    assert len(gather([tree], tree.parent).photos) == 3
    assert len(gather([f"{tree}/**/*"], tree.parent).photos) == 3


def test_linked_files_are_read_and_linked_folders_are_not(tree, tmp_path):
    (tree / "link.jpg").symlink_to(tree / "b.jpg")
    (tree / "again").symlink_to(tree)
    assert "link.jpg" in names(gather([tree], tmp_path / "out"))
    assert not any(name.startswith("again") for name in names(gather([tree], tmp_path / "out")))


def test_a_glob_counts_from_its_fixed_part(tree, tmp_path):
    assert names(gather([f"{tree}/a/**/*"], tmp_path / "out")) == ["b/d.tif", "c.PNG"]
    assert names(gather([str(tree / "*.jpg")], tmp_path / "out")) == ["b.jpg"]


def test_a_file_that_looks_like_a_glob_is_a_file(tree, tmp_path):
    touch(tree, "photo[1].jpg")
    assert names(gather([tree / "photo[1].jpg"], tmp_path)) == ["photo[1].jpg"]


def test_a_list_counts_from_its_folder(tree, tmp_path):
    listed = tree / "some.txt"
    listed.write_text("# photos\n\na/c.PNG\nb.jpg\nmissing.jpg\n")
    found = gather([listed], tmp_path)
    # One that is missing is for the batch to record.
    assert names(found) == ["a/c.PNG", "b.jpg", "missing.jpg"]


def test_a_list_of_photos_elsewhere_counts_from_what_they_share(tree, tmp_path):
    (tmp_path / "lists").mkdir()
    listed = tmp_path / "lists" / "some.lst"
    listed.write_text(f"{tree}/a/c.PNG\n{tree}/a/b/d.tif\n")
    assert names(gather([listed], tmp_path)) == ["b/d.tif", "c.PNG"]


def test_what_is_named_itself_needs_no_photos_name(tree, tmp_path):
    touch(tree, "scan", "raw.dat")
    (tree / "some.txt").write_text("raw.dat\n")
    assert names(gather([tree / "scan", tree / "some.txt"], tmp_path)) == ["raw.dat", "scan"]
    assert gather([tree / "scan"], tmp_path).others == ()


def test_several_sources_count_from_what_they_share(tmp_path):
    touch(tmp_path, "one/x.jpg", "two/x.jpg")
    found = gather([tmp_path / "one", tmp_path / "two"], tmp_path / "out")
    assert names(found) == ["one/x.jpg", "two/x.jpg"]


def test_one_photo_from_two_sources_is_one(tree, tmp_path):
    found = gather([tree, tree / "b.jpg", f"{tree}/*.jpg"], tmp_path / "out")
    assert names(found).count("b.jpg") == 1


def test_names_that_some_disks_take_for_one_are_told_apart(tmp_path):
    folder = tmp_path / "in"
    composed = unicodedata.normalize("NFC", "é.jpg")
    touch(folder, "Cat.jpg", "cat.jpg", composed, unicodedata.normalize("NFD", composed))
    if len(os.listdir(folder)) < 4:
        pytest.skip("this disk takes them for one")
    found = names(gather([folder], tmp_path / "out"))
    folded = {unicodedata.normalize("NFC", name).casefold() for name in found}
    assert len(folded) == 4
    assert found[:2] == ["Cat.jpg", "cat.jpg~2"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", "nowhere: no such file or folder"),
        ("*.jpg", "no file in it"),
        ("empty", "no file in it"),
        ("empty.txt", "no file in it"),
    ],
)
def test_a_source_without_photos_is_refused(tmp_path, source, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").write_text("# none\n\n")
    with pytest.raises(PhotoError, match=message):
        gather([tmp_path / source], tmp_path / "out")


def test_a_watched_source_may_be_empty(tmp_path):
    (tmp_path / "empty").mkdir()
    found = gather([tmp_path / "empty", tmp_path / "*.jpg"], tmp_path / "out", may_be_empty=True)
    assert found.photos == found.others == ()


def test_names_that_are_not_utf_8_are_kept(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    try:
        open(os.fsencode(folder) + b"/\xff.jpg", "wb").close()
    except OSError:
        pytest.skip("this disk has only UTF-8")
    assert names(gather([folder], tmp_path / "out")) == ["\udcff.jpg"]


def test_what_a_run_wrote_beside_its_photo_is_no_photo(tmp_path, photo, scorer):
    run(photo, scorer, photo.parent, display=Display(per_class=True, areas=True))
    assert len(list(photo.parent.iterdir())) > 5
    gathered = gather([photo.parent], tmp_path / "out")
    assert [item.path for item in (*gathered.photos, *gathered.others)] == [photo]
    # Named, it is one.
    picture = photo.with_name("cat.heatmap.jpg")
    assert [item.path for item in gather([picture], tmp_path / "out").photos] == [picture]
    # Beside a description that is none, pictures are known by their marks.
    photo.with_name("cat.json").write_text("[]")
    assert [item.path for item in gather([photo.parent], tmp_path / "out").photos] == [photo]


@pytest.mark.parametrize("name", ["zebra.png", "zebra.JPG"])
def test_a_picture_that_was_written_among_photos_is_no_photo(tmp_path, photo, scorer, name):
    run_into(photo, scorer, Request(), photo.with_name(name))
    # Another program's picture is one, and so is what was only cut out of a photo.
    other, cutout = photo.with_name("other.jpg"), photo.with_name("part.jpg")
    other.write_bytes(photo.read_bytes())
    cutout.write_bytes(marked(b"\xff\xd8"))
    for source in (photo.parent, f"{photo.parent}/*"):
        gathered = gather([source], tmp_path / "out")
        assert [item.path for item in gathered.photos] == [photo, other, cutout]


def test_a_folder_below_that_cannot_be_read_does_not_end_the_others(tree, tmp_path):
    deep = too_deep(tree / "a")
    found = gather([tree], tmp_path / "out")
    assert names(found) == ["a/b/d.tif", "a/c.PNG", "b.jpg"]
    ((folder, reason),) = found.unread
    assert (folder.path, folder.name) == (deep, f"{deep.relative_to(tree).as_posix()}/")
    assert reason == f"{deep}: cannot be read: File name too long"


@pytest.mark.parametrize("glob", ["**/*", "**", "*/b/*", "a/**/*.jpg"])
def test_a_folder_that_a_glob_cannot_read_is_told(tree, tmp_path, monkeypatch, glob):
    forbidden, scandir = str(tree / "a/b"), os.scandir

    def scan(folder):
        if str(folder).rstrip("/") == forbidden:
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", scan)
    found = gather([f"{tree}/{glob}"], tmp_path / "out")
    assert "a/b/d.tif" not in names(found)
    ((folder, reason),) = found.unread
    assert folder.path == tree / "a/b"
    assert reason == f"{tree}/a/b: cannot be read: Permission denied"


def test_a_source_of_an_impossible_name_is_refused_in_one_line(tmp_path):
    with pytest.raises(PhotoError, match="no such file or folder"):
        gather([tmp_path / ("x" * 300)], tmp_path / "out")


def test_names_too_long_for_a_folder_of_results_are_shortened_and_stay_apart(tmp_path):
    folder = tmp_path / "in"
    touch(folder, f"{'x' * 251}.jpg", f"{'x' * 251}.JPG")
    (folder / "list.txt").write_text(f"{'y' * 300}.jpg\n{'y' * 300}z.jpg\n")
    found = names(gather([folder / "list.txt", folder], tmp_path / "out"))
    if len(os.listdir(folder)) < 3:
        pytest.skip("this disk takes them for one")
    assert len(set(map(str.casefold, found))) == 4
    assert max(map(len, found)) <= 255
    assert f"{'x' * 251}.JPG" in found
