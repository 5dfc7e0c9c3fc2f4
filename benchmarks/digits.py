"""Windows and photos to train and measure small networks on, from data that packages ship.

Handwritten digits of scikit-learn, 8 x 8 values each, are enlarged and painted, in bright colours,
over dimmed photos of scikit-image and scikit-learn. Neither the digits nor the photos of the
validation split occur in training. A window shows one digit near its middle, perhaps with parts of
others at its edges, or none; a photo shows some anywhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import skimage.data
from sklearn.datasets import load_digits, load_sample_image

Pixels = npt.NDArray[np.uint8]
Split = Literal["training", "validation"]

WINDOW_PX = 64
CLASSES = (*"zero one two three four five six seven eight nine".split(), "background")
BACKGROUND = CLASSES.index("background")
# The digits of one writer follow each other: the last ones are of others than the first.
TRAINING_DIGITS = 1297
# Of pixels / 255.
MEAN_AND_STD = ((0.5,) * 3, (0.5,) * 3)
SIZES_PX = (36, 52)
# How far from a window's middle its digit may be; windows slide 16 px apart.
OFF_CENTRE_PX = 9
BACKGROUND_SHARE = 0.3
NEIGHBOUR_SHARE = 0.4
# Photos are dimmed to this share, and digits have bright colours, of so much at least of 255.
DIMMED = 0.6
LEAST_BRIGHT = 190
DIGITS_ON_PHOTO = 9
# A box holds what covers the photo by more than this.
LEAST_COVER = 0.3


@dataclass(frozen=True)
class Digits:
    """What one split is made of: 8 x 8 digits in 0..1, their labels, and RGB photos."""

    shapes: npt.NDArray[np.float32]
    labels: npt.NDArray[np.intp]
    photos: tuple[Pixels, ...]

    def windows(
        self, count: int, random: np.random.Generator
    ) -> tuple[Pixels, npt.NDArray[np.intp]]:
        """(count, 64, 64, 3) and the class of each."""
        windows, labels = np.empty((count, WINDOW_PX, WINDOW_PX, 3), np.uint8), []
        for window in windows:
            window[:] = self._background(random)
            if random.random() < NEIGHBOUR_SHARE:
                self._paint_neighbour(window, random)
            label = BACKGROUND
            if random.random() >= BACKGROUND_SHARE:
                side = int(random.integers(*SIZES_PX, endpoint=True))
                middle = WINDOW_PX / 2 + random.uniform(-OFF_CENTRE_PX, OFF_CENTRE_PX, 2)
                place = (middle - side / 2).round().astype(int)
                label = int(self.labels[self._paint(window, place, side, random)])
            labels.append(label)
        return windows, np.array(labels)

    def scene(self, index: int, random: np.random.Generator) -> tuple[Pixels, list[dict[str, Any]]]:
        """A photo with digits that do not touch, and their boxes as `heatmap.evaluate` reads."""
        photo = self.photos[index % len(self.photos)].copy()
        free, boxes = np.ones(photo.shape[:2], bool), []
        while len(boxes) < DIGITS_ON_PHOTO:
            side = int(random.integers(*SIZES_PX, endpoint=True))
            top, left = (int(random.integers(0, length - side)) for length in free.shape)
            if not free[top : top + side, left : left + side].all():
                continue
            near = max(0, top - WINDOW_PX // 4), max(0, left - WINDOW_PX // 4)
            free[near[0] : top + side, near[1] : left + side] = False
            free[top : top + side + WINDOW_PX // 4, left : left + side + WINDOW_PX // 4] = False
            chosen = self._paint(photo, np.array([top, left]), side, random)
            boxes.append(
                {"label": CLASSES[self.labels[chosen]], **self._box(chosen, top, left, side)}
            )
        return photo, boxes

    def _background(self, random: np.random.Generator) -> Pixels:
        """A part of a photo, of half to twice a window's size, resized to one."""
        photo = self.photos[random.integers(len(self.photos))]
        side = round(WINDOW_PX * 2 ** random.uniform(-0.5, 1))
        top, left = (random.integers(0, length - side) for length in photo.shape[:2])
        part = photo[top : top + side, left : left + side]
        resized = cv2.resize(part, (WINDOW_PX, WINDOW_PX), interpolation=cv2.INTER_AREA)
        return resized[:, ::-1] if random.random() < 0.5 else resized

    def _paint_neighbour(self, window: Pixels, random: np.random.Generator) -> None:
        """A digit of which less than a third is in the window."""
        side = int(random.integers(*SIZES_PX, endpoint=True))
        seen = round(side * random.uniform(0, 0.3))
        along = int(random.integers(-side // 2, WINDOW_PX - side // 2))
        start = seen - side if random.random() < 0.5 else WINDOW_PX - seen
        place = (start, along) if random.random() < 0.5 else (along, start)
        self._paint(window, np.array(place), side, random)

    def _paint(
        self, pixels: Pixels, top_left: npt.NDArray[Any], side: int, random: np.random.Generator
    ) -> int:
        """Paint any digit, as far as it is within the pixels, and give its index."""
        chosen = int(random.integers(len(self.shapes)))
        drawn = cv2.resize(self.shapes[chosen], (side, side), interpolation=cv2.INTER_CUBIC)
        first = np.maximum(top_left, 0)
        end = np.minimum(top_left + side, pixels.shape[:2])
        if (first < end).all():
            inside = tuple(slice(*ends) for ends in zip(first, end, strict=True))
            cut = tuple(slice(*ends) for ends in zip(first - top_left, end - top_left, strict=True))
            cover = drawn[cut].clip(0, 1)[..., None]
            under = pixels[inside].astype(np.float32)
            over = random.uniform(LEAST_BRIGHT, 255, 3).astype(np.float32)
            pixels[inside] = (under + cover * (over - under)).round().astype(np.uint8)
        return chosen

    def _box(self, chosen: int, top: int, left: int, side: int) -> dict[str, int]:
        """The edges of what is drawn of a digit."""
        drawn = cv2.resize(self.shapes[chosen], (side, side), interpolation=cv2.INTER_CUBIC)
        (y, bottom), (x, right) = (
            np.flatnonzero((drawn > LEAST_COVER).any(axis))[[0, -1]] for axis in (1, 0)
        )
        edges = (left + x, top + y, left + right + 1, top + bottom + 1)
        return dict(zip(("xmin", "ymin", "xmax", "ymax"), map(int, edges), strict=True))


def digits(split: Split) -> Digits:
    """One split of the digits, and its photos."""
    shipped = load_digits()
    training = split == "training"
    part = slice(TRAINING_DIGITS) if training else slice(TRAINING_DIGITS, None)
    shapes = (shipped.images[part] / 16).astype(np.float32)
    names = (
        "astronaut rocket camera grass gravel page coins moon"
        if training
        else "coffee chelsea brick immunohistochemistry"
    )
    photos = [getattr(skimage.data, name)() for name in names.split()]
    photos.append(load_sample_image("flower.jpg" if training else "china.jpg"))
    in_colour = (np.dstack([photo] * 3) if photo.ndim == 2 else photo for photo in photos)
    dimmed = tuple((DIMMED * photo).astype(np.uint8) for photo in in_colour)
    return Digits(shapes, shipped.target[part], dimmed)


def write_scenes(folder: Path, count: int, *, seed: int = 0) -> Path:
    """Photos of the validation split and, beside them, `boxes.json`, whose path it gives."""
    random, split = np.random.default_rng(seed), digits("validation")
    listed = []
    for index in range(count):
        photo, boxes = split.scene(index, random)
        name = f"{index:02}.png"
        cv2.imwrite(str(folder / name), photo[..., ::-1])
        rows, columns = photo.shape[:2]
        listed.append({"file": name, "width": columns, "height": rows, "boxes": boxes})
    target = folder / "boxes.json"
    target.write_text(json.dumps(listed))
    return target
