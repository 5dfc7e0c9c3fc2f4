"""Files decoded: every odd kind of file against Pillow, every bad one in one line."""

import io
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import pyvips
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from heatmap.errors import PhotoError
from heatmap.photo.photo import read_photo
from heatmap.photo.reading import Reading


def noise(*shape: int, dtype=np.uint8) -> np.ndarray:
    """The same random values of all the type's range at each call."""
    values = np.random.default_rng(7)
    return values.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def by_pillow(path: Path) -> np.ndarray:
    """Upright RGB of the first frame, by an independent reader."""
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def largest_difference(first: np.ndarray, second: np.ndarray) -> int:
    assert first.shape == second.shape
    return int(np.abs(first.astype(int) - second).max())


def bytes_of(form: str, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(noise(80, 60, 3)).save(stream, form, **options)
    return stream.getvalue()


# Files that read as they are.


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jpg", {"quality": 90}),
        ("progressive.jpg", {"progressive": True}),
        ("a.png", {}),
        ("a.webp", {"lossless": True}),
        ("a.tif", {"compression": "tiff_lzw"}),
        ("a.gif", {}),
        ("a.avif", {"quality": 90, "subsampling": "4:4:4"}),
        ("brackets[page=3]", {"format": "PNG"}),
        ("png named.jpg", {"format": "PNG"}),
        (os.fsdecode(b"caf\xe9 in Latin-1.png"), {}),
    ],
)
def test_common_formats_read_as_pillow_reads_them(tmp_path, name, options):
    path = tmp_path / name
    Image.fromarray(cv2.GaussianBlur(noise(41, 60, 3), (9, 9), 0)).save(path, **options)
    photo = read_photo(path)
    # JPEG and AVIF decoders may round differently.
    assert largest_difference(photo.pixels, by_pillow(path)) <= 3
    assert (photo.path, photo.notes) == (str(path), ())


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
@pytest.mark.parametrize("hw", [(1, 1), (1, 5000), (5000, 1), (30, 41)])
def test_grey_palette_and_extreme_shapes_become_rgb(tmp_path, mode, hw):
    path = tmp_path / "a.png"
    Image.fromarray(noise(*hw, 3)).convert(mode).save(path)
    photo = read_photo(str(path))
    np.testing.assert_array_equal(photo.pixels, by_pillow(path))
    assert photo.pixels.shape == (*hw, 3)
    assert photo.notes == ()


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, suffix, orientation):
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"tiffinfo": {0x0112: orientation}} if suffix == "tif" else {"exif": exif}
    Image.fromarray(cv2.resize(noise(4, 6, 3), (60, 41))).save(path, **options)
    photo = read_photo(path)
    assert photo.pixels.shape == ((41, 60, 3) if orientation < 5 else (60, 41, 3))
    assert largest_difference(photo.pixels, by_pillow(path)) <= 3
    turned = f"turned upright by its EXIF orientation {orientation}"
    assert photo.notes == (() if orientation == 1 else (turned,))


