"""Photos as the windows see them: the same values whatever strips and columns are asked for."""

import threading
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from heatmap.errors import GeometryError, PhotoError
from heatmap.geometry import BORDERS, Geometry, Placement, plan_grid
from heatmap.photo.extended import ExtendedRows, extend, reflected
from heatmap.photo.photo import Photo
from heatmap.photo.photo_file import PhotoFile
from heatmap.photo.reading import Reading


def noise(*shape: int) -> np.ndarray:
    """The same random values at each call."""
    return np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)


def largest_difference(first: np.ndarray, second: np.ndarray) -> int:
    assert first.shape == second.shape
    return int(np.abs(first.astype(int) - second).max())


# The whole of it.


def walked(length: int, before: int, after: int) -> np.ndarray:
    """Indices along one axis, walked one step at a time, turning round at either end."""

    def walk(position: int, step: int, steps: int) -> list[int]:
        visited = []
        for _ in range(steps):
            if not 0 <= position + step < length:
                step = -step
            position += step if length > 1 else 0
            visited.append(position)
        return visited

    inside = list(range(length))
    return np.array(walk(0, -1, before)[::-1] + inside + walk(length - 1, 1, after))


@settings(max_examples=200)
@given(length=st.integers(1, 9), before=st.integers(0, 40), after=st.integers(0, 40))
def test_reflection_turns_round_at_either_end(length, before, after):
    indices = reflected(-before, length + after, length)
    np.testing.assert_array_equal(indices, walked(length, before, after))
    np.testing.assert_array_equal(indices, np.pad(np.arange(length), (before, after), "reflect"))


@settings(max_examples=100)
@given(
    hw=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    window=st.integers(1, 60),
    native=st.integers(1, 24),
    border=st.sampled_from(BORDERS),
)
def test_extend_extends_and_cuts_as_the_geometry_says(hw, window, native, border):
    window = min(window, *hw) if border == "valid" else window
    geometry = plan_grid(hw, Placement(border=border), window=window, native_stride=native)
    pixels = noise(*hw, 3)
    pixels.flags.writeable = False
    extended = extend(pixels, geometry)
    top, bottom, left, right = geometry.margins_tblr
    rows = walked(hw[0], max(top, 0), max(bottom, 0))[: geometry.extended_hw[0]]
    columns = walked(hw[1], max(left, 0), max(right, 0))[: geometry.extended_hw[1]]
    np.testing.assert_array_equal(extended, pixels[rows][:, columns])
    by_numpy = np.pad(
        pixels[: hw[0] + min(bottom, 0), : hw[1] + min(right, 0)],
        ((top, max(bottom, 0)), (left, max(right, 0)), (0, 0)),
        mode="reflect",
    )
    np.testing.assert_array_equal(extended, by_numpy)
    assert extended.shape == (*geometry.extended_hw, 3)
    assert extended.flags.c_contiguous
    assert not np.shares_memory(extended, pixels)


def scaled(hw: tuple[int, int], scale: float) -> Geometry:
    """One window wherever it fits, and nothing added: what is left is the resize alone."""
    return plan_grid(hw, Placement(scale=scale, border="valid"), window=1, native_stride=1)


@pytest.mark.parametrize("scale", [0.7, 0.5, 1 / 3, 0.21])
def test_shrinking_is_that_of_pillow(scale):
    """Lanczos over three lobes, with windows as wide as the factor asks for."""
    pixels = cv2.GaussianBlur(noise(90, 120, 3), (5, 5), 0)
    geometry = scaled((90, 120), scale)
    height, width = geometry.scaled_hw
    by_pillow = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
    assert largest_difference(extend(pixels, geometry), np.asarray(by_pillow)) <= 3


def test_shrinking_does_not_alias():
    grating = np.zeros((40, 300, 3), np.uint8)
    grating[:, ::3] = 255  # at a half there are no three columns left for a period
    extended = extend(grating, scaled((40, 300), 0.5))[:, 20:-20].astype(float)
    assert extended.std() < 10 < grating[:, ::2].std()


