"""The page of a photo as data and as a file; tests/test_browser.py opens it."""

import base64
import hashlib
import json
import os
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import cv2
import numpy as np
import pytest
import skimage.data
import tifffile

from heatmap.classes import ClassList
from heatmap.errors import PhotoError, ResultError
from heatmap.files import write_all
from heatmap.grid.origin import Weights
from heatmap.grid.score_grid import ScoreGrid
from heatmap.photo.photo import Photo
from heatmap.photo.photo_file import PhotoFile
from heatmap.rendering import page as viewing
from heatmap.rendering import page_data as viewdata
from heatmap.rendering import page_tiles as viewtiles
from heatmap.rendering.page import page_data, page_files
from heatmap.rendering.page_data import score_data, thinned
from tests.support.pages import CAT, CLASSES, PHOTO_HW, find, make_grid, origin

HOSTILE = "<img src=x onerror=alert(1)></script><!--$title.png"
MISSING = (slice(0, 4), slice(0, 3))


def make_photo(path: str = "", hw: tuple[int, int] = PHOTO_HW) -> Photo:
    resized = cv2.resize(skimage.data.chelsea(), hw[::-1], interpolation=cv2.INTER_AREA)
    return Photo(resized, path)


def make_file(path: Path, hw: tuple[int, int] = PHOTO_HW) -> PhotoFile:
    tifffile.imwrite(path, make_photo(hw=hw).pixels, tile=(128, 128), photometric="rgb")
    return PhotoFile(path)


def unpacked(array: dict, *shape: int) -> np.ndarray:
    content = base64.b64decode(array["base64"])
    return np.frombuffer(content, np.dtype(array["dtype"]).newbyteorder("<")).reshape(shape)


def probabilities(array: dict, *shape: int) -> np.ndarray:
    steps = unpacked(array, *shape).astype(np.float64)
    return np.where(steps == 65535, np.nan, steps / 65534)


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text of those without elements."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.closed = True
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        self.texts.append("")
        self.closed = False

    def handle_endtag(self, tag):
        self.closed = True

    def handle_data(self, data):
        if not self.closed:
            self.texts[-1] += data

    def of(self, tag: str) -> list[tuple[dict, str]]:
        pairs = zip(self.found, self.texts, strict=True)
        return [(attributes, text) for (name, attributes), text in pairs if name == tag]


def written(folder: Path, photo=None, grid=None, found=(), **options) -> Elements:
    photo, grid = photo or make_photo(), grid or make_grid()
    files = page_files(photo, grid, found, **options)
    write_all({folder / f"page{suffix}": write for suffix, write in files.items()})
    return Elements((folder / "page.html").read_text("utf-8"))


def data_of(page: Elements) -> dict:
    [text] = [text for attributes, text in page.of("script") if attributes.get("id") == "data"]
    return json.loads(text)


def which(label: str) -> int:
    """The class that the page calls so: "crane (3)" is the fourth."""
    name, _, index = label.partition(" (")
    return int(index.rstrip(")")) if index else CLASSES.names.index(name)


@pytest.mark.parametrize("missing", [None, MISSING, (slice(None), slice(None))])
def test_maps_are_the_grids_probabilities(missing):
    grid = make_grid(missing=missing)
    data = score_data(grid, [find(grid, CAT)])
    names = [one["name"] for one in data["maps"]]
    maps = probabilities(data["probabilities"], len(names), *grid.geometry.grid_hw)
    np.testing.assert_allclose(maps[0], grid.class_map(CAT), atol=1e-5)
    np.testing.assert_allclose(maps[1], grid.class_map(which(names[1])), atol=1e-5)
    peaks = [np.nan_to_num(values).max() for values in maps]
    np.testing.assert_allclose([one["peak"] for one in data["maps"]], peaks, atol=1e-5)


@pytest.mark.parametrize("missing", [None, MISSING])
def test_strongest_are_those_a_full_sort_puts_first(missing):
    grid = make_grid(missing=missing)
    data = score_data(grid, [])["strongest"]
    shape = (*grid.geometry.grid_hw, 5)
    classes = np.array([which(name) for name in data["names"]])
    given = probabilities(data["probabilities"], *shape)
    expected = np.sort(grid.probabilities(), axis=2)[:, :, ::-1]
    np.testing.assert_allclose(given, expected[:, :, :5], atol=1e-5)
    scored = ~np.isnan(given[:, :, 0])
    best = classes[unpacked(data["classes"], *shape)[:, :, 0]]
    np.testing.assert_array_equal(best[scored], grid.best()[0][scored])


def test_fewer_classes_than_five_are_all_named():
    few = make_grid()
    grid = ScoreGrid(few.scores[:, :, :2], few.geometry, ClassList(("a", "b")), "logits", origin())
    data = score_data(grid, [])["strongest"]
    assert (data["count"], data["names"], data["maps"]) == (2, ["a", "b"], [0, 1])


