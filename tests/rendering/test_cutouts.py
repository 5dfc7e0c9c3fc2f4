"""Cut-outs of detections: what they show, at which resolution, and how the photo is read."""

from __future__ import annotations

import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.classes import ClassGroup
from heatmap.errors import PhotoError
from heatmap.files import write_all
from heatmap.localization.confirm import widened
from heatmap.localization.detection import Detection
from heatmap.marks import Mark, mark_of
from heatmap.photo.photo import Photo, read_photo
from heatmap.photo.photo_file import PhotoFile
from heatmap.photo.reduced import reduced_photo
from heatmap.region import Region
from heatmap.rendering import cutouts as module
from heatmap.rendering.cutouts import cutouts

HW = (300, 400)


def smooth(hw=HW) -> np.ndarray:
    """A photo whose colours say where a pixel lies, and which JPEG hardly changes."""
    y, x = np.mgrid[: hw[0], : hw[1]]
    parts = (255 * y / hw[0], 255 * x / hw[1], 127 + 127 * np.sin(y / 17 + x / 23))
    return np.stack(parts, axis=2).astype(np.uint8)


def found(box, confidence=0.82, name="tabby") -> Detection:
    return Detection(ClassGroup(name, (0,)), confidence, box, box, (0, 0), 1.0, confidence)


