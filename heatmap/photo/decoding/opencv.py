"""Photo files that OpenCV decodes, since libvips here does not: BMP, PNM and JPEG 2000.

The header is read first, so that nothing is decoded that is too large.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyvips

from ...errors import PhotoError

_HEADER_BYTES = 2**16
_QUIET = threading.Lock()
_NUMBER = rb"(?:\s|#[^\n]*\n)+(\d{1,10})"
_PNM = {kind: re.compile(rb"P." + _NUMBER * (2 if kind in b"14" else 3)) for kind in b"123456"}
_UNREADABLE = "is cut short or damaged"


@dataclass(frozen=True)
class Header:
    """What the header of a file says.

    Attributes:
        hw: height and width, px.
        white: the value of white; 255 or 65535 where the file uses all of its 8 or 16 bits.
    """

    hw: tuple[int, int]
    white: int = 255


def header_of(path: Path, file_format: str) -> Header:
    """Size and depth of a file, without decoding pixels.

    Raises:
        PhotoError: the header is damaged.
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEADER_BYTES)
    read = {"BMP": _bmp, "PNM": _pnm, "JPEG 2000": _jpeg_2000}[file_format]
    header = read(head)
    if header is None or min(header.hw) < 1:
        raise PhotoError(f"{_UNREADABLE} (its header)")
    return header


def _bmp(head: bytes) -> Header | None:
    if len(head) < 26:
        return None
    old = head[14] == 12
    width, height = (
        int.from_bytes(part, "little", signed=not old)
        for part in ((head[18:20], head[20:22]) if old else (head[18:22], head[22:26]))
    )
    # Rows stand from top to bottom where the height is negative.
    return Header((abs(height), width))


def _pnm(head: bytes) -> Header | None:
    found = _PNM[head[1]].match(head)
    if found is None:
        return None
    width, height, *white = map(int, found.groups())
    # Of text OpenCV makes 0 to 255 itself.
    known = white[0] if white and (head[1] in b"56" or white[0] > 255) else 255
    return Header((height, width), min(max(known, 1), 65535))


def _jpeg_2000(head: bytes) -> Header | None:
    # The codestream begins with its marker and that of the size: Annex A.5.1 of ISO/IEC 15444-1.
    at = head.find(b"\xff\x4f\xff\x51")
    if at < 0 or len(head) < at + 43:
        return None
    right, bottom, left, top = (
        int.from_bytes(head[at + 8 + 4 * index :][:4], "big") for index in range(4)
    )
    bits = (head[at + 42] & 0x7F) + 1
    return Header((bottom - top, right - left), 2 ** min(bits, 16) - 1)


def read_image(path: Path, file_format: str) -> pyvips.Image:
    """The image decoded, as libvips would give it.

    Where the header names a depth of less than 16 bits, or another white than 65535 by which values
    were divided, its field "bits-per-sample" says how many bits they have now.

    Raises:
        PhotoError: the file is damaged, or of a kind that OpenCV does not read.
        OSError: the file cannot be read.
    """
    header = header_of(path, file_format)
    values = decoded(path.read_bytes())
    if values is None or values.shape[:2] != header.hw:
        raise PhotoError(
            f"{_UNREADABLE}, or a kind of {file_format} that is not read: convert it to PNG or TIFF"
        )
    if values.dtype not in (np.uint8, np.uint16):
        raise PhotoError(f"values are of type {values.dtype}: give 8 or 16 bits")
    bits = header.white.bit_length()
    full = 255 if values.dtype == np.uint8 else 65535
    exact = header.white == 2**bits - 1 and bits >= 8
    if not exact:
        # Of a depth that no number of bits describes, or of less than 8.
        values = np.rint(values * (full / header.white)).clip(0, full).astype(values.dtype)
    image = as_image(_rgb(values))
    if values.dtype == np.uint16 and (bits < 16 or not exact):
        image.set_type(pyvips.GValue.gint_type, "bits-per-sample", bits if exact else 16)
    return image


def decoded(content: bytes) -> npt.NDArray[Any] | None:
    """Grey (H, W), BGR or BGRA; None if it cannot be decoded."""
    with _QUIET:
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error:
            return None
        finally:
            cv2.utils.logging.setLogLevel(level)


def _rgb(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(values.shape[2]) if values.ndim == 3 else None
    return np.ascontiguousarray(values[:, :, order]) if order else values


def as_image(values: npt.NDArray[Any]) -> pyvips.Image:
    """Values (H, W) or (H, W, bands) of 8 or 16 bits as an image of grey or RGB."""
    return pyvips.Image.new_from_array(values).copy(interpretation=_interpretation(values))


def _interpretation(values: npt.NDArray[Any]) -> str:
    wide = values.dtype == np.uint16
    if values.ndim == 2 or values.shape[2] < 3:
        return "grey16" if wide else "b-w"
    return "rgb16" if wide else "srgb"
