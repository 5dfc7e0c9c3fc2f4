"""Photos decoded at a part of their size, against the whole photo resized."""

import cv2
import numpy as np
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st

from heatmap.errors import PhotoError
from heatmap.photo import photo_file, reduced
from heatmap.photo.photo import Photo, read_photo
from heatmap.photo.photo_file import PhotoFile
from heatmap.photo.reading import Reading
from heatmap.photo.reduced import (
    ReducedPhoto,
    decoded_hw,
    denominator_for,
    open_photo,
    reduced_photo,
    whole_of,
)

# Whole at each denominator; of other sizes decoders leave out what is left over.
HW = (304, 208)
sides = st.integers(1, 10**5)


def smooth(hw=HW) -> np.ndarray:
    """Slow waves: what any good reduction keeps."""
    y, x = np.ogrid[: hw[0], : hw[1]]
    waves = [np.sin(x / 17 + phase) + np.cos(y / 23 - phase) for phase in (0, 1, 2)]
    return np.uint8(127 + 50 * np.dstack(waves))


def image(hw=HW) -> pyvips.Image:
    return pyvips.Image.new_from_array(smooth(hw)).copy(interpretation="srgb")


def turned(path) -> None:
    sideways = image().rot270().copy()
    sideways.set_type(pyvips.GValue.gint_type, "orientation", 6)
    sideways.jpegsave(str(path), Q=95)


FILES = {
    "a.jpg": lambda path, hw=HW: image(hw).jpegsave(str(path), Q=95),
    "progressive.jpg": lambda path, hw=HW: image(hw).jpegsave(str(path), Q=95, interlace=True),
    "turned.jpg": turned,
    "grey.jpg": lambda path, hw=HW: image(hw)[0].jpegsave(str(path), Q=95),
    "a.png": lambda path, hw=HW: image(hw).pngsave(str(path)),
    "clear.png": lambda path, hw=HW: image(hw).bandjoin(255).pngsave(str(path)),
    "a.webp": lambda path, hw=HW: image(hw).webpsave(str(path), lossless=True),
    "strips.tif": lambda path, hw=HW: image(hw).tiffsave(str(path)),
    "pages.tif": lambda path, hw=HW: image(hw).tiffsave(
        str(path), tile=True, tile_width=32, tile_height=32, pyramid=True
    ),
    "below.tif": lambda path, hw=HW: image(hw).tiffsave(
        str(path), tile=True, tile_width=32, tile_height=32, pyramid=True, subifd=True
    ),
}


@pytest.mark.few(13)
@pytest.mark.parametrize("denominator", [2, 4, 8, 16])
@pytest.mark.parametrize("name", FILES)
def test_what_is_decoded_is_the_whole_photo_made_smaller(tmp_path, name, denominator):
    path = tmp_path / name
    FILES[name](path)
    photo, whole = reduced_photo(path, denominator), read_photo(path)
    assert (photo.hw, photo.path) == (HW, str(path))
    assert (photo.notes, photo.digest) == (whole.notes, whole.digest)
    height, width = photo.level.hw
    assert (height, width) == (HW[0] // denominator, HW[1] // denominator)
    expected = cv2.resize(whole.pixels, (width, height), interpolation=cv2.INTER_AREA)
    difference = np.abs(photo.level.pixels.astype(int) - expected)
    assert difference.mean() < 1.5


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "pages.tif"])
def test_less_than_a_decoded_pixel_is_left_out(tmp_path, name, monkeypatch):
    hw = (301, 203)
    FILES[name](tmp_path / name, hw)
    for denominator in (2, 4, 8):
        photo = reduced_photo(tmp_path / name, denominator)
        assert photo.hw == hw
        for decoded, side in zip(photo.level.hw, hw, strict=True):
            assert abs(decoded - side / denominator) < 1


def test_results_say_how_it_was_decoded(tmp_path):
    for name, how in (
        ("a.jpg", "the JPEG decoder"),
        ("pages.tif", "the file's own pyramid"),
        ("below.tif", "the file's own pyramid"),
        ("strips.tif", "averaging"),
        ("a.png", "averaging"),
    ):
        FILES[name](tmp_path / name)
        photo = reduced_photo(tmp_path / name, 2)
        assert photo.decoded == f"at 1/2 of its size, by {how}"
        assert photo.denominator == 2
    assert read_photo(tmp_path / "a.jpg").decoded == "whole"


