"""Overlays of photos on disk: a pyramid that viewers read tile by tile, and its preview."""

import cv2
import numpy as np
import pytest
import pyvips
import skimage.data
import tifffile

from heatmap.classes import ClassGroup, ClassList
from heatmap.errors import ResultError
from heatmap.geometry import plan_grid
from heatmap.grid.origin import Origin, Weights
from heatmap.grid.score_grid import ScoreGrid
from heatmap.photo.photo_file import PhotoFile
from heatmap.rendering import overlay as rendering
from heatmap.rendering import pyramid as pyramids
from heatmap.rendering.annotated import Annotation, annotated
from heatmap.rendering.legend import strip
from heatmap.rendering.overlay import overlay, shrunk_overlay
from heatmap.rendering.pyramid import large_annotated, large_overlay
from heatmap.runs.save import save_overlays
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


CAT, WALL = ClassGroup("cat", (0,)), ClassGroup("wall", (1,))


def make_grid(missing=None) -> ScoreGrid:
    """A bump in the middle, and the rest; without the cells that are missing."""
    geometry = plan_grid(HW, window=224, native_stride=32)
    y, x = np.ogrid[: geometry.grid_hw[0], : geometry.grid_hw[1]]
    bump = np.exp(-((y - 8.0) ** 2 + (x - 14.0) ** 2) / 30).astype(np.float32)
    scores = np.dstack([bump, 1 - bump])
    if missing is not None:
        scores[missing] = np.nan
    origin = Origin("", "", "vgg16", Weights("default", "default", ""), "slide", "exact")
    return ScoreGrid(scores, geometry, ClassList(("cat", "wall")), "probabilities", origin)


def pixels_of(photo: PhotoFile) -> np.ndarray:
    return np.concatenate(list(photo.strips()))


@pytest.mark.parametrize("colours", [None, (0.1, 0.6)])
@pytest.mark.parametrize("missing", [None, (slice(5), slice(9))])
def test_the_pyramid_is_the_overlay_in_tiles_and_levels(tmp_path, photo, missing, colours):
    grid = make_grid(missing)
    path = tmp_path / "cat[1].cat.tif"
    large_overlay(photo, grid, 0, color_range=colours)[".tif"](path)
    expected = overlay(pixels_of(photo), grid, 0, color_range=colours, legend=False)
    with tifffile.TiffFile(path) as file:
        pages = list(file.pages)
        assert file.is_bigtiff
        assert [page.shape for page in pages] == [(h, w, 3) for h, w in LEVELS]
        assert all(
            (page.is_tiled, page.tilewidth, page.tilelength) == (1, 256, 256) for page in pages
        )
    levels = read_levels(path)
    error = np.abs(levels[0].astype(int) - expected)
    assert error.mean() < 3
    assert np.quantile(error, 0.999) < 25
    halved = cv2.resize(expected, (550, 350), interpolation=cv2.INTER_AREA)
    assert np.abs(levels[1].astype(int) - halved).mean() < 4


def read_levels(path) -> list[np.ndarray]:
    """Every level, decoded by OpenCV: tifffile needs another package for JPEG."""
    ok, images = cv2.imreadmulti(str(path), flags=cv2.IMREAD_COLOR)
    assert ok
    return [image[:, :, ::-1] for image in images]


def test_the_preview_is_the_overlay_of_the_photo_made_small(tmp_path, photo, monkeypatch):
    monkeypatch.setattr(rendering, "PICTURE_PX", 400)
    grid = make_grid((slice(5), slice(9)))
    path = tmp_path / "cat.preview.png"
    large_overlay(photo, grid, 0)[".preview.png"](path)
    picture = cv2.imread(str(path))[:, :, ::-1]
    assert picture.shape[1] == 400
    assert picture.shape[0] > 255
    full = overlay(pixels_of(photo), grid, 0, legend=False)
    small = cv2.resize(full, (400, 255), interpolation=cv2.INTER_AREA)
    # Stripes of the hatching are as wide at any size, so only the rest compares.
    assert np.abs(picture[:255, 250:].astype(int) - small[:, 250:]).mean() < 5


