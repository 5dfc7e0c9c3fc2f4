"""The sample collage: the same each time, with every labelled photo whole and every box right."""

import itertools
import json
from types import ModuleType

import numpy as np
import pytest
import skimage.data
from PIL import Image
from sklearn.datasets import load_sample_image
from torchvision.models import ResNet50_Weights

from tests.support.examples import load_sample

LABELS = ["palace", "Egyptian cat", "tripod", "moped", "espresso"]
# What scikit-learn's and scikit-image's loaders give, beside the files that the script reads.
LOADERS = {
    "china.jpg": lambda: load_sample_image("china.jpg"),
    "flower.jpg": lambda: load_sample_image("flower.jpg"),
    "chelsea.png": skimage.data.chelsea,
    "camera.png": lambda: np.stack([skimage.data.camera()] * 3, axis=2),
    "motorcycle_left.png": lambda: skimage.data.stereo_motorcycle()[0],
    "coffee.png": skimage.data.coffee,
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_sample("make_collage")


@pytest.fixture(scope="module")
def made(script):
    return script.make_collage()


def overlap_px(first, second) -> float:
    """Area that two boxes share."""
    wide = min(first[2], second[2]) - max(first[0], second[0])
    high = min(first[3], second[3]) - max(first[1], second[1])
    return max(wide, 0) * max(high, 0)


def holds(outer, inner) -> bool:
    return (
        outer[0] <= inner[0] < inner[2] <= outer[2] and outer[1] <= inner[1] < inner[3] <= outer[3]
    )


@pytest.mark.parametrize("name", LOADERS)
def test_photos_are_those_of_the_packages(script, name):
    expected = Image.fromarray(np.asarray(LOADERS[name]())).convert("RGB")
    assert np.array_equal(script.read_source(name), np.asarray(expected))


def test_two_runs_give_the_same_pixels_and_boxes(script, made):
    collage, objects = script.make_collage()
    assert np.array_equal(collage, made[0])
    assert objects == made[1]


def test_the_collage_is_a_large_rgb_photo(made):
    collage, _ = made
    assert collage.dtype == np.uint8
    assert collage.shape == (1510, 2048, 3)


def test_labels_are_those_documented_and_imagenet_names(made):
    labels = [item.label for item in made[1]]
    assert labels == LABELS
    assert set(labels) <= set(ResNet50_Weights.DEFAULT.meta["categories"])


def test_every_box_lies_in_its_photo_and_every_photo_in_the_collage(made):
    collage, objects = made
    height, width = collage.shape[:2]
    for item in objects:
        assert holds(item.photo_xyxy, item.box_xyxy), item
        assert holds((0, 0, width, height), item.photo_xyxy), item


def test_no_two_objects_overlap(made):
    for first, second in itertools.combinations(made[1], 2):
        assert overlap_px(first.box_xyxy, second.box_xyxy) == 0, (first, second)


@pytest.mark.parametrize("label", LABELS)
def test_a_labelled_photo_stands_whole_where_the_collage_says(made, label):
    collage, objects = made
    item = next(item for item in objects if item.label == label)
    left, top, right, bottom = item.photo_xyxy
    source = np.asarray(LOADERS[item.source]())
    expected = Image.fromarray(source).resize((right - left, bottom - top), Image.BICUBIC)
    assert np.array_equal(collage[top:bottom, left:right], np.asarray(expected))
    aspect = (right - left) / (bottom - top)
    assert aspect == pytest.approx(source.shape[1] / source.shape[0], rel=0.005)


def test_the_box_of_the_tripod_reaches_the_foot_of_its_photo(made):
    """A box carried over by hand: 327 of the photo's 512 rows, 181 of its columns."""
    item = next(item for item in made[1] if item.label == "tripod")
    left, top, right, bottom = item.photo_xyxy
    scale_x, scale_y = (right - left) / 512, (bottom - top) / 512
    x0, y0, x1, y1 = item.box_xyxy
    assert y1 == bottom
    assert (x1 - x0, y1 - y0) == pytest.approx((181 * scale_x, 327 * scale_y))
    assert x0 == pytest.approx(left + 229 * scale_x)


def test_no_two_photos_touch_and_all_stay_off_the_edge(script, made):
    sizes = {name: script.read_source(name).shape[:2] for row in script.ROWS for name in row}
    places = script.lay_out(sizes)
    height, width = made[0].shape[:2]
    frame = (script.MARGIN_PX, script.MARGIN_PX, width - script.MARGIN_PX, height)
    assert len(places) == len(list(itertools.chain(*script.ROWS)))
    for place in places.values():
        assert holds(frame, place)
        assert place[3] <= height - script.MARGIN_PX
    for first, second in itertools.combinations(places.values(), 2):
        grown = (first[0], first[1], first[2] + script.GAP_PX, first[3] + script.GAP_PX)
        assert overlap_px(grown, second) == 0


def test_the_written_files_say_what_was_made(script, made, tmp_path):
    script.write_collage(tmp_path / "new" / "folder")
    written = Image.open(tmp_path / "new" / "folder" / "collage.png")
    assert np.array_equal(np.asarray(written), made[0])
    known = json.loads((tmp_path / "new" / "folder" / "collage.boxes.json").read_text())
    assert known["photo"] == "collage.png"
    assert [
        (item["label"], item["source"], tuple(item["box_xyxy"]), tuple(item["photo_xyxy"]))
        for item in known["objects"]
    ] == [(item.label, item.source, item.box_xyxy, item.photo_xyxy) for item in made[1]]
