"""Small files that claim to be large: refused by their header, before they cost anything."""

import io
import os
import re
import socket
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image

from heatmap.errors import PhotoError
from heatmap.photo import photo_file
from heatmap.photo.photo import read_photo
from heatmap.photo.photo_file import PhotoFile, open_whole, upright_hw
from heatmap.photo.reading import MAX_PIXELS, Reading
from heatmap.photo.reduced import open_photo, reduced_photo
from heatmap.region import Region

HW = (60, 50)
PIXELS = 60 * 50


def blank(form: str, **options) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", HW[::-1], (9, 90, 200)).save(stream, form, **options)
    return stream.getvalue()


def interlaced() -> bytes:
    image = pyvips.Image.new_from_array(np.zeros((*HW, 3), np.uint8)).copy(interpretation="srgb")
    return image.pngsave_buffer(interlace=True)


def planes() -> bytes:
    stream = io.BytesIO()
    values = np.zeros((3, *HW), np.uint8)
    tifffile.imwrite(stream, values, photometric="rgb", planarconfig="separate", tile=(16, 16))
    return stream.getvalue()


HELD_WHOLE = {
    "progressive.jpg": lambda: blank("JPEG", progressive=True),
    "interlaced.png": interlaced,
    "a.webp": lambda: blank("WEBP"),
    "a.avif": lambda: blank("AVIF"),
    "a.gif": lambda: blank("GIF"),
    "a.bmp": lambda: blank("BMP"),
    "a.ppm": lambda: blank("PPM"),
    "a.jp2": lambda: blank("JPEG2000"),
    "planes.tif": planes,
}
STREAMED = {
    "a.jpg": lambda: blank("JPEG"),
    "a.png": lambda: blank("PNG"),
    "a.tif": lambda: blank("TIFF"),
}


@pytest.mark.parametrize("name", HELD_WHOLE)
def test_formats_that_are_decoded_whole_are_bounded(tmp_path, name, monkeypatch):
    path = tmp_path / name
    path.write_bytes(HELD_WHOLE[name]())
    enough, short = Reading(max_pixels=PIXELS), Reading(max_pixels=PIXELS - 1)
    monkeypatch.setattr(photo_file, "LARGE_PX", PIXELS - 1)
    for read in (read_photo, PhotoFile, open_whole, open_photo):
        assert read(path, reading=enough).hw == HW
        with pytest.raises(PhotoError, match=r"says 50 x 60 px, 0\.0 megapixels: a ") as caught:
            read(path, reading=short)
        assert str(caught.value).startswith(f"{path}: its header says")
        assert str(caught.value).endswith(": give max_pixels=3000 to read it all the same")
    # A part of it, or a smaller one, is decoded whole all the same.
    for read in (
        lambda: read_photo(path, Region(0, 0, 5, 5, HW), short),
        lambda: reduced_photo(path, 2, reading=short),
    ):
        with pytest.raises(PhotoError, match="says 50 x 60 px"):
            read()
    assert upright_hw(path) == HW


@pytest.mark.parametrize("name", STREAMED)
def test_formats_that_stream_keep_any_size(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(STREAMED[name]())
    few = Reading(max_pixels=100)
    assert sum(map(len, PhotoFile(path, reading=few).strips())) == HW[0]
    assert read_photo(path, Region(3, 4, 10, 10, HW), few).hw == (10, 10)
    assert reduced_photo(path, 8, reading=few).level.hw[1] == 6
    # But in memory as a whole they are bounded too.
    with pytest.raises(PhotoError, match=r"says 50 x 60 px, 0.0 megapixels: a .* as a whole may"):
        read_photo(path, reading=few)


def png_of(hw: tuple[int, int], pixels: bytes, depth: int = 8, kind: int = 2) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", hw[1], hw[0], depth, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(pixels, 9))
        + chunk(b"IEND", b"")
    )


def jpeg_that_claims(hw: tuple[int, int], **options) -> bytes:
    content = bytearray(blank("JPEG", **options))
    at = next(content.find(b"\xff" + bytes([kind])) for kind in (0xC0, 0xC2) if
              content.find(b"\xff" + bytes([kind])) > 0)  # fmt: skip
    content[at + 5 : at + 9] = struct.pack(">HH", *hw)
    return bytes(content)


def jp2_that_claims(hw: tuple[int, int]) -> bytes:
    content = bytearray(blank("JPEG2000"))
    at = content.index(b"\xff\x4f\xff\x51")
    content[at + 8 : at + 16] = struct.pack(">II", hw[1], hw[0])
    return bytes(content)


def bmp_that_claims(hw: tuple[int, int]) -> bytes:
    content = bytearray(blank("BMP"))
    content[18:26] = struct.pack("<ii", hw[1], hw[0])
    return bytes(content)


