"""`heatmap run`: the files, what is printed, engines and settings."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

import heatmap
from tests.support.command_line import (
    ATTENDING,
    CLASS_NAMES,
    PADDED,
    PLAIN,
    SQUEEZING,
    Outcome,
    assert_one_line,
    everything,
)


def test_run_writes_files_that_agree_with_what_it_says(call):
    outcome = call("run", "cat.png", *PADDED, "-o", "out", "--save-grid", "-v")
    assert outcome.code == 0
    grid = heatmap.load("out/cat.grid.npz")
    assert grid.scores.shape == (18, 23, 5)
    told = json.loads(Path("out/cat.json").read_text("utf-8"))
    assert told["detections"]
    for one in told["detections"]:
        left, top, right, bottom = one["box_xyxy"]
        assert 0 <= left < right <= 120
        assert 0 <= top < bottom <= 100
        probability = grid.probabilities()[(*one["cell"], *one["indices"])]
        assert one["slide"] == pytest.approx((probability - 0.2) / 0.8, abs=1e-6)
        rows = ("top", "middle", "bottom")[int(3 * (top + bottom) / 2 / 100)]
        columns = ("left", "middle", "right")[int(3 * (left + right) / 2 / 120)]
        row = [
            one["class"],
            f"{100 * one['confidence']:.0f} %",
            f"{left:.0f}, {top:.0f} to {right:.0f}, {bottom:.0f}",
            f"{rows} {columns}".replace("middle middle", "middle"),
            f"{(right - left) * (bottom - top) / 120:.0f} %",
            *(f"{100 * one[said]:.0f} %" for said in ("slide", "crop")),
        ]
        assert re.search(r"^" + r" +".join(map(re.escape, row)) + r" *$", outcome.out, re.MULTILINE)
    suffixes = ("grid.npz", "heatmap.jpg", "json", "maps.npz")
    assert everything("out") == [f"out/cat.{suffix}" for suffix in suffixes]
    height, width = cv2.imread("out/cat.heatmap.jpg").shape[:2]
    assert height > 100
    assert width >= 120
    for path in everything("out"):
        assert f"wrote {path}\n" in outcome.out
    assert outcome.out.startswith(
        "cat.png: 120 x 100 px\n18 rows x 23 columns of windows, 32 px wide, 4 px apart\nmodel: "
    )


def test_run_prints_the_same_as_json(call):
    outcome = call("run", "cat.png", *PADDED, "-o", "out", "--json")
    assert outcome == Outcome(0, Path("out/cat.json").read_text("utf-8"), "")
    assert json.loads(outcome.out)["geometry"]["grid_hw"] == [18, 23]


def test_run_with_the_built_in_model(call):
    cv2.imwrite("chelsea.jpg", skimage.data.chelsea()[::2, ::2, ::-1])
    outcome = call("run", "chelsea.jpg", "-c", "Egyptian cat", "-v")
    assert outcome.code == 0
    assert outcome.out.startswith(
        "chelsea.jpg: 226 x 150 px\n"
        "9 rows x 16 columns of windows, 224 px wide, 32 px apart, on the photo resized by 3\n"
        "model: efficientnet_lite0, weights ImageNet"
    )
    assert everything("results") == [
        "results/chelsea.heatmap.jpg",
        "results/chelsea.json",
        "results/chelsea.maps.npz",
    ]
    assert {
        one["class"] for one in json.loads(Path("results/chelsea.json").read_text())["detections"]
    } <= {"Egyptian cat"}


def test_run_uses_its_settings(call):
    call(
        *("run", "cat.png", *PADDED, "-o", "out", "--scale", "0.5", "--border", "valid"),
        *("--engine", "crop", "--stride", "3", "--mean", "0.1,0.2,0.3"),
        *("--class-names", "names.txt", "--save-grid"),
    )
    grid = heatmap.load("out/cat.grid.npz")
    assert grid.geometry.scaled_hw == (50, 60)
    assert grid.geometry.border == "valid"
    assert grid.geometry.stride_px == 3
    assert grid.scores.shape[:2] == ((50 - 32) // 3 + 1, (60 - 32) // 3 + 1)
    assert grid.origin.engine == "crop"
    assert grid.classes.names == CLASS_NAMES
    again = ("--scale", "0.5", "--border", "valid", "--save-grid")
    call("run", "cat.png", *PADDED, "-o", "out2", *again)
    assert not np.allclose(
        heatmap.load("out2/cat.grid.npz").scores[0, 0], grid.scores[0, 0], rtol=1e-3
    )


def test_where_nothing_is_detected_the_best_guesses_are_listed(call):
    outcome = call("run", "cat.png", *PADDED, "-o", "out", "--conf", 1)
    told = json.loads(Path("out/cat.json").read_text("utf-8"))
    assert told["detections"] == []
    assert [one["class"] for one in told["maps"]] == [
        *dict.fromkeys(one["class"] for one in told["guesses"])
    ]
    lines = outcome.out.splitlines()
    first = lines.index("Nothing is sure enough (threshold 100 %). Best guesses:")
    assert lines[first + 1].startswith("class ")
    for line, one in zip(lines[first + 2 :], told["guesses"], strict=False):
        assert line.startswith(f"{one['class']} ")
        assert f" {max(1, int(100 * one['confidence']))} %  " in line
    assert "To find more, try another --scale, a lower --conf or --engine crop." in lines


def test_an_inexact_network_is_cropped_with_a_note(call):
    outcome = call("run", "cat.png", *SQUEEZING, "-o", "out")
    note = re.search(r"^note: (.*)$", outcome.out, re.MULTILINE)[1]
    assert note.startswith("scored crop by crop: sliding would be inexact: ")
    assert "mean" in note
    assert "--engine crop" not in note
    assert "note: --statistics local slides it, as an approximation" in outcome.out.splitlines()
    assert heatmap.load("out/cat.maps.npz").origin.engine == "crop"


def test_an_inexact_network_slides_with_local_statistics(call):
    outcome = call("run", "cat.png", *SQUEEZING, "--statistics", "local", "-o", "out")
    assert "over a window around each position" in outcome.out.partition("note: approximate: ")[2]
    assert "slides it" not in outcome.out
    told = json.loads(Path("out/cat.json").read_text("utf-8"))
    assert (told["origin"]["engine"], told["origin"]["statistics"]) == ("slide", "local")


def test_what_is_noted_of_the_network_stands_in_json_on_the_page_and_beside_json(call):
    outcome = call("run", "cat.png", *SQUEEZING, "-o", "out", "--html", "--json")
    note, *_ = json.loads(outcome.out)["origin"]["notes"]
    assert note.startswith("scored crop by crop: sliding would be inexact: ")
    assert outcome.err == f"note: {note}\n"
    assert note in Path("out/cat.html").read_text(encoding="utf-8")


def test_an_inexact_network_slides_when_told_to(call):
    outcome = call("run", "cat.png", *SQUEEZING, "-o", "out", "--engine", "slide")
    assert re.search(r"^note: sliding is inexact for this network: ", outcome.out, re.M)
    assert heatmap.load("out/cat.maps.npz").origin.engine == "slide"


def test_a_refused_network_is_cropped_and_never_slides(call):
    assert_one_line(
        call("run", "cat.png", *ATTENDING, "--engine", "slide"), "cannot slide", "use --engine crop"
    )
    assert not Path("results").exists()
    outcome = call("run", "cat.png", *ATTENDING, "--json")
    assert json.loads(outcome.out)["origin"]["engine"] == "crop"


def test_random_weights_are_named_as_such(call):
    model = ("-m", "squeezenet1_1", "--weights", "random", "--scale", "1")
    outcome = call("run", "cat.png", *model, "--json")
    assert json.loads(outcome.out)["origin"]["weights"]["text"] == "random (seed 0)"
    told = call("run", "cat.png", *model, "-v").out
    assert "model: squeezenet1_1, weights random (seed 0), run by torch\n" in told
    assert "note: the weights are random: what is found means nothing\n" in told


def test_a_group_of_the_built_in_model_is_one_class(call):
    cv2.imwrite("chelsea.jpg", skimage.data.chelsea()[:, :, ::-1])
    outcome = call(
        *(
            "run",
            "chelsea.jpg",
            "-c",
            "cat",
            "-c",
            "dog",
            "--scale",
            1,
            "--save-grid",
            "--per-class",
        )
    )
    assert (outcome.code, outcome.err) == (0, "")
    told = json.loads(Path("results/chelsea.json").read_text())
    for listed in (told["maps"], told["files"]["per_class"]):
        assert [(one["class"], len(one["indices"])) for one in listed] == [("cat", 5), ("dog", 118)]
    assert {"results/chelsea.cat.jpg", "results/chelsea.dog.jpg"} < set(everything("results"))
    cat, *_ = told["detections"]
    assert cat["class"] == "cat"
    grid = heatmap.load("results/chelsea.grid.npz")
    single = grid.probabilities()[tuple(cat["cell"])]
    assert cat["slide"] == pytest.approx(single[cat["indices"]].sum(), abs=1e-5)
    assert cat["slide"] > single.max() + 0.01
    assert re.search(rf"^cat +{100 * cat['confidence']:.0f} % ", outcome.out, re.MULTILINE)


def test_groups_of_a_file_are_classes_to_ask_for_and_to_keep(call):
    Path("groups.json").write_text('{"pair": [1, "class 3"], "all": ["0-4"]}')
    arguments = ("run", "cat.png", *PADDED, "--groups", "groups.json", "-c", "pair")
    assert call(*arguments, "-o", "out", "--conf", 0, "--save-grid").code == 0
    told = json.loads(Path("out/cat.json").read_text())
    grid = heatmap.load("out/cat.grid.npz")
    assert told["detections"]
    for one in told["detections"]:
        assert (one["class"], one["indices"]) == ("pair", [1, 3])
        expected = grid.probabilities()[tuple(one["cell"])][[1, 3]].sum()
        assert one["slide"] == pytest.approx(max(0, (expected - 0.4) / 0.6), abs=1e-6)
    assert call(*arguments, "-o", "kept", "--store-classes", "pair", "--save-grid").code == 0
    assert heatmap.load("kept/cat.grid.npz").classes.names == ("class 1", "class 3")
    assert_one_line(
        call(*arguments, "--store-classes", "1"),
        "class 'pair' is requested but not stored: add --store-classes pair",
    )


def test_run_takes_all_of_them(call):
    mask = np.zeros((100, 120), np.uint8)
    mask[40:, :70] = 255
    cv2.imwrite("mask.png", mask)
    outcome = call(
        *("run", "cat.png", *PADDED, "-o", "out", "--scale", "1", "--scale", "2", "--fuse", "max"),
        *("--stride", "2", "--memory", "50MB"),
        *("--store-classes", "3", "--store-classes", "class 1"),
        *("--skip-background", "--mask", "mask.png", "--dtype", "bfloat16", "-c", "3"),
        *("--save-grid", "--save-crops", "--per-class", "--areas", "--color-range", "0.1:0.9"),
        "-v",
    )
    assert outcome.code == 0
    told = json.loads(Path("out/cat.json").read_text("utf-8"))
    made = heatmap.load("out/cat.grid.npz")
    assert made.classes.names == ("class 3", "class 1")
    assert made.geometry.stride_px == 2
    assert made.origin.computation.dtype == "bfloat16"
    assert made.origin.fuse == "max"
    assert list(told["files"]["scales"]) == ["x1", "x2"]
    assert told["settings"]["color_range"] == [0.1, 0.9]
    assert 0 < told["not_scored"] < told["windows"]
    assert f"note: {told['not_scored']} of {told['windows']} windows skipped\n" in outcome.out
    assert "note: scales 1, 2 fused on the finest\n" in outcome.out
    grids = ("cat.grid.npz", "cat.x1.grid.npz", "cat.x2.grid.npz")
    pictures = ("cat.heatmap.jpg", "cat.class-3.jpg", "cat.areas.jpg")
    for name in (*grids, *pictures, "cat.json", "cat.maps.npz"):
        assert f"wrote out/{name}\n" in outcome.out


@pytest.mark.parametrize(
    ("more", "scales", "finest"),
    [
        ((), "0.25, 0.5, 1", 1),
        (("-c", "class 0"), "0.25, 0.5, 1, 1.5", 1.5),
        (("--resolution", "fine"), "0.25, 0.5, 1, 2", 2),
    ],
)
def test_run_at_scales_that_fit_the_photo_says_which(call, more, scales, finest):
    outcome = call("run", "cat.png", *PADDED, "-o", "out", "--scales", "photo", "-v", *more)
    assert f"note: scales {scales} fused on the finest\n" in outcome.out
    resized = f", on the photo resized by {finest}" * (finest != 1)
    assert f"32 px wide, 4 px apart{resized}\n" in outcome.out
    assert "note: looked for things of about " in outcome.out
    assert "is not known" not in outcome.out


def test_run_says_that_nothing_is_known_of_an_own_network(call):
    outcome = call("run", "cat.png", *PADDED, "-o", "out")
    assert "on the photo resized" not in outcome.out
    assert "network learned from is not known\n" in outcome.out
    assert "note: each window must be one of 5 classes (class 0, " in outcome.out
    insisted = call("run", "cat.png", *PADDED, "-o", "out", "--scales", "native")
    assert "is not known" not in insisted.out


def test_a_resolution_is_for_scales_that_are_not_given(call):
    outcome = call("run", "cat.png", *PADDED, "--scale", "1", "--resolution", "fine")
    assert outcome.code == 1
    assert "leave --resolution out or --scale" in outcome.err


def test_classes_can_be_left_out(call):
    arguments = ("run", "cat.png", *PADDED, "-o", "out", "--conf", "0.05", "--json")
    found = json.loads(call(*arguments).out)["detections"]
    most = found[0]["class"]
    left = json.loads(call(*arguments, "--exclude", most).out)["detections"]
    assert most not in {one["class"] for one in left}
    assert_one_line(call(*arguments, "--exclude", "nothing"), "no class 'nothing'")
    both = ("--exclude", most, "-c", "class 3")
    for command in (("run", "cat.png"), ("batch", "cat.png")):
        message = f"leave out --exclude '{most}' or --class 'class 3'"
        assert_one_line(call(*command, *PADDED, *both), message)


def test_the_table_says_what_sliding_and_cropping_say(call):
    arguments = ("run", "cat.png", *PADDED, "-o", "out", "--conf", "0.05", "-v")
    outcome = call(*arguments)
    header = next(line for line in outcome.out.splitlines() if line.startswith("class "))
    headings = ["class", "confidence", "box, px", "where", "area", "slide", "crop"]
    assert re.split(r"  +", header.strip())[:7] == headings
    told = json.loads(Path("out/cat.json").read_text("utf-8"))["detections"]
    assert all(
        one["confidence"] == pytest.approx((one["slide"] * one["crop"]) ** 0.5, abs=1e-5)
        for one in told
    )
    unconfirmed = call(*arguments, "--confirm", "0")
    assert " slide " not in unconfirmed.out
    told = json.loads(Path("out/cat.json").read_text("utf-8"))["detections"]
    assert all((one["crop"], one["confidence"]) == (None, one["slide"]) for one in told)


def test_run_and_verify_take_a_finer_stride(call):
    finer = ("--stride", "1", "--border", "valid", "--save-grid")
    call("run", "cat.png", *PLAIN, "-o", "out", *finer)
    assert heatmap.load("out/cat.grid.npz").scores.shape == (69, 89, 5)
    outcome = call("verify", "cat.png", *PLAIN, "-o", "out", "--stride", "2", "--json")
    assert outcome.code == 0
    told = json.loads(outcome.out)
    assert told["scales"][0]["geometry"]["stride_px"] == 2
    for command in ("run", "verify"):
        assert_one_line(call(command, "cat.png", *PLAIN, "--stride", "3"), "slides at 4, 2, 1 px")


def test_a_photo_that_is_skipped_whole_says_so(call):
    cv2.imwrite("flat.png", np.full((100, 120, 3), 200, np.uint8))
    outcome = call("run", "flat.png", *PADDED, "-o", "out", "--skip-background")
    assert (outcome.code, outcome.err) == (0, "")
    assert "Nothing found: every window was skipped.\n" in outcome.out
    assert "414 of 414 windows skipped" in outcome.out
