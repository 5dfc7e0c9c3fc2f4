"""Errors as users meet them: one line that names options, exit code 1, and nothing left behind."""

import socket
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from heatmap.scoring import device as devices
from tests.support.command_line import (
    ATTENDING,
    NETWORKS,
    PADDED,
    SQUEEZING,
    Outcome,
    assert_one_line,
    everything,
)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("-c", "clas 3"), ("no class 'clas 3'", "did you mean class 3")),
        (("-c", "9"), ("class index 9", "0 to 4")),
        (("-c", "class"), ("fits 5", "class 0")),
        (("--stride", "3"), ("stride is 3 px", "slides at 4, 2, 1 px", "--engine crop")),
        (("--stride", "0", "--engine", "crop"), ("stride is 0",)),
        (("--scale", "0"), ("scale is 0",)),
        (("--scale", "nan"), ("scale is nan",)),
        (("--scale", "1e6"), ("GB", "--scale")),
        (
            ("--scale", "0.2", "--border", "valid"),
            ("24 x 20 px", "the window is 32 px", "--border cover"),
        ),
        (("--std", "0,1,1"), ("std is (0.0, 1.0, 1.0)",)),
        (("--class-names", "nowhere.txt"), ("nowhere.txt: class names cannot be read",)),
        (("--class-names", "cat.png"), ("cat.png: class names cannot be read",)),
        (("--window", "-1"), ("window is -1",)),
        (("--window", "8"), ("does not take a window of 8 px",)),
        (("--window", "32x48"), ("window is 32 x 48 px: only square", "such as --window 32")),
        (("--weights", "random"), ("brings its own weights",)),
        (("--weights", "nowhere.pth"), ("nowhere.pth: no such weights file",)),
        (("--weights", "cat.png"), ("cat.png: not a weights file",)),
        (
            ("-m", f"{NETWORKS}:nothing"),
            (f"{NETWORKS}:nothing", "no attribute 'nothing'"),
        ),
        (("-m", "nowhere:nothing"), ("nowhere:nothing", "No module named 'nowhere'")),
        (("-m", "alexnett"), ("no model is called 'alexnett'", "did you mean alexnet")),
        (("-m", "timm/vit_tinny_patch16_224"), ("did you mean", "timm/vit_tiny_patch16_224")),
        (("-m", "own.pth"), ("vgg16, and give --weights own.pth",)),
        (("-m", "own.heatmap"), ("own.heatmap",)),
    ],
)
def test_bad_settings_end_in_one_line_and_leave_nothing(call, arguments, parts):
    before = everything()
    assert_one_line(call("run", "cat.png", *PADDED, "-o", "out", *arguments), *parts)
    assert everything() == before


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--memory", "1kb"), ("memory is 0 MB", "use --memory")),
        (("--store-classes", "clas 3"), ("no class 'clas 3'", "did you mean class 3")),
        (
            ("--store-classes", "1", "-c", "2"),
            ("'class 2' is requested but not stored: add --store-classes 2",),
        ),
        (("--mask", "nowhere.png"), ("nowhere.png",)),
        (("--mask", "names.txt"), ("names.txt",)),
        (("--mask", "tall.png"), ("the mask is 100 x 120 px", "the photo 120 x 100")),
        (("--mask", "black.png"), ("the mask is 0 everywhere",)),
        (("--scale", "1", "--scale", "-1"), ("scale is -1",)),
        (("--device", "cuda"), ("device cuda is not available: use --device cpu",)),
        (("--device", "mps"), ("device mps is not available: use --device cpu",)),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(call, monkeypatch, arguments, parts):
    monkeypatch.setattr(devices, "_is_available", lambda device: device == "cpu")
    cv2.imwrite("tall.png", np.full((120, 100, 3), 255, np.uint8))
    cv2.imwrite("black.png", np.zeros((100, 120, 3), np.uint8))
    before = everything()
    assert_one_line(call("run", "cat.png", *PADDED, "-o", "out", *arguments), *parts)
    assert everything() == before


def test_a_factory_without_a_window_is_told_how_to_give_it(call):
    assert_one_line(call("run", "cat.png", "-m", f"{NETWORKS}:padded"), "--window")


