"""From where `heatmap run` takes photos, and where its results go."""

import io
import json
import subprocess
import sys
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest

import heatmap
from heatmap.photo import given
from heatmap.runs.one_picture import is_picture
from tests.support.command_line import PADDED, assert_one_line, everything
from tests.support.paths import ROOT

FOUND = ("-c", "class 1", "--conf", "0.01", "--confirm", "0")


def piped(monkeypatch, content: bytes) -> None:
    """Standard input as a pipe with this content."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


class TestSeveral:
    @pytest.fixture
    def photos(self, call):
        Path("photos").mkdir()
        for name in ("a.png", "b.png"):
            Path("photos", name).write_bytes(Path("cat.png").read_bytes())
        Path("list.txt").write_text("photos/a.png\nphotos/b.png\n")

    @pytest.mark.parametrize(
        "sources",
        [("photos",), ("photos/*.png",), ("photos/a.png", "photos/b.png"), ("list.txt",)],
        ids=["folder", "glob", "several", "list"],
    )
    def test_are_run_as_a_batch(self, call, photos, sources):
        outcome = call("run", *sources, *PADDED, *FOUND, "-o", "out")
        assert outcome.code == 0
        assert "2 photos done, 0 failed, 0 skipped" in outcome.out
        again = call("batch", *sources, *PADDED, *FOUND, "-o", "out")
        assert "nothing to do: all 2 photos are done; " in again.out

    def test_go_to_results(self, call, photos):
        assert call("run", "photos", *PADDED, *FOUND, "-q").code == 0
        assert "results/manifest.jsonl" in everything("results")

    def test_fail_with_1_if_one_does(self, call, photos):
        Path("photos/a.png").write_text("no photo")
        outcome = call("run", "photos", *PADDED, *FOUND, "-o", "out", "-q")
        assert (outcome.code, outcome.out) == (1, "")
        assert outcome.err.startswith("failed: ")

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (("-o", "x.png"), "x.png: is one picture, and there may be several photos: give a"),
            (("--region", "0,0,9,9"), "a region is of one photo: leave out --region"),
        ],
    )
    def test_are_refused_what_is_for_one(self, call, photos, more, message):
        before = everything()
        assert_one_line(call("run", "photos", *PADDED, *more), message)
        assert everything() == before

    def test_do_not_come_from_standard_input(self, call):
        for command in ("run", "batch"):
            refused = call(command, "-", "cat.png", *PADDED)
            assert_one_line(refused, "- is a photo from standard input: run it by itself")


class TestPicture:
    @pytest.mark.parametrize("name", ["zebra.png", "zebra.JPG", "new/zebra.jpg"])
    def test_is_all_that_is_written(self, call, name):
        before = everything()
        outcome = call("run", "cat.png", *PADDED, *FOUND, "-o", name)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.endswith(f"wrote {name}\n")
        assert set(everything()) - set(before) == {name, *["new"] * ("/" in name)}
        call("run", "cat.png", *PADDED, *FOUND, "-o", "out")
        drawn, written = cv2.imread("out/cat.heatmap.jpg"), cv2.imread(name)
        assert drawn.shape == written.shape
        # JPEG loses a little.
        assert np.abs(drawn.astype(int) - written).mean() < 3

    def test_replaces_itself_and_no_other_file(self, call):
        Path("photo.png").write_bytes(Path("cat.png").read_bytes())
        Path("other.png").write_bytes(Path("photo.png").read_bytes()[:-1])
        draw = ("run", "cat.png", *PADDED, *FOUND, "-o")
        assert call(*draw, "zebra.png").code == call(*draw, "zebra.png").code == 0
        drawn = Path("zebra.png").read_bytes()
        before = {path: Path(path).read_bytes() for path in ("cat.png", "photo.png", "zebra.png")}
        for name in ("cat.png", "./cat.png"):
            assert_one_line(call(*draw, name), f"{Path(name)}: is read, and would be replaced")
            assert_one_line(call(*draw, name, "--overwrite"), "is read, and would be replaced")
        assert_one_line(call(*draw, "photo.png"), "exists, and was not written by this tool")
        cv2.imwrite("dog.png", np.full((100, 120, 3), 90, np.uint8))
        refused = call("run", "dog.png", *PADDED, *FOUND, "-o", "zebra.png")
        assert_one_line(refused, "zebra.png: exists, and was made of other photos")
        assert all(Path(path).read_bytes() == content for path, content in before.items())
        assert call(*draw, "photo.png", "--overwrite").code == 0
        assert Path("photo.png").read_bytes() == drawn

    def test_never_replaces_the_mask(self, call):
        cv2.imwrite("mask.png", np.full((100, 120), 255, np.uint8))
        call_ = ("run", "cat.png", *PADDED, "--mask", "mask.png", "--overwrite", "-o", "mask.png")
        assert_one_line(call(*call_), "mask.png: is read, and would be replaced")

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (("-o", "x.webp"), "a picture is written as .png or .jpg, not as '.webp'"),
            (("-o", "x.png", "--html"), "leave out --html or give a folder as --output"),
            (("-o", "x.png", "--format", "csv"), "x.png is one picture, and other files are"),
            (("-o", "x.png", "--save-grid"), "leave out --save-grid"),
            (("-o", "x.png", "--per-class"), "leave out --per-class"),
            (("--json", "--areas"), "no file is written, and other files are asked for"),
            (("--json", "--save-crops"), "leave out --save-crops or give a folder as --output"),
        ],
    )
    def test_is_refused_before_scoring_what_it_is_not(self, call, monkeypatch, more, message):
        monkeypatch.setattr("heatmap.runs.photo_run.PhotoRun.score", None)
        before = everything()
        assert_one_line(call("run", "cat.png", *PADDED, *more), message)
        assert everything() == before

    def test_a_folder_of_that_name_stays_a_folder(self, call):
        Path("x.png").mkdir()
        assert not is_picture("x.png")
        assert call("run", "cat.png", *PADDED, *FOUND, "-o", "x.png", "-q").code == 0
        assert "x.png/cat.json" in everything("x.png")

    def test_is_written_from_python_too(self, call):
        options = {"window": 32, "classes": "class 1", "conf": 0.01, "confirm": 0}
        call("run", "cat.png", *PADDED, *FOUND, "-o", "one.png")
        result = heatmap.run("cat.png", PADDED[1], output="two.png", **options)
        assert result.saved is None
        np.testing.assert_array_equal(cv2.imread("one.png"), cv2.imread("two.png"))
        np.testing.assert_array_equal(cv2.imread("two.png")[..., ::-1], result.overlay())
        with pytest.raises(heatmap.HeatmapError, match=r"x\.png: is one picture, there are"):
            heatmap.run(["cat.png"], PADDED[1], output="x.png", **options)


class TestStandardInput:
    def test_is_a_photo(self, call, monkeypatch):
        piped(monkeypatch, Path("cat.png").read_bytes())
        outcome = call("run", "-", *PADDED, *FOUND, "-o", "out")
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.startswith("photo: 120 x 100 px, model ")
        names = ["photo.heatmap.jpg", "photo.json", "photo.maps.npz"]
        assert everything("out") == [f"out/{name}" for name in names]
        call("run", "cat.png", *PADDED, *FOUND, "-o", "named")
        told, named = (
            json.loads(Path(path).read_text()) for path in ("out/photo.json", "named/cat.json")
        )
        assert told["detections"] == named["detections"] != []
        assert told["photo"]["sha256"] == named["photo"]["sha256"]

    def test_goes_to_a_picture_or_to_no_file(self, call, monkeypatch):
        before = everything()
        piped(monkeypatch, Path("cat.png").read_bytes())
        told = json.loads(call("run", "-", *PADDED, *FOUND, "--json").out)
        assert (told["photo"]["path"], told["files"]) == ("", None)
        piped(monkeypatch, Path("cat.png").read_bytes())
        assert call("run", "-", *PADDED, *FOUND, "-o", "zebra.png").code == 0
        assert set(everything()) - set(before) == {"zebra.png"}

    def test_of_another_photo_does_not_replace_results(self, call, monkeypatch):
        for shade, code in ((90, 0), (90, 0), (120, 1)):
            pixels = np.full((100, 120, 3), shade, np.uint8)
            piped(monkeypatch, cv2.imencode(".png", pixels)[1].tobytes())
            outcome = call("run", "-", *PADDED, *FOUND, "-o", "out")
            assert outcome.code == code
        assert_one_line(outcome, "holds the results of a photo without a file, another photo than")

    def test_has_a_limit(self, call, monkeypatch):
        monkeypatch.setattr(given, "MOST_BYTES", 1000)
        piped(monkeypatch, bytes(1001))
        refused = call("run", "-", *PADDED, "-o", "out")
        assert_one_line(refused, "photo has more than 1,000 bytes: give its path")

    @pytest.mark.parametrize(
        ("content", "message"),
        [(b"", "photo has no bytes"), (b"no photo", "photo: not an image that can be read")],
    )
    def test_of_no_photo_is_one_line(self, call, monkeypatch, content, message):
        piped(monkeypatch, content)
        assert_one_line(call("run", "-", *PADDED, "-o", "out"), message)
        assert not Path("out").exists()

    def test_of_a_terminal_is_refused(self, call, monkeypatch):
        piped(monkeypatch, b"")
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        refused = call("run", "-", *PADDED)
        assert_one_line(refused, "standard input, and none is piped in", "heatmap run - < cat.jpg")
        monkeypatch.setattr(sys, "stdin", None)
        assert_one_line(call("run", "-", *PADDED), "none is piped in")


class TestJson:
    def test_without_output_is_printed_and_no_file_is_written(self, call):
        before = everything()
        outcome = call("run", "cat.png", *PADDED, *FOUND, "--json")
        assert outcome.code == 0
        assert everything() == before
        told = json.loads(outcome.out)
        schema = Path(heatmap.__file__).with_name("runs") / "result.schema.json"
        jsonschema.Draft202012Validator(json.loads(schema.read_bytes())).validate(told)
        assert told["files"] is None
        written = json.loads(call("run", "cat.png", *PADDED, *FOUND, "--json", "-o", "out").out)
        assert written.pop("files")["maps"] == "cat.maps.npz"
        told.pop("files")
        assert written == told

    def test_that_was_printed_is_no_saved_result(self, call):
        Path("out").mkdir()
        printed = call("run", "cat.png", *PADDED, *FOUND, "--json").out
        Path("out/cat.json").write_text(printed)
        assert_one_line(call("view", "out/cat.json"), "out/cat.json: the run wrote no files")
        assert_one_line(call("render", "out"), "out: no results in this folder")
        refused = call("run", "cat.png", *PADDED, *FOUND, "-o", "out")
        assert_one_line(refused, "out/cat.json: exists, and was not written by this tool")
        assert call("run", "cat.png", *PADDED, *FOUND, "-o", "out", "--overwrite").code == 0
        assert json.loads(Path("out/cat.json").read_text())["files"]


def test_the_package_runs_as_a_program():
    called = [sys.executable, "-m", "heatmap", "--version"]
    outcome = subprocess.run(called, capture_output=True, text=True, cwd=ROOT, check=True)
    assert outcome.stdout.startswith(f"heatmap-localizer {heatmap.__version__}\n")
