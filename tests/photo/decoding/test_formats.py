"""Every format that is read, against the pixels that were saved."""

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image, ImageCms

from heatmap.errors import PhotoError
from heatmap.photo.photo import read_photo
from heatmap.photo.photo_file import PhotoFile, upright_hw
from heatmap.photo.reduced import reduced_photo
from heatmap.region import Region
from tests.support.odd_files import ycbcr_tiff

HW = (64, 48)


def two_colours() -> np.ndarray:
    """Halves of one colour each, as any compression keeps them away from their border."""
    pixels = np.full((*HW, 3), (200, 30, 60), np.uint8)
    pixels[HW[0] // 2 :] = 10, 120, 240
    return pixels


def noise(*shape: int, below: int = 256, dtype=np.uint8) -> np.ndarray:
    return np.random.default_rng(7).integers(0, below, shape).astype(dtype)


def saved(form: str, image: Image.Image | None = None, **options) -> bytes:
    stream = io.BytesIO()
    (image or Image.fromarray(two_colours())).save(stream, form, **options)
    return stream.getvalue()


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read(folder: Path, name: str, content: bytes):
    return read_photo(write(folder, name, content))


def assert_two_colours(photo, tolerance: int = 3) -> None:
    expected = two_colours()
    assert photo.pixels.shape == expected.shape
    for rows in (slice(0, 24), slice(40, 64)):
        difference = np.abs(photo.pixels[rows].astype(int) - expected[rows])
        assert difference.max() <= tolerance


def ultra_hdr() -> bytes:
    """A JPEG with a gain map, as phones write it."""
    bright = pyvips.Image.new_from_array(two_colours()).copy(interpretation="srgb")
    return (bright.colourspace("scrgb") * 3).uhdrsave_buffer(Q=95)


# Formats that are read.


def test_an_ultra_hdr_jpeg_is_read_as_the_photo_that_it_holds(tmp_path):
    path = write(tmp_path, "a.jpg", ultra_hdr())
    assert b"urn:iso:std:iso:ts:21496" in path.read_bytes()
    photo = read_photo(path)
    with Image.open(path) as image:
        held = io.BytesIO(image.info["icc_profile"])
        expected = np.asarray(
            ImageCms.profileToProfile(image, held, ImageCms.createProfile("sRGB"))
        )
    assert np.abs(photo.pixels.astype(int) - expected).max() <= 2
    assert photo.notes == ()
    np.testing.assert_array_equal(np.concatenate(list(PhotoFile(path).strips(7))), photo.pixels)
    assert reduced_photo(path, 2).level.hw == (32, 24)


def test_of_a_jpeg_with_more_pictures_the_first_is_read_and_said(tmp_path):
    first = Image.fromarray(two_colours())
    others = [Image.fromarray(noise(*HW, 3)) for _ in range(2)]
    photo = read(tmp_path, "a.mpo", saved("MPO", first, save_all=True, append_images=others))
    assert_two_colours(photo)
    assert photo.notes == PhotoFile(tmp_path / "a.mpo").notes == ("first of 3 frames",)


@pytest.mark.parametrize(
    "options", [{"subsampling": "4:4:4"}, {"subsampling": "4:2:0"}, {"range": "limited"}]
)
def test_avif_has_its_colours_in_full_and_limited_range(tmp_path, options):
    assert_two_colours(read(tmp_path, "a.avif", saved("AVIF", quality=95, **options)))


def test_a_slide_scanners_tiled_svs_is_read(tmp_path):
    path = tmp_path / "a.svs"
    described = "Aperio Image Library v11.2.1\n64x48 (16x16) JPEG/RGB Q=70|AppMag = 20"
    tifffile.imwrite(path, two_colours(), photometric="rgb", tile=(16, 16), description=described)
    photo = read_photo(path)
    np.testing.assert_array_equal(photo.pixels, two_colours())
    assert photo.notes == ()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_bmp_of_every_depth(tmp_path, mode):
    image = Image.fromarray(noise(31, 41, 3)).convert(mode)
    photo = read(tmp_path, "a.bmp", saved("BMP", image))
    np.testing.assert_array_equal(photo.pixels, np.asarray(image.convert("RGB")))
    assert photo.notes == ()


def test_bmp_from_top_to_bottom(tmp_path):
    content = bytearray(saved("BMP"))
    content[22:26] = struct.pack("<i", -HW[0])
    np.testing.assert_array_equal(read(tmp_path, "a.bmp", content).pixels, two_colours()[::-1])
    assert upright_hw(tmp_path / "a.bmp") == HW


def pnm(kind: int, most: int, values: np.ndarray) -> bytes:
    head = f"P{kind}\n# made by hand\n{values.shape[1]} {values.shape[0]}\n{most}\n".encode()
    return head + values.astype(">u2" if most > 255 else "u1").tobytes()


@pytest.mark.parametrize("most", [255, 100, 15])
def test_pnm_is_as_bright_as_its_highest_value_says(tmp_path, most):
    grey, colour = noise(31, 41, below=most + 1), noise(31, 41, 3, below=most + 1)
    photo = read(tmp_path, "a.pgm", pnm(5, most, grey))
    np.testing.assert_array_equal(photo.pixels[:, :, 1], np.rint(grey * (255 / most)))
    photo = read(tmp_path, "a.ppm", pnm(6, most, colour))
    np.testing.assert_array_equal(photo.pixels, np.rint(colour * (255 / most)))


def test_pnm_as_text_and_bits(tmp_path):
    assert read(tmp_path, "a.pgm", b"P2\n2 1\n15\n5 15\n").pixels[0, :, 0].tolist() == [85, 255]
    assert read(tmp_path, "b.ppm", b"P3\n1 1\n255\n1 2 3\n").pixels.tolist() == [[[1, 2, 3]]]
    assert read(tmp_path, "c.pbm", b"P1\n3 1\n0 1 0\n").pixels[0, :, 0].tolist() == [255, 0, 255]


@pytest.mark.parametrize("suffix", ["pgm", "jp2"])
def test_16_bits_of_opencv_are_those_of_libvips(tmp_path, suffix):
    values = noise(64, 70, below=2**16, dtype=np.uint16)
    content = (
        pnm(5, 65535, values) if suffix == "pgm" else saved("JPEG2000", Image.fromarray(values))
    )
    photo = read(tmp_path, f"a.{suffix}", content)
    np.testing.assert_array_equal(photo.pixels[:, :, 0], values >> 8)
    assert photo.notes == ("16-bit reduced to 8",)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("bare", [False, True])
def test_jpeg_2000_as_a_file_and_as_a_bare_codestream(tmp_path, mode, bare):
    image = Image.fromarray(noise(40, 50, 4)).convert(mode)
    photo = read(tmp_path, "a.jp2", saved("JPEG2000", image, no_jp2=bare))
    white = Image.new("RGBA", image.size, "white")
    expected = np.asarray(Image.alpha_composite(white, image.convert("RGBA")).convert("RGB"))
    assert np.abs(photo.pixels.astype(int) - expected).max() <= 1
    assert photo.notes == (("transparency laid over white",) if mode == "RGBA" else ())


OPENCV = {
    "a.bmp": lambda: saved("BMP", Image.fromarray(noise(*HW, 3))),
    "a.ppm": lambda: pnm(6, 255, noise(*HW, 3)),
    "a.jp2": lambda: saved("JPEG2000", Image.fromarray(noise(*HW, 3))),
}


@pytest.mark.parametrize("name", OPENCV)
def test_what_opencv_reads_is_the_same_in_parts_and_by_rows(tmp_path, name):
    path = write(tmp_path, name, OPENCV[name]())
    whole, by_rows = read_photo(path), PhotoFile(path)
    np.testing.assert_array_equal(whole.pixels, noise(*HW, 3))
    np.testing.assert_array_equal(np.concatenate(list(by_rows.strips(7))), whole.pixels)
    region = Region(5, 6, 30, 40, HW)
    np.testing.assert_array_equal(read_photo(path, region).pixels, whole.pixels[6:46, 5:35])
    half = reduced_photo(path, 2)
    assert half.hw == by_rows.hw == upright_hw(path) == HW
    expected = cv2.resize(whole.pixels, (24, 32), interpolation=cv2.INTER_AREA)
    assert np.abs(half.level.pixels.astype(int) - expected).max() <= 1
    assert whole.digest == by_rows.digest == half.digest


@pytest.mark.parametrize("name", OPENCV)
def test_what_opencv_cannot_read_is_refused_without_a_word_of_its_own(tmp_path, name, capfd):
    content = OPENCV[name]()
    for short in (content[: len(content) // 2], content[:40], content[:20]):
        with pytest.raises(PhotoError) as caught:
            read(tmp_path, name, short)
        assert str(caught.value).startswith(f"{tmp_path / name}: is cut short or damaged")
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


# Kinds of TIFF.


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("layout", [{"tile": (16, 16)}, {"rowsperstrip": 16}, {}])
def test_planes_that_are_stored_one_after_the_other(tmp_path, layout, compression, dtype):
    values = (two_colours().astype(dtype) * (257 if dtype == np.uint16 else 1)).transpose(2, 0, 1)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, values, photometric="rgb", planarconfig="separate", compression=compression, **layout
    )
    np.testing.assert_array_equal(read_photo(path).pixels, two_colours())
    rows = np.concatenate(list(PhotoFile(path).strips(10)))
    np.testing.assert_array_equal(rows, two_colours())


def test_tiled_planes_that_are_compressed(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=HW[0], width=HW[1], count=3, dtype="uint8", tiled=True,
        blockxsize=16, blockysize=16, interleave="band", compress="lzw", photometric="RGB",
        transform=rasterio.Affine(1, 0, 5, 0, -1, 5),
    ) as file:  # fmt: skip
        file.write(two_colours().transpose(2, 0, 1))
    np.testing.assert_array_equal(read_photo(path).pixels, two_colours())


@pytest.mark.parametrize("subsampling", [1, 2])
def test_ycbcr_becomes_rgb(tmp_path, subsampling):
    content = ycbcr_tiff(two_colours(), subsampling)
    assert_two_colours(read(tmp_path, "a.tif", content), 2)
    assert_two_colours(read(tmp_path, "b.tif", saved("TIFF", compression="jpeg")))
    rows = np.concatenate(list(PhotoFile(tmp_path / "a.tif").strips(10)))
    np.testing.assert_array_equal(rows, read_photo(tmp_path / "a.tif").pixels)


def test_ycbcr_compressed_in_tiles(tmp_path):
    image = pyvips.Image.new_from_array(two_colours()).copy(interpretation="srgb")
    tiles = {"tile": True, "tile_width": 16, "tile_height": 16}
    image.tiffsave(str(tmp_path / "a.tif"), compression="jpeg", Q=75, **tiles)
    assert_two_colours(read_photo(tmp_path / "a.tif"))


# Colour profiles, canvas.


def damaged_profiles() -> dict[str, bytes]:
    profile = pyvips.Image.profile_load("p3")
    return {
        "no profile": b"no profile" * 40,
        "cut short": profile[:200],
        "of other channels": pyvips.Image.profile_load("cmyk"),
    }


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("damage", damaged_profiles())
def test_a_damaged_profile_is_passed_over_and_said(tmp_path, form, damage):
    content = saved(form, icc_profile=damaged_profiles()[damage])
    photo = read(tmp_path, "a", content)
    assert_two_colours(photo)
    assert photo.notes == ("its colour profile is damaged, read without",)


def test_a_whole_profile_is_not_said_to_be_damaged(tmp_path):
    for form in ("JPEG", "PNG", "TIFF"):
        content = saved(form, icc_profile=pyvips.Image.profile_load("p3"))
        assert read(tmp_path, "a", content).notes == ()


def test_a_gifs_first_frame_lies_where_it_lies_on_its_canvas(tmp_path):
    content = bytearray(saved("GIF", Image.fromarray(two_colours()).quantize(8)))
    content[6:10] = struct.pack("<HH", 100, 90)
    frame = content.index(b"\x2c\0\0\0\0" + struct.pack("<HH", HW[1], HW[0]))
    content[frame + 1 : frame + 5] = struct.pack("<HH", 20, 10)
    photo = read(tmp_path, "a.gif", content)
    expected = np.full((90, 100, 3), 255, np.uint8)
    expected[10:74, 20:68] = two_colours()
    # The palette holds colours as they were found, to within its own rounding.
    assert np.abs(photo.pixels.astype(int) - expected).max() <= 4
    assert photo.notes == ("transparency laid over white",)


def test_a_png_is_turned_as_its_exif_chunk_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 8
    content = saved("PNG", exif=exif)
    assert b"eXIf" in content
    np.testing.assert_array_equal(read(tmp_path, "a.png", content).pixels, np.rot90(two_colours()))


def test_a_file_is_read_by_what_it_holds_not_by_its_name(tmp_path):
    for name in ("a.tga", "a.arw.png", "a.pdf", "a"):
        np.testing.assert_array_equal(read(tmp_path, name, saved("PNG")).pixels, two_colours())
