"""COCO files as other programs need them, and as pycocotools reads them where it is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest


def opened(path: Path) -> Any:
    """A dataset read by pycocotools; the test is skipped without it."""
    return pytest.importorskip("pycocotools.coco").COCO(str(path))


def assert_loadable(dataset: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> None:
    """What pycocotools needs of a dataset and of results upon it, and JavaScript of integers."""
    ids = {
        key: [one["id"] for one in dataset[key]] for key in ("images", "categories", "annotations")
    }
    for numbers in ids.values():
        assert len({*numbers}) == len(numbers)
        assert all(type(number) is int and 0 <= number < 2**53 for number in numbers)
    for one in (*dataset["annotations"], *results):
        assert one["image_id"] in ids["images"]
        assert one["category_id"] in ids["categories"]
        assert len(one["bbox"]) == 4
    assert all({"area", "iscrowd"} <= one.keys() for one in dataset["annotations"])
