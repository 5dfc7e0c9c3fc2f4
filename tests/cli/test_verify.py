"""`heatmap verify`."""

import json
import math
import re
import shutil
from pathlib import Path

import cv2
import pytest

from heatmap.scoring import loaded as loading
from heatmap.scoring import prepare as preparing
from tests.support.command_line import PADDED, PLAIN, everything
from tests.support.paths import too_deep


def test_verify_of_a_padded_network_does_not_say_equal(call):
    outcome = call("verify", "cat.png", *PADDED, "-o", "out", "--windows", 50)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("cat.png: 120 x 100 px\nmodel: ")
    assert " 50/414 " in outcome.out
    assert "2 layers pad" in outcome.out
    assert " s (extrapolated): " in outcome.out
    assert not re.search("equal|equivalent", outcome.out)
    assert cv2.imread("out/cat.verify.jpg") is not None
    assert everything("out") == ["out/cat.verify.jpg"]


def test_verify_of_a_network_without_padding_says_equal(call):
    outcome = call("verify", "cat.png", *PLAIN, "--json")
    told = json.loads(outcome.out)
    assert outcome.code == 0
    assert told["passed"] is True
    assert told["conclusion"].startswith("Sliding equals cropping")
    assert told["difference"] < 1e-5
    assert told["scales"][0]["sliding_against_cropping"]["everywhere"]["relative"] < 1e-5
    assert Path(told["picture"]).exists()


def test_verify_json_holds_what_the_table_shows(call):
    scales = ("--scale", 0.8, "--scale", 1)
    told = json.loads(call("verify", "cat.png", *PADDED, *scales, "--json").out)
    shown = call("verify", "cat.png", *PADDED, *scales).out
    assert [scale["scale"] for scale in told["scales"]] == [0.8, 1]
    for scale in told["scales"]:
        row = re.search(rf"^{scale['scale']:g} +(\d.*)$", shown, re.MULTILINE)[1].split()
        sliding = scale["sliding_against_cropping"]
        seen = sliding["everywhere"]
        windows, of_all = row[0].split("/")
        assert (int(windows), int(of_all)) == (
            seen["windows"],
            math.prod(scale["geometry"]["grid_hw"]),
        )
        assert float(row[1]) == pytest.approx(seen["largest"], rel=0.01)
        assert float(row[2]) == pytest.approx(seen["mean"], rel=0.01)
        places = (seen, sliding["inner"], sliding["edge"])
        for cell, place in zip(row[3:6], places, strict=True):
            assert float(cell) == pytest.approx(place["relative"], rel=0.1)
        assert float(row[6]) == pytest.approx(seen["correlation"], abs=1e-3)
        assert row[7] == f"{seen['top1']:.0%}"
        assert sliding["inner"]["windows"] + sliding["edge"]["windows"] == 128
        assert scale["head"]["holds"] is True
        assert scale["timing"]["extrapolated"] is True
    assert told["conclusion"] in shown
    slices = sum(scale["head"]["slices"] for scale in told["scales"])
    head = max(scale["head"]["relative"] for scale in told["scales"])
    assert f"on {slices} slices: {head:.1e}" in shown
    assert told["padded_layers"] == ["0", "2"]


def test_verify_exits_with_1_where_the_difference_is_larger_than_allowed(call):
    told = json.loads(call("verify", "cat.png", *PADDED, "--json").out)
    most = told["difference"]
    assert call("verify", "cat.png", *PADDED, "--max-difference", most * 1.01).code == 0
    outcome = call("verify", "cat.png", *PADDED, "--max-difference", most * 0.99)
    assert outcome.code == 1
    expected = f"error: sliding differs from cropping by {most:.3g} of the largest score, more than"
    assert outcome.err.startswith(expected)
    assert "wrote " in outcome.out


def test_verify_of_a_folder_compares_each_photo_and_sums_up(call):
    Path("photos/more").mkdir(parents=True)
    for name in ("a.png", "more/a.png"):
        shutil.copy("cat.png", Path("photos", name))
    told = json.loads(call("verify", "photos", *PLAIN, "-o", "out", "--json").out)
    assert [photo["photo"] for photo in told["photos"]] == ["a.png", "more/a.png"]
    assert told["summary"]["passed"] is True
    assert told["summary"]["photos"] == 2
    assert told["summary"]["difference"] == max(photo["difference"] for photo in told["photos"])
    pictures = ["out/a.png.verify.jpg", "out/more", "out/more/a.png.verify.jpg"]
    assert everything("out") == pictures
    outcome = call("verify", "photos", *PLAIN, "-o", "out")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.count("Sliding equals cropping") == 2
    assert "\n2 photos, " in outcome.out


def test_verify_of_a_folder_goes_on_after_a_damaged_photo_and_exits_with_1(call):
    Path("photos").mkdir()
    Path("photos/a.png").write_bytes(Path("cat.png").read_bytes()[:3000])
    shutil.copy("cat.png", "photos/b.png")
    outcome = call("verify", "photos", *PLAIN, "-o", "out")
    assert outcome.code == 1
    assert re.fullmatch(r"note: .*a\.png: is cut short or damaged.*\n", outcome.err)
    assert "\n1 photos, " in outcome.out
    assert outcome.out.endswith("not compared: a.png\n")
    told = json.loads(call("verify", "photos", *PLAIN, "-o", "out", "--json").out)
    assert "is cut short" in told["photos"][0]["error"]
    assert list(told["summary"]["failed"]) == ["a.png"]


def test_verify_of_a_folder_goes_on_after_a_folder_it_cannot_read_and_shortens_names(call):
    Path("photos").mkdir()
    for end in "xy":
        shutil.copy("cat.png", f"photos/{'c' * 249}{end}.png")
    deep = too_deep(Path("photos").absolute())
    outcome = call("verify", "photos", *PLAIN, "-o", "out")
    assert outcome.code == 1
    assert outcome.err == f"note: {deep}: cannot be read: File name too long\n"
    assert "\n2 photos, " in outcome.out
    assert all(re.fullmatch(r"out/c+-\w{8}\.verify\.jpg", name) for name in everything("out"))
    assert len(everything("out")) == 2


@pytest.mark.parametrize("extra", [(), ("--json",)])
def test_verify_exits_with_1_where_the_converted_head_is_wrong(call, monkeypatch, extra):
    right = loading.convert_usable

    def wrong(*arguments, **options):
        network = right(*arguments, **options)
        network.head.register_forward_hook(lambda module, given, scores: scores * 1.001)
        return network

    monkeypatch.setattr(loading, "convert_usable", wrong)
    # Not one that other tests use too.
    monkeypatch.setattr(preparing, "_prepared", preparing._prepared.__wrapped__)
    outcome = call("verify", "cat.png", *PADDED, *extra)
    assert (outcome.code, outcome.err) == (1, "")
    assert "The converted head is wrong" in outcome.out
    if extra:
        assert json.loads(outcome.out)["passed"] is False
    else:
        assert "NOT EXACT" in outcome.out