def test_found_come_first_with_their_counts_then_the_highest():
    grid = make_grid()
    cup = grid.classes.find("cup")
    found = [find(grid, cup, 0.4), find(grid, CAT, 0.9), find(grid, cup, 0.6)]
    data = score_data(grid, found)
    assert [(one["name"], one["detections"]) for one in data["maps"][:2]] == [
        ("cat", 1),
        ("cup", 2),
    ]
    rest = [one["peak"] for one in data["maps"][2:]]
    assert rest == sorted(rest, reverse=True)
    assert [(one["name"], one["map"]) for one in data["detections"]] == [
        ("cat", 0),
        ("cup", 1),
        ("cup", 1),
    ]
    assert [one["confidence"] for one in data["detections"]] == [0.9, 0.6, 0.4]
    np.testing.assert_allclose(data["detections"][0]["xyxy"], found[1].xyxy, atol=0.01)
    np.testing.assert_allclose(
        data["detections"][0]["window_xyxy"], found[1].window_xyxy, atol=0.01
    )


@pytest.mark.parametrize("missing", [None, MISSING])
def test_small_grid_carries_every_class_that_reaches_one_per_cent(missing):
    grid = make_grid(missing=missing)
    highest = np.nanmax(grid.probabilities(), axis=(0, 1))
    assert highest[-1] < 0.01 < highest[:-1].min()
    assert len(score_data(grid, [])["maps"]) == len(CLASSES) - 1


def test_some_classes_are_carried_though_none_reaches_that(monkeypatch):
    monkeypatch.setattr(viewdata, "MIN_PEAK", 1.1)
    assert len(score_data(make_grid(), [])["maps"]) == viewdata.FEWEST_MAPS


def test_maps_keep_to_their_bytes_and_the_found_stay(monkeypatch):
    grid = make_grid()
    monkeypatch.setattr(viewdata, "MAPS_BYTES", 2 * grid.scored.size * 3 + 1)
    dust, cup = grid.classes.find("dust"), grid.classes.find("cup")
    found = [find(grid, dust, 0.5), find(grid, cup, 0.4)]
    data = score_data(grid, found)
    assert [one["name"] for one in data["maps"]][:2] == ["dust", "cup"]
    assert len(data["maps"]) == 3
    monkeypatch.setattr(viewdata, "MAPS_BYTES", 1)
    data = score_data(grid, found)
    assert [one["map"] for one in data["detections"]] == [0, None]


def test_classes_of_one_name_are_told_apart():
    names = [one["name"] for one in score_data(make_grid(), [])["maps"]]
    assert {"crane (2)", "crane (3)"} < set(names)
    group = CAT.__class__("cup", (4, 5))
    grid = make_grid()
    doubled = ClassList(CLASSES.names, groups=(group,))
    grid = ScoreGrid(grid.scores, grid.geometry, doubled, "logits", origin())
    names = [one["name"] for one in score_data(grid, [find(grid, group)])["maps"]]
    assert names[0] == "cup (2 classes)"
    assert "cup (5)" in names


