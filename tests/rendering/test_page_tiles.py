"""The image pyramid beside the page of a large photo."""

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

import cv2
import numpy as np
import pytest

from heatmap.errors import PhotoError
from heatmap.files import write_all
from heatmap.marks import Mark, mark_of, marked
from heatmap.photo.photo_file import PhotoFile
from heatmap.rendering import page as viewing
from heatmap.rendering import page_tiles as viewtiles
from heatmap.rendering.page import page_data, page_files
from tests.support.pages import (
    PHOTO_HW,
    Elements,
    data_of,
    findings_of,
    make_file,
    make_grid,
    make_photo,
    picture_of,
    written,
)


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
    files = page_files(photo, findings_of(make_grid()), stem=stem)
    write_all({tmp_path / f"{stem}{suffix}": write for suffix, write in files.items()})
    tiles = data_of(Elements((tmp_path / f"{stem}.html").read_text("utf-8")))["photo"]["tiles"]
    url = tiles["url"]
    for part in ("level", "column", "row"):
        url = url.replace(f"{{{part}}}", "0")
    assert (tmp_path / os.fsdecode(unquote_to_bytes(url))).is_file()
    assert (tiles["tile_px"], tiles["levels"]) == (512, 1)


def test_page_of_a_large_photo_holds_a_preview(tmp_path, monkeypatch):
    monkeypatch.setattr(viewing, "PAGE_PREVIEW_PX", 105)
    photo = make_file(tmp_path / "photo.tif")
    data = page_data(photo, findings_of(make_grid()), None, title="", stem="a")
    _, pixels = picture_of(data)
    assert pixels.shape == (75, 105, 3)
    expected = cv2.resize(make_photo().pixels, (105, 75), interpolation=cv2.INTER_AREA)
    assert np.abs(pixels.astype(int) - expected).mean() < 6


def test_page_of_a_photo_in_memory_has_no_tiles():
    assert list(page_files(make_photo(), findings_of(make_grid()))) == [".html"]


def test_page_and_tiles_replace_earlier_ones(tmp_path):
    photo = make_file(tmp_path / "photo.tif")
    folder = tmp_path / "out"
    written(folder, photo)
    tile = folder / "page.tiles" / "levels" / "0" / "0_0.jpg"
    assert mark_of(tile) == Mark()
    tile.write_bytes(marked(cv2.imencode(".jpg", np.zeros((9, 9, 3), np.uint8))[1].tobytes()))
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
    files = page_files(photo, findings_of(make_grid()))
    with pytest.raises(PhotoError, match="is cut short"):
        write_all({tmp_path / "out" / "a.tiles": files[".tiles"]})
    assert list((tmp_path / "out").iterdir()) == []
