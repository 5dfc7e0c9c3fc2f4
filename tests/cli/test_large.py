"""`heatmap run` where scores or photos are large."""

import json
from pathlib import Path

from heatmap.grid import collector as collecting
from heatmap.grid import score_grid as grid
from heatmap.photo import photo_file as streams
from heatmap.runs import photo_run as running
from tests.support.command_line import PADDED, everything


def large_from(monkeypatch, size):
    for module in (grid, collecting, running):
        monkeypatch.setattr(module, "LARGE_GRID_BYTES", size)


def test_the_size_of_a_large_grid_is_told_on_standard_error(call, monkeypatch, free_disk):
    large_from(monkeypatch, 1000)
    free_disk(10**11)
    quiet = call("run", "cat.png", *PADDED, "-o", "out", "--json")
    note = "note: the scores will take {} on disk: --store-classes stores fewer\n"
    assert quiet.err == note.format("0.0 GB")
    json.loads(quiet.out)
    monkeypatch.setattr(running, "planned_bytes", lambda *_: 62_400_000_000)
    loud = call("run", "cat.png", *PADDED, "-o", "out")
    assert loud.err == note.format("62.4 GB")
    # Nothing temporary stays.
    suffixes = ("heatmap.jpg", "json", "maps.npz", "maps.scores.npy")
    assert everything("out") == [f"out/cat.{suffix}" for suffix in suffixes]


def test_a_large_photo_gives_a_pyramid_and_a_picture_and_can_be_rendered(call, monkeypatch):
    monkeypatch.setattr(streams, "LARGE_PX", 1000)
    outcome = call("run", "cat.png", *PADDED, "-o", "out", "-c", "1", "--confirm", 0, "--full")
    assert (outcome.code, outcome.err) == (0, "")
    pictures = ["out/cat.heatmap.jpg", "out/cat.heatmap.tif"]
    assert everything("out") == [*pictures, "out/cat.json", "out/cat.maps.npz"]
    assert all(f"wrote {path}\n" in outcome.out for path in everything("out"))
    assert call("render", "out", "-o", "again", "--full").code == 0
    for path in pictures:
        assert Path(path.replace("out", "again")).read_bytes() == Path(path).read_bytes()