def written(photo, detections) -> dict[str, np.ndarray]:
    """The cut-outs by the names of their files, in order."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "cat.crops"
        cutouts(photo, detections)[".crops"](home)
        return {path.name: read_photo(path).pixels for path in sorted(home.iterdir())}


def assert_alike(picture, expected):
    """Apart from what JPEG changes."""
    assert picture.shape == expected.shape
    assert np.abs(picture.astype(int) - expected).mean() < 2.5


def expected_cut(pixels, box) -> np.ndarray:
    left, top, right, bottom = (round(side) for side in widened(box, pixels.shape[:2]))
    return pixels[top : max(bottom, top + 1), left : max(right, left + 1)]


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "photo.png"
    pyvips.Image.new_from_array(smooth()).pngsave(str(path))
    return path


def test_files_are_numbered_most_confident_first():
    photo = Photo(smooth())
    detections = [
        found((0, 0, 50, 50), 0.3, "Egyptian cat"),
        found((60, 0, 90, 50), 0.91),
        found((60, 0, 80, 50), 0.3, "sea/lion"),
    ]
    names = ["01-tabby-0.91.jpg", "02-Egyptian-cat-0.30.jpg", "03-sea-lion-0.30.jpg"]
    assert list(written(photo, detections)) == names
    many = written(photo, [found((0, 0, 5, 5), 0.5)] * 101)
    assert list(many)[0::100] == ["001-tabby-0.50.jpg", "101-tabby-0.50.jpg"]


def test_without_detections_there_is_no_folder():
    assert cutouts(Photo(smooth()), []) == {}


@settings(max_examples=12)
@given(
    boxes=st.lists(
        st.tuples(st.floats(0, 399), st.floats(0, 299), st.floats(0.01, 400), st.floats(0.01, 300)),
        min_size=1,
        max_size=6,
    ),
    most=st.sampled_from([500, 20_000, 2**25]),
)
def test_each_shows_its_box_and_a_quarter_around_it(boxes, most):
    """In however many passes."""
    boxes = [(x, y, min(400.0, x + w), min(300.0, y + h)) for x, y, w, h in boxes]
    pixels = smooth()
    detections = [found(box, 0.9 - 0.1 * place) for place, box in enumerate(boxes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LARGE_PX", most)
        pictures = written(Photo(pixels), detections)
    for picture, box in zip(pictures.values(), boxes, strict=True):
        left, top, right, bottom = widened(box, HW)
        assert min(picture.shape[:2]) >= 1
        assert abs(picture.shape[0] - (bottom - top)) <= 1
        assert abs(picture.shape[1] - (right - left)) <= 1
        expected = expected_cut(pixels, box)
        if picture.shape == expected.shape:
            assert_alike(picture, expected)


@pytest.mark.parametrize("box", [(20.2, 30.2, 20.3, 30.3), (399.9, 299.9, 400, 300), (0, 0, 0, 0)])
def test_a_box_smaller_than_a_pixel_gives_one(box):
    (picture,) = written(Photo(smooth()), [found(box)]).values()
    assert picture.shape == (1, 1, 3)


def test_files_are_cut_at_full_resolution_however_they_were_opened(path):
    detections = [found((40, 120, 140, 200)), found((300, 10, 390, 290), 0.5)]
    expected = written(Photo(smooth()), detections)
    for photo in (PhotoFile(path), reduced_photo(path, 4), read_photo(path)):
        pictures = written(photo, detections)
        assert pictures.keys() == expected.keys()
        for name, picture in pictures.items():
            np.testing.assert_array_equal(picture, expected[name])


def test_boxes_are_of_the_whole_photo_and_cut_to_the_region(path):
    region = Region(100, 50, 200, 150, whole_hw=HW)
    box = (110.0, 80.0, 190.0, 120.0)
    for photo in (PhotoFile(path, region), reduced_photo(path, 2, region)):
        (picture,) = written(photo, [found(box)]).values()
        # A quarter to the left would begin at 90, outside.
        assert_alike(picture, smooth()[70:130, 100:210])


def test_what_is_too_large_for_memory_is_shrunk(monkeypatch, path):
    monkeypatch.setattr(module, "fits_memory", lambda hw: hw[0] * hw[1] <= 10_000)
    small, large = found((10, 10, 50, 50), 0.9), found((0, 0, 400, 300), 0.5)
    one, other = written(PhotoFile(path), [small, large]).values()
    assert one.shape == (60, 60, 3)
    assert other.shape == (75, 100, 3)
    assert np.abs(other.astype(int) - smooth()[2::4, 2::4]).mean() < 4
    monkeypatch.setattr(module, "JPEG_MOST_PX", 45)
    shapes = [picture.shape for picture in written(PhotoFile(path), [small, large]).values()]
    assert shapes == [(30, 30, 3), (18, 25, 3)]


class Counted(Photo):
    """A photo that says in ``strips_read`` which strips were read in each pass."""

    strips_read: list

    def strips(self, *given, **options):
        self.strips_read.append([])
        for strip in super().strips(*given, **options):
            self.strips_read[-1].append(strip.shape)
            yield strip


def counted() -> Counted:
    photo = Counted(smooth())
    object.__setattr__(photo, "strips_read", [])
    return photo


def test_a_photo_is_read_in_one_pass_no_further_than_needed():
    photo = counted()
    written(photo, [found((40, 80, 80, 100)), found((60, 120, 70, 130), 0.4)])
    # Rows 75 to 132, in strips of 32, and columns 30 to 90.
    assert photo.strips_read == [[(32, 60, 3)] * 2]


@pytest.mark.parametrize(("most", "passes"), [(7200, 2), (7199, 3), (100, 3), (10_800, 1)])
def test_cut_outs_of_one_pass_fit_into_memory_together(monkeypatch, most, passes):
    """Of 60 x 60 px each."""
    monkeypatch.setattr(module, "LARGE_PX", most)
    photo = counted()
    assert len(written(photo, [found((10, 10, 50, 50))] * 3)) == 3
    assert len(photo.strips_read) == passes


def test_a_large_photo_is_never_held_in_memory(tmp_path):
    path = tmp_path / "large.tif"
    image = pyvips.Image.black(6000, 5000, bands=3).copy(interpretation="srgb")
    image.tiffsave(str(path), tile=True, compression="deflate")
    photo = PhotoFile(path)
    detections = [found((x, y, x + 100, y + 100)) for x in (0, 5900) for y in (0, 4900)]
    tracemalloc.start()
    pictures = written(photo, detections)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(pictures) == 4
    assert peak < 10e6  # the photo: 90 MB


def test_nothing_is_read_before_it_is_written(path):
    photo = PhotoFile(path)
    files = cutouts(photo, [found((0, 0, 10, 10))])
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(PhotoError, match="has changed"):
        files[".crops"](path.parent / "x.crops")


def test_cut_outs_carry_a_mark(tmp_path):
    target = tmp_path / "cat.crops"
    write_all({target: cutouts(Photo(smooth()), [found((0, 0, 10, 10))])[".crops"]})
    (path,) = target.iterdir()
    assert mark_of(path) == Mark()
