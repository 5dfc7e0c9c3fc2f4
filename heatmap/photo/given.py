"""Photos that are given in memory: arrays, tensors, images of PIL, and the bytes of files."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt
import pyvips

from ..errors import PhotoError, reason_of
from ..region import Region
from .decoding.colours import bands_of
from .decoding.depth import extremes_of
from .decoding.values import TRANSPARENT, Stored, over_white, to_known_values, to_srgb, upright
from .no_data import Marks, NoData, no_data_of
from .reading import Reading


class SupportsArray(Protocol):
    """What has pixels: a NumPy array, a tensor of torch, or an image of PIL."""

    def __array__(self, dtype: Any = None, /) -> npt.NDArray[Any]: ...


# What one reads from, or the content of a photo's file.
EncodedBytes: TypeAlias = bytes | bytearray | memoryview | BinaryIO

# The most bytes that are read from an open file or a pipe.
MOST_BYTES = 2**30
_PART = 2**20

# Modes of images of PIL that have transparency.
_WITH_ALPHA = ("RGBA", "LA", "La", "PA", "RGBa")
_CHANNELS = (1, 3, 4)
_INTERPRETATIONS = {("uint16", 1): "grey16", ("uint16", 3): "rgb16", ("uint16", 4): "rgb16"}
_ORIENTATION = 0x0112
# Orientations whose rows become columns.
_TURNED = range(5, 9)


class Spooled:
    """The bytes of a photo's file in a temporary file, which is removed with this object.

    Args:
        source: the bytes, or an open binary file, which is read to its end.

    Raises:
        PhotoError: there are none, or more than ``MOST_BYTES``, or they cannot be read or written.
    """

    def __init__(self, source: EncodedBytes) -> None:
        stream = BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source
        handle, name = tempfile.mkstemp(prefix="heatmap-photo-")
        self.path = Path(name)
        weakref.finalize(self, self.path.unlink, missing_ok=True)
        with os.fdopen(handle, "wb") as file:
            try:
                _copy(stream, file)
            except (OSError, ValueError) as error:
                raise PhotoError(f"photo cannot be read: {reason_of(error)}") from error

    @contextmanager
    def unnamed_errors(self) -> Iterator[None]:
        """Leave the name of the temporary file out of the errors of the block."""
        try:
            yield
        except PhotoError as error:
            unnamed = error.message.replace(str(self.path), "photo")
            raise PhotoError(unnamed, *error.ways) from error


def _copy(stream: BinaryIO, file: BinaryIO) -> None:
    total = 0
    while part := stream.read(_PART):
        if not isinstance(part, bytes):
            raise PhotoError("photo is a file opened as text: open it with mode 'rb'")
        total += len(part)
        if total > MOST_BYTES:
            raise PhotoError(f"photo has more than {MOST_BYTES:,} bytes: give its path")
        file.write(part)
    if not total:
        raise PhotoError("photo has no bytes: its file is empty, or was read to its end before")


def is_encoded(source: object) -> TypeGuard[EncodedBytes]:
    """Whether a photo is given as the bytes of its file, or as something to read them from."""
    if isinstance(source, bytes | bytearray | memoryview):
        return True
    return hasattr(source, "read") and not hasattr(source, "__array__")


def decoded(
    source: object, region: Region | None, reading: Reading
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...], NoData | None]:
    """The pixels of a photo that is given in memory, as those of a file with the same values.

    Args:
        source: as in :func:`photo.read_photo`; not changed.
        region: the part of it.
        reading: how values are read, where they leave a choice.

    Returns:
        RGB uint8 (H, W, 3), a view where the source is that already; notes; and which pixels are
        no photo.

    Raises:
        PhotoError: it has no pixels, or values or axes of unknown meaning.
    """
    array, more = _array(source)
    _check(array, reading)
    if array.dtype == np.uint8 and array.shape[2] == 3 and not more and not reading.input_range:
        left, top, width, height = region.xywh if region else (0, 0, *array.shape[1::-1])
        return array[top : top + height, left : left + width], (), None
    image = _image(array, more)
    stored = Stored(lambda bands: extremes_of(image, bands), input_range=reading.input_range)
    shown, notes = to_known_values(image, stored)
    if image.format == "float" and not reading.input_range:
        # That 0..1 is black to white is no choice here.
        notes = ()
    no_data, alpha = None, shown[-1] if shown.hasalpha() else None
    for step in (to_srgb, over_white, upright):
        shown, note = step(shown, pyvips.Image.copy_memory)
        notes += (note,) if note else ()
    if TRANSPARENT in notes:
        colours = bands_of(image, stored.extra).colours
        no_data, _ = no_data_of(image, Path(), Marks(), colours=colours, alpha=alpha, region=region)
    if region is not None:
        shown = shown.crop(region.left, region.top, region.width, region.height)
    return shown.numpy(), notes, no_data


def given_hw(source: object) -> tuple[int, int]:
    """Height and width, px, that :func:`decoded` gives of a whole photo.

    Raises:
        PhotoError: it has no pixels.
    """
    array, more = _array(source)
    hw = (*array.shape[:2], 0, 0)[:2]
    return hw[::-1] if more.get("orientation", 1) in _TURNED else hw


def _array(source: Any) -> tuple[npt.NDArray[Any], Mapping[str, Any]]:
    """Values (H, W, C), and what libvips is to know of them: profile and orientation."""
    if hasattr(source, "getexif") and hasattr(source, "convert"):
        return _of_pil(source)
    if hasattr(source, "detach"):
        return _of_tensor(source), {}
    if not isinstance(source, np.ndarray):
        raise PhotoError(
            f"photo is a {type(source).__name__}: give a path, the bytes of a file, an image of "
            "PIL, an array (H, W, 3) or a tensor (3, H, W)"
        )
    return _with_channels(source), {}


def _of_tensor(tensor: Any) -> npt.NDArray[Any]:
    """A tensor of torch (C, H, W) as (H, W, C)."""
    shape = tuple(tensor.shape)
    if len(shape) != 3 or shape[0] not in _CHANNELS:
        way = "give one photo, (3, H, W)"
        if len(shape) == 3 and shape[2] in _CHANNELS:
            way = "channels come first: give tensor.permute(2, 0, 1)"
        elif len(shape) == 4 and shape[0]:
            way = "give one photo at a time, such as tensor[0]"
        raise PhotoError(f"photo is a tensor of shape {shape}: {way}")
    plain = tensor.detach().cpu()
    if plain.is_floating_point():
        # NumPy has no bfloat16.
        plain = plain.float()
    return np.asarray(plain.permute(1, 2, 0).numpy())


def _of_pil(image: Any) -> tuple[npt.NDArray[Any], Mapping[str, Any]]:
    """An image of PIL, with its profile and orientation, which PIL itself does not apply."""
    mode = _plain_mode(image)
    try:
        orientation = image.getexif().get(_ORIENTATION)
        values = np.asarray(image if image.mode == mode else image.convert(mode))
    # A file that PIL decodes only now, and that is damaged.
    except (OSError, ValueError, SyntaxError) as error:
        raise PhotoError(f"photo cannot be decoded by PIL: {reason_of(error)}") from error
    # A profile is of the colours that were there before.
    profile = image.info.get("icc_profile") if image.mode == mode else None
    known = {"orientation": orientation, "icc-profile-data": profile}
    return _with_channels(values), {name: value for name, value in known.items() if value}


def _plain_mode(image: Any) -> str:
    """The mode, of those whose arrays are read here, that an image of PIL is converted to."""
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        return "RGBA"
    if image.mode.startswith("I"):
        return "I;16"
    if image.mode in ("1", "L"):
        return "L"
    return "F" if image.mode == "F" else "RGB"


def _with_channels(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values[..., None] if values.ndim == 2 else values


def _check(array: npt.NDArray[Any], reading: Reading) -> None:
    """Refuse axes and values of unknown meaning.

    Raises:
        PhotoError: they are.
    """
    shape, kind = array.shape, array.dtype.newbyteorder("=")
    if array.ndim != 3 or shape[2] not in _CHANNELS or not array.size:
        way = "give (H, W), or (H, W, C) with 1, 3 or 4 channels"
        if array.ndim == 3 and shape[0] in _CHANNELS and array.size:
            way = "channels come last: give array.transpose(1, 2, 0)"
        elif array.ndim == 4 and len(array):
            way = "give one photo at a time, such as array[0]"
        raise PhotoError(f"photo is an array of shape {shape}: {way}")
    if kind not in (np.uint8, np.uint16) and kind.kind != "f":
        raise PhotoError(f"photo is an array of {kind}: give uint8, uint16, or float from 0 to 1")
    if kind.kind == "f" and reading.input_range is None:
        low, high = array.min(), array.max()
        # Not so either where a value is not a number.
        if not (low >= 0 and high <= 1):
            way = "give array / 255" if 1 < high <= 255 and low >= 0 else "give 0 to 1"
            raise PhotoError(f"photo has float values from {low:g} to {high:g}: {way}")


def _image(array: npt.NDArray[Any], more: Mapping[str, Any]) -> pyvips.Image:
    """An array (H, W, C) as libvips has it, as stored in a file."""
    kind = np.float32 if array.dtype.kind == "f" else array.dtype.newbyteorder("=")
    plain = np.ascontiguousarray(array, kind).view(np.ndarray)
    usual = "b-w" if plain.shape[2] == 1 else "srgb"
    named = _INTERPRETATIONS.get((plain.dtype.name, plain.shape[2]), usual)
    image = pyvips.Image.new_from_array(plain, interpretation=named).copy()
    types = {"orientation": pyvips.GValue.gint_type, "icc-profile-data": pyvips.GValue.blob_type}
    for name, value in more.items():
        image.set_type(types[name], name, value)
    return image
