"""Where the windows lie."""

import math
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.errors import GeometryError
from heatmap.geometry import BORDERS, Placement, length_of_windows, plan_grid, whole_windows

properties = settings(max_examples=80)
sides = st.integers(1, 400)


@st.composite
def plans(draw, border):
    """A photo's height and width, a placement and sizes for which windows overlap or touch."""
    window = draw(st.integers(1, 64))
    native = draw(st.integers(1, window))
    stride = draw(st.sampled_from([n for n in range(1, native + 1) if native % n == 0]))
    least = window if border == "valid" else 1
    photo_hw = (draw(st.integers(least, 300)), draw(st.integers(least, 300)))
    placement = Placement(stride=stride, border=border)
    return photo_hw, placement, {"window": window, "native_stride": native}


@properties
@given(window=st.integers(1, 64), stride=st.integers(1, 80), more=st.integers(0, 300))
def test_whole_windows_are_all_that_lie_inside(window, stride, more):
    length = window + more
    starts = [start for start in range(0, length, stride) if start + window <= length]
    count = whole_windows(length, window, stride)
    assert count == len(starts)
    assert length_of_windows(count, window, stride) == starts[-1] + window


def test_vgg16_at_400_px_has_6_by_6_cells():
    geometry = plan_grid((400, 400), Placement(border="valid"), window=224, native_stride=32)
    assert geometry.grid_hw == (6, 6)
    assert geometry.origin_yx == (0, 0)
    assert geometry.window_xyxy(5, 5) == (160, 160, 384, 384)
    assert geometry.centre_xy(5, 0) == (112, 272)
    assert geometry.margins_tblr == (0, -16, 0, -16)


def test_cover_extends_evenly_to_the_next_whole_grid():
    geometry = plan_grid((300, 451), window=224, native_stride=32)
    assert geometry.grid_hw == (4, 9)
    assert geometry.extended_hw == (320, 480)
    assert geometry.origin_yx == (-10, -14)
    assert geometry.margins_tblr == (10, 10, 14, 15)


def test_a_photo_smaller_than_the_window_is_one_window():
    geometry = plan_grid((50, 80), window=224, native_stride=32)
    assert geometry.grid_hw == (1, 1)
    assert geometry.margins_tblr == (87, 87, 72, 72)
    assert geometry.coverage().item() == pytest.approx(50 / 224 * 80 / 224)


@properties
@given(plan=plans("valid"))
def test_valid_windows_lie_inside_and_no_further_one_fits(plan):
    photo_hw, placement, sizes = plan
    geometry = plan_grid(photo_hw, placement, **sizes)
    left, top, _, _ = geometry.window_xyxy(0, 0)
    assert (left, top) == (0, 0)
    _, _, right, bottom = geometry.window_xyxy(*(cells - 1 for cells in geometry.grid_hw))
    for end, length in ((bottom, photo_hw[0]), (right, photo_hw[1])):
        assert end <= length < end + geometry.stride_px
    assert (geometry.coverage() == 1).all()


@properties
@given(plan=plans("cover"))
def test_cover_puts_every_pixel_into_a_window_and_extends_both_sides_alike(plan):
    photo_hw, placement, sizes = plan
    geometry = plan_grid(photo_hw, placement, **sizes)
    top, bottom, left, right = geometry.margins_tblr
    assert 0 <= bottom - top <= 1
    assert 0 <= right - left <= 1
    for axis in (0, 1):
        seen = np.zeros(photo_hw[axis], bool)
        for cell in range(geometry.grid_hw[axis]):
            x0, y0, x1, y1 = geometry.window_xyxy(cell, cell)
            start, end = ((y0, y1), (x0, x1))[axis]
            seen[max(0, int(start)) : max(0, int(end))] = True
        assert seen.all()


@properties
@given(plan=plans("cover"))
def test_a_finer_stride_keeps_the_native_cells_where_they_were(plan):
    photo_hw, placement, sizes = plan
    fine = plan_grid(photo_hw, placement, **sizes)
    native = plan_grid(photo_hw, replace(placement, stride=None), **sizes)
    times = sizes["native_stride"] // placement.stride
    assert fine.grid_hw == tuple((cells - 1) * times + 1 for cells in native.grid_hw)
    assert fine.extended_hw == native.extended_hw
    row, column = native.grid_hw[0] - 1, native.grid_hw[1] - 1
    assert fine.window_xyxy(row * times, column * times) == native.window_xyxy(row, column)


def test_a_stride_that_does_not_divide_the_native_one_covers_too():
    geometry = plan_grid((300, 300), Placement(stride=20), window=224, native_stride=32)
    assert geometry.grid_hw == (5, 5)
    assert geometry.margins_tblr == (2, 2, 2, 2)


