"""`heatmap run` with further formats, pages, and ids of a COCO dataset."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

import heatmap
from tests.support.command_line import (
    PADDED,
    POOLED,
    assert_one_line,
    everything,
)


def listed(told) -> list[str]:
    """Every file that a result names, and the result."""
    files = told["files"]
    exports = [name for names in files.get("exports", {}).values() for name in names]
    single = [files[key] for key in ("maps", "grid", "areas", "crops", "page") if key in files]
    return sorted([*files["pictures"], *exports, *single, "cat.json"])


FORMATS = ("csv", "coco", "geojson", "yolo", "voc", "labelme", "tiff")
EXTRA = ("--html", *(part for name in FORMATS for part in ("--format", name)))


@pytest.mark.parametrize("network", [PADDED, POOLED])
def test_further_files_are_written_printed_and_listed(call, network):
    arguments = ("run", "cat.png", *network, *EXTRA, "-c", 1, "-c", 3, "--conf", "0.01")
    outcome = call(*arguments, "-o", "out")
    assert (outcome.code, outcome.err) == (0, "")
    told = json.loads(Path("out/cat.json").read_text())
    assert told["files"]["exports"] == {
        "csv": ["cat.csv"],
        "coco": ["cat.coco.json", "cat.coco.dataset.json"],
        "geojson": ["cat.geojson"],
        "yolo": ["cat.txt", "cat.classes.txt"],
        "voc": ["cat.xml"],
        "labelme": ["cat.labelme.json"],
        "tiff": ["cat.class-1.heat.tif", "cat.class-3.heat.tif"],
    }
    assert told["files"]["page"] == "cat.html"
    assert told["origin"]["maps"] == ("sharp" if network is POOLED else "windows")
    written = [f"out/{name}" for name in listed(told)]
    assert everything("out") == written
    assert sorted(re.findall(r"^wrote (.*)$", outcome.out, re.MULTILINE)) == written
    assert len(told["detections"]) > 1
    with open("out/cat.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, one in zip(rows, told["detections"], strict=True):
        assert (row["photo"], row["class"]) == ("cat.png", one["class"])
        sides = [float(row[side]) for side in ("left", "top", "right", "bottom")]
        assert (float(row["confidence"]), sides) == (one["confidence"], one["box_xyxy"])
    results = json.loads(Path("out/cat.coco.json").read_text())
    assert [one["category_id"] for one in results] == [
        one["indices"][0] + 1 for one in told["detections"]
    ]
    assert len(json.loads(Path("out/cat.geojson").read_text())["features"]) == len(rows)
    # The classes that were asked for are numbered in their order.
    assert Path("out/cat.classes.txt").read_text() == "class 1\nclass 3\n"
    numbers = [int(line.split()[0]) for line in Path("out/cat.txt").read_text().splitlines()]
    assert numbers == [{"class 1": 0, "class 3": 1}[row["class"]] for row in rows]
    assert Path("out", json.loads(Path("out/cat.labelme.json").read_text())["imagePath"]).samefile(
        "cat.png"
    )
    shown = heatmap.load("out/cat.maps.npz")
    for name in ("class 1", "class 3"):
        heat = tifffile.imread(f"out/cat.{name.replace(' ', '-')}.heat.tif")
        np.testing.assert_allclose(heat, shown.heatmap(name), atol=1e-6)
    assert Path("out/cat.html").read_text("utf-8").startswith("<!doctype html>")
    assert call(*arguments, "-o", "out", "--json").out == Path("out/cat.json").read_text()


def save_coco(path, photo="cat.png", category="Class 1"):
    images = [{"id": 7, "file_name": photo}, {"id": 8, "file_name": "dog.png"}]
    dataset = {"images": images, "categories": [{"id": 40, "name": category}]}
    Path(path).write_text(json.dumps(dataset))


COCO = ("-c", 1, "--conf", 0, "--format", "coco", "--coco")


def test_a_coco_dataset_without_the_format_is_refused(call):
    save_coco("instances.json")
    outcome = call("run", "cat.png", *PADDED, "--coco", "instances.json", "-o", "out")
    assert_one_line(outcome, "add --format coco")
    assert not Path("out").exists()


def test_the_ids_of_a_coco_dataset_are_taken(call):
    save_coco("instances.json")
    assert call("run", "cat.png", *PADDED, *COCO, "instances.json", "-o", "out").code == 0
    results = json.loads(Path("out/cat.coco.json").read_text())
    assert {(one["image_id"], one["category_id"]) for one in results} == {(7, 40)}
    assert not Path("out/cat.coco.dataset.json").exists()


@pytest.mark.parametrize(
    ("save", "parts"),
    [
        (lambda p: None, ("coco.json: cannot be read: No such file",)),
        (lambda p: Path(p).write_text("[]"), ("coco.json: is not a COCO dataset",)),
        (lambda p: save_coco(p, photo="dog.jpg"), ("cat.png is not among the 2 images",)),
        (lambda p: save_coco(p, category="dog"), ("'class 1' is not among the 1 categories",)),
    ],
)
def test_a_coco_dataset_that_does_not_fit_is_one_line_and_leaves_nothing(call, save, parts):
    save("coco.json")
    before = everything()
    assert_one_line(call("run", "cat.png", *PADDED, *COCO, "coco.json", "-o", "out"), *parts)
    assert everything() == before
