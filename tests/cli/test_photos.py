"""Photos of every kind, whole and broken, and files with every kind of name."""

import io
import json
import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

import heatmap
from heatmap.runs.saved import saved_results
from tests.support.command_line import (
    CLASS_NAMES,
    PADDED,
    assert_one_line,
    everything,
    save_with_pillow,
)


def save_frames(path):
    frames = [Image.new("RGB", (50, 40), colour) for colour in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def save_turned(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    save_with_pillow(path, exif=exif)


def save_infrared(path):
    tifffile.imwrite(path, np.zeros((40, 50, 4), np.uint8), photometric="rgb", extrasamples=[0])


def save_thumbnail_first(path):
    with tifffile.TiffWriter(path) as file:
        file.write(np.zeros((8, 10, 3), np.uint8), photometric="rgb", subfiletype=1)
        file.write(np.zeros((40, 50, 3), np.uint8), photometric="rgb")


ODD_PHOTOS = {
    "1x1.png": (lambda p: save_with_pillow(p, hw=(1, 1)), "1 x 1 px"),
    "1x5000.png": (lambda p: save_with_pillow(p, hw=(1, 5000)), "5000 x 1 px"),
    "grey.png": (lambda p: save_with_pillow(p, "L"), "50 x 40 px"),
    "rgba.png": (lambda p: save_with_pillow(p, "RGBA"), "50 x 40 px"),
    "cmyk.jpg": (lambda p: save_with_pillow(p, "CMYK"), "note: CMYK converted to sRGB"),
    "palette.png": (lambda p: save_with_pillow(p, "P"), "50 x 40 px"),
    "16 bit.png": (
        lambda p: cv2.imwrite(p, np.full((40, 50, 3), 40_000, np.uint16)),
        "note: 16-bit reduced to 8",
    ),
    "12 bit.png": (
        lambda p: cv2.imwrite(p, np.full((40, 50, 3), 3912, np.uint16)),
        "note: 16-bit values up to 3,912: taken as 12 bits; an input range says otherwise",
    ),
    "infrared.tif": (save_infrared, "note: left out 1 band beyond RGB (not marked as transp"),
    "thumbnail first.tif": (save_thumbnail_first, "note: the full image, 50 x 40 px, is read, not"),
    "turned.jpg": (save_turned, "40 x 50 px"),
    "animated.gif": (save_frames, "note: first of 2 frames"),
}


@pytest.mark.parametrize("name", ODD_PHOTOS)
def test_odd_photos_work_and_say_what_was_done(call, name):
    save, expected = ODD_PHOTOS[name]
    save(name)
    outcome = call("run", name, *PADDED, "--html", "-o", "out")
    assert (outcome.code, outcome.err) == (0, "")
    assert expected in outcome.out
    if expected.startswith("note: "):
        for result in (f"{Path(name).stem}.json", f"{Path(name).stem}.html"):
            text = Path("out", result).read_text(encoding="utf-8")
            assert expected.removeprefix("note: ") in text
    assert heatmap.load(f"out/{Path(name).stem}.maps.npz").scores.size


def test_values_without_a_range_are_refused_with_one_that_works(call):
    cv2.imwrite("deep.tif", np.linspace(-300, 9000, 2000).reshape(40, 50).astype(np.float32))
    message = "deep.tif: float values go from -300 to 9000, which is not 0..1 or 0..255"
    assert_one_line(
        call("run", "deep.tif", *PADDED, "-o", "out"), f"{message}: use --input-range -300:9000"
    )
    outcome = call("run", "deep.tif", *PADDED, "-o", "out", "--input-range", "-300:9000")
    assert (outcome.code, outcome.err) == (0, "")
    assert "note: values from -300 to 9000 taken as black to white" in outcome.out
    told = json.loads(Path("out/deep.json").read_text(encoding="utf-8"))["photo"]
    assert told["reading"]["input_range"] == [-300, 9000]


def save_cut_short(path):
    stream = io.BytesIO()
    save_with_pillow(stream, format="WEBP", hw=(200, 200))
    Path(path).write_bytes(stream.getvalue()[:9_000])


BAD_PHOTOS = {
    "missing.jpg": (lambda p: None, "missing.jpg: no such file"),
    "directory.jpg": (os.mkdir, "directory.jpg: no file in it"),
    "empty.jpg": (lambda p: Path(p).touch(), "empty.jpg: is empty"),
    "text.jpg": (lambda p: Path(p).write_text("a cat" * 99), "text.jpg: not an image"),
    "cut.webp": (save_cut_short, "cut.webp: is cut short"),
    "nan.tif": (
        lambda p: tifffile.imwrite(p, np.full((40, 50), np.nan, np.float32)),
        "nan.tif: holds values that are not finite",
    ),
    "[red]none[/red].jpg": (lambda p: None, "[red]none[/red].jpg: no such file"),
    "two\nlines.jpg": (lambda p: None, "two lines.jpg: no such file"),
}


@pytest.mark.parametrize("command", ["run", "verify"])
def test_a_damaged_photo_is_noted(call, command):
    save_with_pillow("a.jpg", hw=(200, 200))
    content = Path("a.jpg").read_bytes()
    Path("a.jpg").write_bytes(content[: len(content) * 2 // 3])
    done = call(command, "a.jpg", *PADDED, "-o", "out")
    assert "damaged, partly made up" in done.out + done.err
    assert "damaged, partly made up" in call(command, "a.jpg", *PADDED, "-o", "b", "--json").out


@pytest.mark.parametrize("command", ["run", "verify"])
@pytest.mark.parametrize("name", BAD_PHOTOS)
def test_bad_photos_end_in_one_line_and_leave_nothing(call, command, name):
    save, expected = BAD_PHOTOS[name]
    save(name)
    before = everything()
    assert_one_line(call(command, name, *PADDED, "-o", "out"), expected)
    assert everything() == before


@pytest.mark.parametrize("name", ["[red]two words[/red].png", "日本 é <img> [[/].png", "-.png"])
def test_names_are_shown_as_they_are_and_files_written(call, name):
    path = Path("[bold]in[", name)
    path.parent.mkdir(parents=True)
    shutil.copy("cat.png", path)
    out = Path("[b] out", path.stem)
    call_named = ("run", path, *PADDED, "--class-names", "names.txt", "-o", out.parent)
    outcome = call(*call_named, "--conf", "0.2")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"{path}: 120 x 100 px, model ")
    assert f"wrote {out}.maps.npz\n" in outcome.out
    assert heatmap.load(f"{out}.maps.npz").origin.photo == str(path)
    assert call("verify", path, *PADDED, "-o", out.parent).out.endswith(f"wrote {out}.verify.jpg\n")
    shown = saved_results(f"{out}.json")[0].groups[0].name
    drawn = call("render", f"{out}.json", "-c", shown, "--per-class", "-o", "[b] again")
    assert (drawn.code, len(drawn.out.splitlines())) == (0, 2)


def test_class_names_are_shown_as_they_are(call):
    wanted = [part for name in (0, 1, 4) for part in ("-c", name)]
    outcome = call(*("run", "cat.png", *PADDED, "--class-names", "names.txt", "--conf", 0, *wanted))
    rows = re.findall(r"^(.+?) +\d+ %  .* to ", outcome.out, re.MULTILINE)
    assert set(rows) == {CLASS_NAMES[0], CLASS_NAMES[1], CLASS_NAMES[4]}
