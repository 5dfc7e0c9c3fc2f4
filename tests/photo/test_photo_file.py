"""Photos that stay on disk: every kind of file against the reader that holds it whole."""

import collections
import contextlib
import gc
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image

from heatmap.errors import PhotoError
from heatmap.photo import photo_file as streams
from heatmap.photo.photo import Photo, read_photo
from heatmap.photo.photo_file import PhotoFile, upright_hw
from heatmap.photo.reading import Reading
from heatmap.photo.reduced import open_photo


def noise(*shape: int, dtype=np.uint8) -> np.ndarray:
    """The same random values of all the type's range at each call."""
    values = np.random.default_rng(7)
    return values.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def save(path: Path, mode: str = "RGB", orientation: int = 1, **options) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    channels = {"RGB": 3, "RGBA": 4, "LA": 2, "CMYK": 4, "L": 1}[mode]
    Image.fromarray(noise(300, 170, channels).squeeze(), mode).save(path, exif=exif, **options)


def save_tiff(path: Path, values: np.ndarray, **options) -> None:
    photometric = "rgb" if values.shape[-1] >= 3 else "minisblack"
    tifffile.imwrite(path, values.squeeze(), photometric=photometric, **options)


def save_pages(path: Path) -> None:
    """A pyramid of two sizes, as slide scanners write them."""
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for side in (320, 160):
            file.write(noise(side, side, 3), photometric="rgb", tile=(64, 64))


def save_interlaced_png(path: Path) -> None:
    image = pyvips.Image.new_from_array(noise(300, 170, 3))
    image.copy(interpretation="srgb").pngsave(str(path), interlace=True)


def save_profiled(path: Path) -> None:
    image = pyvips.Image.new_from_array(noise(300, 170, 4)).copy(interpretation="srgb")
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", pyvips.Image.profile_load("p3"))
    image.tiffsave(str(path))


UNIT = (noise(300, 170, 3, dtype=np.uint16) / 65535).astype(np.float32)
IN_ORDER = {
    "plain.jpg": save,
    "grey.png": lambda path: save(path, "L"),
    "inks.jpg": lambda path: save(path, "CMYK"),
    "strips.tif": lambda path: save_tiff(path, noise(300, 170, 3), rowsperstrip=16),
    "one strip.tif": lambda path: save_tiff(path, noise(300, 170, 3)),
    "deep.tif": lambda path: save_tiff(path, noise(300, 170, 3, dtype=np.uint16)),
    "12 bits.tif": lambda path: save_tiff(path, noise(300, 170, 3, dtype=np.uint16) >> 4),
    "float.tif": lambda path: save_tiff(path, UNIT),
    "float 255.tif": lambda path: save_tiff(path, UNIT * 255),
    "grey float.tif": lambda path: save_tiff(path, UNIT[:, :, :1]),
}
ANYWHERE = {
    "tiles.tif": lambda path: save_tiff(path, noise(300, 170, 3), tile=(64, 48)),
    "pyramid.tif": save_pages,
    "12 bit tiles.tif": lambda path: save_tiff(
        path, noise(300, 170, 3, dtype=np.uint16) >> 4, tile=(64, 48)
    ),
    "float tiles.tif": lambda path: save_tiff(path, UNIT, tile=(64, 48)),
}
SPOOLED = {
    "turned.jpg": lambda path: save(path, orientation=6),
    "mirrored.png": lambda path: save(path, orientation=2),
    "progressive.jpg": lambda path: save(path, progressive=True),
    "interlaced.png": save_interlaced_png,
    "clear.png": lambda path: save(path, "RGBA"),
    "grey clear.png": lambda path: save(path, "LA"),
    "clear and turned.png": lambda path: save(path, "RGBA", orientation=8),
    "deep clear.tif": lambda path: save_tiff(path, noise(300, 170, 4, dtype=np.uint16)),
    "profiled, clear and turned.tif": save_profiled,
    "a.webp": lambda path: save(path, lossless=True),
    "a.gif": lambda path: save(path),
    "a.avif": lambda path: save(path),
}
FILES = IN_ORDER | ANYWHERE | SPOOLED


@pytest.mark.few(8)
@pytest.mark.parametrize("name", FILES)
def test_pixels_notes_and_digest_are_those_of_the_whole_photo(tmp_path, name):
    path = tmp_path / name
    FILES[name](path)
    whole, photo = read_photo(path), PhotoFile(path)
    assert (photo.hw, photo.path, photo.notes) == (whole.hw, whole.path, whole.notes)
    for height in (7, 64, 1000):
        strips = list(photo.strips(height))
        assert {len(strip) for strip in strips[:-1]} <= {height}
        np.testing.assert_array_equal(np.concatenate(strips), whole.pixels)
    assert photo.digest == PhotoFile(path).digest == whole.digest


@pytest.mark.few(8)
@pytest.mark.parametrize("name", FILES)
def test_the_header_tells_the_upright_size(tmp_path, monkeypatch, name):
    path = tmp_path / name
    FILES[name](path)
    expected = PhotoFile(path).hw
    monkeypatch.setattr(streams, "decode", None)
    assert upright_hw(path) == expected


@pytest.mark.few(8)
@pytest.mark.parametrize("name", FILES)
def test_parts_are_those_of_the_whole_photo(tmp_path, name):
    path = tmp_path / name
    FILES[name](path)
    whole, photo = read_photo(path), PhotoFile(path)
    for first, columns in [(0, (20, 90)), (130, (0, 11)), (130, None)]:
        part = np.concatenate(list(photo.strips(50, first=first, columns=columns)))
        np.testing.assert_array_equal(part, whole.pixels[first:, slice(*(columns or (None,)))])
    assert photo.digest == whole.digest


