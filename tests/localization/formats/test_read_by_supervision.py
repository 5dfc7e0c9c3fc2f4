"""Annotations of several photos, opened as datasets by supervision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from heatmap.localization.formats.yolo import yolo_dataset
from heatmap.runs.formats import export_files
from tests.support.formats import ANIMAL, CAT, FOUND, HW, findings, made_photo

supervision = pytest.importorskip("supervision")

# What was found on each photo; nothing on the last.
PHOTOS = {"my cat.png": FOUND, "b.png": FOUND[:1], "empty.png": ()}


def written(tmp_path: Path, name: str) -> Path:
    """The photos, and beside them the files of a format."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for photo, detections in PHOTOS.items():
        cv2.imwrite(str(folder / photo), np.zeros((*HW, 3), np.uint8))
        found = replace(findings(detections=detections, groups=(ANIMAL, CAT)), named=True)
        opened = made_photo(path=str(folder / photo))
        for suffix, write in export_files([name], opened, found, folder=folder).items():
            # Under the names that the tools give them, as in the folders of a batch.
            write((folder / photo).with_suffix(suffix.removeprefix(".labelme")))
    return folder


def assert_boxes(dataset, classes: list[str], within: float) -> None:
    assert dataset.classes == classes
    assert len(dataset) == len(PHOTOS)
    for path, _, read in dataset:
        expected = findings(detections=PHOTOS[Path(path).name]).detections
        assert len(read) == len(expected)
        if expected:
            boxes = np.array([one.xyxy for one in expected])
            np.testing.assert_allclose(read.xyxy, boxes, atol=within)
            assert [classes[one] for one in read.class_id] == [one.name for one in expected]


def test_yolo(tmp_path):
    folder = written(tmp_path, "yolo")
    (folder / "data.yaml").write_text(yolo_dataset([ANIMAL.name, CAT.name]))
    dataset = supervision.DetectionDataset.from_yolo(
        str(folder), str(folder), str(folder / "data.yaml")
    )
    assert_boxes(dataset, ["any animal", "cat"], within=0.01)


def test_pascal_voc(tmp_path):
    folder = written(tmp_path, "voc")
    dataset = supervision.DetectionDataset.from_pascal_voc(str(folder), str(folder))
    assert_boxes(dataset, ["cat", "any animal"], within=0.5)


def test_labelme(tmp_path):
    folder = written(tmp_path, "labelme")
    dataset = supervision.DetectionDataset.from_labelme(str(folder), str(folder))
    assert_boxes(dataset, ["any animal", "cat"], within=0.001)
