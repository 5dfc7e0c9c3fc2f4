"""One photo through every way out: each must say the same, to the last digit.

Boxes, their order, confidences and maps, from the terminal, JSON, CSV, COCO, GeoJSON, YOLO, Pascal
VOC, labelme, TIFF, the picture, the page, Python, and `heatmap render`.
"""

import csv
import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import skimage.data
import tifffile

from heatmap.marks import Mark
from heatmap.names import class_suffixes
from heatmap.photo.photo import read_photo
from heatmap.rendering.annotated import annotated
from heatmap.rendering.overlay import encode_image
from heatmap.runs import one_picture as running
from heatmap.runs.saved import saved_results
from tests.support.command_line import POOLED, network
from tests.support.pages import Elements, data_of

FORMATS = ("csv", "coco", "geojson", "yolo", "voc", "labelme", "tiff")
OPTIONS = ("--html", *(part for name in FORMATS for part in ("--format", name)))
NUMBER = r"(\d+(?:\.\d+)?)"

CASES = {
    "default": ("-m", "efficientnet_lite0"),
    "named": ("-m", "efficientnet_lite0", "-c", "cat", "-c", "cup"),
    "one scale": ("-m", "efficientnet_lite0", "--scale", "1"),
    "two classes": network("pair"),
    "guesses": (*POOLED, "--conf", "1"),
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request, call, monkeypatch):
    """What the command printed of a photo, and what `heatmap.run` returned to it."""
    size = (226, 150) if "efficientnet_lite0" in request.param else (120, 100)
    photo = cv2.resize(skimage.data.chelsea(), size, interpolation=cv2.INTER_AREA)
    cv2.imwrite("cat.png", photo[:, :, ::-1])
    returned = []
    run = running.run_photo

    def recorded(*arguments, **options):
        returned.append(run(*arguments, **options))
        return returned[-1]

    monkeypatch.setattr(running, "run_photo", recorded)
    outcome = call("run", "cat.png", *request.param, *OPTIONS, "-o", "out")
    assert (outcome.code, outcome.err) == (0, "")
    return outcome.out, *returned


def test_all_ways_out_say_the_same(case, call):
    printed, done = case
    shown = done.findings.shown
    assert shown
    expected = [(one.name, one.confidence, *one.xyxy) for one in shown]
    detected = expected if done.detections else []

    told = json.loads(Path("out/cat.json").read_text("utf-8"))
    which = "detections" if done.detections else "guesses"
    assert [(one["class"], one["confidence"], *one["box_xyxy"]) for one in told[which]] == expected
    assert from_terminal(printed) == [
        # A guess is below the threshold, also where it is rounded.
        (
            name,
            f"{100 * confidence:.0f}" if detected else f"{int(100 * confidence)}",
            *(f"{side:.0f}" for side in box),
        )
        for name, confidence, *box in expected
    ]
    assert from_csv() == detected
    assert from_coco() == [
        (name, confidence, left, top, round(right - left, 2), round(bottom - top, 2))
        for name, confidence, left, top, right, bottom in detected
    ]
    assert from_geojson() == detected
    assert from_labelme() == detected
    for read, within in ((from_yolo(), 0.01), (from_voc(), 0.5)):
        assert [name for name, *_ in read] == [name for name, *_ in detected]
        boxes = [box for _, _, *box in detected]
        np.testing.assert_allclose([box for _, *box in read], boxes, atol=within)
    (saved,) = saved_results("out")
    again = saved.findings()
    assert (again.detections, again.guesses) == (done.findings.detections, done.findings.guesses)
    check_libraries(done.findings, again)
    page = data_of(Elements(Path("out/cat.html").read_text("utf-8")))
    assert [
        (one["name"], one["confidence"], *one["xyxy"]) for one in page["detections"]
    ] == expected
    assert page["guessed"] == (not done.detections)

    check_maps(done, again, page)
    check_pictures(done, call)


def from_terminal(printed):
    """Class, confidence and corners of each row, as they were printed."""
    corners = rf"{NUMBER}, {NUMBER} to {NUMBER}, {NUMBER}"
    lines = re.findall(rf"^(.+?) +(\d+) % .*?{corners}(?: .*)?$", printed, re.MULTILINE)
    return [tuple(line) for line in lines]