def test_weights_that_cannot_be_downloaded_are_named_with_their_place(call, monkeypatch, tmp_path):
    waits = []

    def unreachable(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(time, "sleep", waits.append)
    outcome = call("run", "cat.png", "-m", "vgg16")
    assert_one_line(
        outcome,
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        str(tmp_path / "torch" / "hub" / "checkpoints" / "vgg16-397923af.pth"),
        "--weights FILE",
        "--weights random",
    )
    assert waits == []
    assert not [path for path in everything("torch") if Path(path).is_file()]


@pytest.mark.parametrize("command", ["run", "verify", "render"])
@pytest.mark.parametrize("output", ["a file", "a file/below"])
def test_an_output_below_a_file_is_refused(call, command, output):
    call("run", "cat.png", *PADDED, "-o", "done")
    Path("a file").write_text("precious")
    before = everything()
    subject = ("done",) if command == "render" else ("cat.png", *PADDED)
    assert_one_line(call(command, *subject, "-o", output), "a file", "is a file, not a folder")
    assert everything() == before
    assert Path("a file").read_text() == "precious"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("run", "cat.maps.npz"),
        ("run", "cat.json"),
        ("run", "cat.class-1.jpg"),
        ("verify", "cat.verify.jpg"),
        ("render", "cat.heatmap.jpg"),
    ],
)
def test_an_output_name_that_is_a_directory_is_refused(call, command, name):
    call("run", "cat.png", *PADDED, "-o", "done")
    Path("out", name).mkdir(parents=True)
    before = everything()
    subject = {
        "run": ("cat.png", *PADDED, "-c", "class 0", "-c", "class 1", "--per-class"),
        "verify": ("cat.png", *PADDED),
        "render": ("done",),
    }
    assert_one_line(call(command, *subject[command], "-o", "out"), f"out/{name}", "directory")
    assert everything() == before


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        (None, ("groups.json: groups cannot be read: No such file",)),
        ("[]", ("groups.json: groups must be one JSON object",)),
        ('{"pet": ["class 9"]}', ("groups.json: group 'pet'", "no class 'class 9'")),
    ],
)
def test_bad_groups_are_one_line(call, written, parts):
    if written is not None:
        Path("groups.json").write_text(written)
    assert_one_line(call("run", "cat.png", *PADDED, "--groups", "groups.json"), *parts)


@pytest.mark.parametrize("command", [("verify", "cat.png"), ("summary",)])
def test_where_only_sliding_makes_sense_no_other_engine_is_advised(call, command):
    outcome = call(*command, *ATTENDING)
    assert_one_line(outcome, "cannot slide", "`heatmap run` scores it crop by crop")
    assert "--engine" not in outcome.err


SMALL = "photo is 24 x 20 px, the window is 32 px"
STRIDE = "stride is 3 px, the network slides at 4, 2, 1 px: use --stride 4"
AUTO = "stride is auto, at which only some windows are scored, but any may be compared"
TOKEN = "cannot slide at 1 (cat): it joins tensors along an axis of positions (a class token)"
MEAN = "sliding would be inexact: 4 (mean over the whole input)"
CROPS = "`heatmap run` scores it crop by crop"
NO_FOLDER = "cannot be written: names.txt is a file, not a folder"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("run", "none.png"), "none.png: no such file"),
        (
            ("run", "text.jpg"),
            "text.jpg: not an image that can be read (none of JPEG, PNG, "
            "TIFF, WebP, GIF, HEIF, BMP, PNM, JPEG 2000)",
        ),
        (
            ("run", "small.png", *PADDED, "--border", "valid"),
            f"{SMALL}: use --border cover or --scale 1.6",
        ),
        (
            ("verify", "small.png", *PADDED, "--border", "valid"),
            f"{SMALL}: use --border cover or --scale 1.6",
        ),
        (("summary", *PADDED, "--photo-size", "24x20"), f"{SMALL}: give at least that"),
        (("run", "cat.png", *PADDED, "-c", "dog"), "no class 'dog' among 5"),
        (("run", "cat.png", *PADDED, "--stride", "3"), f"{STRIDE} or --engine crop for any stride"),
        (("verify", "cat.png", *PADDED, "--stride", "3"), STRIDE),
        (
            ("verify", "cat.png", *PADDED, "--stride", "auto"),
            f"{AUTO}: leave --stride out or give px",
        ),
        (("export", *PADDED, "--stride", "3", "-o", "net.onnx"), STRIDE),
        (("run", "cat.png", *ATTENDING, "--engine", "slide"), f"{TOKEN}: use --engine crop"),
        (("verify", "cat.png", *ATTENDING), f"{TOKEN}: {CROPS}"),
        (("summary", *ATTENDING), f"{TOKEN}: {CROPS}"),
        (("export", *ATTENDING, "-o", "net.onnx"), f"{TOKEN}: {CROPS}"),
        (
            ("export", *SQUEEZING, "-o", "net.onnx"),
            f"{MEAN}: use --statistics local to slide anyway",
        ),
        (
            ("run", "cat.png", *PADDED, "-o", "names.txt/out"),
            f"names.txt/out/cat.json: {NO_FOLDER}",
        ),
        (
            ("batch", "cat.png", *PADDED, "-o", "names.txt/out"),
            f"names.txt/out/manifest.jsonl: {NO_FOLDER}",
        ),
        (("export", *PADDED, "-o", "names.txt/net.onnx"), f"names.txt/net.onnx: {NO_FOLDER}"),
        (
            ("adapt", *PADDED, "-o", "names.txt/net.safetensors"),
            f"names.txt/net.safetensors: {NO_FOLDER}",
        ),
        (
            ("run", "cat.png", *PADDED, "--memory", "1kB"),
            "memory is 0 MB, one column of windows takes 2 MB: use --memory 2MB",
        ),
    ],
)
def test_each_kind_of_message_is_in_the_options_of_its_command(call, arguments, line):
    cv2.imwrite("small.png", np.zeros((20, 24, 3), np.uint8))
    Path("text.jpg").write_text("a cat")
    before = everything()
    assert call(*arguments) == Outcome(1, "", f"heatmap: {line}\n")
    # ONNX Runtime keeps an id of its own among the caches.
    assert [path for path in everything() if not path.startswith("cache")] == before
