"""The sample photos, small, in every format that can be written here."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import pyvips
import tifffile

from tests.support.paths import SAMPLES


def names() -> list[str]:
    """Of whole photos, in every format that can be written here."""
    stems = (name.rsplit(".", 1) for name in _WRITERS)
    return sorted(f"{stem}-{number}.{suffix}" for stem, suffix in stems for number in _PHOTOS)


@cache
def original(name: str) -> bytes:
    """The whole photo of that name."""
    stem, _, rest = name.rpartition("-")
    number, suffix = rest.split(".")
    return _WRITERS[f"{stem}.{suffix}"](_small(int(number)))


@cache
def _small(number: int) -> pyvips.Image:
    photo = pyvips.Image.new_from_file(str(_PHOTOS[number]))
    return photo.thumbnail_image(150 + 40 * number).copy_memory()


_PHOTOS = dict(enumerate(sorted(SAMPLES.glob("photos/*.jpg"))))


def _with_alpha(photo: pyvips.Image) -> pyvips.Image:
    fade = pyvips.Image.identity().resize(photo.width / 256, vscale=photo.height)
    return photo.bandjoin(fade.crop(0, 0, photo.width, photo.height).cast("uchar"))


def _tiff(**options: object) -> Callable[[pyvips.Image], bytes]:
    return lambda photo: photo.tiffsave_buffer(**options)


def _by_opencv(suffix: str) -> Callable[[pyvips.Image], bytes]:
    return lambda photo: cv2.imencode(suffix, photo.numpy()[..., ::-1])[1].tobytes()


def _by_tifffile(change: Callable[[np.ndarray], np.ndarray], **options: object):
    def write(photo: pyvips.Image) -> bytes:
        file = io.BytesIO()
        tifffile.imwrite(file, change(photo.numpy()), **options)
        return file.getvalue()

    return write


def _masked(photo: pyvips.Image) -> bytes:
    """A TIFF with a mask of its left half, as GDAL writes it."""
    pixels, file = photo.numpy(), io.BytesIO()
    inside = np.zeros(pixels.shape[:2], bool)
    inside[:, pixels.shape[1] // 2 :] = True
    with tifffile.TiffWriter(file) as writer:
        writer.write(pixels, photometric="rgb", compression="deflate", tile=(64, 64))
        writer.write(
            inside, photometric="mask", subfiletype=4, compression="deflate", tile=(64, 64)
        )
    return file.getvalue()


_TILES = {"tile": True, "tile_width": 32, "tile_height": 32}
_NODATA = (42113, "s", 0, "0", True)
_WRITERS: dict[str, Callable[[pyvips.Image], bytes]] = {
    "baseline.jpg": lambda photo: photo.jpegsave_buffer(Q=85),
    "progressive.jpg": lambda photo: photo.jpegsave_buffer(interlace=True),
    "grey.jpg": lambda photo: photo.colourspace("b-w").jpegsave_buffer(),
    "cmyk.jpg": lambda photo: photo.colourspace("cmyk").jpegsave_buffer(),
    "plain.png": lambda photo: photo.pngsave_buffer(),
    "interlaced.png": lambda photo: photo.pngsave_buffer(interlace=True),
    "palette.png": lambda photo: photo.pngsave_buffer(palette=True),
    "deep.png": lambda photo: photo.colourspace("rgb16").pngsave_buffer(),
    "alpha.png": lambda photo: _with_alpha(photo).pngsave_buffer(),
    "lossy.webp": lambda photo: photo.webpsave_buffer(),
    "alpha.webp": lambda photo: _with_alpha(photo).webpsave_buffer(lossless=True),
    "striped.tif": _tiff(),
    "tiled.tif": _tiff(**_TILES, compression="deflate"),
    "pyramid.tif": _tiff(**_TILES, pyramid=True),
    "pyramid-below.tif": _tiff(**_TILES, pyramid=True, subifd=True),
    "jpeg.tif": _tiff(**_TILES, compression="jpeg"),
    "lzw.tif": _tiff(compression="lzw", predictor="horizontal"),
    "deep.tif": lambda photo: photo.colourspace("rgb16").tiffsave_buffer(compression="deflate"),
    "float.tif": lambda photo: (photo / 255).cast("float").tiffsave_buffer(),
    "planar.tif": _by_tifffile(
        lambda pixels: np.ascontiguousarray(pixels.transpose(2, 0, 1)),
        photometric="rgb",
        planarconfig="separate",
    ),
    "five.tif": _by_tifffile(
        lambda pixels: np.concatenate([pixels, pixels[..., :2]], axis=2), photometric="rgb"
    ),
    "nodata.tif": _by_tifffile(
        lambda pixels: pixels * (np.arange(pixels.shape[1]) > 50)[:, None].astype(np.uint8),
        photometric="rgb",
        extratags=[_NODATA],
    ),
    "masked.tif": _masked,
    "plain.gif": lambda photo: photo.gifsave_buffer(),
    "plain.avif": lambda photo: photo.heifsave_buffer(compression="av1", effort=0),
    "plain.bmp": _by_opencv(".bmp"),
    "plain.ppm": _by_opencv(".ppm"),
    "plain.jp2": _by_opencv(".jp2"),
}
