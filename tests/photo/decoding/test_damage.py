"""Damaged files: the same pixels and note however they are read, or refused."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from heatmap.errors import PhotoError
from heatmap.photo.decoding.damage import NOTE
from heatmap.photo.photo import read_photo
from heatmap.photo.photo_file import PhotoFile
from heatmap.photo.reading import Reading
from heatmap.photo.reduced import reduced_photo
from heatmap.photo.rows import forget_complaints
from heatmap.region import Region
from tests.support.batches import broken

HW = (304, 208)


def smooth() -> np.ndarray:
    """Values that differ everywhere, and that any decoder keeps."""
    values = np.random.default_rng(7).integers(0, 256, (*HW, 3), dtype=np.uint8)
    return cv2.GaussianBlur(values, (9, 9), 0)


def saved(form: str, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(smooth()).save(stream, form, **options)
    return stream.getvalue()


def tiff(**options) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, smooth(), photometric="rgb", **options)
    return stream.getvalue()


def flipped(content: bytes, at: float, count: int = 8) -> bytes:
    """Some bytes in the middle inverted."""
    start = int(len(content) * at)
    bad = bytes(byte ^ 0xFF for byte in content[start : start + count])
    return content[:start] + bad + content[start + count :]


def cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


def wrong_sum(content: bytes) -> bytes:
    """A PNG whose first chunk of pixels has another CRC than it says."""
    at = content.index(b"IDAT")
    (length,) = struct.unpack(">I", content[at - 4 : at])
    end = at + 4 + length
    return content[:end] + struct.pack(">I", zlib.crc32(content[at:end]) ^ 1) + content[end + 4 :]


def hit_marker() -> bytes:
    """A JPEG whose data ends at a marker in the middle."""
    content = saved("JPEG", quality=90)
    middle = len(content) // 2
    return content[:middle] + b"\xff\xd9" + content[middle + 2 :]


DAMAGED = {
    "cut.jpg": lambda: cut(saved("JPEG", quality=90)),
    "marker.jpg": hit_marker,
    "end.jpg": lambda: saved("JPEG", quality=90)[:-2],
    "progressive.jpg": lambda: cut(saved("JPEG", quality=90, progressive=True)),
    "cut.png": lambda: cut(saved("PNG")),
    "sum.png": lambda: wrong_sum(saved("PNG")),
    "flipped.png": lambda: flipped(saved("PNG"), 0.6),
    "cut.tif": lambda: cut(tiff(rowsperstrip=16)),
    "tiles.tif": lambda: cut(tiff(tile=(64, 64))),
    "zipped.tif": lambda: flipped(tiff(rowsperstrip=16, compression="zlib"), 0.8),
    "jpeg.tif": lambda: flipped(saved("TIFF", compression="jpeg"), 0.5, 40),
}


@pytest.mark.few(3)
@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_has_the_same_pixels_and_note_however_it_is_read(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(DAMAGED[name]())
    whole = read_photo(path)
    assert whole.notes == (NOTE,)
    # What was intact is as it was.
    assert np.abs(whole.pixels[:32].astype(int) - smooth()[:32]).mean() < 8
    by_rows = PhotoFile(path)
    np.testing.assert_array_equal(np.concatenate(list(by_rows.strips(16))), whole.pixels)
    assert by_rows.notes == (NOTE,)
    region = Region(20, 10, 150, HW[0] - 10, HW)
    part = read_photo(path, region)
    np.testing.assert_array_equal(part.pixels, whole.pixels[10:, 20:170])
    assert part.notes == (NOTE,)
    rows = PhotoFile(path, region)
    np.testing.assert_array_equal(np.concatenate(list(rows.strips(7))), part.pixels)
    assert rows.notes == (NOTE,)
    half = reduced_photo(path, 2)
    assert half.notes == (NOTE,)
    expected = cv2.resize(whole.pixels, half.level.hw[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(half.level.pixels.astype(int) - expected).mean() < 3


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_refused_if_that_is_asked_for(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(DAMAGED[name]())
    refuse = Reading(damaged="refuse")
    for read in (
        lambda: read_photo(path, reading=refuse),
        lambda: list(PhotoFile(path, reading=refuse).strips()),
        lambda: reduced_photo(path, 2, reading=refuse),
    ):
        with pytest.raises(PhotoError, match="is cut short, damaged or an") as caught:
            read()
        assert str(caught.value).startswith(f"{path}: ")
        assert str(caught.value).endswith("damaged='note' takes it, partly made up")


def test_a_second_pass_over_a_damaged_file_gives_the_same(tmp_path):
    path = tmp_path / "cut.jpg"
    path.write_bytes(DAMAGED["cut.jpg"]())
    photo = PhotoFile(path)
    assert photo.notes == ()
    first = np.concatenate(list(photo.strips(16, scaled_hw=(152, 104))))
    assert photo.notes == (NOTE,)
    np.testing.assert_array_equal(
        np.concatenate(list(photo.strips(50, scaled_hw=(152, 104)))), first
    )
    low = np.concatenate(list(photo.strips(16, first=250, columns=(3, 90))))
    np.testing.assert_array_equal(low, read_photo(path).pixels[250:, 3:90])


def test_what_lies_above_the_damage_is_not_damaged(tmp_path):
    path = tmp_path / "cut.png"
    path.write_bytes(DAMAGED["cut.png"]())
    top = read_photo(path, Region(0, 0, 100, 60, HW))
    np.testing.assert_array_equal(top.pixels, smooth()[:60, :100])
    assert top.notes == ()


NOTHING_LEFT = {
    "header.jpg": lambda: (lambda jpeg: jpeg[: jpeg.index(b"\xff\xda") + 14])(saved("JPEG")),
    "header.png": lambda: saved("PNG")[:60],
    "start.jpg": lambda: saved("JPEG")[:30],
    "start.png": lambda: saved("PNG")[:20],
    "start.tif": lambda: tiff()[:6],
    "cut.webp": lambda: cut(saved("WEBP")),
    "cut.avif": lambda: cut(saved("AVIF")),
    "cut.gif": lambda: cut(saved("GIF")),
}


@pytest.mark.parametrize("name", NOTHING_LEFT)
def test_a_file_of_which_nothing_can_be_read_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(NOTHING_LEFT[name]())
    for read in (read_photo, lambda path: list(PhotoFile(path).strips())):
        with pytest.raises(PhotoError, match="damaged") as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: is ")
        assert "\n" not in str(caught.value)


def with_stuffing(jpeg: bytes) -> bytes:
    """Bytes between two segments of the header, which decoders skip with a warning."""
    at = jpeg.index(b"\xff\xdb")
    return jpeg[:at] + b"\0\0\0" + jpeg[at:]


WHOLE = {
    "stuffed.jpg": lambda: with_stuffing(saved("JPEG", quality=90)),
    "trailing.jpg": lambda: saved("JPEG", quality=90) + b"appended by a camera" * 50,
    "before the end.jpg": lambda: (lambda jpeg: jpeg[:-2] + b"\0" + jpeg[-2:])(
        saved("JPEG", quality=90)
    ),
    "no end.png": lambda: saved("PNG")[:-12],
}


@pytest.mark.parametrize("name", WHOLE)
def test_oddities_that_touch_no_pixel_are_no_damage(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(WHOLE[name]())
    photo = read_photo(path, reading=Reading(damaged="refuse"))
    assert photo.notes == ()
    assert np.abs(photo.pixels.astype(int) - smooth()).mean() < 8
    rows = PhotoFile(path)
    np.testing.assert_array_equal(np.concatenate(list(rows.strips())), photo.pixels)
    assert rows.notes == ()


@pytest.mark.parametrize("compress", [None, "deflate"])
@pytest.mark.parametrize("tiled", [True, False])
def test_sparse_geotiffs_are_not_damaged(tmp_path, tiled, compress):
    rasterio = pytest.importorskip("rasterio")
    path = tmp_path / "sparse.tif"
    options = {"compress": compress} if compress else {}
    options |= {"tiled": True, "blockxsize": 64, "blockysize": 64} if tiled else {"blockysize": 16}
    block = smooth()[64:128] if not tiled else smooth()[64:128, 64:128]
    left = 64 if tiled else 0
    with rasterio.open(
        path, "w", driver="GTiff", height=HW[0], width=HW[1], count=3, dtype="uint8",
        photometric="RGB", SPARSE_OK=True, transform=rasterio.Affine(1, 0, 5, 0, -1, 5), **options,
    ) as file:  # fmt: skip
        window = rasterio.windows.Window(left, 64, block.shape[1], 64)
        file.write(block.transpose(2, 0, 1), window=window)
    expected = np.zeros((*HW, 3), np.uint8)
    expected[64:128, left : left + block.shape[1]] = block
    for reading in (Reading(), Reading(damaged="refuse")):
        photo, rows = read_photo(path, reading=reading), PhotoFile(path, reading=reading)
        np.testing.assert_array_equal(photo.pixels, expected)
        np.testing.assert_array_equal(np.concatenate(list(rows.strips())), expected)
        assert photo.notes == rows.notes == ()


@pytest.mark.parametrize("rows", [7, 20])
def test_a_low_photo_of_which_something_can_be_read_is_taken(tmp_path, rows):
    path = tmp_path / "low.png"
    values = np.random.default_rng(3).integers(0, 256, (rows, 4000, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)
    path.write_bytes(path.read_bytes()[:-9000])
    photo = read_photo(path)
    assert photo.notes == (NOTE,)
    np.testing.assert_array_equal(photo.pixels[: rows // 2], values[: rows // 2])
    np.testing.assert_array_equal(np.concatenate(list(PhotoFile(path).strips(3))), photo.pixels)


def test_no_message_names_what_was_wrong_with_the_photo_before(tmp_path):
    """libvips has one list of complaints for all files, and a mended file leaves some in it."""
    names = broken(tmp_path).keys()

    def said(name: str) -> str:
        try:
            return " ".join(read_photo(tmp_path / name).notes)
        except PhotoError as error:
            return str(error)

    alone = {}
    for name in names:
        forget_complaints()
        alone[name] = said(name)
    for before in names:
        for name in ("header.png", "half.tif", "zeros.png"):
            said(before)
            assert said(name) == alone[name]
