"""No command replaces a file that is not its own, but on --overwrite; and no photo ever."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from heatmap.networks import adapt as adapting
from heatmap.networks import export as programs
from heatmap.runs import batch as batching
from heatmap.scoring import prepare as preparing
from heatmap.training import train as trainings
from tests.support.batches import files
from tests.support.command_line import PADDED, PLAIN, assert_one_line
from tests.support.training import NETWORK as SMALL

TRAINED = ("-m", SMALL, "--window", "20")
QUICK = ("--epochs", "1", "--views", "1", "--batch", "8")
STRANGERS = b"somebody's"
# What loads networks, for one command or another.
LOADERS = (
    *((preparing, "prepare"), (batching, "_setup"), (programs, "load_classifier")),
    *((adapting, "load_original"), (trainings, "load_original")),
)
WAYS = ("--output", "--overwrite")


@pytest.fixture
def boxes(call, photos):
    """Boxes on the one photo of a folder."""
    Path("one").mkdir()
    shutil.copy("cat.png", "one/cat.png")
    box = {"label": "class 1", "xmin": 10, "ymin": 10, "xmax": 60, "ymax": 60}
    Path("boxes.json").write_text(json.dumps([{"file": "cat.png", "boxes": [box]}]))
    return call


COMMANDS = {
    "run": ("run", "cat.png", *PADDED, "-o", "out"),
    "verify": ("verify", "cat.png", *PLAIN, "-o", "out", "--windows", "5"),
    "verify many": ("verify", "one", *PLAIN, "-o", "out", "--windows", "5"),
    "evaluate": ("evaluate", "one", "boxes.json", *PADDED, "--no-cam", "-o", "out"),
    "batch": ("batch", "one", *PADDED, "-o", "out"),
    "adapt": ("adapt", *TRAINED, "-o", "out/net.safetensors"),
    "train": ("train", "photos", *TRAINED, *QUICK, "-o", "out/net.safetensors"),
    "export": ("export", *PADDED, "-o", "out/net.onnx"),
    "export to torch": ("export", *PADDED, "--to", "torch", "-o", "out/net.pt2"),
}
FILES = [
    ("run", "cat.maps.npz"),
    ("run", "cat.json"),
    ("run", "cat.heatmap.jpg"),
    ("verify", "cat.verify.jpg"),
    ("verify many", "cat.png.verify.jpg"),
    ("evaluate", "evaluation.html"),
    ("evaluate", "evaluation.json"),
    ("batch", "index.html"),
    ("batch", "summary.csv"),
    ("batch", "manifest.jsonl"),
    ("adapt", "net.safetensors"),
    ("adapt", "net.json"),
    ("train", "net.safetensors"),
    ("train", "net.json"),
    ("export", "net.onnx"),
    ("export to torch", "net.pt2"),
]


@pytest.mark.parametrize(("command", "name"), FILES)
def test_a_strangers_file_is_refused_before_a_network_is_loaded(boxes, monkeypatch, command, name):
    Path("out").mkdir()
    (Path("out") / name).write_bytes(STRANGERS)
    before = files(Path())
    for module, called in LOADERS:
        monkeypatch.setattr(module, called, None)
    outcome = boxes(*COMMANDS[command])
    assert_one_line(outcome, f"out/{name}: ", *WAYS)
    after = files(Path())
    # A batch locks its manifest before it looks further.
    assert {each: after[each] for each in before} == before
    assert after.keys() - before.keys() <= {"out/manifest.jsonl"}


@pytest.mark.parametrize("command", ["verify", "evaluate", "batch", "adapt"])
def test_they_are_replaced_on_insistence_and_are_its_own_then(boxes, command):
    Path("out").mkdir()
    paths = [Path("out") / name for each, name in FILES if each == command]
    for path in paths:
        path.write_bytes(STRANGERS)
    for more in (["--overwrite"], []):
        outcome = boxes(*COMMANDS[command], *more)
        assert outcome.code == 0, outcome.err
        assert STRANGERS not in [path.read_bytes() for path in paths]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["export", "export to torch", "train"])
def test_exports_and_checkpoints_are_known_again(boxes, command):
    for _ in range(2):
        outcome = boxes(*COMMANDS[command])
        assert outcome.code == 0, outcome.err


@pytest.mark.parametrize("command", ["adapt", "train"])
def test_the_network_that_is_read_is_not_replaced(boxes, command):
    assert boxes(*COMMANDS["adapt"], "--num-classes", "3").code == 0
    os.link("out/net.safetensors", "out/link.safetensors")
    before = files(Path("out"))
    given = [*COMMANDS[command], "--architecture", SMALL, "--overwrite"]
    for name in ("net", "link"):
        given[given.index("-m") + 1] = f"out/{name}.safetensors"
        outcome = boxes(*given)
        assert_one_line(outcome, "net.safetensors: is read, and would be replaced", "--output")
        assert "--overwrite" not in outcome.err
    assert files(Path("out")) == before


# Batches.


def strangers_results(folder: str) -> Path:
    home = Path("out") / "photos" / folder
    home.mkdir(parents=True)
    (home / "cat.heatmap.jpg").write_bytes(STRANGERS)
    return home


def test_one_photo_of_a_batch_fails_and_the_others_are_done(boxes):
    shutil.copy("cat.png", "one/other.png")
    home = strangers_results("cat.png")
    outcome = boxes(*COMMANDS["batch"])
    assert outcome.code == 1
    (line,) = (line for line in outcome.err.splitlines() if line.startswith("failed:"))
    assert "cat.heatmap.jpg: exists, and was not written by this tool" in line
    assert all(way in line for way in WAYS)
    assert files(home) == {"cat.heatmap.jpg": files(Path())[str(home / "cat.heatmap.jpg")]}
    assert Path("out/photos/other.png/other.json").exists()
    # Nothing has changed since then: to insist is to try again.
    assert boxes(*COMMANDS["batch"], "--overwrite").code == 0
    assert (home / "cat.json").exists()
    assert "nothing to do" in boxes(*COMMANDS["batch"], "--dry-run").out


def test_results_that_cannot_be_replaced_stay(boxes):
    grids = (*COMMANDS["batch"], "--save-grid")
    assert boxes(*grids).code == 0
    before = files(Path("out/photos"))
    outcome = boxes(*COMMANDS["batch"])
    assert outcome.code == 1
    assert "is a saved score grid, and would be removed: save it again with --save-grid" in (
        outcome.err
    )
    assert files(Path("out/photos")) == before
    assert boxes(*grids).code == 0
    assert files(Path("out/photos")) == before


def test_whether_to_overwrite_is_no_setting_of_results(boxes):
    assert boxes(*COMMANDS["batch"]).code == 0
    before = files(Path("out"))
    assert boxes(*COMMANDS["batch"], "--overwrite").code == 0
    assert files(Path("out")) == before


@pytest.mark.parametrize("name", ["summary.csv", "index.html"])
def test_a_table_that_somebody_worked_on_is_not_replaced(boxes, name):
    assert boxes(*COMMANDS["batch"]).code == 0
    path = Path("out") / name
    path.write_bytes(path.read_bytes() + STRANGERS)
    assert_one_line(boxes(*COMMANDS["batch"]), f"{name}: has been changed since", *WAYS)
    assert path.read_bytes().endswith(STRANGERS)
    assert boxes(*COMMANDS["batch"], "--overwrite").code == 0
    assert not path.read_bytes().endswith(STRANGERS)


# Photos of one stem.


def other_cat(path: str) -> str:
    Path(path).parent.mkdir(exist_ok=True)
    cv2.imwrite(path, np.full((60, 70, 3), 99, np.uint8))
    return path


def test_verify_does_not_draw_over_the_picture_of_another_photo(boxes, monkeypatch):
    assert boxes(*COMMANDS["verify"]).code == 0
    before = files(Path("out"))
    other = other_cat("other/cat.jpg")
    given = ("verify", other, *COMMANDS["verify"][2:])
    with monkeypatch.context() as patched:
        patched.setattr(preparing, "prepare", None)
        assert_one_line(boxes(*given), "cat.verify.jpg: exists, and was made of other", *WAYS)
    assert files(Path("out")) == before
    assert boxes(*given, "--overwrite").code == 0
    # In a folder photos of one stem have names of their own.
    other_cat("one/cat.jpg")
    assert boxes(*COMMANDS["verify many"]).code == 0
    assert len(list(Path("out").glob("cat.*.verify.jpg"))) == 2


def test_verify_does_not_draw_over_a_photo(boxes):
    """Not even over another one of the folder, through a link."""
    other_cat("one/dog.png")
    Path("out").mkdir()
    Path("out/cat.png.verify.jpg").symlink_to(Path("one/dog.png").absolute())
    before = files(Path("one"))
    outcome = boxes(*COMMANDS["verify many"], "--overwrite")
    assert_one_line(outcome, "cat.png.verify.jpg: is read, and would be replaced: choose another")
    assert files(Path("one")) == before
    assert_one_line(boxes("verify", "cat.png", *PLAIN, "-o", "cat.png"), "is a file, not a folder")


def test_an_evaluation_of_other_photos_stays(boxes):
    assert boxes(*COMMANDS["evaluate"]).code == 0
    assert boxes(*COMMANDS["evaluate"], "--conf", "0.2").code == 0
    Path("one").rename("two")
    outcome = boxes("evaluate", "two", *COMMANDS["evaluate"][2:])
    assert_one_line(outcome, "evaluation.html: exists, and was made of other photos", *WAYS)


def test_two_photos_of_one_stem_are_named_both(boxes):
    assert boxes(*COMMANDS["run"]).code == 0
    other = other_cat("other/cat.jpg")
    outcome = boxes("run", other, *COMMANDS["run"][2:])
    assert_one_line(outcome, f"holds the results of cat.png, another photo than {other}", *WAYS)


def test_a_changed_file_that_stays_is_told(boxes):
    assert boxes(*COMMANDS["run"], "--format", "csv").code == 0
    Path("out/cat.csv").write_bytes(STRANGERS)
    note = "cat.csv stays: it was changed since it was written"
    outcome = boxes(*COMMANDS["run"], "--html")
    assert outcome.out.count(f"note: {note}\n") == 1
    assert note in json.loads(Path("out/cat.json").read_text())["origin"]["notes"]
    assert note in Path("out/cat.html").read_text()
    assert Path("out/cat.csv").read_bytes() == STRANGERS
    # It is somebody's from now on.
    assert "stays" not in boxes(*COMMANDS["run"]).out


def test_a_changed_file_that_stays_is_told_by_a_batch(boxes):
    assert boxes(*COMMANDS["batch"], "--format", "csv").code == 0
    Path("out/photos/cat.png/cat.csv").write_bytes(STRANGERS)
    note = "cat.csv stays: it was changed since it was written"
    outcome = boxes(*COMMANDS["batch"])
    assert f"note: {note}: cat.png\n" in outcome.out
    (line,) = [line for line in Path("out/manifest.jsonl").read_text().splitlines() if note in line]
    assert json.loads(line)["notes"] == [note]


def test_view_and_render_say_how_to_insist(boxes):
    assert boxes(*COMMANDS["run"]).code == 0
    Path("out/cat.html").write_bytes(STRANGERS)
    outcome = boxes("view", "out")
    assert_one_line(outcome, "cat.html: exists, and was not written by this tool: use --overwrite")
    Path("again").mkdir()
    Path("again/cat.heatmap.jpg").write_bytes(STRANGERS)
    render = ("render", "out", "-o", "again")
    assert_one_line(boxes(*render), "cat.heatmap.jpg: exists, and was not written", *WAYS)
    for command in (("view", "out"), render):
        assert boxes(*command, "--overwrite").code == 0


@pytest.mark.parametrize("name", ["--groups", "--class-names", "--mask", "--coco"])
def test_no_file_that_is_read_is_replaced(boxes, name):
    """Not even on --overwrite; nor by a batch or an evaluation."""
    contents = {
        "--groups": b'{"pair": ["class 1", "class 2"]}',
        "--class-names": b"a\nb\nc\nd\ne\n",
        "--mask": Path("cat.png").read_bytes(),
        "--coco": b'{"images": [{"id": 1, "file_name": "cat.png"}], "categories": []}',
    }
    Path("out").mkdir()
    ways = {"run": "cat.json", "batch": "index.html", "evaluate": "evaluation.json"}
    for command, written in ways.items():
        if command == "evaluate" and name in ("--mask", "--coco"):
            continue
        given = Path("out", written)
        given.write_bytes(contents[name])
        more = ("--format", "coco") if name == "--coco" else ()
        outcome = boxes(*COMMANDS[command], name, str(given), *more, "--overwrite")
        assert_one_line(outcome, f"{written}: is read, and would be replaced: choose another")
        assert given.read_bytes() == contents[name]
        given.unlink()
