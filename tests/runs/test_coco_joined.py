"""The COCO files of a batch: joined, with ids that differ and stay, loadable together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from heatmap.errors import ResultError
from heatmap.localization.formats.coco import CocoIds
from heatmap.runs import batch as batching
from heatmap.runs.batch import BatchSources, plan_batch
from heatmap.runs.request import Display, Extras, Request
from tests.support.batch_runs import RECIPE, run
from tests.support.batches import files, lines, times, write_photo
from tests.support.coco import assert_loadable, opened

COCO = Request(Display(conf=0.5), extras=Extras(("coco",)))
# File names that are equal, or hold equal numbers; the last has nothing to be found.
NAMES = ("9.jpg", "a/1.jpg", "b/1.jpg", "b/IMG_000000000009.jpg", "b/000000000009.png", "empty.png")


@pytest.fixture
def photos(tmp_path) -> Path:
    for number, name in zip((0, 1, 2, 3, 5), NAMES, strict=False):
        write_photo(tmp_path / "in" / name, number)
    cv2.imwrite(str(tmp_path / "in/empty.png"), np.full((64, 64, 3), 127, np.uint8))
    return tmp_path / "in"


def joined(out: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return tuple(
        json.loads((out / name).read_text()) for name in ("coco.dataset.json", "coco.json")
    )


def ids_of(out: Path) -> dict[str, int]:
    return {image["file_name"]: image["id"] for image in joined(out)[0]["images"]}


def test_photos_of_equal_names_have_ids_of_their_own_in_one_dataset(photos, out):
    done = run(photos, out, COCO)
    dataset, results = joined(out)
    assert_loadable(dataset, results)
    assert list(ids_of(out)) == sorted(NAMES)
    sizes = {image["file_name"]: (image["height"], image["width"]) for image in dataset["images"]}
    assert sizes == {record.name: record.photo_hw for record in done.records}
    by_id = {number: name for name, number in ids_of(out).items()}
    names = {one["id"]: one["name"] for one in dataset["categories"]}
    found = [(by_id[one["image_id"]], names[one["category_id"]], one["score"]) for one in results]
    assert found == [
        (record.name, one["class"], one["confidence"])
        for record in done.records
        for one in record.detections
    ]
    assert {name for name, *_ in found} == {*NAMES} - {"empty.png"}
    assert [one["id"] for one in dataset["annotations"]] == list(range(1, len(results) + 1))


def test_pycocotools_loads_both_together(photos, out):
    run(photos, out, COCO)
    truth = opened(out / "coco.dataset.json")
    loaded = truth.loadRes(str(out / "coco.json"))
    assert len(loaded.getImgIds()) == len(NAMES)
    assert len(loaded.anns) == len(joined(out)[1])
    for name in ("a/1.jpg", "b/1.jpg"):
        (image,) = truth.loadImgs([ids_of(out)[name]])
        alone = json.loads((out / "photos" / name / "1.coco.json").read_text())
        assert image["file_name"] == name
        assert [one["bbox"] for one in loaded.loadAnns(loaded.getAnnIds([image["id"]]))] == [
            one["bbox"] for one in alone
        ]


def test_a_rerun_writes_nothing_and_an_added_photo_changes_no_id(photos, out):
    run(photos, out, COCO)
    before, ids = times(out), ids_of(out)
    run(photos, out, COCO)
    assert times(out) == before
    # Of one number with a photo that had it for itself.
    write_photo(photos / "c/9.jpg", 7)
    run(photos, out, COCO)
    assert_loadable(*joined(out))
    now = ids_of(out)
    assert {name: now[name] for name in ids} == ids
    assert now.keys() - ids.keys() == {"c/9.jpg"}


def test_what_a_killed_batch_left_gets_the_same_ids(photos, out, tmp_path):
    run(photos, out, COCO)
    kept = [line for line in lines(out) if line.get("name") in (None, "b/1.jpg", "9.jpg")]
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed/manifest.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in kept))
    run(photos, tmp_path / "killed", COCO)
    whole, resumed = files(out), files(tmp_path / "killed")
    for name in ("coco.json", "coco.dataset.json", "photos/a/1.jpg/1.coco.json"):
        assert resumed[name] == whole[name]


def test_a_photo_that_failed_is_no_image_and_keeps_its_id(photos, out):
    (photos / "a/1.jpg").write_bytes(b"")
    run(photos, out, COCO)
    assert "a/1.jpg" not in ids_of(out)
    (line,) = (line for line in lines(out) if line.get("name") == "a/1.jpg")
    write_photo(photos / "a/1.jpg", 3)
    run(photos, out, COCO)
    assert ids_of(out)["a/1.jpg"] == line["image_id"]


def of_dataset(images: Mapping[str, int]) -> Request:
    ids = CocoIds("instances.json", images, {f"class {number}": number for number in range(9)})
    return replace(COCO, extras=Extras(("coco",), coco=ids))


def test_with_a_dataset_ids_are_its_own_and_results_alone_are_joined(photos, out):
    images = {name: 100 + number for number, name in enumerate(NAMES)}
    run(photos, out, COCO)
    run(photos, out, of_dataset(images))
    results = json.loads((out / "coco.json").read_text())
    assert {one["image_id"] for one in results} == {100, 101, 102, 103, 104}
    assert not (out / "coco.dataset.json").exists()
    own = {line["name"]: line["image_id"] for line in lines(out) if line.get("image_id")}
    assert not {*own.values()} & {*images.values()}


def test_two_photos_that_would_be_one_image_of_a_dataset_are_refused(photos, out):
    done = run(photos, out, of_dataset({"x/1.jpg": 1, "9.jpg": 2, "empty.png": 3}))
    states = {record.name: record.message for record in done.records if record.state == "failed"}
    assert states.keys() == {"a/1.jpg", "b/1.jpg", "b/000000000009.png", "b/IMG_000000000009.jpg"}
    assert states["a/1.jpg"].startswith("a/1.jpg and b/1.jpg would both be image 1 of instances")
    assert {one["image_id"] for one in json.loads((out / "coco.json").read_text())} == {2}


def test_joined_files_go_with_the_format_but_not_what_somebody_changed(photos, out):
    run(photos, out, COCO)
    dataset = (out / "coco.dataset.json").read_text()
    (out / "coco.dataset.json").write_text(dataset + " ")
    run(photos, out, replace(COCO, extras=Extras(("csv",))))
    assert not (out / "coco.json").exists()
    assert (out / "coco.dataset.json").read_text() == dataset + " "


@pytest.mark.parametrize("name", ["coco.json", "coco.dataset.json"])
def test_a_file_of_somebody_else_is_refused_before_anything_is_scored(
    photos, out, monkeypatch, name
):
    out.mkdir()
    (out / name).write_text("[]")
    monkeypatch.setattr(batching, "_do", None)
    message = rf"{name}: exists, and was not written by this tool"
    for call in (
        lambda: run(photos, out, COCO),
        lambda: plan_batch(BatchSources([photos]), out, RECIPE, COCO),
    ):
        with pytest.raises(ResultError, match=message):
            call()
    assert (out / name).read_text() == "[]"


def test_a_file_of_a_photo_that_was_damaged_is_named(photos, out):
    run(photos, out, COCO)
    (out / "photos/9.jpg/9.coco.json").write_text('{"a": 1}')
    with pytest.raises(ResultError, match=r"9\.coco\.json: is not what was written: remove it"):
        run(photos, out, COCO)
