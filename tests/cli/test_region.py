"""`heatmap run --region`."""

import json
from pathlib import Path

import pytest

from tests.support.command_line import PADDED, assert_one_line, everything

REGION = "17,9,80,70"


def test_a_region_is_told_with_boxes_of_the_whole_photo(call):
    options = (*PADDED, "-c", "1", "--conf", 0.05, "--confirm", 0)
    outcome = call("run", "cat.png", *options, "--region", REGION, "-o", "out")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("cat.png: 80 x 70 px at 17, 9 of 120 x 100 px, model ")
    told = json.loads(Path("out/cat.json").read_text("utf-8"))
    assert told["photo"]["region_xywh"] == [17, 9, 80, 70]
    left, top, right, bottom = told["detections"][0]["box_xyxy"]
    assert 17 <= left < right <= 97
    assert 9 <= top < bottom <= 79
    assert f"{left:.0f}, {top:.0f} to {right:.0f}, {bottom:.0f}" in outcome.out
    assert call("render", "out", "-o", "again").code == 0
    drawn, again = (Path(folder, "cat.heatmap.jpg").read_bytes() for folder in ("out", "again"))
    assert drawn == again


@pytest.mark.parametrize("region", ["1,2,3", "a,2,3,4", "-1,2,3,4", "1.5,2,3,4", ""])
def test_what_is_no_region_is_a_usage_error(call, region):
    outcome = call("run", "cat.png", *PADDED, "--region", region)
    assert outcome.code == 2
    assert "give four whole numbers, such as 1000,500,800,600" in outcome.err


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ((), "region 100,0,40,40 is not inside the photo of 120 x 100 px: give left, top"),
        (
            ("--mask", "cat.png"),
            "a mask is for the whole photo, not for a region: leave out --mask",
        ),
    ],
)
def test_a_region_that_cannot_be_is_refused_and_nothing_written(call, extra, message):
    before = everything()
    outcome = call("run", "cat.png", *PADDED, "--region", "100,0,40,40", "-o", "out", *extra)
    assert_one_line(outcome, message)
    assert everything() == before
