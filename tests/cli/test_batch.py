"""`heatmap batch`."""

import json
import re
from pathlib import Path

import cv2
import numpy as np

from tests.support.command_line import PADDED, without_colours

MESSAGE = "photo is 24 x 20 px, the window is 32 px"


def test_a_failure_is_worded_in_options_and_recorded_as_data(call):
    Path("photos").mkdir()
    Path("cat.png").rename("photos/cat.png")
    cv2.imwrite("photos/tiny.png", np.zeros((20, 24, 3), np.uint8))
    outcome = call("batch", "photos", *PADDED, "--border", "valid", "-o", "out")
    assert outcome.code == 1
    (line,) = (line for line in outcome.err.splitlines() if line.startswith("failed:"))
    assert line.startswith(f"failed: tiny.png: {MESSAGE}: use --border cover or ")
    lines = [json.loads(line) for line in Path("out/manifest.jsonl").read_text().splitlines()]
    (record,) = (line for line in lines if line.get("state") == "failed")
    assert record["message"] == MESSAGE
    assert {"parameter": "border", "value": "cover", "text": "use {}"} in record["ways"]
    assert MESSAGE in Path("out/summary.csv").read_text()
    assert f"{MESSAGE}: use --border cover or " in Path("out/index.html").read_text()


def test_what_was_written_for_all_photos_is_named(call):
    Path("photos").mkdir()
    Path("cat.png").rename("photos/cat.png")
    outcome = call("batch", "photos", *PADDED, "--format", "voc", "--format", "yolo", "-o", "out")
    assert outcome.code == 0
    ending = "in out: index.html, summary.csv, yolo, voc, manifest.jsonl, photos"
    assert ending in outcome.out.splitlines()
    assert Path("out/yolo/labels/cat.txt").exists()


def test_a_class_that_was_asked_for_is_answered_and_a_repeat_is_one_sentence(call):
    Path("photos").mkdir()
    Path("cat.png").rename("photos/cat.png")
    for name in ("a.csv", "b.json"):
        Path("photos", name).touch()
    options = ("photos", *PADDED, "-c", "class 2", "--conf", "1", "-o", "out")
    first, again = call("batch", *options), call("batch", *options)

    (answer,) = (line for line in first.out.splitlines() if line.startswith("class 2: "))
    assert re.fullmatch(
        r"class 2: not on the only photo; best [\d.]+ % on cat.png \(threshold 100 %\)", answer
    )
    assert answer in again.out
    assert answer in Path("out/index.html").read_text()
    assert "1 photo done, 0 failed, 2 skipped; 0 detections" in first.out
    assert "nothing to do: the only photo is done; 0 detections" in again.out.splitlines()
    skipped = [line for line in first.err.splitlines() if line.startswith("skipped")]
    assert skipped == ["skipped 2 (not a photo by its name): a.csv, b.json"]
    assert "1 of 1 photos, " in first.err
    assert re.search(r"photos per second|seconds per photo", first.err)

    told = call("batch", *options, "--json").out.splitlines()[-1]
    (missing,) = json.loads(told)["nowhere"]
    assert (missing["name"], missing["photos"], missing["photo"]) == ("class 2", 1, "cat.png")


def test_a_terminal_names_the_first_failures_and_what_to_open(call, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    Path("many").mkdir()
    for number in range(7):
        Path("many", f"{number}.png").write_text("no photo")
    Path("many", "cat.png").write_bytes(Path("cat.png").read_bytes())
    for _ in range(2):
        outcome = call("batch", "many", *PADDED, "--conf", "0.2", "-o", "out")
        out, err = map(without_colours, (outcome.out, outcome.err))
        assert outcome.code == 1
        named = [f"many/{number}.png: not an" in " ".join(err.split()) for number in range(7)]
        # Photos are run side by side, so that any may be the first.
        assert sum(named) == 5
        lines = out.splitlines()
        assert lines[-1] == "next: open out/index.html in a browser"
        assert any(re.match(r"found: \d+ class \d", line) for line in lines)
        done = r"(nothing to do: )?1 photo done, 7 failed, 0 skipped; "
        assert any(re.match(done, line) for line in lines)
