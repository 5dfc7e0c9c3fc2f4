"""The picture of a photo on disk: a pyramid that viewers read tile by tile."""

import cv2
import numpy as np
import pytest
import pyvips
import skimage.data
import tifffile

from heatmap.errors import ResultError
from heatmap.files import write_all
from heatmap.photo.photo_file import PhotoFile
from heatmap.rendering import pyramid as pyramids
from heatmap.rendering.annotated import Annotation
from heatmap.rendering.pyramid import pyramid
from tests.support.findings import make_findings

HW = (700, 1100)
# Halved, rounded down, until one tile holds it.
LEVELS = [HW, (350, 550), (175, 275), (87, 137)]


@pytest.fixture
def photo(tmp_path) -> PhotoFile:
    (tmp_path / "photos").mkdir()
    pixels = cv2.resize(skimage.data.chelsea(), HW[::-1], interpolation=cv2.INTER_CUBIC)
    tifffile.imwrite(tmp_path / "photos" / "cat[1].tif", pixels, tile=(256, 256))
    return PhotoFile(tmp_path / "photos" / "cat[1].tif")


def pixels_of(photo: PhotoFile) -> np.ndarray:
    return np.concatenate(list(photo.strips()))


def read_levels(path) -> list[np.ndarray]:
    """Every level, decoded by OpenCV: tifffile needs another package for JPEG."""
    ok, images = cv2.imreadmulti(str(path), flags=cv2.IMREAD_COLOR)
    assert ok
    return [image[:, :, ::-1] for image in images]


@pytest.mark.parametrize(
    "options", [{"conf": 0.35}, {"conf": 0.35, "color_range": (0.1, 0.6), "alpha": 0.4}]
)
def test_it_is_the_annotated_picture_in_tiles_and_levels(tmp_path, photo, options):
    findings = make_findings(HW, classes=4)
    path = tmp_path / "cat.tif"
    pyramid(photo, findings, **options)(path)
    with tifffile.TiffFile(path) as file:
        pages = list(file.pages)
        assert file.is_bigtiff
        assert [page.shape for page in pages] == [(h, w, 3) for h, w in LEVELS]
        assert all(
            (page.is_tiled, page.tilewidth, page.tilelength) == (1, 256, 256) for page in pages
        )
    levels = read_levels(path)
    expected = Annotation.of(findings, HW, **options).paint(pixels_of(photo))
    error = np.abs(levels[0].astype(int) - expected)
    assert error.mean() < 3
    assert np.quantile(error, 0.999) < 40
    drawn = np.abs(levels[0].astype(int) - pixels_of(photo)).max(axis=2) > 60
    assert drawn.mean() > 0.02
    halved = cv2.resize(expected, (550, 350), interpolation=cv2.INTER_AREA)
    assert np.abs(levels[1].astype(int) - halved).mean() < 4


def test_findings_of_another_photo_are_refused_before_it_is_read(photo):
    with pytest.raises(ResultError, match="photo is 1100 x 700 px, the scored one was 550 x 350"):
        pyramid(photo, make_findings((350, 550)), conf=0.35)


def test_an_interrupted_pyramid_leaves_nothing(tmp_path, photo, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    write = pyramid(photo, make_findings(HW), conf=0.35)
    monkeypatch.setattr(Annotation, "paint", interrupted)
    (tmp_path / "out").mkdir()
    with pytest.raises(KeyboardInterrupt):
        write_all({tmp_path / "out" / "cat.tif": write})
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, photo):
    write = pyramid(photo, make_findings(HW), conf=0.35)
    with pytest.raises(ResultError, match=r"nowhere/cat\.tif: cannot be written"):
        write(tmp_path / "nowhere" / "cat.tif")


@pytest.mark.parametrize("hw", [(1, 1), (16, 5), (17, 5), (700, 33)])
def test_the_painted_rows_wait_in_a_file_that_others_read_too(tmp_path, hw):
    pixels = np.random.default_rng(0).integers(0, 256, (*hw, 3), dtype=np.uint8)
    path = tmp_path / "rows.tif"
    with path.open("wb") as file:
        pyramids._write_rows(file, hw, (pixels[:512], pixels[512:]))
    np.testing.assert_array_equal(tifffile.imread(path), pixels)
    np.testing.assert_array_equal(pyvips.Image.tiffload(str(path)).numpy(), pixels)