def from_csv():
    with Path("out/cat.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = ("confidence", "left", "top", "right", "bottom")
    return [(row["class"], *(float(row[name]) for name in numbers)) for row in rows]


def from_coco():
    categories = json.loads(Path("out/cat.coco.dataset.json").read_text())["categories"]
    names = {one["id"]: one["name"] for one in categories}
    results = json.loads(Path("out/cat.coco.json").read_text())
    return [(names[one["category_id"]], one["score"], *one["bbox"]) for one in results]


def from_geojson():
    features = json.loads(Path("out/cat.geojson").read_text())["features"]
    told = [feature["properties"] for feature in features]
    return [(one["class"], one["confidence"], *one["box_px"]) for one in told]


def from_labelme():
    shapes = json.loads(Path("out/cat.labelme.json").read_text())["shapes"]
    corners = ((*first, *last) for first, last in (one["points"] for one in shapes))
    return [(one["label"], one["score"], *box) for one, box in zip(shapes, corners, strict=True)]


def from_yolo():
    """Class and corners in px, without confidences; the classes by their numbers."""
    names = Path("out/cat.classes.txt").read_text().splitlines()
    height, width = cv2.imread("cat.png").shape[:2]
    boxes = []
    for line in Path("out/cat.txt").read_text().splitlines():
        number, x, y, across, down = map(float, line.split())
        left, top = (x - across / 2) * width, (y - down / 2) * height
        boxes.append((names[int(number)], left, top, left + across * width, top + down * height))
    return boxes


def from_voc():
    root = ElementTree.parse("out/cat.xml").getroot()
    boxes = []
    for found in root.findall("object"):
        xmin, ymin, xmax, ymax = (int(side.text) for side in found.find("bndbox"))
        boxes.append((found.findtext("name"), xmin - 1, ymin - 1, xmax, ymax))
    return boxes


def check_libraries(found, again):
    """What Python gives to other libraries is what the files have, also when they are read back."""
    for findings in (found, again):
        labels = findings.to_torchvision()["labels"].tolist()
        lines = Path("out/cat.txt").read_text().splitlines()
        assert labels == [int(line.split()[0]) for line in lines]
        assert findings.to_coco() == json.loads(Path("out/cat.coco.dataset.json").read_text())
        features = json.loads(Path("out/cat.geojson").read_text())["features"]
        for feature, read in zip(findings.to_geojson()["features"], features, strict=True):
            coloured = read["properties"].pop("classification")
            read["properties"]["classification"] = coloured["name"]
            assert feature == read


def check_maps(done, again, page):
    """Python's maps, those of the file, of the page, and of the TIFF."""
    maps = done.findings.maps
    np.testing.assert_array_equal(again.maps.scores, maps.scores)
    assert again.groups == done.findings.groups
    assert [one["name"] for one in page["maps"]] == [group.name for group in again.groups]
    assert [one["peak"] for one in page["maps"]] == [round(peak, 6) for peak in again.peaks]
    for place, suffix in enumerate(class_suffixes(again.groups)):
        heat = tifffile.imread(f"out/cat{suffix}.heat.tif")
        np.testing.assert_array_equal(heat, maps.heatmap(maps.classes.single(place)))


def check_pictures(done, call):
    """The picture of the command, that of `render`, and one drawn of what Python has."""
    drawn = Path("out/cat.heatmap.jpg").read_bytes()
    assert call("render", "out", "-o", "again").code == 0
    assert Path("again/cat.heatmap.jpg").read_bytes() == drawn
    conf = json.loads(Path("out/cat.json").read_text())["settings"]["conf"]
    by_hand = annotated(read_photo("cat.png").pixels, done.findings, conf=conf)
    mark = Mark.of("cat.png", digest=done.photo.digest).text
    assert drawn == encode_image(by_hand, ".jpg", mark=mark)


def test_view_writes_the_page_of_the_run(call):
    call("run", "cat.png", *POOLED, "--html", "-o", "out")
    page = Path("out/cat.html").read_bytes()
    shutil.copytree("out", "moved")
    Path("moved/cat.html").unlink()
    assert call("view", "moved").code == 0
    assert Path("moved/cat.html").read_bytes() == page
