"""Photos bent out of shape are read or refused, in one line."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib

import pytest
import pyvips

from tests.support.batches import MODEL, WINDOW, files, lines, write_photo
from tests.support.every_format import names, original
from tests.support.fuzz import read_all, write_mutated
from tests.support.paths import ROOT

# Another one now and then: `python -m tests.support.fuzz --seed 7`.
SEED = 19
COMMON = (".jpg", ".png", ".tif", ".webp", ".gif")


def named_profile(name: bytes) -> bytes:
    """A PNG with a colour profile of this name, whose rendering intent is none."""
    profile = bytearray(pyvips.Image.profile_load("srgb"))
    profile[64:68] = b"none"
    png = pyvips.Image.black(20, 20, bands=3).pngsave_buffer()
    content = b"iCCP" + name + b"\0\0" + zlib.compress(profile)
    at = png.index(b"IDAT") - 4
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return png[:at] + chunk + png[at:]


def test_messages_of_libvips_that_are_not_utf8_are_not_printed(tmp_path):
    path = tmp_path / "café.png"
    path.write_bytes(named_profile("café".encode("latin-1")))
    script = "import sys, heatmap; print(heatmap.read_photo(sys.argv[1]).hw)"
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "(20, 20)\n", "")


def test_photos_in_every_format_are_read_or_refused(tmp_path):
    """Whole ones, and a few that are not."""
    for name in names():
        if "-0." in name:
            (tmp_path / name).write_bytes(original(name))
    whole = list(read_all(sorted(tmp_path.iterdir())))
    assert [done for done in whole if not done.expected] == []
    assert sum(done.outcome == "photo" for done in whole) >= 24
    bent = read_all(write_mutated(tmp_path / "bent", SEED, 6))
    assert [done for done in bent if not done.expected] == []


@pytest.mark.slow
def test_300_photos_bent_out_of_shape_are_read_or_refused(tmp_path):
    done = list(read_all(write_mutated(tmp_path, SEED, 300)))
    assert [read for read in done if not read.expected] == [], f"seed {SEED}"
    assert {"photo", "HeatmapError"} == {read.outcome for read in done}


@pytest.mark.slow
def test_a_batch_of_30_bent_photos_does_the_others_and_loses_nothing(tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    bent = [path.name for path in write_mutated(photos, SEED, 30)]
    good = [write_photo(photos / f"good-{number}.png", number).name for number in range(5)]
    before = files(photos)
    program = [sys.executable, "-c", "from heatmap.cli.main import main; main()", "batch"]
    options = ["-m", MODEL, "--window", str(WINDOW), "-o", str(out)]
    done = subprocess.run(
        [*program, str(photos), *options], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert files(photos) == before
    assert done.returncode == 1
    assert "Traceback" not in done.stderr + done.stdout
    records = {line["name"]: line for line in lines(out) if "name" in line}
    assert records.keys() >= {name for name in (*bent, *good) if name.endswith(COMMON)}
    assert {records[name]["state"] for name in good} == {"done"}
    for name, record in records.items():
        # Skipped is what has no suffix of a photo.
        assert record["state"] in ("done", "failed") or not name.endswith(COMMON)
        assert "unexpected" not in (record.get("message") or "")
        if record["state"] == "done":
            (description,) = (out / "photos" / name).glob("*.json")
            assert json.loads(description.read_text("utf-8"))["photo"]["path"].endswith(name)
