"""From cells to pixels: where a hot cell lands, and what lies between cells."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.errors import ResultError
from heatmap.geometry import BORDERS, Geometry, Placement, plan_grid
from heatmap.grid.upsample import upsample


@st.composite
def geometries(draw):
    """Any window, stride, scale and border over photos of 1 to 90 px a side."""
    window = draw(st.integers(1, 48))
    native = draw(st.integers(1, 32))
    divisors = [step for step in range(1, native + 1) if native % step == 0]
    border = draw(st.sampled_from(BORDERS))
    scale = draw(st.one_of(st.just(1.0), st.floats(0.2, 4.0)))
    smallest = int(np.ceil((window + 1) / scale)) if border == "valid" else 1
    side = st.integers(smallest, smallest + 90)
    return plan_grid(
        (draw(side), draw(side)),
        Placement(stride=draw(st.sampled_from(divisors)), scale=scale, border=border),
        window=window,
        native_stride=native,
    )


def centres(geometry: Geometry) -> tuple[list[float], list[float]]:
    """Centres of all rows (y) and all columns (x) in photo pixels."""
    rows, columns = geometry.grid_hw
    return (
        [geometry.centre_xy(row, 0)[1] for row in range(rows)],
        [geometry.centre_xy(0, column)[0] for column in range(columns)],
    )


def reference(cells: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Linear interpolation between cell centres, one row and one column at a time."""
    height, width = geometry.photo_hw
    down, across = centres(geometry)
    wide = [np.interp(np.arange(width) + 0.5, across, row) for row in cells.astype(float)]
    return np.transpose(
        [np.interp(np.arange(height) + 0.5, down, column) for column in np.transpose(wide)]
    )


def tolerance(geometry: Geometry) -> float:
    """1e-5, or what float32 positions allow where an axis has more than 80 cells."""
    return max(1e-5, 1.2e-7 * max(geometry.grid_hw))


def distance_to_peak(is_peak: np.ndarray, centre: float, *, outermost: bool) -> float:
    """From a window's centre to the peak's pixel centre, along one axis, in px.

    Past the outermost centres the peak is a plateau of whole pixels, and the
    nearest point of it counts.
    """
    pixels = np.flatnonzero(is_peak) + 0.5
    distances = np.abs(pixels - np.clip(centre, 0.5, len(is_peak) - 0.5))
    return float(distances.min() - 0.5 if outermost else distances.max())


@settings(max_examples=40)
@given(geometry=geometries(), data=st.data())
def test_the_peak_of_one_hot_cell_lies_within_half_a_pixel_of_its_window(geometry, data):
    hot = [data.draw(st.integers(0, cells - 1)) for cells in geometry.grid_hw]
    cells = np.zeros(geometry.grid_hw, np.float32)
    cells[tuple(hot)] = 1
    heat = upsample(cells, geometry)
    centre_x, centre_y = geometry.centre_xy(*hot)
    steps_px = [geometry.stride_px / scale for scale in geometry.scale_yx]
    inside = all(0 <= c <= n for c, n in zip((centre_y, centre_x), heat.shape, strict=True))
    if heat.max() == 0:
        # Nothing of it can be seen: no pixel centre lies within a stride of it.
        assert min(steps_px) < 1 or not inside
        return
    peak = heat == heat.max()
    for axis, centre in enumerate((centre_y, centre_x)):
        if geometry.grid_hw[axis] > 1:
            outermost = hot[axis] in (0, geometry.grid_hw[axis] - 1)
            off_px = distance_to_peak(peak.any(axis=1 - axis), centre, outermost=outermost)
            assert off_px <= 0.5 + 1e-3


@settings(max_examples=25)
@given(geometry=geometries(), seed=st.integers(0, 2**32 - 1))
def test_agrees_with_plain_interpolation_and_stays_within_range(geometry, seed):
    cells = np.random.default_rng(seed).random(geometry.grid_hw, dtype=np.float32)
    heat = upsample(cells, geometry)
    assert heat.dtype == np.float32
    assert heat.shape == geometry.photo_hw
    assert cells.min() <= heat.min()
    assert heat.max() <= cells.max()
    expected = reference(cells, geometry)
    np.testing.assert_allclose(heat, expected, rtol=0, atol=tolerance(geometry))


@pytest.mark.parametrize(
    ("photo_hw", "stride", "scale"),
    [((300, 451), 32, 3.0), ((3, 40000), 32, 1.0), ((40000, 3), 16, 0.37), ((40, 200), 4, 7.3)],
)
def test_large_and_enlarged_photos(photo_hw, stride, scale):
    geometry = plan_grid(
        photo_hw, Placement(stride=stride, scale=scale), window=224, native_stride=32
    )
    cells = np.random.default_rng(1).random(geometry.grid_hw, dtype=np.float32)
    expected = reference(cells, geometry)
    np.testing.assert_allclose(
        upsample(cells, geometry), expected, rtol=0, atol=tolerance(geometry)
    )


