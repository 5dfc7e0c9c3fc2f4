"""Photos, grids and detections of which tests make pages, and what pages hold."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import skimage.data
import tifffile

from heatmap.classes import ClassGroup, ClassList
from heatmap.files import write_all
from heatmap.geometry import Geometry, Placement, plan_grid
from heatmap.grid.origin import Computation, Origin, Weights
from heatmap.grid.score_grid import ScoreGrid
from heatmap.localization.detection import Detection, as_stored, on_whole_photo
from heatmap.localization.findings import Findings, stored_maps, window_maps
from heatmap.photo.photo import Photo
from heatmap.photo.photo_file import PhotoFile
from heatmap.region import Region
from heatmap.rendering.page import page_files

PHOTO_HW = (300, 420)
NAMES = ("tabby", "tiger cat", "crane", "crane", "<b>bold</b>", "cup", "moon", "wall", "dust")
# A region of this size of a larger photo.
REGION = Region(1000, 500, PHOTO_HW[1], PHOTO_HW[0], whole_hw=(3000, 4000))
CAT = ClassGroup("cat", (0, 1))
CLASSES = ClassList(NAMES, groups=(CAT,))
ORIGIN = Origin(
    "",
    "",
    "vgg16",
    Weights("default", "default (ImageNet)", ""),
    "slide",
    "exact",
    # Of so many that chance is nothing.
    network_classes=10**15,
    computation=Computation(threads=2),
)


def make_grid(photo_hw=PHOTO_HW, *, scale=1.0, missing=None, origin=ORIGIN, stride=16) -> ScoreGrid:
    """Classes that rise and fall over the photo, each in a place of its own; "dust" nowhere."""
    geometry = plan_grid(
        photo_hw, Placement(stride=stride, scale=scale), window=64, native_stride=32
    )
    y, x = np.meshgrid(*(np.linspace(0, 1, n) for n in geometry.grid_hw), indexing="ij")
    middles = np.random.default_rng(4).random((len(NAMES), 2))
    heights = np.array([4, 3.5, 3, 2, 5, 3, 2.5, 2, 0]) * 2
    bumps = [
        height * np.exp(-((y - down) ** 2 + (x - across) ** 2) / 0.05)
        for height, (down, across) in zip(heights, middles, strict=True)
    ]
    logits = np.stack(bumps, axis=2).astype(np.float32)
    logits[:, :, -1] = -6
    if missing is not None:
        logits[missing] = np.nan
    return ScoreGrid(logits, geometry, CLASSES, "logits", origin)


def find(grid: ScoreGrid, group: ClassGroup, score: float | None = None) -> Detection:
    """The most confident window of a class or group, with a box half as wide in its middle."""
    cells = np.nan_to_num(grid.class_map(group))
    row, column = divmod(int(cells.argmax()), cells.shape[1])
    window = window_in_photo(grid.geometry, row, column)
    left, top, right, bottom = window
    across, down = (right - left) / 4, (bottom - top) / 4
    box = (left + across, top + down, right - across, bottom - down)
    best = float(cells.max()) if score is None else score
    return Detection(group, best, box, window, (row, column), 1.0, best)


def peaking(peak: float) -> ScoreGrid:
    """The highest probability of "cup" is ``peak``, that of all others half of it."""
    grid = make_grid()
    given = grid.probabilities()
    scores = given / given.max(axis=(0, 1)) * np.float32(peak / 2)
    scores[:, :, NAMES.index("cup")] *= 2
    return replace(grid, scores=scores, kind="independent probabilities")


def findings_of(
    grid: ScoreGrid,
    detections: Sequence[Detection] = (),
    groups: Sequence[ClassGroup] = (),
    *,
    guesses: Sequence[Detection] = (),
    sharp: bool = False,
) -> Findings:
    """What was found on the photo of a grid, which may be that of a region.

    There are maps of the groups given, otherwise of the classes found or guessed, otherwise of
    all classes but "dust", the highest first. Sharp ones have the same values on single positions.
    """
    found, guessed = (
        tuple(map(as_stored, on_whole_photo(boxes, grid.origin.region)))
        for boxes in (detections, guesses)
    )
    shown = tuple(dict.fromkeys(each.group for each in found or guessed))
    groups = tuple(groups) or shown or tuple(grid.winners(len(NAMES) - 1))
    maps = stored_maps(window_maps(grid, groups))
    return Findings(found, guessed, groups, sharpened(maps) if sharp else maps)


def sharpened(maps: ScoreGrid) -> ScoreGrid:
    """The same values, said of positions in the middle of each window, as wide as the stride."""
    geometry = maps.geometry
    aside = (geometry.window_px - geometry.stride_px) // 2
    top, left = geometry.origin_yx
    narrow = replace(geometry, window_px=geometry.stride_px, origin_yx=(top + aside, left + aside))
    return replace(maps, geometry=narrow, origin=replace(maps.origin, maps="sharp"))


def window_in_photo(geometry: Geometry, row: int, column: int) -> tuple[float, float, float, float]:
    left, top, right, bottom = geometry.window_xyxy(row, column)
    height, width = geometry.photo_hw
    return max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))


def origin(**changes) -> Origin:
    return replace(ORIGIN, **changes)


def make_photo(path: str = "", hw: tuple[int, int] = PHOTO_HW) -> Photo:
    resized = cv2.resize(skimage.data.chelsea(), hw[::-1], interpolation=cv2.INTER_AREA)
    return Photo(resized, path)


def make_file(path: Path, hw: tuple[int, int] = PHOTO_HW) -> PhotoFile:
    tifffile.imwrite(path, make_photo(hw=hw).pixels, tile=(128, 128), photometric="rgb")
    return PhotoFile(path)


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


def written(folder: Path, photo=None, findings=None, grid=None, **options) -> Elements:
    files = page_files(photo or make_photo(), findings or findings_of(make_grid()), grid, **options)
    write_all({folder / f"page{suffix}": write for suffix, write in files.items()})
    return Elements((folder / "page.html").read_text("utf-8"))


def data_of(page: Elements) -> dict:
    [text] = [text for attributes, text in page.of("script") if attributes.get("id") == "data"]
    return json.loads(text)


def picture_of(data: dict) -> tuple[str, np.ndarray]:
    kind, content = data["photo"]["image"].split(";base64,")
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
    return kind, decoded[:, :, ::-1]