def test_frames_that_are_no_pyramid_are_no_levels(tmp_path):
    path = tmp_path / "frames.tif"
    tall = pyvips.Image.arrayjoin([image((100, 100)), image((100, 100)).invert()], across=1)
    tall.tiffsave(str(path), page_height=100)
    photo = reduced_photo(path, 2)
    assert photo.notes == read_photo(path).notes == ("first of 2 frames",)
    assert photo.decoded == "at 1/2 of its size, by averaging"
    assert photo.level.hw == (50, 50)


def test_levels_of_a_pyramid_are_not_told_as_frames(tmp_path):
    FILES["pages.tif"](tmp_path / "a.tif")
    assert read_photo(tmp_path / "a.tif").notes == PhotoFile(tmp_path / "a.tif").notes == ()


@given(hw=st.tuples(sides, sides), needed=st.tuples(sides, sides))
def test_as_much_is_decoded_as_is_needed_and_less_than_twice(hw, needed):
    denominator = denominator_for(hw, needed)
    assert denominator & (denominator - 1) == 0
    if denominator > 1:
        assert all(side // denominator >= need for side, need in zip(hw, needed, strict=True))
        assert (hw[0] // denominator) * (hw[1] // denominator) <= photo_file.LARGE_PX
    assert any(side // (2 * denominator) < need for side, need in zip(hw, needed, strict=True)) or (
        denominator == 1
    )


@given(scaled=st.lists(st.tuples(sides, sides), max_size=4), drawn=st.tuples(sides, sides))
def test_twice_the_scored_size_and_the_drawn_size_are_needed(scaled, drawn):
    for axis in range(2):
        needs = [drawn[axis], *(2 * hw[axis] for hw in scaled)]
        assert decoded_hw(scaled, drawn)[axis] == max(needs)


def test_only_files_of_which_less_is_needed_are_reduced(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    FILES["a.jpg"](path)
    assert isinstance(open_photo(path), Photo)
    assert isinstance(open_photo(path, HW), Photo)
    photo = open_photo(str(path), (HW[0] // 4, HW[1] // 4))
    assert isinstance(photo, ReducedPhoto)
    assert photo.denominator == 4
    assert open_photo(photo, HW) is photo
    assert isinstance(open_photo(smooth(), (10, 10)), Photo)
    # Even a quarter would be too large for memory.
    monkeypatch.setattr(photo_file, "LARGE_PX", 1000)
    assert isinstance(open_photo(path, (HW[0] // 4, HW[1] // 4)), PhotoFile)


def test_the_whole_is_read_only_where_more_is_asked_for(tmp_path, monkeypatch):
    FILES["a.jpg"](tmp_path / "a.jpg")
    photo = reduced_photo(tmp_path / "a.jpg", 2)
    opened = []
    monkeypatch.setattr(
        reduced, "open_whole", lambda path, *_: opened.append(path) or read_photo(path)
    )
    small_hw = (photo.level.hw[0] // 2, photo.level.hw[1] // 2)
    small = np.concatenate(list(photo.strips(7, scaled_hw=small_hw)))
    np.testing.assert_array_equal(
        small, np.concatenate(list(photo.level.strips(scaled_hw=small_hw)))
    )
    assert not opened
    rows = np.concatenate(list(photo.strips(16, first=20, columns=(3, 90))))
    whole = read_photo(tmp_path / "a.jpg").pixels
    np.testing.assert_array_equal(rows, whole[20:, 3:90])
    np.testing.assert_array_equal(whole_of(photo).pixels, whole)
    assert len(opened) == 1
    assert whole_of(read_photo(whole)).pixels is not None


@pytest.mark.parametrize("name", ["a.jpg", "progressive.jpg", "a.png"])
def test_damage_is_told_at_once(tmp_path, name):
    path = tmp_path / name
    FILES[name](path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(PhotoError, match=f"{name}: is cut short, damaged or an"):
        reduced_photo(path, 4, reading=Reading(damaged="refuse"))


def test_a_photo_that_must_be_kept_and_is_large_is_kept_on_disk(tmp_path, monkeypatch):
    FILES["clear.png"](tmp_path / "a.png")
    small = reduced_photo(tmp_path / "a.png", 4).level.pixels
    kept = []
    on_disk = photo_file._on_disk
    monkeypatch.setattr(photo_file, "_on_disk", lambda image: kept.append(1) or on_disk(image))
    monkeypatch.setattr(photo_file, "LARGE_PX", 1000)
    np.testing.assert_array_equal(reduced_photo(tmp_path / "a.png", 4).level.pixels, small)
    assert kept
