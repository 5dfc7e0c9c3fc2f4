"""Results read back: what a run wrote, as another program, or a person, may have left it."""

import json
import re
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import skimage.data

from heatmap.classes import ClassGroup
from heatmap.errors import PhotoError, ResultError
from heatmap.grid.score_grid import ScoreGrid
from heatmap.localization.detection import as_stored
from heatmap.localization.findings import Findings, stored_maps, window_maps
from heatmap.localization.formats.coco import OWN_IDS
from heatmap.localization.scales import Windows
from heatmap.photo.photo import Photo, read_photo
from heatmap.photo.photo_file import PhotoFile, open_whole
from heatmap.runs.formats import FORMATS
from heatmap.runs.request import Display, Extras, Request
from heatmap.runs.result import Result
from heatmap.runs.saved import saved_results
from heatmap.runs.view import view
from tests.support.pages import CAT, NAMES, find, make_grid

EVERYTHING = Extras(FORMATS, html=True, save_grid=True)
TABBY = ClassGroup(NAMES[0], (0,))


@pytest.fixture
def photo(tmp_path) -> Photo:
    return made_photo(tmp_path / "photos" / "my cat.png")


def made_photo(path) -> Photo:
    path.parent.mkdir(exist_ok=True)
    pixels = skimage.data.chelsea()[:, :420]
    assert cv2.imwrite(str(path), pixels[:, :, ::-1])
    return read_photo(path)


def made_grid(photo: Photo | PhotoFile) -> ScoreGrid:
    grid = make_grid()
    digested = replace(grid.origin, photo=photo.path, photo_digest=photo.digest)
    return replace(grid, origin=digested)


def saved(folder, photo: Photo | PhotoFile, extras=EVERYTHING) -> Findings:
    """What is saved of a photo in which a group and a class were found."""
    grid, groups = made_grid(photo), (CAT, TABBY)
    found = tuple(as_stored(find(grid, group)) for group in groups)
    findings = Findings(found, (), groups, stored_maps(window_maps(grid, groups)))
    request, image = Request(Display(), extras=extras), OWN_IDS.image(photo.path)
    Result(photo, findings, Windows({"x1": grid}), request, image).save(folder)
    return findings


def refused(path, *parts: str) -> None:
    """What :func:`saved_results` says: one line that names the file and the reason."""
    with pytest.raises(ResultError) as caught:
        saved_results(path)
    message = str(caught.value)
    assert "\n" not in message
    for part in (str(path), *parts):
        assert part in message


def change(file, change) -> None:
    told = json.loads(file.read_text("utf-8"))
    change(told)
    file.write_text(json.dumps(told), "utf-8")


# What was saved.


def test_what_a_run_saved_comes_back_to_the_last_digit(tmp_path, photo):
    findings = saved(tmp_path / "out", photo)
    (result,) = saved_results(tmp_path / "out")
    assert result.description == tmp_path / "out" / "my cat.json"
    assert result.photo == tmp_path / "photos" / "my cat.png"
    assert result.grid == tmp_path / "out" / "my cat.grid.npz"
    again = result.findings()
    assert (again.detections, again.guesses) == (findings.detections, ())
    assert (again.groups, again.peaks) == (findings.groups, findings.peaks)
    np.testing.assert_array_equal(again.maps.scores, findings.maps.scores)
    assert again.maps.geometry == findings.maps.geometry
    assert saved_results(tmp_path / "out" / "my cat.json") == [result]
    assert saved_results(str(tmp_path / "out")) == [result]


def test_its_page_is_that_of_the_run(tmp_path, photo):
    saved(tmp_path / "out", photo)
    page = tmp_path / "out" / "my cat.html"
    expected = page.read_bytes()
    page.unlink()
    before = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert view(tmp_path / "out") == [page]
    assert page.read_bytes() == expected
    after = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert after == sorted([*before, page.name])


