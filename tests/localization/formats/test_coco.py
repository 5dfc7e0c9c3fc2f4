"""COCO results and datasets: as pycocotools reads and scores them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatmap.classes import ClassGroup
from heatmap.errors import ClassError, ResultError
from heatmap.geometry import Box
from heatmap.localization.detection import Detection
from heatmap.localization.formats.coco import (
    CocoIds,
    CocoImage,
    OwnIds,
    batch_images,
    coco_dataset,
    coco_results,
    dataset_images,
)
from tests.support.coco import assert_loadable, opened

TABBY, PERSIAN = ClassGroup("tabby", (281,)), ClassGroup("Persian cat", (283,))
CAT = ClassGroup("Cat", (281, 282, 283))
INSTANCES = {
    "images": [
        {"id": 9, "file_name": "000000000009.jpg", "width": 640, "height": 480},
        {"id": 25, "file_name": "val/my photo.jpg", "width": 640, "height": 480},
    ],
    "categories": [{"id": 17, "name": "cat"}, {"id": 47, "name": "cup"}],
}


def found(group: ClassGroup, score: float, box: Box) -> Detection:
    return Detection(group, score, box, (0.0, 0.0, 640.0, 480.0), (0, 0), 1.0, score)


def write_json(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def average_precision(
    folder: Path, truth: Sequence[Box], objects: Sequence[Detection]
) -> tuple[float, float]:
    """Mean AP over IoU 0.5 to 0.95, and that at 0.5, of cats in photo 25 by COCOeval."""
    annotations = [
        {"id": number, "image_id": 25, "category_id": 17, "iscrowd": 0}
        | {"bbox": [left, top, right - left, bottom - top]}
        | {"area": (right - left) * (bottom - top)}
        for number, (left, top, right, bottom) in enumerate(truth, start=1)
    ]
    instances = write_json(folder / "instances.json", {**INSTANCES, "annotations": annotations})
    ids = CocoIds.read(instances)
    results = coco_results(ids.image("elsewhere/my photo.jpg"), objects, ids)
    dataset = opened(instances)
    evaluation = pytest.importorskip("pycocotools.cocoeval").COCOeval(
        dataset, dataset.loadRes(str(write_json(folder / "results.json", results))), "bbox"
    )
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


class TestEvaluation:
    def test_boxes_that_are_the_truth_have_precision_1(self, tmp_path):
        boxes = [(10.0, 20.0, 110.0, 220.0), (300.5, 100.25, 420.5, 180.25)]
        objects = [found(CAT, 0.9, boxes[0]), found(CAT, 0.4, boxes[1])]
        assert average_precision(tmp_path, boxes, objects) == pytest.approx((1, 1))

    def test_a_box_counts_up_to_its_overlap(self, tmp_path):
        """100 x 100 px, moved by 15: intersection over union 85 / 115 = 0.739."""
        mean, at_half = average_precision(
            tmp_path, [(100, 100, 200, 200)], [found(CAT, 0.9, (115, 100, 215, 200))]
        )
        # Of 0.5, 0.55, ..., 0.95 it passes five.
        assert (mean, at_half) == pytest.approx((0.5, 1))

    def test_the_surer_of_two_boxes_counts_first(self, tmp_path):
        """One right, then one wrong, of two: precision 1 up to recall 0.5, 51 of 101 points."""
        truth = [(100, 100, 200, 200), (400, 300, 500, 400)]
        right, wrong = (100, 100, 200, 200), (0, 0, 90, 90)
        first = [found(CAT, 0.9, right), found(CAT, 0.8, wrong)]
        assert average_precision(tmp_path, truth, first)[1] == pytest.approx(51 / 101)
        last = [found(CAT, 0.8, right), found(CAT, 0.9, wrong)]
        assert average_precision(tmp_path, truth, last)[1] == pytest.approx(51 / 101 / 2)


class TestIdsOfADataset:
    @pytest.fixture
    def ids(self, tmp_path) -> CocoIds:
        return CocoIds.read(write_json(tmp_path / "instances.json", INSTANCES))

    def test_images_by_file_name_and_categories_by_name(self, ids):
        assert ids.image("/some/where/000000000009.jpg").id == 9
        assert ids.image("my photo.jpg") == CocoImage(25, "val/my photo.jpg")
        assert ids.category_id(CAT) == 17

    def test_what_it_does_not_have_is_named(self, ids):
        with pytest.raises(ResultError, match=r"dog\.jpg is not among the 2 images of .*inst"):
            ids.image("x/dog.jpg")
        with pytest.raises(ResultError, match="an array is not among the 2 images"):
            ids.image("")
        with pytest.raises(ClassError, match="class 'tabby' is not among the 2 categories"):
            ids.category_id(TABBY)

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "[]",
            "3",
            "{}",
            '{"images": [], "categories": 3}',
            '{"images": [{"id": 1}], "categories": []}',
            '{"images": [{"id": "1", "file_name": "a"}], "categories": []}',
            '{"images": [{"id": 1, "file_name": 2}], "categories": []}',
            '{"images": [], "categories": [{"id": 1, "name": null}]}',
            "[" * 100_000,
        ],
    )
    def test_what_is_no_dataset_is_refused(self, tmp_path, content):
        path = tmp_path / "a.json"
        path.write_text(content)
        with pytest.raises(ResultError, match=r"a\.json: is not a COCO dataset"):
            CocoIds.read(path)

    def test_a_file_that_is_not_there(self, tmp_path):
        with pytest.raises(ResultError, match=r"a\.json: cannot be read: No such file"):
            CocoIds.read(tmp_path / "a.json")

    def test_a_name_with_two_ids_is_refused(self, tmp_path):
        twice = [*INSTANCES["categories"], {"id": 18, "name": "Cat"}]
        path = write_json(tmp_path / "a.json", {**INSTANCES, "categories": twice})
        with pytest.raises(ResultError, match="'cat' has the ids 17 and 18"):
            CocoIds.read(path)


class TestImagesOfADataset:
    IDS = CocoIds("instances.json", {"1.jpg": 1, "a/1.jpg": 2, "b/c/1.jpg": 3, "b/2.jpg": 4}, {})

    @pytest.mark.parametrize(
        ("path", "name", "number"),
        [
            # By the path relative to the batch's folder,
            ("/in/b/a/1.jpg", "a/1.jpg", 2),
            ("/in/1.jpg", "1.jpg", 1),
            ("a/../a/1.jpg", "", 2),
            # by the end of its path, the longest that a name of the dataset is,
            ("/in/a/1.jpg", "", 2),
            ("/in/b/c/1.jpg", "c/1.jpg", 3),
            ("/in/x/1.jpg", "x/1.jpg", 1),
            # and by its file name, if that is the only one.
            ("/in/x/2.jpg", "x/2.jpg", 4),
        ],
    )
    def test_folders_tell_equal_file_names_apart(self, path, name, number):
        assert self.IDS.image(path, name).id == number

    def test_a_photo_that_may_be_several_images_is_told(self):
        ids = CocoIds("instances.json", {"a/1.jpg": 2, "b/1.jpg": 3}, {})
        message = r"c/1.jpg may be a/1.jpg or b/1.jpg of instances.json: run the folder"
        with pytest.raises(ResultError, match=message):
            ids.image("/in/c/1.jpg", "c/1.jpg")

    def test_file_names_of_windows_are_paths(self, tmp_path):
        images = [{"id": 1, "file_name": "a\\1.jpg"}, {"id": 2, "file_name": ".\\b\\1.jpg"}]
        ids = CocoIds.read(write_json(tmp_path / "a.json", {**INSTANCES, "images": images}))
        assert [ids.image(f"/in/{name}/1.jpg").id for name in "ab"] == [1, 2]

    def test_photos_of_a_batch_that_would_be_one_image_are_refused_unless_one_is_named_so(self):
        def told(*names):
            photos = {name: (f"/in/{name}", name) for name in names}
            found = dataset_images(photos, self.IDS)
            return [
                one.id if isinstance(one, CocoImage) else str(one)
                for one in (found[name] for name in names)
            ]

        assert told("a/1.jpg", "b/c/1.jpg", "1.jpg") == [2, 3, 1]
        first, second = told("x/2.jpg", "y/2.jpg")
        assert first.startswith("x/2.jpg and y/2.jpg would both be image 4 of instances.json: ")
        assert second.startswith("y/2.jpg and x/2.jpg would both be image 4")
        exact, other, missing = told("b/2.jpg", "y/2.jpg", "z/3.jpg")
        assert exact == 4
        assert other.startswith("y/2.jpg and b/2.jpg would both be image 4")
        assert missing.startswith("z/3.jpg is not among the 4 images")


NAMES = st.sampled_from(
    [f"{folder}{name}" for folder in ("", "a/", "b/") for name in ("1.jpg", "1.png", "x.jpg")]
    + ["000000000001.jpg", "COCO_val2014_000000000001.jpg", "IMG_000000000001.jpg", "7.jpg"]
)
NONE: Mapping[str, int] = {}


class TestImagesOfABatch:
    def ids(self, names: Iterable[str], remembered: Mapping[str, int] = NONE) -> dict[str, int]:
        images = batch_images({name: name for name in names}, remembered)
        return {name: image.id for name, image in images.items()}

    @given(st.sets(NAMES), st.sets(NAMES), st.data())
    def test_ids_differ_stay_and_do_not_depend_on_what_was_interrupted(self, names, more, data):
        first = self.ids(names)
        assert len({*first.values()}) == len(names)
        assert all(0 <= number < 2**53 for number in first.values())
        # Any of them done, then a second pass over all.
        done = data.draw(st.sets(st.sampled_from(sorted(names)))) if names else set()
        assert self.ids(names, {name: first[name] for name in done}) == first
        later = self.ids(names | more, first)
        assert len({*later.values()}) == len(names | more)
        assert {name: later[name] for name in names} == first
        # Photos that are gone keep their ids for themselves.
        assert not {*self.ids(more - names, first).values()} & {*first.values()}

    def test_photos_of_one_file_name_differ_and_a_number_stays_where_it_is_the_only_one(self):
        found = self.ids(["a/1.jpg", "b/1.jpg", "COCO_val2014_000000000042.jpg", "7.jpg"])
        assert found["COCO_val2014_000000000042.jpg"] == 42
        assert found["7.jpg"] == 7
        assert min(found["a/1.jpg"], found["b/1.jpg"]) > 10**6

    def test_a_name_that_was_shortened_is_known_by_its_path(self):
        images = batch_images({"short-1234": "a/long.jpg", "x.jpg~2": "x.jpg"}, {})
        assert images["short-1234"].file_name == "a/long.jpg"
        assert images["x.jpg~2"] == CocoImage(self.ids(["x.jpg"])["x.jpg"], "x.jpg")


class TestOwnIds:
    @pytest.mark.parametrize(
        ("path", "number"),
        [
            ("000000000009.jpg", 9),
            ("x/139.png", 139),
            ("COCO_val2014_000000000042.jpg", 42),
            ("", 1),
        ],
    )
    def test_numbered_photos_have_their_number(self, path, number):
        assert OwnIds().image(path).id == number

    def test_other_photos_have_numbers_of_their_own_that_stay(self):
        names = [
            "cat.jpg",
            "dog.jpg",
            "IMG_0001.jpg",
            "IMG_000000000009.jpg",
            "1 (2).jpg",
            "caf\udce9.jpg",
            "٣.jpg",
        ]
        numbers = [OwnIds().image(f"a/{name}").id for name in names]
        assert len({*numbers}) == len(names)
        assert numbers == [OwnIds().image(f"b/{name}").id for name in names]
        assert numbers[0] == 0x0A6DF48A27EF
        assert all(10**6 < number < 2**53 for number in numbers)

    def test_classes_have_their_index_and_groups_a_number_of_their_own(self):
        assert OwnIds().category_id(TABBY) == 282
        dog = ClassGroup("dog", (151, 152))
        assert OwnIds().category_id(CAT) != OwnIds().category_id(dog)
        assert OwnIds().category_id(CAT) > 10**6


class TestDataset:
    OBJECTS = (found(TABBY, 0.9, (10, 20, 110, 70)), found(CAT, 0.4, (0.0, 0.0, 30.5, 30.25)))

    def both(self, folder: Path) -> tuple[dict[str, Any], Any]:
        dataset = coco_dataset(CocoImage(9, "x/cat.jpg"), (480, 640), self.OBJECTS, [CAT, PERSIAN])
        return dataset, opened(write_json(folder / "dataset.json", dataset))

    def test_results_load_upon_it(self, tmp_path):
        dataset, truth = self.both(tmp_path)
        results = coco_results(CocoImage(9, "x/cat.jpg"), self.OBJECTS)
        loaded = truth.loadRes(str(write_json(tmp_path / "results.json", results)))
        told = [(truth.cats[one["category_id"]]["name"], one) for one in loaded.anns.values()]
        assert [(name, one["bbox"], one["score"]) for name, one in told] == [
            ("tabby", [10, 20, 100, 50], 0.9),
            ("Cat", [0, 0, 30.5, 30.25], 0.4),
        ]
        (image,) = truth.loadImgs(truth.getImgIds())
        assert (image["file_name"], image["width"], image["height"]) == ("x/cat.jpg", 640, 480)
        assert dataset["info"]["description"].endswith("no ground truth.")

    def test_both_are_what_any_reader_needs(self):
        image = CocoImage(9, "x/cat.jpg")
        dataset = coco_dataset(image, (480, 640), self.OBJECTS, [CAT, PERSIAN])
        results = coco_results(image, self.OBJECTS)
        assert_loadable(dataset, results)
        assert [one["bbox"] for one in dataset["annotations"]] == [one["bbox"] for one in results]

    def test_it_holds_the_objects_as_annotations(self, tmp_path):
        _, truth = self.both(tmp_path)
        annotations = truth.loadAnns(truth.getAnnIds(areaRng=[4000, 6000], iscrowd=False))
        assert [(one["bbox"], one["area"]) for one in annotations] == [([10, 20, 100, 50], 5000)]

    def test_it_names_the_classes_that_were_found_or_drawn(self, tmp_path):
        _, truth = self.both(tmp_path)
        assert {one["name"] for one in truth.cats.values()} == {"tabby", "Cat", "Persian cat"}

    def test_an_array_is_called_photo(self):
        assert OwnIds().image("") == CocoImage(1, "photo")