def webp_that_claims(hw: tuple[int, int]) -> bytes:
    """Both sides less 1 stand in 14 bits each after the signature of lossless WebP."""
    content = bytearray(blank("WEBP", lossless=True))
    at = content.index(b"VP8L") + 9
    (packed,) = struct.unpack("<I", content[at : at + 4])
    sides = (hw[1] - 1) | (hw[0] - 1) << 14
    content[at : at + 4] = struct.pack("<I", packed >> 28 << 28 | sides)
    return bytes(content)


BOMBS = {
    "a.png": lambda: png_of((60000, 60000), bytes(10**5)),
    "bits.png": lambda: png_of((60000, 60000), bytes(10**5), 1, 0),
    "a.jpg": lambda: jpeg_that_claims((65000, 65000)),
    "progressive.jpg": lambda: jpeg_that_claims((65000, 65000), progressive=True),
    "a.ppm": lambda: b"P6\n60000 60000\n255\n" + bytes(500),
    "a.jp2": lambda: jp2_that_claims((60000, 60000)),
    "a.bmp": lambda: bmp_that_claims((60000, 60000)),
    "a.webp": lambda: webp_that_claims((9000, 16383)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_claims_much_is_refused_before_it_is_decoded(tmp_path, name, monkeypatch):
    path = tmp_path / name
    path.write_bytes(BOMBS[name]())
    assert path.stat().st_size < 20000

    def decoded(*_):
        raise AssertionError("pixels were decoded")

    for reader, method in ((pyvips.Image, "numpy"), (pyvips.Image, "copy_memory"),
                           (pyvips.Region, "fetch"), (cv2, "imdecode")):  # fmt: skip
        monkeypatch.setattr(reader, method, decoded)
    for read in (read_photo, open_whole, lambda path: reduced_photo(path, 64)):
        with pytest.raises(PhotoError, match=r"says \d+ x \d+ px, [\d,.]+ megapixels") as caught:
            read(path)
        assert "max_pixels" in str(caught.value)
    height, width = upright_hw(path)
    assert height * width > MAX_PIXELS


def test_a_large_blank_png_is_no_bomb(tmp_path):
    """As well packed as deflate can: what a scanner makes of an empty sheet."""
    rows, columns = 300, 100_000
    path = tmp_path / "a.png"
    path.write_bytes(png_of((rows, columns), (b"\0" + bytes(columns // 8)) * rows, 1, 0))
    most = Reading(max_pixels=1000)
    assert path.stat().st_size < 20000
    assert sum(map(len, PhotoFile(path, reading=most).strips())) == rows


def test_metadata_is_not_inflated_without_end(tmp_path):
    packed = zlib.compress(bytes(10**7), 9)

    def chunk(name: bytes, content: bytes) -> bytes:
        checked = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checked

    content = png_of((1, 1), bytes(4))
    for name, before in ((b"iCCP", b"k\0\0"), (b"zTXt", b"k\0\0"), (b"iTXt", b"k\0\1\0\0\0")):
        path = tmp_path / "a.png"
        path.write_bytes(content[:33] + chunk(name, before + packed) + content[33:])
        assert read_photo(path).pixels.tolist() == [[[0, 0, 0]]]


def directories(count: int, then: int) -> bytes:
    """A TIFF of so many tiny images, of which the last one names the directory ``then`` as next."""
    entries = {256: 2, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 2}
    body = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in entries.items())
    size = 2 + len(body) + 4
    following = [*(10 + size * number for number in range(1, count)), 10 + size * then]
    parts = (struct.pack("<H", 9) + body + struct.pack("<I", next_) for next_ in following)
    return b"II*\0" + struct.pack("<IH", 10, 0x6363) + b"".join(parts)


@pytest.mark.parametrize(("count", "then"), [(1, 0), (3, 0), (500, 250)])
def test_a_chain_of_directories_without_end_is_read_once(tmp_path, count, then):
    path = tmp_path / "a.tif"
    path.write_bytes(directories(count, then))
    photo = read_photo(path)
    assert photo.pixels.tolist() == [[[99, 99, 99]] * 2]
    assert photo.notes == ((f"first of {count} frames",) if count > 1 else ())


# What is no file.


def test_pipes_sockets_and_devices_are_refused_before_they_are_opened(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.jpg")
    # The name of a socket may not be long.
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket.jpg")
        files = {"pipe.jpg": "pipe", "socket.jpg": "socket", "/dev/zero": "device"}
        for path, kind in files.items():
            message = re.escape(f"{path}: is a {kind}, not a file")
            for read in (read_photo, PhotoFile, open_photo, upright_hw):
                with pytest.raises(PhotoError, match=message):
                    read(Path(path))