def test_a_large_photo_has_its_tiles_beside_the_page(tmp_path, photo, monkeypatch):
    monkeypatch.setattr("heatmap.photo.photo_file.LARGE_PX", 1000)
    large = open_whole(photo.path)
    assert isinstance(large, PhotoFile)
    saved(tmp_path / "out", large, Extras())
    view(tmp_path / "out")
    assert list((tmp_path / "out" / "my cat.tiles").rglob("*.*"))


def test_results_of_a_folder_come_by_name_without_other_files(tmp_path, photo):
    other = made_photo(tmp_path / "photos" / "a cat.png")
    for one in (photo, other):
        saved(tmp_path / "out", one)
    out = tmp_path / "out"
    (out / "list.json").write_text("[]")
    (out / "broken.json").write_text("{")
    (out / "bytes.json").write_bytes(b"\xff\xfe")
    (out / "deep.json").write_text("[" * 100_000)
    (out / "folder.json").mkdir()
    assert len(list(out.glob("*.json"))) == 13
    assert [one.description.name for one in saved_results(out)] == ["a cat.json", "my cat.json"]


# Photos.


def test_a_folder_that_was_moved_with_its_photo_is_found(tmp_path, photo, monkeypatch):
    saved(tmp_path / "out", photo)
    away = tmp_path / "away"
    (tmp_path / "out").rename(away)
    shutil.move(photo.path, away)
    (result,) = saved_results(away)
    assert result.photo == away / "my cat.png"
    assert view(away) == [away / "my cat.html"]


def test_a_photo_that_was_moved_is_missed_and_can_be_named(tmp_path, photo):
    saved(tmp_path / "out", photo, Extras())
    shutil.move(photo.path, tmp_path / "moved.png")
    with pytest.raises(PhotoError, match=r"my cat\.png: no such file"):
        view(tmp_path / "out")
    page = tmp_path / "out" / "my cat.html"
    assert not page.exists()
    assert view(tmp_path / "out", tmp_path / "moved.png") == [page]
    assert page.exists()


def test_another_photo_of_the_same_size_is_refused(tmp_path, photo):
    saved(tmp_path / "out", photo, Extras())
    pixels = photo.pixels.copy()
    pixels[0, 0, 0] ^= 1
    cv2.imwrite(str(tmp_path / "other.png"), pixels[:, :, ::-1])
    message = r"other\.png: is not the photo that was scored.*my cat\.json.* with photo$"
    with pytest.raises(ResultError, match=message):
        view(tmp_path / "out", tmp_path / "other.png")
    assert not (tmp_path / "out" / "my cat.html").exists()


def test_the_result_of_an_array_needs_its_photo(tmp_path, photo):
    saved(tmp_path / "out", Photo(photo.pixels, ""), Extras())
    with pytest.raises(ResultError, match=r"photo\.json: .*an array.* with photo$"):
        view(tmp_path / "out")
    assert view(tmp_path / "out", photo.path) == [tmp_path / "out" / "photo.html"]


def test_one_photo_for_several_results_is_refused(tmp_path, photo):
    for name in ("a cat.png", "my cat.png"):
        saved(tmp_path / "out", made_photo(tmp_path / "photos" / name), Extras())
    message = "out: holds the results of 2 photos: name .* of the result that photo belongs to$"
    with pytest.raises(ResultError, match=message):
        view(tmp_path / "out", photo.path)
    assert not list((tmp_path / "out").glob("*.html"))
    assert view(tmp_path / "out" / "my cat.json", photo.path) == [tmp_path / "out" / "my cat.html"]
    assert [page.name for page in view(tmp_path / "out")] == ["a cat.html", "my cat.html"]


# What is no result.


def test_a_folder_without_results_says_how_to_make_some(tmp_path):
    refused(tmp_path, "no results in this folder", "run a photo")
    (tmp_path / "cat.json").write_text("[]")
    refused(tmp_path, "no results in this folder")


