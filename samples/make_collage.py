"""Make a large collage of real photos in which some objects have known boxes.

    python samples/make_collage.py FOLDER

writes FOLDER/collage.png, and the boxes as FOLDER/collage.boxes.json and, for `heatmap evaluate`,
FOLDER/collage.csv. The photos ship inside the
scikit-image package or lie in photos/, so nothing is downloaded and every run
gives the same pixels. README.md beside this file says which objects are
labelled, which are not, and why.
"""

from __future__ import annotations

import argparse
import importlib.resources
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels: TypeAlias = npt.NDArray[np.uint8]

WIDTH_PX = 2048
MARGIN_PX = 48
GAP_PX = 32
# Plain: gravel, grass or brick between the photos costs the cat 20 to 45 % of its probability.
BACKGROUND = 40

# Each row fills the width: more photos in a row make it lower and them smaller.
# The sizes are those at which the built-in classifier knows the labelled objects;
# the order keeps tripod and motorcycle off the collage's edge, where their
# reflections outside it would be scored too.
ROWS = (
    ("rocket.jpg", "china.jpg", "retina.jpg", "hubble_deep_field.jpg"),
    ("chelsea.png", "camera.png", "logo.png", "horse.png"),
    ("coins.png", "flower.jpg", "moon.png", "motorcycle_left.png", "page.png"),
    ("astronaut.png", "ihc.png", "coffee.png", "brick.png", "clock_motion.png"),
)
PHOTOS = Path(__file__).parent / "photos"

# Drawn by hand around the object itself, (left, top, right, bottom) in pixels of
# the source photo, and called what the classifier calls it (ImageNet names).
CAT_XYXY = (35, 0, 400, 285)  # the head with the ears; the body is not in the photo
CUP_XYXY = (76, 17, 480, 390)  # cup, saucer and spoon
MOTORCYCLE_XYXY = (92, 75, 685, 452)  # from mirror to tyre; "moped" is the nearest class
TRIPOD_XYXY = (229, 185, 410, 512)  # from the camera's foot down; the photo cuts the legs
PAVILION_XYXY = (62, 29, 372, 400)  # the Tower of Buddhist Incense, Summer Palace
OBJECTS = {
    "chelsea.png": ("Egyptian cat", CAT_XYXY),
    "coffee.png": ("espresso", CUP_XYXY),
    "motorcycle_left.png": ("moped", MOTORCYCLE_XYXY),
    "camera.png": ("tripod", TRIPOD_XYXY),
    "china.jpg": ("palace", PAVILION_XYXY),
}


@dataclass(frozen=True)
class LabelledObject:
    """An object in the collage; boxes are (left, top, right, bottom) in collage pixels.

    ``label`` is an ImageNet class name as torchvision spells it, ``box_xyxy``
    lies around the object, ``photo_xyxy`` around the whole photo ``source``.
    """

    label: str
    source: str
    box_xyxy: tuple[float, float, float, float]
    photo_xyxy: tuple[int, int, int, int]


def make_collage() -> tuple[Pixels, list[LabelledObject]]:
    """The collage, RGB uint8 (H, W, 3), and its labelled objects, row by row."""
    photos = {name: read_source(name) for row in ROWS for name in row}
    boxes = lay_out({name: photo.shape[:2] for name, photo in photos.items()})
    height = max(bottom for *_, bottom in boxes.values()) + MARGIN_PX
    collage = np.full((height, WIDTH_PX, 3), BACKGROUND, dtype=np.uint8)
    for name, (left, top, right, bottom) in boxes.items():
        collage[top:bottom, left:right] = _resized(photos[name], (right - left, bottom - top))
    objects = [
        _labelled(name, photos[name].shape[:2], photo_xyxy)
        for name, photo_xyxy in boxes.items()
        if name in OBJECTS
    ]
    return collage, objects


def read_source(name: str) -> Pixels:
    """A photo of photos/ or scikit-image, RGB uint8 (H, W, 3)."""
    here = PHOTOS / name
    path = here if here.exists() else importlib.resources.files("skimage") / "data" / name
    with path.open("rb") as stream:
        return np.asarray(Image.open(stream).convert("RGB"))


def _resized(photo: Pixels, size_wh: tuple[int, int]) -> Pixels:
    # Pillow reckons in integers, the same on every machine; OpenCV's cubic is not.
    return np.asarray(Image.fromarray(photo).resize(size_wh, Image.Resampling.BICUBIC))


def lay_out(sizes_hw: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int, int, int]]:
    """Where each photo goes, (left, top, right, bottom): whole, in rows of one width."""
    boxes = {}
    top = MARGIN_PX
    for row in ROWS:
        aspects = [sizes_hw[name][1] / sizes_hw[name][0] for name in row]
        free_px = WIDTH_PX - 2 * MARGIN_PX - GAP_PX * (len(row) - 1)
        bottom = top + round(free_px / sum(aspects))
        ends = np.rint(np.cumsum([0.0, *aspects]) * free_px / sum(aspects)).astype(int).tolist()
        for index, name in enumerate(row):
            shift = MARGIN_PX + GAP_PX * index
            boxes[name] = (ends[index] + shift, top, ends[index + 1] + shift, bottom)
        top = bottom + GAP_PX
    return boxes


def _labelled(
    name: str, source_hw: tuple[int, int], photo_xyxy: tuple[int, int, int, int]
) -> LabelledObject:
    """Carry an object's box from its source photo into the collage."""
    label, (x0, y0, x1, y1) = OBJECTS[name]
    left, top, right, bottom = photo_xyxy
    scale_y, scale_x = (bottom - top) / source_hw[0], (right - left) / source_hw[1]
    box = (left + x0 * scale_x, top + y0 * scale_y, left + x1 * scale_x, top + y1 * scale_y)
    return LabelledObject(label, name, box, photo_xyxy)


def write_collage(folder: Path) -> list[LabelledObject]:
    """Write collage.png, .boxes.json and .csv into a folder, made if missing; gives the objects."""
    collage, objects = make_collage()
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(collage).save(folder / "collage.png")
    description = {"photo": "collage.png", "objects": [asdict(item) for item in objects]}
    (folder / "collage.boxes.json").write_text(
        json.dumps(description, indent=2) + "\n", encoding="utf-8"
    )
    rows = [f"collage.png,{item.label},{','.join(map(str, item.box_xyxy))}" for item in objects]
    table = "\n".join(["file,label,xmin,ymin,xmax,ymax", *rows])
    (folder / "collage.csv").write_text(table + "\n", encoding="utf-8")
    return objects


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a labelled collage of real photos.")
    parser.add_argument(
        "folder", type=Path, help="where to write collage.png, .boxes.json and .csv"
    )
    folder = parser.parse_args().folder
    write_collage(folder)
    print(f"{folder / 'collage.png'}, collage.boxes.json and collage.csv written")


if __name__ == "__main__":
    main()