def test_too_many_windows_are_thinned_and_stay_where_they_are(monkeypatch):
    grid = make_grid()
    rows, columns = grid.geometry.grid_hw
    monkeypatch.setattr(viewdata, "MAX_CELLS", rows * columns // 5)
    shown, step = thinned(grid)
    assert step == 3
    assert shown.scored.size <= rows * columns // 5
    np.testing.assert_array_equal(shown.scores, grid.scores[::3, ::3])
    last = (shown.geometry.grid_hw[0] - 1, shown.geometry.grid_hw[1] - 1)
    full = grid.geometry.window_xyxy(last[0] * 3, last[1] * 3)
    assert shown.geometry.window_xyxy(*last) == pytest.approx(full)
    about = dict(page_data(make_photo(), grid, [], title="", stem="")["about"])
    assert about["Shown"] == "one in 3 rows and columns of windows"


def test_a_grid_that_fits_is_shown_whole():
    grid = make_grid()
    assert thinned(grid) == (grid, 1)


def test_hostile_names_stay_text(tmp_path):
    hostile = ClassList((HOSTILE, *CLASSES.names[1:]))
    grid = make_grid(
        origin=origin(model=HOSTILE, weights=Weights("own", HOSTILE, ""), photo=HOSTILE)
    )
    grid = ScoreGrid(grid.scores, grid.geometry, hostile, "logits", grid.origin)
    found = [find(grid, hostile.single(0))]
    page = written(tmp_path, make_photo(f"some/{HOSTILE}"), grid, found)
    tags = [tag for tag, _ in page.found]
    assert "img" not in tags
    assert tags.count("script") == 2
    assert page.of("title")[0][1] == "script><!--$title.png"  # of the path, the last part
    data = data_of(page)
    assert data["detections"][0]["name"] == HOSTILE
    assert dict(data["about"])["Photo"] == f"some/{HOSTILE}"


def test_title_given_goes_before_the_files_name(tmp_path):
    assert written(tmp_path, make_photo("a/cat.jpg")).of("title")[0][1] == "cat.jpg"
    page = written(tmp_path, make_photo("a/cat.jpg"), title="Cats & dogs")
    assert page.of("title")[0][1] == data_of(page)["title"] == "Cats & dogs"
    assert written(tmp_path).of("title")[0][1] == "photo"


def test_name_that_is_not_utf8_does_no_harm(tmp_path):
    page = written(tmp_path, make_photo(os.fsdecode(b"caf\xe9.png")))
    assert data_of(page)["title"] == os.fsdecode(b"caf\xe9.png")
    assert page.of("title")[0][1] == "caf?.png"


def test_policy_allows_the_pages_own_script_and_style_only(tmp_path):
    page = written(tmp_path)
    [policy] = [
        attributes["content"]
        for attributes, _ in page.of("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    [script] = [text for attributes, text in page.of("script") if attributes["type"] == "module"]
    [(_, style)] = page.of("style")
    for name, text in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[name] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"


def test_nothing_in_the_page_points_elsewhere(tmp_path):
    page = written(tmp_path)
    links = [value for _, attributes in page.found for value in attributes.values() if value]
    assert not [value for value in links if "//" in value]
    assert [attributes["href"] for attributes, _ in page.of("link")] == ["data:,"]


def picture_of(data: dict) -> tuple[str, np.ndarray]:
    kind, content = data["photo"]["image"].split(";base64,")
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
    return kind, decoded[:, :, ::-1]


def test_small_photo_is_embedded_without_loss_and_a_larger_one_as_jpeg(monkeypatch):
    photo = make_photo()
    kind, pixels = picture_of(page_data(photo, make_grid(), [], title="", stem=""))
    assert kind == "data:image/png"
    np.testing.assert_array_equal(pixels, photo.pixels)
    monkeypatch.setattr(viewing, "LOSSLESS_PX", 1000)
    kind, pixels = picture_of(page_data(photo, make_grid(), [], title="", stem=""))
    assert kind == "data:image/jpeg"
    assert np.abs(pixels.astype(int) - photo.pixels).mean() < 4


def test_photo_longer_than_jpeg_allows_is_embedded_as_png(monkeypatch):
    monkeypatch.setattr(viewing, "LOSSLESS_PX", 1000)
    grid = make_grid((4, 70_000))
    photo = Photo(np.zeros((4, 70_000, 3), np.uint8))
    assert page_data(photo, grid, [], title="", stem="")["photo"]["image"].startswith(
        "data:image/png"
    )


def test_photo_of_another_size_is_refused():
    with pytest.raises(ResultError, match="photo is 100 x 200 px, the scored one was 420 x 300"):
        page_files(make_photo(hw=(200, 100)), make_grid(), [])


def test_settings_say_what_made_the_scores():
    data = page_data(make_photo("a/cat.jpg"), make_grid(scale=0.5), [], title="", stem="")
    rows, columns = make_grid(scale=0.5).geometry.grid_hw
    assert data["settings"] == (
        f"vgg16 · weights: default (ImageNet) · {rows} rows × {columns} columns of windows, "
        "64 px wide · scale 0.5"
    )
    about = dict(data["about"])
    assert about["Windows"] == "each sees 128 px of the photo, one every 32 px"
    assert about["Size"] == "420 × 300 px"
    assert data["warnings"] == []


def test_several_scales_are_named_with_how_they_were_fused():
    fused = make_grid(origin=origin(scales=(0.5, 1.0, 2.0), fuse="mean"))
    data = page_data(make_photo(), fused, [], title="", stem="")
    assert data["settings"].endswith(" · scales 0.5, 1, 2 (mean)")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"weights": Weights("random", "random (seed 0)", "")},
            ["Random weights: this means nothing."],
        ),
        (
            {"sliding": "inexact"},
            ["Inexact: each score depends on what else is in the photo."],
        ),
        ({"sliding": "inexact", "engine": "crop"}, []),
    ],
)
def test_what_a_reader_must_know_is_said(changes, expected):
    data = page_data(make_photo(), make_grid(origin=origin(**changes)), [], title="", stem="")
    assert data["warnings"] == expected


def test_windows_not_scored_are_counted():
    about = dict(
        page_data(make_photo(), make_grid(missing=MISSING), [], title="", stem="")["about"]
    )
    assert about["Not scored"] == f"12 of {make_grid().scored.size} windows"


