"""Photos in: any file or array to upright RGB uint8, then resized and extended for scoring.

libvips decodes, row by row, and knows the odd kinds: CMYK, colour profiles,
16 bits, palettes, EXIF orientation.
"""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
import pyvips

from .errors import GeometryError, PhotoError
from .geometry import Geometry

# What libvips calls its readers, and people the files. All others are refused: some take
# text or raw numbers for an image, or draw documents.
_FORMATS = {
    "Jpeg": "JPEG",
    "Png": "PNG",
    "Webp": "WebP",
    "Tiff": "TIFF",
    "Nsgif": "GIF",
    "Heif": "HEIF",
}
_COLOUR_CHANNELS = {"b-w": 1, "grey16": 1, "srgb": 3, "rgb16": 3, "scrgb": 3, "cmyk": 4}


# Compared by identity: arrays do not compare to one truth value, digests do.
@dataclass(frozen=True, eq=False)
class Photo:
    """A photo in memory.

    ``pixels`` is RGB uint8 (H, W, 3), EXIF-upright, contiguous, read-only. Of a
    contiguous array given by a caller it is a view, not a copy: it shows what the
    caller writes later. ``path`` is as given, or "" for an array. ``notes`` say what
    the reader did that a person should know.

    Raises:
        PhotoError: pixels of another type, dtype or shape, or with a side of 0.
    """

    pixels: npt.NDArray[np.uint8]
    path: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        given: object = self.pixels
        if not isinstance(given, np.ndarray):
            raise PhotoError(
                f"photo is a {type(given).__name__}: give a path or an RGB uint8 array (H, W, 3)"
            )
        if given.dtype != np.uint8 or given.ndim != 3 or given.shape[2] != 3 or not given.size:
            raise PhotoError(
                f"photo is a {given.dtype} array of shape {given.shape}: "
                "give RGB uint8 (H, W, 3), at least 1 x 1 px"
            )
        pixels = np.ascontiguousarray(given).view(np.ndarray)
        pixels.flags.writeable = False
        object.__setattr__(self, "pixels", pixels)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of shape and pixels, in hex: equal for photos of the same content."""
        shape = " x ".join(map(str, self.pixels.shape))
        whole = hashlib.sha256(f"{shape}\n".encode())
        whole.update(self.pixels.data.cast("B"))
        return whole.hexdigest()


def read_photo(source: str | Path | npt.NDArray[np.uint8] | Photo) -> Photo:
    """Read a photo from a file, or take an RGB uint8 array (H, W, 3) as one.

    Files are JPEG, PNG, WebP, TIFF, GIF or HEIF/AVIF of any kind that has one meaning
    as a photo: they are turned upright and brought to 8-bit sRGB, transparency is laid
    over white, and of several frames the first is taken. Float values are taken as
    0..1 where none is above 1, else as 0..255. The caller's array is not changed.

    Raises:
        PhotoError: no such file, no image, one that is cut short, has values or
            channels of unknown meaning, or an array that is not uint8 (H, W, 3).
    """
    if isinstance(source, Photo):
        return source
    if isinstance(source, (str, Path)):
        return _read_file(Path(source), str(source))
    return Photo(source)


def place(pixels: npt.NDArray[np.uint8], geometry: Geometry) -> npt.NDArray[np.uint8]:
    """Resize and extend (or cut) a photo so that the windows of a geometry tile it.

    ``pixels`` are those the geometry was planned for, uint8 (H, W, 3), and stay as
    they are. Returns a new contiguous uint8 array (*geometry.extended_hw, 3).

    Raises:
        GeometryError: pixels of another height or width than the geometry's photo.
    """
    if pixels.shape[:2] != geometry.photo_hw:
        raise GeometryError(
            f"photo is {pixels.shape[0]} x {pixels.shape[1]} px, the geometry was planned "
            f"for {geometry.photo_hw[0]} x {geometry.photo_hw[1]}: plan it anew"
        )
    scaled = _resize(pixels, geometry.scaled_hw)
    top, bottom, left, right = geometry.margins_tblr
    kept = scaled[: scaled.shape[0] + min(0, bottom), : scaled.shape[1] + min(0, right)]
    # Also where nothing is added, so that the result never shares memory with the photo.
    extended = cv2.copyMakeBorder(
        kept, top, max(0, bottom), left, max(0, right), cv2.BORDER_REFLECT_101
    )
    return np.asarray(extended, dtype=np.uint8)


def _resize(pixels: npt.NDArray[np.uint8], target_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    height, width = target_hw
    if pixels.shape[:2] == target_hw:
        return pixels
    shrinks = height < pixels.shape[0] or width < pixels.shape[1]
    # Averaging areas keeps fine texture from aliasing when shrinking. Enlarging back
    # photos that were halved, cubic came closer to them than linear (27.3 against 26.4
    # dB over 40 photos) at the same speed; Lanczos gained another 0.06 dB, 14 times slower.
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=how), dtype=np.uint8)


def _read_file(path: Path, given: str) -> Photo:
    with _open(path) as stream:
        # By descriptor: pyvips takes only names that are UTF-8, files may have others.
        source = pyvips.Source.new_from_descriptor(stream.fileno())
        file_format = _format_of(source)
        if file_format is None:
            known = ", ".join(_FORMATS.values())
            raise PhotoError(f"{path}: not an image that can be read (none of {known})")
        try:
            pixels, notes = _decode(source)
        except PhotoError as error:
            raise PhotoError(f"{path}: {error}") from error
        except pyvips.Error as error:
            raise PhotoError(
                f"{path}: is cut short, damaged or an unknown kind of {file_format}{_reason(error)}"
            ) from error
    return Photo(pixels, given, notes)


def _open(path: Path) -> BinaryIO:
    """Open a regular file that holds something; anything else in one line."""
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise PhotoError(f"{path}: is a directory: give a photo")
        # Opening a pipe would wait for ever.
        if not stat.S_ISREG(found.st_mode):
            raise PhotoError(f"{path}: is not a regular file: give a photo")
        if found.st_size == 0:
            raise PhotoError(f"{path}: is empty")
        return path.open("rb")
    except FileNotFoundError as error:
        raise PhotoError(f"{path}: no such file") from error
    # ValueError: a name with a null character.
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PhotoError(f"{path}: cannot be opened: {reason}") from error


def _format_of(source: pyvips.Source) -> str | None:
    """What the first bytes say it is, for the formats that are read; else None."""
    reader = pyvips.vips_lib.vips_foreign_find_load_source(source.pointer)
    if reader == pyvips.ffi.NULL:
        # libvips keeps its complaints until asked, and would add this one to the next.
        pyvips.vips_lib.vips_error_clear()
        return None
    name = pyvips.ffi.string(reader).decode()
    return _FORMATS.get(name.removeprefix("VipsForeignLoad").removesuffix("Source"))


def _reason(error: pyvips.Error) -> str:
    """The last thing libvips said, in brackets, without the name of its function."""
    lines = [line.strip() for line in error.detail.splitlines() if line.strip()]
    return f" ({lines[-1].split(': ', 1)[-1]})" if lines else ""


def _decode(source: pyvips.Source) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Pixels as :class:`Photo` holds them, and what was done to them."""
    # TIFFs that are cut short fail only from "error" on, other formats from "truncated".
    image = pyvips.Image.new_from_source(source, "", access="sequential", fail_on="error")
    notes = []
    for step in (_first_frame, _to_known_values, _to_srgb, _over_white, _upright):
        image, note = step(image)
        notes += [note] if note else []
    return image.numpy(), tuple(notes)


