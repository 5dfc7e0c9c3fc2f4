"""Photos to measure on, made from the samples' collage."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyvips

sys.path.insert(0, str(Path(__file__).parent.parent / "samples"))

from make_collage import make_collage

# Photos have grain; without it JPEG files of enlarged photos would be unusually easy to read.
NOISE = 6.0
ENLARGED = 2.0
QUALITY = 90


def sample_photo(width_px: int, height_px: int | None = None) -> npt.NDArray[np.uint8]:
    """A part, square by default, out of the middle of the samples' collage: RGB uint8 (H, W, 3).

    A larger one shows the collage several times.
    """
    height, width = height_px or width_px, width_px
    collage, _ = make_collage()
    down, across = -(-height // collage.shape[0]), -(-width // collage.shape[1])
    field = np.tile(collage, (down, across, 1))
    top, left = (field.shape[0] - height) // 2, (field.shape[1] - width) // 2
    return np.ascontiguousarray(field[top : top + height, left : left + width])


def write_jpeg(path: Path, photo: npt.NDArray[np.uint8]) -> Path:
    pyvips.Image.new_from_array(photo).jpegsave(str(path), Q=QUALITY)
    return path


def write_large_photo(path: Path, side_px: int) -> None:
    """A square photo of any size, as a baseline JPEG (.jpg) or a tiled TIFF (.tif).

    The collage, enlarged, repeated and with noise; never whole in memory.
    """
    collage, _ = make_collage()
    once = pyvips.Image.new_from_array(collage).resize(ENLARGED)
    across, down = -(-side_px // once.width), -(-side_px // once.height)
    whole = once.replicate(across, down).crop(0, 0, side_px, side_px)
    noise = pyvips.Image.gaussnoise(side_px, side_px, mean=0, sigma=NOISE, seed=0)
    photo = (whole + noise).cast("uchar").copy(interpretation="srgb")
    if path.suffix == ".tif":
        photo.tiffsave(
            str(path), tile=True, tile_width=256, tile_height=256, compression="jpeg", Q=QUALITY
        )
    else:
        photo.jpegsave(str(path), Q=QUALITY)
