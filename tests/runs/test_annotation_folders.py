"""The annotations of a batch: laid out as their readers expect, and left to who corrects them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import yaml

from heatmap.runs.batch_reporter import BatchReporter
from heatmap.runs.request import Display, Extras, Limits, Request
from tests.support.batch_runs import run
from tests.support.batches import files, times, write_photo

ALL = ("yolo", "voc", "labelme")
REQUEST = Request(Display(conf=0.5), extras=Extras(ALL))
# The last has nothing to be found.
NAMES = ("a/cat.jpg", "b/cat.jpg", "my dog.png", "empty.png")


@pytest.fixture
def photos(tmp_path) -> Path:
    for number, name in enumerate(NAMES[:-1]):
        write_photo(tmp_path / "in" / name, number)
    cv2.imwrite(str(tmp_path / "in/empty.png"), np.full((64, 64, 3), 127, np.uint8))
    return tmp_path / "in"


class Notes(BatchReporter):
    def __init__(self):
        self.said = []

    def note(self, message, *ways):
        self.said.append(message)


def below(folder: Path) -> list[str]:
    return sorted(files(folder))


def numbers_in(labels: Path) -> list[int]:
    return [int(line.split()[0]) for line in labels.read_text().splitlines()]


def test_every_format_has_a_folder_with_a_file_for_each_photo(photos, out):
    done = run(photos, out, REQUEST)
    stems = ["a/cat", "b/cat", "empty", "my dog"]
    labels = [f"labels/{stem}.txt" for stem in stems]
    assert below(out / "yolo") == sorted(["classes.txt", "data.yaml", *labels])
    assert below(out / "voc") == [f"Annotations/{stem}.xml" for stem in stems]
    assert below(out / "labelme") == [f"{stem}.json" for stem in stems]
    names = (out / "yolo/classes.txt").read_text().splitlines()
    assert names == [f"class {number}" for number in range(5)]
    assert yaml.safe_load((out / "yolo/data.yaml").read_text())["names"] == dict(enumerate(names))
    for record in done.records:
        stem = record.name.rpartition(".")[0]
        found = [one["class"] for one in record.detections]
        assert bool(found) == (stem != "empty")
        assert [names[one] for one in numbers_in(out / f"yolo/labels/{stem}.txt")] == found
        objects = ElementTree.parse(out / f"voc/Annotations/{stem}.xml").findall("object/name")
        assert [one.text for one in objects] == found
        annotation = out / f"labelme/{stem}.json"
        read = json.loads(annotation.read_text())
        assert [one["label"] for one in read["shapes"]] == found
        assert (annotation.parent / read["imagePath"]).samefile(record.path)
        # As beside the results of the photo, but for the names of classes, which stand once.
        own = out / "photos" / record.name
        assert not list(own.glob("*.classes.txt"))
        (label,) = own.glob("*.txt")
        assert label.read_bytes() == (out / f"yolo/labels/{stem}.txt").read_bytes()


def test_supervision_opens_the_folder_beside_its_photos(photos, out, tmp_path):
    supervision = pytest.importorskip("supervision")
    flat = tmp_path / "flat"
    for number in range(3):
        write_photo(flat / f"{number}.jpg", number)
    done = run(flat, out, REQUEST)
    # What the documentation says to do.
    shutil.copytree(flat, out / "yolo/images")
    dataset = supervision.DetectionDataset.from_yolo(
        *(str(out / "yolo" / name) for name in ("images", "labels", "data.yaml"))
    )
    read = {Path(path).name: found.xyxy for path, _, found in dataset}
    assert read.keys() == {record.name for record in done.records}
    for record in done.records:
        boxes = [one["box_xyxy"] for one in record.detections]
        np.testing.assert_allclose(read[record.name], boxes, atol=0.01)


def test_classes_that_are_named_or_stored_are_the_only_ones(photos, out, tmp_path):
    named = replace(REQUEST, display=Display(conf=0.1, classes=[3, 1]), extras=Extras(("yolo",)))
    run(photos, out, named)
    assert (out / "yolo/classes.txt").read_text() == "class 3\nclass 1\n"
    stored = replace(REQUEST, limits=Limits(store_classes=(4, 2)))
    run(photos, tmp_path / "stored", stored)
    assert (tmp_path / "stored/yolo/classes.txt").read_text() == "class 4\nclass 2\n"
    for folder in (out, tmp_path / "stored"):
        numbers = [
            one for path in (folder / "yolo/labels").rglob("*.txt") for one in numbers_in(path)
        ]
        assert {*numbers} <= {0, 1}
        assert numbers


def test_photos_that_differ_in_their_suffix_keep_it(tmp_path, out):
    for number, name in enumerate(("a.jpg", "a.png", "A.jpg.jpg", "b.jpg")):
        write_photo(tmp_path / "in" / name, number)
    run(tmp_path / "in", out, REQUEST)
    expected = ["A.jpg.jpg.txt", "a.jpg.txt", "a.png.txt", "b.txt"]
    assert below(out / "yolo/labels") == expected
    for name, own in zip(expected, ("A.jpg", "a", "a", "b"), strict=True):
        folder = out / "photos" / (name.removesuffix(".txt") if name != "b.txt" else "b.jpg")
        assert (folder / f"{own}.txt").read_bytes() == (out / "yolo/labels" / name).read_bytes()


def test_a_rerun_writes_nothing_and_an_added_photo_only_its_own(photos, out):
    run(photos, out, REQUEST)
    before = times(out)
    run(photos, out, REQUEST)
    assert times(out) == before
    write_photo(photos / "c/new.jpg", 7)
    run(photos, out, REQUEST)
    now = files(out / "yolo")
    assert "labels/c/new.txt" in now
    kept = [str(out / "yolo/labels" / f"{stem}.txt") for stem in ("a/cat", "b/cat", "my dog")]
    assert [times(out)[path] for path in kept] == [before[path] for path in kept]


def test_what_somebody_corrected_stays_and_is_noted_until_it_is_insisted_on(photos, out):
    run(photos, out, REQUEST)
    corrected = out / "yolo/labels/a/cat.txt"
    corrected.write_text("0 0.5 0.5 0.5 0.5\n")
    (out / "voc/Annotations/b/cat.xml").unlink()
    stranger = out / "labelme/c/new.json"
    stranger.parent.mkdir()
    stranger.write_text("{}")
    write_photo(photos / "c/new.jpg", 7)
    told = Notes()
    other = replace(REQUEST, display=Display(conf=0.9))
    run(photos, out, other, progress=told)
    assert corrected.read_text() == "0 0.5 0.5 0.5 0.5\n"
    assert stranger.read_text() == "{}"
    assert (out / "voc/Annotations/b/cat.xml").exists()
    (note,) = (one for one in told.said if "annotations" in one)
    assert note.startswith("annotations that somebody made or changed stay: ")
    assert note.endswith(" and 1 more")
    run(photos, out, replace(other, overwrite=True))
    own = next((out / "photos/a/cat.jpg").glob("*.txt"))
    assert corrected.read_bytes() == own.read_bytes()
    assert "shapes" in json.loads(stranger.read_text())


def test_without_the_format_they_go_but_not_what_somebody_changed(photos, out):
    run(photos, out, REQUEST)
    corrected = out / "yolo/labels/a/cat.txt"
    corrected.write_text("")
    run(photos, out, replace(REQUEST, extras=Extras(("csv",))))
    assert below(out / "yolo") == ["labels/a/cat.txt"]
    assert not (out / "voc").exists()
    assert not (out / "labelme").exists()


def test_a_photo_that_fails_has_none(photos, out):
    run(photos, out, REQUEST)
    (photos / "a/cat.jpg").write_bytes(b"")
    run(photos, out, REQUEST)
    assert below(out / "labelme") == [f"{stem}.json" for stem in ("b/cat", "empty", "my dog")]