@pytest.mark.parametrize("hw", [(700, 1100), (1024, 513), (512, 512), (3, 1025)])
def test_tiles_are_the_photo_at_every_level(tmp_path, hw):
    photo = make_file(tmp_path / "photo.tif", hw)
    viewtiles.write_tiles(tmp_path / "tiles", photo)
    levels = viewtiles.tile_levels(hw)
    root = tmp_path / "tiles" / "levels"
    assert sorted(path.name for path in root.iterdir()) == [str(level) for level in range(levels)]
    pixels = make_photo(hw=hw).pixels.astype(float)
    for level in range(levels):
        joined = join(root / str(level))
        assert joined.shape[:2] == (-(-hw[0] // 2**level), -(-hw[1] // 2**level))
        assert np.abs(joined - pixels).mean() < 3
        pixels = halved(pixels)
    assert max(join(root / str(levels - 1)).shape) <= viewtiles.PAGE_TILE_PX


def halved(pixels: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels, the last row and column twice where they are odd ones."""
    height, width = pixels.shape[:2]
    even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, 3).mean(axis=(1, 3))


def join(folder: Path) -> np.ndarray:
    """The tiles of a level as one picture."""
    tiles = {tuple(map(int, path.stem.split("_"))): path for path in folder.iterdir()}
    columns, rows = (max(place[axis] for place in tiles) + 1 for axis in (0, 1))
    assert len(tiles) == columns * rows
    picture = [
        np.hstack([cv2.imread(str(tiles[column, row])) for column in range(columns)])
        for row in range(rows)
    ]
    return np.vstack(picture)[:, :, ::-1]


def test_the_file_is_gone_through_once_for_its_tiles(tmp_path, monkeypatch):
    photo = make_file(tmp_path / "photo.tif")
    passes = []
    strips = PhotoFile.strips
    monkeypatch.setattr(
        PhotoFile, "strips", lambda self, *rest: passes.append(rest) or strips(self, *rest)
    )
    viewtiles.write_tiles(tmp_path / "tiles", photo)
    assert len(passes) == 1


@pytest.mark.parametrize("stem", ["cat", "50% #1?", "{level} & <b>", os.fsdecode(b"caf\xe9")])
def test_page_points_at_its_tiles_whatever_its_name(tmp_path, stem):
    photo = make_file(tmp_path / "photo.tif")
    files = page_files(photo, make_grid(), [], stem=stem)
    write_all({tmp_path / f"{stem}{suffix}": write for suffix, write in files.items()})
    tiles = data_of(Elements((tmp_path / f"{stem}.html").read_text("utf-8")))["photo"]["tiles"]
    url = tiles["url"]
    for part in ("level", "column", "row"):
        url = url.replace(f"{{{part}}}", "0")
    assert (tmp_path / os.fsdecode(unquote_to_bytes(url))).is_file()
    assert (tiles["tile_px"], tiles["levels"]) == (512, 1)


def test_page_of_a_large_photo_holds_a_preview(tmp_path, monkeypatch):
    monkeypatch.setattr(viewing, "PAGE_PREVIEW_PX", 105)
    data = page_data(make_file(tmp_path / "photo.tif"), make_grid(), [], title="", stem="a")
    _, pixels = picture_of(data)
    assert pixels.shape == (75, 105, 3)
    expected = cv2.resize(make_photo().pixels, (105, 75), interpolation=cv2.INTER_AREA)
    assert np.abs(pixels.astype(int) - expected).mean() < 6


def test_page_of_a_photo_in_memory_has_no_tiles():
    assert list(page_files(make_photo(), make_grid(), [])) == [".html"]


def test_page_and_tiles_replace_earlier_ones(tmp_path):
    photo = make_file(tmp_path / "photo.tif")
    folder = tmp_path / "out"
    written(folder, photo)
    tile = folder / "page.tiles" / "levels" / "0" / "0_0.jpg"
    tile.write_bytes(b"old")
    written(folder, photo)
    assert sorted(path.name for path in folder.iterdir()) == ["page.html", "page.tiles"]
    assert cv2.imread(str(tile)).shape == (*PHOTO_HW, 3)


def test_photo_damaged_further_down_leaves_nothing(tmp_path, monkeypatch):
    photo = make_file(tmp_path / "photo.tif")

    def damaged(self, *_, **__):
        yield np.zeros((32, PHOTO_HW[1], 3), np.uint8)
        raise PhotoError("photo.tif: is cut short")

    monkeypatch.setattr(PhotoFile, "strips", damaged)
    (tmp_path / "out").mkdir()
    with pytest.raises(PhotoError, match="is cut short"):
        write_all({tmp_path / "out" / "a.tiles": page_files(photo, make_grid(), [])[".tiles"]})
    assert list((tmp_path / "out").iterdir()) == []