def _field(image: pyvips.Image, name: str, default: int) -> Any:
    """A header field, or ``default`` where the image has none."""
    return image.get(name) if image.get_typeof(name) else default


def _first_frame(image: pyvips.Image) -> tuple[pyvips.Image, str]:
    """libvips reads the first one by itself; say so."""
    frames = _field(image, "n-pages", 1)
    return image, f"first of {frames} frames" if frames > 1 else ""


def _to_known_values(image: pyvips.Image) -> tuple[pyvips.Image, str]:
    """Refuse channels and numbers of unknown meaning; float values to 8 bits."""
    colours = _COLOUR_CHANNELS.get(image.interpretation)
    if colours is None or image.bands - colours not in (0, 1):
        raise PhotoError(
            f"has {image.bands} channels ({image.interpretation}): "
            "give grey, RGB or CMYK, with or without transparency"
        )
    if image.format == "float":
        return _from_float(image)
    if image.format not in ("uchar", "ushort"):
        raise PhotoError(f"values are of type {image.format}: give 8 bits, 16 bits or float")
    return image, "16-bit reduced to 8" if image.format == "ushort" else ""


def _from_float(image: pyvips.Image) -> tuple[pyvips.Image, str]:
    # Looked at and then used: two passes, and a file can be read in order only once.
    image = image.copy_memory()
    values = image.numpy()
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise PhotoError("holds values that are not finite (NaN or infinite)")
    if low < 0 or high > 255:
        raise PhotoError(f"float values go from {low:g} to {high:g}: give 0..1 or 0..255")
    unit = high <= 1
    # As floats libvips would take RGB for linear light, as 8 bits it takes the numbers as
    # they are.
    whole = (image * (255 if unit else 1)).rint().cast("uchar")
    return whole, f"float values taken as {'0..1' if unit else '0..255'}, reduced to 8 bits"


def _to_srgb(image: pyvips.Image) -> tuple[pyvips.Image, str]:
    """Grey, CMYK, 16-bit and profiled colours to 8-bit sRGB; transparency stays."""
    note = "CMYK brought to sRGB" if image.interpretation == "cmyk" else ""
    if image.get_typeof("icc-profile-data"):
        # A profile that is broken or for other channels gives way to a built-in one.
        return image.icc_transform("srgb", embedded=True, depth=8), note
    return image.colourspace("srgb"), note


def _over_white(image: pyvips.Image) -> tuple[pyvips.Image, str]:
    if not image.hasalpha():
        return image, ""
    # Looked at and then used, as above.
    image = image.copy_memory()
    note = "transparency laid over white" if image[-1].min() < 255 else ""
    return image.flatten(background=255), note


def _upright(image: pyvips.Image) -> tuple[pyvips.Image, str]:
    orientation = _field(image, "orientation", 1)
    if orientation not in range(2, 9):
        return image, ""
    # Turning reads columns; the file gives rows.
    upright = image.copy_memory().autorot()
    return upright, f"turned upright by its EXIF orientation {orientation}"