def test_enlarging_restores_a_smooth_photo_in_its_place():
    y, x = np.mgrid[0:60, 0:90] + 0.5
    smooth = np.stack([128 + 100 * np.sin(y / 9), 128 + 100 * np.cos(x / 11), x + y], axis=2)
    pixels = np.rint(smooth).astype(np.uint8)
    small = extend(pixels, scaled((60, 90), 1 / 3))
    back = extend(small, scaled((20, 30), 3.0))
    # Next to the edge nothing is known of what lies beyond; averaging flattens crests a little.
    assert largest_difference(back[6:-6, 6:-6], pixels[6:-6, 6:-6]) <= 3


@pytest.mark.parametrize("hw", [(1, 1), (1, 40000), (40000, 1)])
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_extreme_shapes_are_resized(hw, scale):
    geometry = plan_grid(hw, Placement(scale=scale), window=8, native_stride=4)
    extended = extend(np.full((*hw, 3), [9, 99, 199], np.uint8), geometry)
    assert largest_difference(extended, np.full((*geometry.extended_hw, 3), [9, 99, 199])) == 0


def test_extend_refuses_a_photo_the_geometry_was_not_planned_for():
    geometry = plan_grid((40, 50), window=8, native_stride=4)
    with pytest.raises(GeometryError, match="photo is 40 x 50 px, the geometry was planned for 50"):
        extend(noise(50, 40, 3), geometry)


# In strips.


def write(path: Path, pixels: np.ndarray, kind: str) -> PhotoFile:
    """A lossless file of the kind, opened."""
    if kind == "in order":
        Image.fromarray(pixels).save(path, "PNG")
    else:
        tifffile.imwrite(path, pixels, tile=(32, 48), photometric="rgb")
    return PhotoFile(path)


@settings(max_examples=80)
@given(data=st.data())
def test_strips_do_not_change_a_value(tmp_path_factory, data):
    hw = data.draw(st.tuples(st.integers(1, 150), st.integers(1, 150)), "hw")
    border = data.draw(st.sampled_from(BORDERS), "border")
    scale = data.draw(st.sampled_from([1.0, 1.0, 0.5, 0.37, 0.9, 1.3, 2.0]), "scale")
    window = data.draw(st.integers(1, 90), "window")
    if border == "valid":
        window = min(window, *(max(1, round(side * scale)) for side in hw))
    native = data.draw(st.integers(1, 40), "native")
    geometry = plan_grid(
        hw, Placement(scale=scale, border=border), window=window, native_stride=native
    )
    height, width = geometry.extended_hw
    starts = sorted(data.draw(st.sets(st.integers(0, height), min_size=2, max_size=6), "starts"))
    columns = sorted(data.draw(st.sets(st.integers(0, width), min_size=2, max_size=2), "columns"))

    pixels = noise(*hw, 3)
    kind = data.draw(st.sampled_from(["memory", "in order", "anywhere"]), "kind")
    path = tmp_path_factory.getbasetemp() / "strips"
    photo = Photo(pixels) if kind == "memory" else write(path, pixels, kind)
    strips = list(ExtendedRows(photo, geometry).strips(starts, tuple(columns)))
    whole = extend(pixels, geometry)
    assert len(strips) == len(starts) - 1
    for strip, (start, stop) in zip(strips, pairwise(starts), strict=True):
        np.testing.assert_array_equal(strip, whole[start:stop, slice(*columns)])


@pytest.mark.few(3)
@pytest.mark.parametrize("scale", [0.3, pytest.param(0.77, marks=pytest.mark.slow), 1.6])
@pytest.mark.parametrize("kind", ["in order", "anywhere"])
def test_strips_of_a_wide_file_do_not_change_a_value(tmp_path, kind, scale):
    """Wider and higher than anything that libvips holds at a time."""
    pixels = noise(1500, 2100, 3)
    photo = write(tmp_path / "a", pixels, kind)
    geometry = plan_grid(photo.hw, Placement(scale=scale), window=224, native_stride=32)
    whole = extend(pixels, geometry)
    height, width = geometry.extended_hw
    for columns in [(0, width), (200, 333)]:
        strips = ExtendedRows(photo, geometry).strips([*range(96, height, 96), height], columns)
        np.testing.assert_array_equal(np.concatenate(list(strips)), whole[96:, slice(*columns)])