def test_what_is_not_there_is_named(tmp_path):
    refused(tmp_path / "nowhere.json", "No such file")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"7", b"null", b"\xff\xfe", b"{}", b"[" * 100_000]
)
def test_what_is_no_result_is_one_line(tmp_path, content):
    file = tmp_path / "cat.json"
    file.write_bytes(content)
    refused(file, "not the result of a run")


def test_an_earlier_format_says_what_to_do(tmp_path, photo):
    saved(tmp_path / "out", photo)
    file = tmp_path / "out" / "my cat.json"
    # It called detections "found".
    change(file, lambda told: told.update(format=2, found=told.pop("detections")))
    for path in (file, file.parent):
        refused(path, "my cat.json: result format 2", "reads format 8", "run the photo again")


MISSING = [
    "format",
    "photo",
    "detections",
    "guesses",
    "maps",
    "settings",
    "files",
    "class",
    "indices",
    "confidence",
    "box_xyxy",
    "cell",
]


@pytest.mark.parametrize("name", [*MISSING, "window_xyxy", "scale", "path"])
def test_what_is_missing_is_named(tmp_path, photo, name):
    saved(tmp_path / "out", photo, Extras())
    file = tmp_path / "out" / "my cat.json"

    def drop(told):
        for part in (told, told["photo"], *told["detections"]):
            part.pop(name, None)

    change(file, drop)
    refused(file, "not the result of a run", name)


@pytest.mark.parametrize(
    "found",
    [
        7,
        [7],
        {"cat": 1},
        [{"cell": 3}],
        [{"cell": [1]}],
        [{"cell": ["a", 2]}],
        [{"indices": 3}],
        [{"indices": [None]}],
        [{"indices": ["b"]}],
        [{"indices": [float("inf")]}],
        [{"confidence": float("nan")}],
        [{"box_xyxy": [0, 0, 10**400, 1]}],
        [{"confidence": "high"}],
        [{"confidence": None}],
        [{"box_xyxy": [1, 2, 3]}],
        [{"window_xyxy": "1234567"}],
        [{"scale": [1]}],
    ],
)
def test_found_objects_that_are_none_are_one_line(tmp_path, photo, found):
    saved(tmp_path / "out", photo, Extras())
    file = tmp_path / "out" / "my cat.json"

    def damage(told):
        several = isinstance(found, list) and isinstance(found[0], dict)
        told["detections"] = [{**told["detections"][0], **found[0]}] if several else found

    change(file, damage)
    refused(file, "not the result of a run")


def test_files_outside_the_folder_are_not_read(tmp_path, photo):
    saved(tmp_path / "out", photo)
    change(
        tmp_path / "out" / "my cat.json",
        lambda told: told["files"].update(maps="../../secret.npz", grid="/a/grid.npz"),
    )
    (result,) = saved_results(tmp_path / "out")
    assert result.maps == tmp_path / "out" / "secret.npz"
    assert result.grid == tmp_path / "out" / "grid.npz"


@pytest.mark.parametrize("which", ["maps", "grid"])
@pytest.mark.parametrize("damage", ["missing", "broken", 99, -1])
def test_maps_or_a_grid_that_do_not_fit_are_one_line_and_no_page(tmp_path, photo, which, damage):
    saved(tmp_path / "out", photo, Extras(save_grid=True))
    file = tmp_path / "out" / f"my cat.{which}.npz"
    if damage == "missing":
        file.unlink()
    elif damage == "broken":
        file.write_bytes(b"PK")
    elif which == "grid":
        change(
            tmp_path / "out" / "my cat.json",
            lambda told: told["maps"][0].update(indices=[0, damage]),
        )
    else:
        change(tmp_path / "out" / "my cat.json", lambda told: told["maps"].pop())
    with pytest.raises(ResultError) as caught:
        view(tmp_path / "out")
    assert re.fullmatch(r"[^\n]*my cat\.(maps\.npz|grid\.npz|json): [^\n]+", str(caught.value))
    assert not (tmp_path / "out" / "my cat.html").exists()