@pytest.mark.parametrize("suffix", ["gif", "webp", "tif"])
def test_first_of_several_frames_is_taken_and_said(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    frames = [Image.fromarray(frame) for frame in noise(12, 20, 30, 3)]
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    photo = read_photo(path)
    np.testing.assert_array_equal(photo.pixels, by_pillow(path))
    assert photo.notes == ("first of 12 frames",)


@pytest.mark.parametrize("channels", [2, 4])
def test_transparency_is_laid_over_white(tmp_path, channels):
    path = tmp_path / "a.png"
    image = Image.fromarray(noise(30, 40, channels), {2: "LA", 4: "RGBA"}[channels])
    image.save(path)
    white = Image.new("RGBA", image.size, "white")
    expected = np.asarray(Image.alpha_composite(white, image.convert("RGBA")).convert("RGB"))
    photo = read_photo(path)
    assert largest_difference(photo.pixels, expected) <= 1
    assert photo.notes == ("transparency laid over white",)


def test_opaque_alpha_is_dropped_without_a_word(tmp_path):
    path = tmp_path / "a.png"
    pixels = noise(30, 40, 3)
    Image.fromarray(np.dstack([pixels, np.full((30, 40), 255, np.uint8)])).save(path)
    photo = read_photo(path)
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert photo.notes == ()


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_is_reduced_to_8(tmp_path, suffix, channels):
    path = tmp_path / f"a.{suffix}"
    values = noise(30, 40, channels, dtype=np.uint16)
    cv2.imwrite(str(path), values[:, :, ::-1])
    photo = read_photo(path)
    assert largest_difference(photo.pixels, np.broadcast_to(values >> 8, (30, 40, 3))) == 0
    assert photo.notes == ("16-bit reduced to 8",)


def test_16_bit_transparency(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((3, 3, 4), [0, 0, 65535, 32768], np.uint16))
    photo = read_photo(path)
    assert largest_difference(photo.pixels, np.full((3, 3, 3), [255, 127, 127])) <= 1
    assert photo.notes == ("16-bit reduced to 8", "transparency laid over white")


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_inks_look_as_printed(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    inks = np.uint8([[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 0, 0], [0, 0, 255, 0], [0, 0, 0, 255]])
    blocks = np.tile(np.repeat(inks, 16, axis=0), (16, 1, 1))
    Image.fromarray(blocks, "CMYK").save(path, **({"quality": 100} if suffix == "jpg" else {}))
    photo = read_photo(path)
    paper, cyan, magenta, yellow, black = photo.pixels[8, 8::16].astype(int)
    assert paper.min() > 250
    assert black.max() < 60
    assert cyan[0] < 60 < 120 < cyan[1:].min()
    assert magenta[1] < 60 < 120 < magenta[[0, 2]].min()
    assert yellow[2] < 60 < 200 < yellow[:2].min()
    assert photo.notes == ("CMYK converted to sRGB",)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_embedded_profile_is_brought_to_srgb(tmp_path, dtype):
    path = tmp_path / "a.png"
    profile = pyvips.Image.profile_load("p3")
    pixels = noise(30, 40, 3) // 4 + 96  # colours that sRGB has
    wide = pixels if dtype == np.uint8 else pixels.astype(np.uint16) * 257
    image = pyvips.Image.new_from_array(wide).copy(
        interpretation="srgb" if dtype == np.uint8 else "rgb16"
    )
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    image.pngsave(str(path))
    expected = ImageCms.profileToProfile(
        Image.fromarray(pixels),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    photo = read_photo(path)
    assert largest_difference(np.asarray(expected), pixels) > 10
    assert largest_difference(photo.pixels, np.asarray(expected)) <= 1


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_broken_profile_is_passed_over(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(noise(30, 40, 3)).save(path, icc_profile=b"no profile" * 40)
    assert largest_difference(read_photo(path).pixels, by_pillow(path)) <= 3


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("highest", "factor"), [(1, 255), (255, 1)])
def test_float_values_of_known_range(tmp_path, channels, highest, factor):
    path = tmp_path / "a.tif"
    values = (noise(30, 40, channels, dtype=np.uint16) / 65535 * highest).astype(np.float32)
    tifffile.imwrite(path, values.squeeze(), photometric="rgb" if channels == 3 else "minisblack")
    photo = read_photo(path)
    expected = np.rint(np.broadcast_to(values, (30, 40, 3)) * factor)
    assert largest_difference(photo.pixels, expected.astype(np.uint8)) == 0
    assert photo.notes == (f"float values taken as 0..{highest}, reduced to 8 bits",)


def test_tall_photos_may_be_gone_through_twice(tmp_path):
    """Files are read in order and only once; small ones are buffered whole all the same."""
    tall = np.repeat(noise(750, 8, 3), 4, axis=0)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(tall).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(np.dstack([tall, tall[:, :, 0]])).save(tmp_path / "clear.png")
    tifffile.imwrite(tmp_path / "float.tif", tall.astype(np.float32), photometric="rgb")
    np.testing.assert_array_equal(read_photo(tmp_path / "turned.png").pixels, np.rot90(tall, -1))
    assert read_photo(tmp_path / "clear.png").pixels.shape == (3000, 8, 3)
    np.testing.assert_array_equal(read_photo(tmp_path / "float.tif").pixels, tall)


# Files that are refused, each in one line.


def float_tiff(extreme: float) -> bytes:
    values = np.zeros((8, 8, 3), np.float32)
    values[3, 4, 1] = extreme
    return tiff(values)


def tiff(values: np.ndarray, photometric: str = "rgb", **options) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, photometric=photometric, planarconfig="contig", **options)
    return stream.getvalue()


TILED = tiff(noise(80, 60, 3), tile=(32, 32))
ZIPPED = tiff(noise(80, 60, 4), tile=(32, 32), compression="zlib", extrasamples=["unassalpha"])
DAMAGED = "is cut short, damaged or an unknown kind of"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.jpg", b"", "is empty"),
        ("text.jpg", b"a cat, in words\n" * 50, "not an image that can be read (none of JPEG, "),
        ("table.csv", b"1,2,3\n4,5,6\n", "not an image that can be read (none of JPEG, "),
        (
            "drawing.svg",
            b'<svg width="9" height="9"/>',
            "is an SVG drawing, which is not read: convert",
        ),
        ("half.jpg", bytes_of("JPEG")[:2000], f"{DAMAGED} JPEG (premature end of JPEG image)"),
        ("last.jpg", bytes_of("JPEG")[:-2], f"{DAMAGED} JPEG (premature end of JPEG image)"),
        ("start.jpg", bytes_of("JPEG")[:30], f"{DAMAGED} JPEG (premature end of JPEG image)"),
        ("half.png", bytes_of("PNG")[:7000], f"{DAMAGED} PNG (libpng read error)"),
        ("start.png", bytes_of("PNG")[:30], f"{DAMAGED} PNG"),
        ("half.tif", bytes_of("TIFF")[:7000], f"{DAMAGED} TIFF (Read error at scanline"),
        ("tiles.tif", TILED[:-200], f"{DAMAGED} TIFF ("),
        ("zipped.tif", ZIPPED[:-200], f"{DAMAGED} TIFF ("),
        ("half.gif", bytes_of("GIF")[:3000], f"{DAMAGED} GIF (Unexpected end of GIF"),
        ("half.webp", bytes_of("WEBP")[:3000], f"{DAMAGED} WebP (unable to parse image)"),
        ("nan.tif", float_tiff(np.nan), "holds values that are not finite (NaN or infinite)"),
        ("inf.tif", float_tiff(-np.inf), "holds values that are not finite (NaN or infinite)"),
        ("low.tif", float_tiff(-0.5), "float values go from -0.5 to 0, which is not 0..1 or"),
        ("high.tif", float_tiff(300), "float values go from 0 to 300, which is not 0..1 or"),
        ("int.tif", tiff(noise(8, 8, 3, dtype=np.int32)), "values of type int go from "),
        ("five.tif", tiff(noise(8, 8, 5), "minisblack"), "has 5 bands and does not say"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(PhotoError, match=re.escape(f"{path}: {message}")) as caught:
        read_photo(path, reading=Reading(damaged="refuse"))
    assert "\n" not in str(caught.value)


def test_a_reason_is_not_taken_from_the_file_before(tmp_path):
    (tmp_path / "text.jpg").write_bytes(b"a cat, in words\n" * 50)
    (tmp_path / "start.png").write_bytes(bytes_of("PNG")[:30])
    with pytest.raises(PhotoError):
        read_photo(tmp_path / "text.jpg")
    # Of this one libvips gives no reason.
    with pytest.raises(PhotoError, match=f"start.png: {DAMAGED} PNG"):
        read_photo(tmp_path / "start.png", reading=Reading(damaged="refuse"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cat.jpg", "cat.jpg: no such file"),
        (".", "is a directory: give a photo"),
        ("file/cat.jpg", "cannot be opened: Not a directory"),
        ("c" * 300, "cannot be opened: File name too long"),
        ("null\0.jpg", "cannot be opened: embedded null byte"),
        ("pipe", "pipe: is a pipe, not a file: give a photo"),
    ],
)
def test_paths_that_are_no_file_are_refused_in_one_line(tmp_path, name, message):
    (tmp_path / "file").write_bytes(b"not a folder")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PhotoError, match=f"{re.escape(message)}$") as caught:
        read_photo(tmp_path / name)
    assert "\n" not in str(caught.value)


@settings(max_examples=20)
@given(st.data())
def test_damage_gives_a_photo_or_a_photo_error(tmp_path_factory, data):
    form = data.draw(st.sampled_from(["JPEG", "PNG", "TIFF", "GIF", "WEBP"]))
    content = bytearray(bytes_of(form))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 300))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content)
    said = ""
    try:
        read_photo(path)
    except PhotoError as error:
        said = str(error)
    assert "\n" not in said
