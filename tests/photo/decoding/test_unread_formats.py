"""Formats that are known but not read: called by name, never damaged, and listed."""

import io

import numpy as np
import pytest
import rasterio
from PIL import Image

from heatmap.errors import PhotoError
from heatmap.photo.decoding.formats import FORMATS, SUFFIXES
from heatmap.photo.photo import read_photo
from heatmap.photo.photo_file import PhotoFile
from heatmap.runs.sources import gather
from tests.support.odd_files import heic


def saved(form: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 60)).save(stream, form)
    return stream.getvalue()


RAW = "camera raw, which is not read: develop it to JPEG or TIFF"
OTHER = ", which is not read: convert it to JPEG, PNG or TIFF"
UNREAD = {
    "a.heic": (heic(), "HEVC is not in this libvips: convert it to JPEG"),
    "a.cr2": (b"II*\0\x10\0\0\0CR\2\0" + bytes(50), f"is {RAW}"),
    "a.cr3": (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", f"is {RAW}"),
    "a.raf": (b"FUJIFILMCCD-RAW 0201" + bytes(50), f"is {RAW}"),
    "a.orf": (b"IIRO\x08\0\0\0" + bytes(50), f"is {RAW}"),
    "a.rw2": (b"IIU\0\x18\0\0\0" + bytes(50), f"is {RAW}"),
    "a.arw": (b"II*\0\x08\0\0\0" + bytes(50), f"is {RAW}"),
    "a.tga": (saved("TGA"), f"is TGA{OTHER}"),
    "a.psd": (b"8BPS\0\1" + bytes(50), f"is a Photoshop document{OTHER}"),
    "a.jxl": (b"\0\0\0\x0cJXL \r\n\x87\n", f"is JPEG XL{OTHER}"),
    "b.jxl": (b"\xff\x0a\x10", f"is JPEG XL{OTHER}"),
    "a.exr": (b"v/1\x01\2\0\0\0", f"is OpenEXR{OTHER}"),
    "a.hdr": (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe", f"is Radiance HDR{OTHER}"),
    "a.pfm": (b"PF\n2 2\n-1.0\n" + bytes(48), f"is PAM or PFM{OTHER}"),
    "a.fits": (b"SIMPLE  =                    T", f"is FITS{OTHER}"),
    "a.dcm": (bytes(128) + b"DICM" + bytes(20), f"is DICOM{OTHER}"),
    "a.ico": (saved("ICO"), f"is an icon{OTHER}"),
    "a.h5": (b"\x89HDF\r\n\x1a\n", "is HDF5 or NetCDF, which is not read: save it as TIFF"),
    "a.nc": (b"CDF\x01" + bytes(30), "is HDF5 or NetCDF, which is not read: save it as TIFF"),
    "a.pdf": (saved("PDF"), "is a PDF document, which is not read: save its photo as JPEG"),
    "a.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n", f"is an EPS document{OTHER}"),
    "a.svg": (b"<?xml version='1.0'?>\n<!-- x -->\n<svg width='9'/>", f"is an SVG drawing{OTHER}"),
    "a.mp4": (b"\0\0\0\x20ftypisom\0\0\2\0", "is a video, which is not read: save a frame of it"),
    "a.mov": (b"\0\0\0\x14ftypqt  \0\0\2\0", "is a video, which is not read: save a frame of it"),
    "a.avi": (b"RIFF\0\0\0\0AVI LIST", "is a video, which is not read: save a frame of it"),
    "a.webm": (b"\x1aE\xdf\xa3\x01\0", "is a video, which is not read: save a frame of it"),
    "a.xmp": (b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>", "is XMP metadata, which is not read: give"),
    "a.zip": (b"PK\3\4\x14\0", "is an archive, which is not read: unpack it"),
    "page.jpg": (b"<!DOCTYPE html>\n<html>", "is a web page, which is not read: fetch the photo"),
    "lfs.jpg": (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer, which is"),
    "jpeg-ls.jpg": (
        b"\xff\xd8\xff\xf7\0\x0b\x08\0\x10\0\x10\1\1\x11\0",
        "is a kind of JPEG that is",
    ),
    "unknown.jpg": (b"a cat, in words\n" * 9, "not an image that can be read (none of JPEG, PNG,"),
}


@pytest.mark.parametrize("name", UNREAD)
def test_what_is_not_read_is_called_by_name_and_never_damaged(tmp_path, name):
    content, message = UNREAD[name]
    path = tmp_path / name
    path.write_bytes(content)
    for reader in (read_photo, PhotoFile):
        with pytest.raises(PhotoError) as caught:
            reader(path)
        assert str(caught.value).startswith(f"{path}: {message}")
        assert "damaged" not in str(caught.value)


def test_a_folders_photos_are_those_that_can_be_read_and_those_to_be_told(tmp_path):
    for form in FORMATS:
        for suffix in form.suffixes.split():
            assert suffix in SUFFIXES
    for name in (*UNREAD, "a.JPG", "a.png"):
        (tmp_path / name).touch()
    files = gather([tmp_path], tmp_path / "out")
    others = {item.name for item in files.others}
    assert others == {
        "a.ico", "a.h5", "a.nc", "a.pdf", "a.eps", "a.svg", "a.mp4", "a.mov", "a.avi", "a.webm",
        "a.xmp", "a.zip",
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
@pytest.mark.parametrize("codec", ["zstd", "lzma", "lerc"])
def test_compressions_that_this_libvips_lacks_are_called_by_name(tmp_path, codec):
    path = tmp_path / "a.tif"
    pixels = np.random.default_rng(0).integers(0, 256, (3, 60, 60), np.uint8)
    shape = {"width": 60, "height": 60, "count": 3, "dtype": "uint8", "photometric": "rgb"}
    with rasterio.open(path, "w", driver="GTiff", compress=codec, **shape) as file:
        file.write(pixels)
    named = (
        f"is compressed by {codec.upper()}, which is not in this libvips: compress it by deflate"
    )
    for reader in (read_photo, lambda path: list(PhotoFile(path).strips())):
        with pytest.raises(PhotoError, match=named):
            reader(path)
