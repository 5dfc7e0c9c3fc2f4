"""Small pictures of examples that were classified wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import PhotoError
from ..photo.photo import read_photo
from ..photo.reading import Reading
from .augment import view
from .validation import WrongExample

# Side of a picture. Twenty of noise, the worst case for JPEG, take 0.9 MB of a page.
SIDE_PX = 224
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 80)
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


def wrong_pictures(
    wrong: Sequence[WrongExample], folder: Path, reading: Reading
) -> tuple[bytes, ...]:
    """What the network was shown of each example, with its box: JPEG, 224 x 224 px.

    Args:
        wrong: the examples.
        folder: that of their photos.
        reading: how photo files are read.

    Returns:
        The files in the order of the examples; empty where a photo cannot be read any more.
    """
    pictures: dict[int, bytes] = {}
    photo, pixels = "", None
    # Several examples may be of one photo, which is read once.
    for place in sorted(range(len(wrong)), key=lambda place: wrong[place].photo):
        example = wrong[place]
        if example.photo != photo:
            photo, pixels = example.photo, _pixels(folder / example.photo, reading)
        pictures[place] = b"" if pixels is None else _jpeg(example, pixels)
    return tuple(pictures[place] for place in range(len(wrong)))


def _pixels(path: Path, reading: Reading) -> npt.NDArray[np.uint8] | None:
    try:
        return read_photo(path, reading=reading).pixels
    except PhotoError:
        return None


def _jpeg(example: WrongExample, pixels: npt.NDArray[np.uint8]) -> bytes:
    picture = view(pixels, example.xyxy, SIDE_PX)
    if example.box is not None and example.xyxy is not None:
        left, top, right, _ = example.xyxy
        scale = SIDE_PX / (right - left)
        corners = np.array(example.box) - (left, top, left, top)
        first, last = np.rint(corners * scale).astype(int).reshape(2, 2).tolist()
        for colour, width in ((_BLACK, 3), (_WHITE, 1)):
            cv2.rectangle(picture, first, last, colour, width)
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, _JPEG)[1].tobytes()
