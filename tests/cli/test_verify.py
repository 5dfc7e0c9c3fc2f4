"""`heatmap verify`."""

import json
import re
from pathlib import Path

import cv2
import pytest

from heatmap.scoring import prepare as preparing
from tests.support.command_line import PADDED, PLAIN, everything


def test_verify_of_a_padded_network_does_not_say_equal(call):
    outcome = call("verify", "cat.png", *PADDED, "-o", "out", "--windows", 50)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("cat.png: 120 x 100 px\n18 rows x 23 columns of windows")
    assert "50 of 414 windows compared\n" in outcome.out
    assert "2 layers pad" in outcome.out
    assert "(extrapolated from 50 windows)" in outcome.out
    assert not re.search("equal|equivalent", outcome.out)
    assert cv2.imread("out/cat.verify.png") is not None
    assert everything("out") == ["out/cat.verify.png"]


def test_verify_of_a_network_without_padding_says_equal(call):
    outcome = call("verify", "cat.png", *PLAIN, "--json")
    told = json.loads(outcome.out)
    assert outcome.code == 0
    assert told["passed"] is True
    assert told["conclusion"].startswith("Sliding equals cropping")
    assert told["sliding_against_cropping"]["everywhere"]["relative"] < 1e-5
    assert Path(told["picture"]).exists()


def test_verify_json_holds_what_the_table_shows(call):
    told = json.loads(call("verify", "cat.png", *PADDED, "--json").out)
    shown = call("verify", "cat.png", *PADDED).out
    sliding = told["sliding_against_cropping"]
    rows = {"all": "everywhere", "inner": "inner", "at the edge": "edge"}
    for label, key in rows.items():
        cells = re.search(rf"^{label} +(\d.*)$", shown, re.MULTILINE)[1].split()
        seen = sliding[key]
        assert int(cells[0]) == seen["windows"]
        assert float(cells[1]) == pytest.approx(seen["largest"], rel=0.01)
        assert float(cells[2]) == pytest.approx(seen["mean"], rel=0.01)
        assert float(cells[3]) == pytest.approx(seen["relative"], rel=0.1)
        assert float(cells[4]) == pytest.approx(seen["correlation"], abs=1e-4)
        assert cells[5] == f"{seen['top1']:.1%}"
    assert sliding["inner"]["windows"] + sliding["edge"]["windows"] == 128
    assert told["conclusion"] in shown
    assert f"on {told['head']['slices']} slices: {told['head']['relative']:.1e}" in shown
    assert told["head"]["holds"] is True
    assert told["padded_layers"] == ["0", "2"]
    assert told["timing"]["extrapolated"] is True


@pytest.mark.parametrize("extra", [(), ("--json",)])
def test_verify_exits_with_1_where_the_converted_head_is_wrong(call, monkeypatch, extra):
    right = preparing.convert_usable

    def wrong(*arguments, **options):
        network = right(*arguments, **options)
        network.head.register_forward_hook(lambda module, given, scores: scores * 1.001)
        return network

    monkeypatch.setattr(preparing, "convert_usable", wrong)
    # Not one that other tests use too.
    monkeypatch.setattr(preparing, "prepare", preparing.prepare.__wrapped__)
    outcome = call("verify", "cat.png", *PADDED, *extra)
    assert (outcome.code, outcome.err) == (1, "")
    assert "The converted head is wrong" in outcome.out
    if extra:
        assert json.loads(outcome.out)["passed"] is False
    else:
        assert "NOT EXACT" in outcome.out