@properties
@given(
    photo_hw=st.tuples(sides, sides),
    scale=st.floats(0.3, 5),
    cell=st.tuples(st.floats(-3, 30), st.floats(-3, 30)),
)
def test_cell_at_undoes_centre_xy(photo_hw, scale, cell):
    geometry = plan_grid(photo_hw, Placement(scale=scale), window=64, native_stride=16)
    assert geometry.cell_at(*geometry.centre_xy(*cell)) == pytest.approx(cell, abs=1e-6)


def test_the_scale_is_that_of_the_rounded_size():
    geometry = plan_grid((101, 50), Placement(scale=0.5), window=32, native_stride=8)
    assert geometry.scaled_hw == (50, 25)
    assert geometry.scale_yx == (50 / 101, 0.5)
    x0, y0, x1, y1 = geometry.window_xyxy(1, 1)
    assert x1 - x0 == pytest.approx(64)
    assert y1 - y0 == pytest.approx(32 * 101 / 50)
    assert geometry.centre_xy(1, 1) == pytest.approx(((x0 + x1) / 2, (y0 + y1) / 2))


def test_an_odd_window_is_centred_on_the_middle_of_a_pixel():
    geometry = plan_grid((9, 12), Placement(border="valid"), window=5, native_stride=2)
    assert geometry.centre_xy(1, 2) == (6.5, 4.5)


def test_a_scale_never_makes_a_photo_vanish():
    assert plan_grid((3, 900), Placement(scale=0.01), window=8, native_stride=4).scaled_hw == (1, 9)


@properties
@given(
    photo_hw=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    window=st.integers(1, 20),
    native=st.integers(1, 50),
)
def test_coverage_is_the_share_of_each_window_that_is_photo(photo_hw, window, native):
    geometry = plan_grid(photo_hw, window=window, native_stride=native)
    top, bottom, left, right = geometry.margins_tblr
    real = np.pad(np.ones(photo_hw), ((top, bottom), (left, right)))
    counted = np.lib.stride_tricks.sliding_window_view(real, (window, window))
    expected = counted[::native, ::native].mean(axis=(2, 3))
    assert geometry.coverage().dtype == np.float32
    np.testing.assert_allclose(geometry.coverage(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"window": 0}, "window is 0 px: it must be at least 1"),
        ({"native_stride": 0}, "native stride is 0 px"),
        (Placement(stride=-4), "stride is -4 px"),
        (Placement(scale=0.0), "scale is 0:"),
        (Placement(scale=math.nan), "scale is nan:"),
        (Placement(scale=math.inf), "scale is inf:"),
        (Placement(scale=1e308), r"scale is 1e\+308:"),
        (Placement(border="mirror"), "border is 'mirror': choose one of cover, valid"),
    ],
)
def test_numbers_out_of_range_are_refused(given, message):
    placement, sizes = (given, {}) if isinstance(given, Placement) else (Placement(), given)
    with pytest.raises(GeometryError, match=message):
        plan_grid((300, 300), placement, **({"window": 224, "native_stride": 32} | sizes))


def test_no_window_fits_names_both_numbers_and_a_scale_that_does():
    with pytest.raises(GeometryError) as caught:
        plan_grid((180, 240), Placement(border="valid"), window=224, native_stride=32)
    assert str(caught.value) == (
        "photo is 240 x 180 px, the window is 224 px: use border='cover' or scale=1.3"
    )
    assert plan_grid(
        (180, 240), Placement(border="valid", scale=1.3), window=224, native_stride=32
    ).grid_hw == (1, 3)
    with pytest.raises(GeometryError, match=r"\(150 x 150 px at scale 0\.5\).*scale=0\.8"):
        plan_grid((300, 300), Placement(border="valid", scale=0.5), window=224, native_stride=32)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stride": "auto"}, "stride is 'auto': give a whole number of px"),
        ({"stride": 32.0}, r"stride is 32\.0: give a whole number of px"),
        ({"scale": "photo"}, "scale is 'photo': give a number above 0"),
    ],
)
def test_what_is_no_number_is_refused_where_it_is_given(values, message):
    with pytest.raises(GeometryError, match=message):
        Placement(**values)


@pytest.mark.parametrize("border", BORDERS)
def test_a_geometry_cannot_be_changed(border):
    geometry = plan_grid((300, 300), Placement(border=border), window=224, native_stride=32)
    assert geometry == replace(geometry)
    with pytest.raises(FrozenInstanceError):
        geometry.stride_px = 16