def test_rows_of_a_photo_in_memory_are_not_copied():
    photo = Photo(noise(96, 96, 3))
    geometry = plan_grid((96, 96), window=32, native_stride=32)
    strips = list(ExtendedRows(photo, geometry).strips([0, 40, 96], (3, 90)))
    assert all(np.shares_memory(strip, photo.pixels) for strip in strips)


def test_a_photo_on_disk_is_held_in_part(tmp_path):
    photo = write(tmp_path / "a", noise(4000, 16, 3), "in order")
    geometry = plan_grid(photo.hw, window=16, native_stride=16)
    rows = ExtendedRows(photo, geometry).strips(range(0, geometry.extended_hw[0] + 1, 100), (0, 16))
    largest = max(np.prod((strip if strip.base is None else strip.base).shape) for strip in rows)
    assert largest <= 300 * 16 * 3


def test_a_pass_to_the_end_reads_what_is_cut_off_too(tmp_path):
    photo = write(tmp_path / "a", noise(500, 50, 3), "in order")
    content = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(content[:-100])
    # 20 rows are cut at the bottom, and damage is only there.
    geometry = plan_grid(photo.hw, Placement(border="valid"), window=32, native_stride=32)
    damaged = ExtendedRows(PhotoFile(tmp_path / "a", reading=Reading(damaged="refuse")), geometry)
    strips = damaged.strips([0, 256, geometry.extended_hw[0]], (0, 22))
    assert len(next(strips)) == 256
    with pytest.raises(PhotoError, match="is cut short, damaged"):
        for _ in strips:
            pass


# Ahead.


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("heatmap-rows")]


def in_six_strips(photo) -> tuple[ExtendedRows, range]:
    geometry = plan_grid(photo.hw, window=10, native_stride=10)
    return ExtendedRows(photo, geometry), range(0, 61, 10)


class Counting:
    """A photo that counts the rows taken from it, and breaks at one."""

    hw = (60, 10)

    def __init__(self, breaks_at: int = 999) -> None:
        self.taken = 0
        self.more = threading.Event()
        self.breaks_at = breaks_at

    def strips(self, height, *, first, columns, scaled_hw):
        for row in range(first, 60):
            if row == self.breaks_at:
                raise PhotoError("cat.jpg: is cut short")
            self.taken += 1
            if self.taken == 20:
                self.more.set()
            yield np.full((1, 10, 3), row, np.uint8)


def test_the_next_strip_is_made_while_this_one_is_used_and_no_more():
    photo = Counting()
    extended, starts = in_six_strips(photo)
    strips = extended.strips(starts, (0, 10))
    assert photo.taken == 0
    next(strips)
    assert photo.more.wait(timeout=300)
    assert threads() != []
    strips.close()
    assert photo.taken == 20
    assert threads() == []


def test_an_error_in_the_thread_is_the_callers():
    extended, starts = in_six_strips(Counting(breaks_at=35))
    strips = extended.strips(starts, (0, 10))
    assert [int(next(strips)[0, 0, 0]) for _ in range(3)] == [0, 10, 20]
    with pytest.raises(PhotoError, match=r"^cat\.jpg: is cut short$"):
        next(strips)
    assert threads() == []


def test_an_interrupted_caller_leaves_no_thread():
    extended, starts = in_six_strips(Counting())

    def use() -> None:
        for _ in extended.strips(starts, (0, 10)):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use()
    assert threads() == []


def test_damage_further_down_is_told_with_the_files_name(tmp_path):
    path = tmp_path / "cat.png"
    Image.fromarray(noise(600, 50, 3)).save(path)
    path.write_bytes(path.read_bytes()[:60000])
    photo = PhotoFile(path, reading=Reading(damaged="refuse"))
    geometry = plan_grid(photo.hw, window=50, native_stride=10)
    strips = ExtendedRows(photo, geometry).strips([0, 50, 600], (0, 50))
    assert next(strips).shape == (50, 50, 3)
    with pytest.raises(PhotoError, match=r"cat.png: is cut short, damaged"):
        next(strips)
    assert threads() == []
