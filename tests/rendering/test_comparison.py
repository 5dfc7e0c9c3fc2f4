"""Sliding, cropping and their difference, side by side."""

from dataclasses import replace

import numpy as np
import pytest

from heatmap.errors import ResultError
from heatmap.geometry import plan_grid
from heatmap.rendering.comparison import comparison
from heatmap.rendering.legend import Caption, narrowest_px, strip, text_px
from tests.support.overlays import WHERE_HOT, captions_drawn, make_grid, make_photo


@pytest.fixture
def captions(monkeypatch):
    return captions_drawn(monkeypatch, "heatmap.rendering.comparison")


@pytest.fixture
def pair():
    """Two maps of one class that differ by 0.25 in one cell."""
    photo = make_photo()
    grid = make_grid(photo, stride=8)
    sliding = grid.class_map(0)
    cropping = sliding.copy()
    cropping[2, 3] += 0.25
    return photo, grid.geometry, sliding, cropping


def test_comparison_writes_ranges_and_the_largest_difference(captions, pair):
    photo, geometry, sliding, cropping = pair
    comparison(photo, geometry, sliding, cropping, title="cat, vgg16")
    by_heading = {caption.heading: caption for caption in captions}
    assert list(by_heading) == ["Sliding", "Cropping", "Absolute difference", "cat, vgg16"]
    assert by_heading["Sliding"].ticks == by_heading["Cropping"].ticks == ("0", "0.5", "1")
    assert by_heading["Absolute difference"].ticks == ("0", "0.125", "0.25")
    (note,) = by_heading["Sliding"].notes
    assert note == (
        f"probability {sliding.min():.3g}..{sliding.max():.3g}, mean {sliding.mean():.3g}"
    )
    assert by_heading["Absolute difference"].notes[0].startswith("difference 0..0.25, mean")
    assert all(caption.key is None for caption in captions)


@pytest.mark.parametrize(("peak", "end"), [(0.03, 0.1), (0.15, 0.2), (0.3, 0.5), (0.6, 1)])
def test_both_maps_have_the_colours_of_the_higher_one(captions, pair, peak, end):
    photo, geometry, sliding, _ = pair
    # So faint that by itself its colours would end earlier.
    sliding = 0.5 * peak * sliding / sliding.max()
    cropping = sliding.copy()
    cropping[2, 3] = peak
    slid, cropped, _ = panels_of(
        comparison(photo, geometry, sliding, cropping, title="t"), photo.shape[:2]
    )
    ticks = ("0", f"{end / 2:g}", f"{end:g}")
    assert captions[0].ticks == captions[1].ticks == ticks
    # Where both are equal they look equal.
    assert has_colour(slid)[WHERE_HOT]
    np.testing.assert_array_equal(slid[WHERE_HOT], cropped[WHERE_HOT])