@pytest.mark.few(8)
@pytest.mark.parametrize("name", FILES)
def test_only_what_cannot_be_read_in_order_is_copied(tmp_path, monkeypatch, name):
    path = tmp_path / name
    FILES[name](path)
    copied = []
    spool = streams._on_disk
    monkeypatch.setattr(streams, "_on_disk", lambda image: copied.append(1) or spool(image))
    photo = PhotoFile(path)
    for _ in range(2):
        collections.deque(photo.strips(), maxlen=0)
    assert len(copied) == (name in SPOOLED)


@pytest.fixture
def younger_objects():
    """Only objects made from here on are looked at when garbage is collected."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.few(8)
@pytest.mark.usefixtures("younger_objects")
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at Linux's list of files")
@pytest.mark.parametrize("name", FILES)
def test_files_are_let_go_with_the_photo(tmp_path, monkeypatch, name):
    copies = tmp_path / "copies"
    copies.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(copies))
    path = tmp_path / name
    FILES[name](path)
    photo = PhotoFile(path)
    assert len(next(photo.strips())) > 0
    if name in SPOOLED:
        assert files_open_below(copies)
    # Even now, so that nothing is left however the process ends.
    assert list(copies.iterdir()) == []
    del photo
    gc.collect()
    assert files_open_below(tmp_path) == []


def files_open_below(folder: Path) -> list[str]:
    """The files of a folder that this process has open, those already removed too."""
    opened = []
    for handle in Path("/proc/self/fd").iterdir():
        # The one of this list is closed meanwhile.
        with contextlib.suppress(OSError):
            opened.append(os.readlink(handle))
    return [name for name in opened if name.startswith(str(folder))]


def test_a_copy_that_does_not_fit_is_refused(tmp_path, free_disk):
    path = tmp_path / "turned.jpg"
    SPOOLED["turned.jpg"](path)
    # 2 x 1 tiles of 256 x 256 px
    room = 2 * 256 * 256 * 3
    free_disk(room)
    assert PhotoFile(path).hw == (170, 300)
    free_disk(room - 1)
    with pytest.raises(PhotoError, match=r"turned.jpg: cannot be read in order, a temporary copy"):
        PhotoFile(path)


def test_a_temporary_folder_that_is_gone_is_told(tmp_path, monkeypatch):
    path = tmp_path / "turned.jpg"
    SPOOLED["turned.jpg"](path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(
        PhotoError, match=r"turned.jpg: a temporary copy cannot be written: No such"
    ):
        PhotoFile(path)


@pytest.mark.parametrize("name", ["plain.jpg", "grey.png", "strips.tif", "tiles.tif"])
def test_damage_further_down_is_told_when_it_is_reached(tmp_path, name):
    path = tmp_path / name
    FILES[name](path)
    if name == "tiles.tif":
        # tifffile writes the directory first, the last tiles stand at the end
        path.write_bytes(path.read_bytes()[:-3000])
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    photo = PhotoFile(path, reading=Reading(damaged="refuse"))
    strips = photo.strips(16)
    assert next(strips).shape == (16, 170, 3)
    with pytest.raises(PhotoError, match=f"{name}: is cut short, damaged or an") as caught:
        collections.deque(strips, maxlen=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["turned.jpg", "progressive.jpg", "clear.png"])
def test_damage_in_what_is_copied_is_told_at_once(tmp_path, name):
    path = tmp_path / name
    FILES[name](path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(PhotoError, match=f"{name}: is cut short, damaged or an") as caught:
        PhotoFile(path, reading=Reading(damaged="refuse"))
    assert "\n" not in str(caught.value)


def test_a_file_that_was_changed_between_passes_is_told(tmp_path):
    path = tmp_path / "a.png"
    save(path)
    photo = PhotoFile(path)
    collections.deque(photo.strips(), maxlen=0)
    save(path, "L")
    with pytest.raises(PhotoError, match=r"a.png: has changed since it was opened: start again"):
        next(photo.strips())
    with pytest.raises(PhotoError, match=r"a.png: has changed since it was opened: start again"):
        _ = photo.digest
    path.unlink()
    with pytest.raises(PhotoError, match=r"a.png: no such file"):
        next(photo.strips())


def test_two_passes_at_a_time_do_not_meet(tmp_path):
    path = tmp_path / "a.jpg"
    save(path)
    photo = PhotoFile(path)
    pairs = list(zip(photo.strips(10), photo.strips(10), strict=True))
    whole = read_photo(path).pixels
    for side in range(2):
        np.testing.assert_array_equal(np.concatenate([pair[side] for pair in pairs]), whole)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.jpg", b"a cat, in words\n" * 50, "not an image that can be read (none of"),
        ("empty.jpg", b"", "is empty"),
        ("none.jpg", None, "no such file"),
    ],
)
@pytest.mark.parametrize("reader", [read_photo, open_photo, PhotoFile, upright_hw])
def test_what_is_no_photo_is_refused_alike(tmp_path, reader, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PhotoError) as caught:
        reader(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_only_large_photos_stay_on_disk(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    save(path)
    assert isinstance(open_photo(path), Photo)
    monkeypatch.setattr(streams, "LARGE_PX", 300 * 170)
    assert isinstance(open_photo(path), Photo)
    monkeypatch.setattr(streams, "LARGE_PX", 300 * 170 - 1)
    photo = open_photo(str(path))
    assert isinstance(photo, PhotoFile)
    assert open_photo(photo) is photo
    pixels = noise(5, 6, 3)
    assert np.shares_memory(open_photo(pixels).pixels, pixels)
    with pytest.raises(PhotoError, match="photo is a NoneType"):
        open_photo(None)
