"""Photos that are given in memory: arrays, tensors, images of PIL, and bytes."""

from __future__ import annotations

import gc
import tempfile
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import heatmap
from heatmap.photo import given as given_module
from heatmap.photo.reduced import ReducedPhoto, open_photo
from heatmap.region import Region


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


@pytest.fixture
def jpeg(tmp_path, pixels):
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(path, exif=exif)
    return path


@pytest.fixture
def no_temporary_files(tmp_path, monkeypatch):
    """A folder for temporary files, empty at the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    gc.collect()
    assert list(folder.iterdir()) == []


AS_THEY_COME = {
    "bytes": Path.read_bytes,
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "memoryview": lambda path: memoryview(path.read_bytes()),
    "stream": lambda path: BytesIO(path.read_bytes()),
}


@pytest.mark.parametrize("kind", AS_THEY_COME)
def test_bytes_are_read_as_their_file(jpeg, kind, no_temporary_files):
    of_file, photo = heatmap.read_photo(jpeg), heatmap.read_photo(AS_THEY_COME[kind](jpeg))

    assert np.array_equal(photo.pixels, of_file.pixels)
    assert (photo.digest, photo.notes) == (of_file.digest, of_file.notes)
    assert photo.path == ""


def test_an_open_file_is_read_as_its_path(jpeg, no_temporary_files):
    with jpeg.open("rb") as file:
        assert np.array_equal(heatmap.read_photo(file).pixels, heatmap.read_photo(jpeg).pixels)


def test_bytes_are_decoded_as_small_as_needed_and_whole_later(tmp_path, no_temporary_files):
    path = tmp_path / "photo.png"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(path)
    photo = open_photo(path.read_bytes(), (16, 16))

    assert isinstance(photo, ReducedPhoto)
    assert (photo.denominator, photo.path) == (4, "")
    # Bytes stay in a file as long as the photo does.
    assert photo.whole.hw == (64, 64)


def test_an_image_of_pil_is_read_as_its_file(jpeg):
    of_file, photo = heatmap.read_photo(jpeg), heatmap.read_photo(Image.open(jpeg))

    assert np.abs(photo.pixels.astype(int) - of_file.pixels).max() <= 1
    assert photo.notes == ("turned upright by its EXIF orientation 6",)


def test_the_profile_of_an_image_of_pil_is_applied(tmp_path, pixels):
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path, icc_profile=pyvips.Image.profile_load("p3"))
    of_file, photo = heatmap.read_photo(path), heatmap.read_photo(Image.open(path))

    assert not np.array_equal(of_file.pixels, pixels)
    assert np.array_equal(photo.pixels, of_file.pixels)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr"])
def test_modes_of_pil_become_what_pil_makes_of_them(pixels, mode):
    image = Image.fromarray(pixels).convert(mode)

    assert np.array_equal(heatmap.read_photo(image).pixels, np.asarray(image.convert("RGB")))


SAME = {
    "RGB": lambda pixels: pixels,
    "opaque": lambda pixels: np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)]),
    "16 bits": lambda pixels: pixels.astype(np.uint16) * 257,
    "big-endian": lambda pixels: (pixels.astype(np.uint16) * 257).astype(">u2"),
    "float32": lambda pixels: (pixels / 255).astype(np.float32),
    "float64": lambda pixels: pixels / 255,
    "float16": lambda pixels: (pixels / 255).astype(np.float16),
    "turned over": lambda pixels: pixels[::-1].copy()[::-1],
    "tensor": lambda pixels: torch.from_numpy(pixels.copy()).permute(2, 0, 1),
    "tensor of floats": lambda pixels: torch.from_numpy(pixels / 255).permute(2, 0, 1),
    "bfloat16": lambda pixels: torch.from_numpy(pixels / 255).permute(2, 0, 1).bfloat16(),
    "with gradient": lambda pixels: (
        torch.from_numpy(pixels / 255).permute(2, 0, 1).requires_grad_()
    ),
}


@pytest.mark.parametrize("kind", SAME)
def test_kinds_of_the_same_pixels(pixels, kind):
    photo = heatmap.read_photo(SAME[kind](pixels))

    # bfloat16 has 8 bits for a value.
    assert np.abs(photo.pixels.astype(int) - pixels).max() <= (kind == "bfloat16")
    assert photo.path == ""
    assert photo.no_data is None
    assert photo.notes == (("16-bit reduced to 8",) if kind in ("16 bits", "big-endian") else ())


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 1)])
def test_grey_is_in_all_channels(pixels, shape):
    grey = pixels[..., 0].reshape(shape)

    assert np.array_equal(heatmap.read_photo(grey).pixels, np.repeat(pixels[..., :1], 3, axis=2))


@settings(max_examples=20)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([np.uint8, np.uint16, np.float32]))
def test_arrays_are_read_as_a_png_or_tiff_of_them(height, width, kind):
    values = np.random.default_rng(height * width).random((height, width, 4))
    array = (values * {np.uint8: 255, np.uint16: 65535}.get(kind, 1)).astype(kind)
    array[0, 0, 3] = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "photo.tif")
        tifffile.imwrite(path, array, photometric="rgb", extrasamples=["unassalpha"])
        of_file = heatmap.read_photo(path)
    photo = heatmap.read_photo(array)

    assert np.array_equal(photo.pixels, of_file.pixels)
    assert "transparency laid over white" in photo.notes
    assert photo.no_data.strips == of_file.no_data.strips


def test_a_view_of_an_array_is_no_copy(pixels):
    assert np.shares_memory(heatmap.read_photo(pixels).pixels, pixels)


def test_a_region_of_an_array(pixels):
    region = Region(10, 5, 20, 15, whole_hw=(40, 60))
    for array in (pixels, pixels / 255):
        photo = heatmap.read_photo(array, region)
        assert np.array_equal(photo.pixels, pixels[5:20, 10:30])
        assert photo.whole_hw == (40, 60)


def test_an_input_range_of_an_array(pixels):
    reading = heatmap.Reading(input_range=(0, 510))

    photo = heatmap.read_photo(pixels.astype(np.float32), reading=reading)

    assert np.abs(photo.pixels.astype(int) - pixels / 2).max() <= 0.5


REFUSED = {
    "channels first": (lambda p: p.transpose(2, 0, 1), "array.transpose(1, 2, 0)"),
    "a batch": (lambda p: p[None], "such as array[0]"),
    "two channels": (lambda p: p[..., :2], "1, 3 or 4 channels"),
    "empty": (lambda p: p[:0], "(0, 60, 3)"),
    "a type": (lambda p: p.astype(np.int64), "array of int64: give uint8"),
    "0..255": (lambda p: p.astype(np.float32), "from 0 to 255: give array / 255"),
    "below 0": (lambda p: p / 127.5 - 1, "from -1 to 1: give 0 to 1"),
    "NaN": (lambda p: np.full((4, 4, 3), np.nan), "nan"),
    "channels last": (lambda p: torch.from_numpy(p.copy()), "tensor.permute(2, 0, 1)"),
    "tensors": (lambda p: torch.zeros(1, 3, 4, 5), "such as tensor[0]"),
    "no bytes": (lambda p: b"", "no bytes"),
    "no photo": (lambda p: b"text", "photo: not an image"),
    "read before": (lambda p: BytesIO(), "read to its end before"),
    "text": (lambda p: StringIO("text"), "mode 'rb'"),
    "a list": (lambda p: [p], "photo is a list: give a path"),
    "nothing": (lambda p: None, "photo is a NoneType"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_says_what_to_give(pixels, kind, no_temporary_files):
    make, words = REFUSED[kind]

    with pytest.raises(heatmap.PhotoError) as caught:
        heatmap.read_photo(make(pixels))

    assert words in str(caught.value)
    assert str(no_temporary_files) not in str(caught.value)


def test_a_damaged_image_of_pil_is_refused(jpeg):
    image = Image.open(BytesIO(jpeg.read_bytes()[:700]))

    with pytest.raises(heatmap.PhotoError, match="decoded by PIL"):
        heatmap.read_photo(image)


def test_a_stream_without_end_is_refused(monkeypatch, no_temporary_files):
    monkeypatch.setattr(given_module, "MOST_BYTES", 2**21)
    endless = type("Endless", (), {"read": lambda self, size: bytes(size)})()

    with pytest.raises(heatmap.PhotoError, match="more than 2,097,152 bytes: give its path"):
        heatmap.read_photo(endless)
