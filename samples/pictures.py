"""Twenty-four pictures as `heatmap run` draws them, on one sheet, to be looked at.

    python samples/pictures.py FOLDER

runs the built-in network on photos of scikit-image and on made-up ones (white, black, grey, noise,
tiny, long, upright), with several settings, and writes FOLDER/sheet.jpg and each picture beside it.

    python samples/pictures.py FOLDER --choices

writes those of docs/how-to/choosing.md, FOLDER/choosing-*.jpg, instead: scales, strides and
networks that suit a photo, and others. For strides it trains on textures (samples/textures.py).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import skimage.data
import textures
from make_collage import make_collage, read_source
from PIL import Image

import heatmap

Pixels = npt.NDArray[np.uint8]

COLUMNS = 6
CELL_HW = (300, 400)
CAPTION_PX = 24
GAP_PX = 12
CHOICE_WIDTH_PX = 560
CHOICE_QUALITY = 80


@dataclass(frozen=True)
class Sample:
    """A photo, and how it is run."""

    name: str
    pixels: Pixels
    options: dict[str, Any] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where to write; made if missing")
    parser.add_argument("--choices", action="store_true", help="those of docs/how-to/choosing.md")
    given = parser.parse_args()
    if given.choices:
        write_choices(given.folder)
    else:
        write_sheet(given.folder)


def write_sheet(folder: Path) -> None:
    """Run all samples, and put their pictures on one sheet."""
    scorer = heatmap.prepare()
    cells = []
    for number, sample in enumerate(samples(), start=1):
        name = f"{number:02} {sample.name}"
        path = heatmap.write_image(folder / "photos" / f"{name}.png", sample.pixels)
        done = heatmap.run(path, scorer, output=folder, **sample.options)
        picture = done.saved.areas or next(iter(done.saved.per_class.values()), None)
        cells.append(cell(name, heatmap.read_photo(picture or done.saved.pictures[0]).pixels))
        print(f"{name}: {len(done.detections)} detections")
    print(f"see {heatmap.write_image(folder / 'sheet.jpg', sheet(cells))}")


def samples() -> Iterator[Sample]:
    """Photos with objects, photos without, and photos of odd shapes."""
    cat, astronaut = skimage.data.chelsea(), skimage.data.astronaut()
    collage, objects = make_collage()
    labels = [labelled.label for labelled in objects]
    yield Sample("cat", cat)
    yield Sample("astronaut", astronaut)
    yield Sample("coffee", skimage.data.coffee())
    yield Sample("rocket", skimage.data.rocket())
    yield Sample("motorcycle", read_source("motorcycle_left.png"))
    yield Sample("camera", colour(skimage.data.camera()))
    yield Sample("temple", read_source("china.jpg"))
    yield Sample("flower", read_source("flower.jpg"))
    yield Sample("coins", colour(skimage.data.coins()))
    yield Sample("galaxies", skimage.data.hubble_deep_field())
    yield Sample("collage", collage)
    yield Sample("collage, named", collage, {"classes": labels})
    yield Sample("cat, named", cat, {"classes": ["cat", "dog", "cup"]})
    yield Sample("cat, one class", cat, {"classes": ["cat"], "per_class": True})
    yield Sample("cat, range 0 to 1", cat, {"color_range": (0.0, 1.0)})
    yield Sample("many boxes", collage, {"conf": 0.02, "scales": 1})
    yield Sample("areas", read_source("brick.png"), {"areas": True})
    yield Sample("tiny", cv2.resize(cat, (40, 27), interpolation=cv2.INTER_AREA))
    yield Sample("12000 x 800", panorama([cat, astronaut, skimage.data.coffee()], (800, 12000)))
    yield Sample("upright", np.rot90(panorama([cat, astronaut], (500, 2000))).copy())
    for name, level in (("white", 255), ("black", 0), ("grey", 128)):
        yield Sample(name, np.full((480, 640, 3), level, np.uint8))
    yield Sample("noise", np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8))


def colour(grey: Pixels) -> Pixels:
    return np.dstack([grey] * 3)


def panorama(photos: list[Pixels], hw: tuple[int, int]) -> Pixels:
    """Photos of one height side by side, over and over."""
    strips = [
        cv2.resize(photo, (round(photo.shape[1] * hw[0] / photo.shape[0]), hw[0]))
        for photo in photos
    ]
    row = np.hstack(strips)
    return np.tile(row, (1, -(-hw[1] // row.shape[1]), 1))[:, : hw[1]].astype(np.uint8)


def cell(name: str, picture: Pixels) -> Pixels:
    """A picture shrunk into a cell of the sheet, with its name above it."""
    height, width = CELL_HW
    share = min(height / picture.shape[0], width / picture.shape[1], 1.0)
    shown = cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    canvas = np.full((height + CAPTION_PX, width, 3), 255, np.uint8)
    top, left = CAPTION_PX, (width - shown.shape[1]) // 2
    canvas[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
    cv2.putText(canvas, name, (4, 17), (0, 0, 0), cv2.FontFace("sans"), 15, 400)
    return canvas


def sheet(cells: list[Pixels]) -> Pixels:
    """Cells in rows, with gaps between them."""
    framed = [
        np.pad(each, ((0, GAP_PX), (0, GAP_PX), (0, 0)), constant_values=255) for each in cells
    ]
    rows = [np.hstack(framed[at : at + COLUMNS]) for at in range(0, len(framed), COLUMNS)]
    return np.vstack(rows)


def write_choices(folder: Path) -> None:
    """Write choosing-*.jpg: scales over the collage, strides and networks over the mosaic."""
    built_in = heatmap.prepare()
    write_scales(folder, built_in)
    write_strides(folder)
    done = heatmap.run(folder / "mosaic.png", built_in)
    save_choice(folder / "choosing-network-wrong.jpg", done.overlay())
    print(f"the built-in network: {done}")


def write_scales(folder: Path, scorer: heatmap.Scorer) -> None:
    """Too coarse, right and too fine a scale for the photos of the collage."""
    collage, _ = make_collage()
    for name, scale in (("coarse", 0.125), ("right", 1), ("fine", 2)):
        done = heatmap.run(collage, scorer, scales=scale)
        save_choice(folder / f"choosing-scale-{name}.jpg", done.overlay())
        print(f"scale {scale}: {done}")


def write_strides(folder: Path) -> None:
    """Areas of three textures at three strides, by a network that was trained on them."""
    textures.write_tiles(folder / "textures")
    truth = textures.write_mosaic(folder)
    checkpoint = folder / "textures.safetensors"
    trained = heatmap.train(folder / "textures", checkpoint, window=textures.TILE_PX)
    scorer, mosaic = heatmap.prepare(trained.classifier), folder / "mosaic.png"
    # Classes are named so that each has the same colour in all pictures.
    options = {"classes": textures.CLASSES, "areas": True}
    for stride in (32, 16, 8):
        done = heatmap.run(mosaic, scorer, stride=stride, output=folder / str(stride), **options)
        save_choice(
            folder / f"choosing-stride-{stride}.jpg", heatmap.read_photo(done.saved.areas).pixels
        )
        grid = heatmap.score(mosaic, scorer, stride=stride)
        winner = np.stack([grid.heatmap(name) for name in textures.CLASSES]).argmax(axis=0)
        print(f"stride {stride}: {(winner == truth).mean():.1%} of the pixels right")


def save_choice(path: Path, picture: Pixels) -> None:
    """Write a picture for a page: small, as a JPEG."""
    share = CHOICE_WIDTH_PX / picture.shape[1]
    shown = cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    Image.fromarray(shown).save(path, quality=CHOICE_QUALITY, optimize=True)


if __name__ == "__main__":
    main()
