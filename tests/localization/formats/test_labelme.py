"""Annotations of labelme, by what its own reader checks (`read_label_file`)."""

from __future__ import annotations

import json

import jsonschema
import pytest

from heatmap.classes import ClassGroup
from heatmap.localization.formats.labelme import labelme_annotation
from tests.support.findings import detection

HW = (300, 400)
CAT = ClassGroup("Egyptian cat", (0,))

SCHEMA = {
    "type": "object",
    "required": ["version", "flags", "shapes", "imagePath", "imageData"],
    "properties": {
        "version": {"type": "string"},
        "flags": {"type": "object", "additionalProperties": {"type": "boolean"}},
        "imagePath": {"type": "string"},
        "imageData": {"type": ["string", "null"]},
        "imageHeight": {"type": "integer"},
        "imageWidth": {"type": "integer"},
        "shapes": {"type": "array", "items": {"$ref": "#/$defs/shape"}},
    },
    "$defs": {
        "shape": {
            "type": "object",
            "required": ["label", "points", "shape_type"],
            "properties": {
                "label": {"type": "string"},
                "points": {
                    "type": "array",
                    "minItems": 2,
                    "maxItems": 2,
                    "items": {
                        "type": "array",
                        "minItems": 2,
                        "maxItems": 2,
                        "items": {"type": "number"},
                    },
                },
                "shape_type": {"const": "rectangle"},
                "flags": {"type": "object", "additionalProperties": {"type": "boolean"}},
                "description": {"type": "string"},
                "group_id": {"type": ["integer", "null"]},
            },
        }
    },
}


@pytest.mark.parametrize("boxes", [[], [(10.5, 20.0, 110.0, 70.25), (0, 0, 400, 300)]])
def test_it_has_the_form_that_labelme_reads(boxes):
    found = [detection(CAT, box, 0.75) for box in boxes]
    written = json.loads(json.dumps(labelme_annotation("../a.jpg", HW, found)))
    jsonschema.validate(written, SCHEMA)
    assert (written["imagePath"], written["imageData"]) == ("../a.jpg", None)
    assert (written["imageHeight"], written["imageWidth"]) == HW
    assert [(one["label"], one["score"]) for one in written["shapes"]] == [
        ("Egyptian cat", 0.75)
    ] * len(boxes)
    assert [[*first, *last] for first, last in (one["points"] for one in written["shapes"])] == [
        list(box) for box in boxes
    ]


def test_boxes_are_cut_to_the_photo():
    written = labelme_annotation("a.jpg", HW, [detection(CAT, (-5, -5, 500, 50), 0.5)])
    assert written["shapes"][0]["points"] == [[0, 0], [400, 50]]