def test_the_preview_has_the_legend(photo, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        rendering,
        "strip",
        lambda width, caption, size: (drawn.append(caption), strip(width, caption, size))[1],
    )
    shrunk_overlay(photo, make_grid((slice(5), slice(9))), 0)
    assert drawn[0].heading == "cat"
    assert drawn[0].key[1] == "not scored: 45 of 464 windows"


def test_a_photo_below_the_size_of_a_preview_stays_as_it_is(photo):
    picture = shrunk_overlay(photo, make_grid(), 0)
    expected = overlay(pixels_of(photo), make_grid(), 0)
    np.testing.assert_array_equal(picture, expected)


def test_both_files_are_saved_under_the_names_of_an_overlay(tmp_path, photo):
    pictures = {CAT: large_overlay(photo, make_grid(), CAT)}
    paths = save_overlays(tmp_path / "out", "cat[1]", pictures)
    assert paths == {CAT: tmp_path / "out" / "cat[1].cat.tif"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cat[1].cat.preview.png",
        "cat[1].cat.tif",
    ]


def test_the_photo_is_decoded_once_a_class_and_once_for_its_preview(tmp_path, photo, monkeypatch):
    passes = []
    strips = PhotoFile.strips

    def counted(self, *arguments, **options):
        passes.append(1)
        return strips(self, *arguments, **options)

    monkeypatch.setattr(PhotoFile, "strips", counted)
    pictures = {group: large_overlay(photo, make_grid(), group) for group in (CAT, WALL)}
    save_overlays(tmp_path / "out", "cat", pictures)
    assert len(passes) == 4


def test_a_photo_of_another_size_is_refused_before_it_is_read(photo):
    other = plan_grid((700, 1000), window=224, native_stride=32)
    grid = make_grid()
    smaller = ScoreGrid(
        grid.scores[:, : other.grid_hw[1]], other, grid.classes, grid.kind, grid.origin
    )
    with pytest.raises(ResultError, match="photo is 1100 x 700 px, the scored one was 1000 x 700"):
        large_overlay(photo, smaller, 0)


def test_an_interrupted_pyramid_leaves_nothing(tmp_path, photo, monkeypatch):
    class Interrupting:
        def paint(self, *_):
            raise KeyboardInterrupt

    monkeypatch.setattr(pyramids.Painter, "of", lambda *_, **__: Interrupting())
    pictures = {CAT: large_overlay(photo, make_grid(), CAT)}
    (tmp_path / "out").mkdir()
    with pytest.raises(KeyboardInterrupt):
        save_overlays(tmp_path / "out", "cat", pictures)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, photo):
    write = large_overlay(photo, make_grid(), 0)[".tif"]
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


# Annotated pictures.


def test_the_annotated_pyramid_has_heat_boxes_and_labels(tmp_path, photo):
    findings = make_findings(HW, classes=4)
    path = tmp_path / "cat.tif"
    large_annotated(photo, findings, conf=0.35)[".tif"](path)
    levels = read_levels(path)
    assert [level.shape[:2] for level in levels] == LEVELS
    expected = Annotation.of(findings, HW, conf=0.35).paint(pixels_of(photo))
    error = np.abs(levels[0].astype(int) - expected)
    assert error.mean() < 3
    assert np.quantile(error, 0.999) < 40
    drawn = np.abs(levels[0].astype(int) - pixels_of(photo)).max(axis=2) > 60
    assert drawn.mean() > 0.02


def test_the_annotated_preview_has_a_legend_and_the_range_given(tmp_path, photo, monkeypatch):
    monkeypatch.setattr(rendering, "PICTURE_PX", 550)
    findings, path = make_findings(HW, sure=False), tmp_path / "cat.preview.png"
    options = {"conf": 0.35, "color_range": (0, 0.5), "opacity": 0.4}
    large_annotated(photo, findings, **options)[".preview.png"](path)
    picture = cv2.imread(str(path))[:, :, ::-1]
    small = np.concatenate(list(photo.strips(scaled_hw=(350, 550))))
    np.testing.assert_array_equal(picture, annotated(small, findings, **options))
    assert picture.shape[0] > 350


def test_findings_of_another_photo_are_refused_before_it_is_read(photo):
    with pytest.raises(ResultError, match="photo is 1100 x 700 px, the scored one was 550 x 350"):
        large_annotated(photo, make_findings((350, 550)), conf=0.35)
