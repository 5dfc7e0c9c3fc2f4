"""`heatmap batch`."""

import json
from pathlib import Path

import cv2
import numpy as np

from tests.support.command_line import PADDED

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
