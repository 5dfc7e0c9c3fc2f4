"""`heatmap evaluate`."""

import html
import json
import re
import shutil
from pathlib import Path

import pytest

from heatmap.evaluation import evaluate as evaluating
from heatmap.marks import MARK
from tests.support.command_line import PADDED, POOLED, assert_one_line, everything, save_with_pillow


@pytest.fixture
def boxed(call):
    """Two photos and the boxes of three objects on them, one of no class of the model."""
    Path("photos").mkdir()
    shutil.copy("cat.png", "photos/cat.png")
    save_with_pillow("photos/noise.png", hw=(60, 70))

    def box(label, *sides):
        return {"label": label, **dict(zip(("xmin", "ymin", "xmax", "ymax"), sides, strict=True))}

    boxes = [
        {"file": "cat.png", "boxes": [box("class 1", 10, 10, 60, 60), box("sofa", 0, 0, 9, 9)]},
        {"file": "noise.png", "boxes": [box("class 3", 20, 20, 50, 50)]},
    ]
    Path("boxes.json").write_text(json.dumps(boxes))
    return call


@pytest.mark.parametrize("network", [PADDED, POOLED])
def test_evaluate_prints_what_json_holds(boxed, network):
    arguments = ("evaluate", "photos", "boxes.json", *network, "--no-cam")
    outcome = boxed(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    told = json.loads(boxed(*arguments, "--json").out)
    named, unnamed = told["named"], told["unnamed"]
    assert (named["photos"], named["pairs"]) == (2, 2)
    assert list(named["methods"]) == ["heatmap"]
    lines = outcome.out.splitlines()
    assert lines[:2] == [
        "2 (photo, class) pairs on 2 photos; all figures in %",
        "left out, no corresponding class: sofa (1)",
    ]
    for name, method in named["methods"].items():
        assert row_of(name, method["total"]) in rows_of(lines)
    for label, cases in method["labels"].items():
        assert cases["all"]["pairs"] == 1
        assert row_of(label, cases) in rows_of(lines)
    for name, at in (("0.5", "at IoU 0.5"), ("0.3", "at IoU 0.3"), ("pointing", "pointing")):
        share = unnamed["average_precision"][name]
        value, low, high = (f"{100 * share[key]:.1f}" for key in ("value", "low", "high"))
        assert [f"average precision, {at}", value, f"{low} to {high}"] in rows_of(lines)
    counts = unnamed["counts"]
    assert lines[-1].startswith(
        f"{counts['annotated']} detections of annotated classes, {counts['hits']} hits; "
    )


def test_lists_of_other_systems_are_taken_and_a_cut_box_is_noted_everywhere(boxed):
    arguments = ("evaluate", "photos", "boxes.json", *PADDED, "--no-cam", "-o", "out")
    Path("photos/sub").mkdir()
    Path("photos/noise.png").rename("photos/sub/noise.png")
    whole = (("cat.png", (30, 10, 120, 60)), ("sub/noise.png", (20, 20, 50, 50)))
    beyond = (("cat.png", (30, 10, 124, 60)), ("sub\\noise.png", (20, 20, 50, 50)))
    told = []
    for boxes in (whole, beyond):
        rows = [f"{file},class 1,{','.join(map(str, sides))}" for file, sides in boxes]
        Path("boxes.json").write_text("\n".join(("file,label,xmin,ymin,xmax,ymax", *rows)))
        outcome = boxed(*arguments)
        assert (outcome.code, outcome.err) == (0, "")
        told.append(json.loads(Path("out/evaluation.json").read_text()))
    note = "note: 1 box that reached a little outside the photo: cut to it"
    assert note in outcome.out.splitlines()
    assert note in Path("out/evaluation.html").read_text("utf-8")
    # Every figure is that of the boxes as they should be.
    assert [one["named"]["left_out"].pop("cut") for one in told] == [0, 1]
    assert told[0] == told[1]
    assert [photo["file"] for photo in told[1]["photos"]] == ["cat.png", "sub/noise.png"]


def rows_of(lines: list[str]) -> list[list[str]]:
    return [re.split(r"  +", line.strip()) for line in lines]


def row_of(name, cases) -> list[str]:
    """A line of the table of figures, with what is empty left out."""
    figures = cases["all"]
    shares = [cases[case]["pointing"] for case in ("all", "small", "hard")]
    shares += [one[kind] for kind in ("detected", "region") for one in figures["boxes"]]
    return [name, str(figures["pairs"]), *(f"{100 * one:.1f}" for one in shares if one is not None)]


def test_evaluate_takes_scales_and_what_labels_mean(boxed):
    Path("labels.json").write_text('{"sofa": ["class 0", 2]}')
    outcome = boxed(
        *("evaluate", "photos", "boxes.json", *PADDED, "--no-cam", "--json", "--scale", "0.5"),
        *("--scale", "2", "--fuse", "max", "--labels", "labels.json"),
    )
    told = json.loads(outcome.out)
    assert list(told["named"]["methods"]["heatmap"]["labels"]) == ["sofa"]
    assert told["named"]["left_out"]["labels"] == {"class 1": 1, "class 3": 1}


def test_evaluate_compares_with_class_activation_maps(boxed):
    told = json.loads(boxed("evaluate", "photos", "boxes.json", *POOLED, "--json").out)
    cams = [f"{name}, scale {scale}" for name in ("CAM", "Grad-CAM") for scale in (1, 2, 3)]
    assert list(told["named"]["methods"])[1:] == cams
    assert_one_line(boxed("evaluate", "photos", "boxes.json", *PADDED), "CAM")


def test_evaluate_writes_a_page_and_what_json_prints(boxed):
    arguments = ("evaluate", "photos", "boxes.json", *PADDED, "--no-cam")
    printed = boxed(*arguments).out
    before = everything()
    outcome = boxed(*arguments, "-o", "[b] out")
    written = ["[b] out", "[b] out/evaluation.html", "[b] out/evaluation.json"]
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == printed + "".join(f"wrote {path}\n" for path in written[1:])
    assert everything() == sorted(before + written)
    told = json.loads(Path(written[2]).read_text())
    assert told.pop("generator").startswith(MARK)
    assert told == json.loads(boxed(*arguments, "-o", "[b] out", "--json").out)
    assert [photo["file"] for photo in told["photos"]] == ["cat.png", "noise.png"]
    page = Path(written[1]).read_text("utf-8")
    cells = [
        [html.unescape(cell) for cell in re.findall(r"<t[dh][^>]*>([^<]*)", row)]
        for row in re.findall(r"<tr.*?</tr>", page)
    ]
    for row in rows_of(printed.splitlines()[2:-1]):
        if len(row) > 1:
            assert row in [[cell for cell in line if cell] for line in cells]
    assert html.escape(printed.splitlines()[1]) in page
    assert printed.splitlines()[-1] in page
    assert page.count("data:image/jpeg;base64,") == 2


def test_evaluate_lists_photos_that_it_cannot_use_everywhere_and_exits_with_1(boxed):
    listed = json.loads(Path("boxes.json").read_text())
    listed.append({"file": "gone.png", "boxes": listed[0]["boxes"]})
    Path("boxes.json").write_text(json.dumps(listed))
    arguments = ("evaluate", "photos", "boxes.json", *PADDED, "--no-cam", "-o", "out")
    outcome = boxed(*arguments)
    assert (outcome.code, outcome.err) == (1, "")
    line = "left out: photos/gone.png: no such file"
    assert line in outcome.out.splitlines()
    assert line in Path("out/evaluation.html").read_text("utf-8")
    expected = [{"file": "gone.png", "reason": "photos/gone.png: no such file"}]
    assert (
        json.loads(Path("out/evaluation.json").read_text())["named"]["left_out"]["broken"]
        == expected
    )
    outcome = boxed(*arguments, "--json")
    assert outcome.code == 1
    assert json.loads(outcome.out)["named"]["left_out"]["broken"] == expected


def test_evaluate_refuses_a_folder_that_is_a_file_before_it_scores(boxed, monkeypatch):
    monkeypatch.setattr(evaluating, "evaluate", None)
    before = everything()
    outcome = boxed("evaluate", "photos", "boxes.json", *PADDED, "--no-cam", "-o", "cat.png")
    assert_one_line(outcome, "cat.png is a file, not a folder")
    outcome = boxed("evaluate", "photos", "boxes.json", *PADDED, "--no-cam", "-o", "x" * 300)
    assert_one_line(outcome, "a name may have 255 bytes")
    assert everything() == before


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("photos", "nowhere.json"), ("nowhere.json", "No such file")),
        (("photos", "cat.png"), ("cat.png",)),
        (("nowhere", "boxes.json"), ("nowhere/cat.png: no such file",)),
        (("photos", "boxes.json", "--labels", "nowhere.json"), ("nowhere.json",)),
        (("photos", "boxes.json", "--labels", "boxes.json"), ("boxes.json: is not a JSON object",)),
    ],
)
def test_evaluate_of_what_does_not_fit_is_one_line(boxed, arguments, parts):
    before = everything()
    assert_one_line(boxed("evaluate", *arguments, *PADDED, "--no-cam"), *parts)
    assert everything() == before