@settings(max_examples=30)
@given(geometry=geometries(), data=st.data())
def test_some_rows_are_those_rows_of_the_whole(geometry, data):
    height, width = geometry.photo_hw
    first = data.draw(st.integers(0, height - 1))
    end = data.draw(st.integers(first + 1, height))
    seed = data.draw(st.integers(0, 2**32 - 1))
    cells = np.random.default_rng(seed).random(geometry.grid_hw, dtype=np.float32)
    part = upsample(cells, geometry, (first, end))
    assert part.dtype == np.float32
    assert part.shape == (end - first, width)
    for expected in (upsample(cells, geometry), reference(cells, geometry)):
        np.testing.assert_allclose(part, expected[first:end], rtol=0, atol=tolerance(geometry))


def test_a_tall_photo_in_strips_is_nearer_than_the_whole():
    """4601 rows of cells: positions counted from the first of all are off by 3e-4."""
    geometry = plan_grid((20000, 40), Placement(stride=3, scale=0.7), window=224, native_stride=30)
    cells = np.random.default_rng(2).random(geometry.grid_hw, dtype=np.float32)
    parts = [upsample(cells, geometry, (top, top + 250)) for top in range(0, 20000, 250)]
    expected = reference(cells, geometry)
    np.testing.assert_allclose(np.concatenate(parts), expected, rtol=0, atol=1e-5)


def test_some_rows_cost_only_the_cells_they_lie_between(monkeypatch):
    geometry = plan_grid((20000, 300), window=224, native_stride=32)
    cells = np.zeros(geometry.grid_hw, np.float32)
    given_away = []
    warp = cv2.warpAffine

    def watched(touched, *arguments, **options):
        given_away.append(touched.shape)
        return warp(touched, *arguments, **options)

    monkeypatch.setattr(cv2, "warpAffine", watched)
    upsample(cells, geometry, (10000, 10064))
    ((rows, columns),) = given_away
    assert columns == geometry.grid_hw[1]
    assert 3 <= rows <= 64 / 32 + 5


def test_a_hot_cell_at_a_low_scale_is_not_rounded_to_a_part_of_a_cell():
    """At scale 0.1 a cell is 320 px wide, and 1/32 of it would be 10 px."""
    geometry = plan_grid((3333, 4321), Placement(scale=0.1), window=224, native_stride=32)
    cells = np.zeros(geometry.grid_hw, np.float32)
    cells[2, 3] = 1
    y, x = np.unravel_index(upsample(cells, geometry).argmax(), geometry.photo_hw)
    centre_x, centre_y = geometry.centre_xy(2, 3)
    assert abs(x + 0.5 - centre_x) <= 0.5
    assert abs(y + 0.5 - centre_y) <= 0.5


def test_an_axis_of_one_cell_is_flat():
    geometry = plan_grid((100, 500), window=224, native_stride=32)
    assert geometry.grid_hw == (1, 10)
    heat = upsample(np.linspace(0, 1, 10, dtype=np.float32)[None], geometry)
    assert (heat == heat[0]).all()
    assert (np.diff(heat[0]) >= 0).all()
    assert heat[0, -1] > heat[0, 0]


def test_one_cell_gives_its_value_everywhere():
    geometry = plan_grid((60, 80), window=224, native_stride=32)
    assert (upsample(np.full((1, 1), 0.3, np.float32), geometry) == np.float32(0.3)).all()


def test_the_edge_value_goes_on_past_the_outermost_centres():
    geometry = plan_grid((256, 256), Placement(border="valid"), window=224, native_stride=32)
    heat = upsample(np.array([[0, 1], [2, 3]], np.float32), geometry)
    assert (heat[:112, :112] == 0).all()
    assert (heat[:112, 144:] == 1).all()
    assert (heat[144:, :112] == 2).all()
    assert (heat[144:, 144:] == 3).all()


def test_the_cells_are_left_as_they_were():
    geometry = plan_grid((256, 256), Placement(border="valid"), window=224, native_stride=32)
    cells = np.array([[0, 1], [2, 3]], np.float32)
    cells.flags.writeable = False
    upsample(cells, geometry)
    assert cells.tolist() == [[0, 1], [2, 3]]


def test_cells_of_another_grid_are_refused():
    geometry = plan_grid((256, 256), Placement(border="valid"), window=224, native_stride=32)
    with pytest.raises(ResultError, match=r"cells are \(3, 2\), the geometry says \(2, 2\)"):
        upsample(np.zeros((3, 2), np.float32), geometry)
    with pytest.raises(ResultError, match=r"\(2, 2\), the geometry says \(3, 2\)"):
        upsample(np.zeros((2, 2), np.float32), replace(geometry, grid_hw=(3, 2)))