def panels_of(picture, photo_hw):
    """The three panels of a comparison, cut out at the places they have by construction."""
    height, width = photo_hw
    size = text_px(photo_hw)
    column = max(width, narrowest_px(size))
    gap = max(2, size // 3)
    top = strip(3 * column + 2 * gap, Caption("t"), size).shape[0]
    starts = [i * (column + gap) + (column - width) // 2 for i in range(3)]
    return [picture[top : top + height, left : left + width] for left in starts]


def has_colour(panel):
    return np.ptp(panel.astype(int), axis=2) > 8


def test_comparison_colours_each_panel_where_its_values_are(pair):
    photo, geometry, sliding, cropping = pair
    picture = comparison(photo, geometry, sliding, cropping, title="t")
    slid, cropped, difference = panels_of(picture, photo.shape[:2])
    assert has_colour(slid)[WHERE_HOT]
    assert has_colour(cropped)[WHERE_HOT]
    assert not has_colour(difference)[WHERE_HOT]
    x, y = geometry.centre_xy(2, 3)
    # The largest difference, though only 0.25, has the last colour of the scale.
    assert has_colour(difference)[int(y), int(x)]
    ys, xs = np.nonzero(has_colour(difference))
    assert np.abs(ys + 0.5 - y).max() <= geometry.stride_px
    assert np.abs(xs + 0.5 - x).max() <= geometry.stride_px


def test_equal_maps_show_no_difference(captions, pair):
    photo, geometry, sliding, _ = pair
    picture = comparison(photo, geometry, sliding, sliding.copy(), title="t")
    assert not has_colour(panels_of(picture, photo.shape[:2])[2]).any()
    assert captions[2].notes == ("difference 0 everywhere",)
    assert captions[2].table is None


def test_cells_that_were_not_sampled_are_hatched_and_the_legend_says_so(captions, pair):
    photo, geometry, sliding, cropping = pair
    cropping[:, 4:] = np.nan
    picture = comparison(photo, geometry, sliding, cropping, title="t")
    missing = int(np.isnan(cropping).sum())
    assert captions[0].key is None
    for caption in captions[1:3]:
        assert caption.key is not None
        assert caption.key[1] == f"not sampled: {missing} of {cropping.size} windows"
    slid, cropped, difference = panels_of(picture, photo.shape[:2])
    # Nearest cells: the border between sampled and not is half-way between centres.
    border = (geometry.centre_xy(0, 3)[0] + geometry.centre_xy(0, 4)[0]) / 2
    dark = cropped.max(axis=2) < 110
    assert dark[:, int(border) :].all()
    assert not dark[:, : int(border)].any()
    np.testing.assert_array_equal(dark, difference.max(axis=2) < 110)
    assert not (slid.max(axis=2) < 60).any()


def test_hatching_has_stripes_of_two_greys(pair):
    _, geometry, sliding, cropping = pair
    plain = np.full((*geometry.photo_hw, 3), 200, np.uint8)
    unknown = np.full_like(cropping, np.nan)
    picture = comparison(plain, geometry, sliding, unknown, title="t")
    assert len(np.unique(panels_of(picture, geometry.photo_hw)[1])) == 2


def test_the_difference_of_sampled_cells_alone_sets_its_range(captions, pair):
    photo, geometry, sliding, cropping = pair
    cropping[:, 5:] = np.nan
    comparison(photo, geometry, sliding, cropping, title="t")
    assert captions[2].ticks == ("0", "0.125", "0.25")


def test_the_ground_of_a_comparison_is_as_light_as_the_photo_looks():
    geometry = plan_grid((30, 90), window=32, native_stride=32)
    photo = np.zeros((30, 90, 3), np.uint8)
    for channel in range(3):
        photo[:, 30 * channel : 30 * (channel + 1), channel] = 255
    cells = np.zeros(geometry.grid_hw, np.float32)
    panel = panels_of(comparison(photo, geometry, cells, cells, title="t"), (30, 90))[0]
    red, green, blue = panel[15, [15, 45, 75], 0]
    assert green > red > blue


def test_nothing_sampled_is_said(captions, pair):
    photo, geometry, sliding, cropping = pair
    comparison(photo, geometry, sliding, np.full_like(cropping, np.nan), title="t")
    assert captions[1].notes == ("no window was sampled",)
    assert captions[2].notes == ("no window was sampled",)


def test_a_large_photo_is_compared_at_panel_size():
    photo = make_photo(1500, 3000)
    geometry = plan_grid((1500, 3000), window=224, native_stride=32)
    cells = np.zeros(geometry.grid_hw, np.float32)
    cells[20, 50] = 1
    picture = comparison(photo, geometry, cells, cells, title="t")
    assert 3 * 1024 <= picture.shape[1] < 3 * 1024 + 100
    slid = panels_of(picture, (512, 1024))[0]
    ys, xs = np.nonzero(has_colour(slid))
    x, y = geometry.centre_xy(20, 50)
    assert xs.mean() + 0.5 == pytest.approx(x * 1024 / 3000, abs=1)
    assert ys.mean() + 0.5 == pytest.approx(y * 512 / 1500, abs=1)


def test_cells_of_another_shape_are_refused(pair):
    photo, geometry, sliding, cropping = pair
    with pytest.raises(ResultError, match=r"sliding is \(1, 1\), the geometry says"):
        comparison(photo, geometry, sliding[:1, :1], cropping, title="")
    with pytest.raises(ResultError, match=r"cropping is \(1, 1\), the geometry says"):
        comparison(photo, geometry, sliding, cropping[:1, :1], title="")
    other = replace(geometry, grid_hw=(1, 1))
    with pytest.raises(ResultError, match=r"sliding is .*, the geometry says \(1, 1\)"):
        comparison(photo, other, sliding, cropping, title="")
