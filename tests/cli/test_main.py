"""The command line, as a user meets it: exit codes, what is said where, and which files appear."""

import csv
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image

import heatmap
from heatmap.cli import main as cli
from heatmap.rendering import overlay as rendering
from heatmap.scoring import scorer as scoring

NETWORKS = """
import torch
from torch import nn


def seeded(*layers):
    network = nn.Sequential(*layers)
    noise = torch.Generator().manual_seed(3)
    for parameter in network.parameters():
        # Large enough for some windows to be sure of a class.
        parameter.data = 0.2 * torch.randn(parameter.shape, generator=noise)
    return network.eval()


def trunk(padding):
    return (nn.Conv2d(3, 8, 3, 2, padding), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, padding), nn.ReLU())


def padded():
    return seeded(*trunk(1), nn.Flatten(), nn.Linear(8 * 8 * 8, 5))


def plain():
    return seeded(*trunk(0), nn.Flatten(), nn.Linear(8 * 7 * 7, 5))


def pooled():
    network = seeded(*trunk(1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    # Means differ little: without this one class wins everywhere.
    network[-1].weight.data *= 10
    network[-1].bias.data -= network(torch.full((1, 3, 32, 32), -0.5))[0].detach()
    return network


def frozen():
    network = padded()
    for parameter in network[0].parameters():
        parameter.requires_grad = False
    return network


class Squeeze(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Conv2d(8, 8, 1)

    def forward(self, maps):
        return maps * torch.sigmoid(self.gate(maps.mean((2, 3), keepdim=True)))


def squeezing():
    after = nn.Conv2d(8, 8, 3, 1, 1)
    return seeded(*trunk(1), Squeeze(), after, nn.Flatten(), nn.Linear(8 * 8 * 8, 5))
"""
PADDED = ("-m", "cli_networks:padded", "--window", "32")
PLAIN = ("-m", "cli_networks:plain", "--window", "32")
POOLED = ("-m", "cli_networks:pooled", "--window", "32")
SQUEEZING = ("-m", "cli_networks:squeezing", "--window", "32")
VIT = ("-m", "timm/vit_tiny_patch16_224", "--weights", "random")
MARKUP = ("[red]cat[/red]", "[/]", "crane", "crane", "日本 é")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Run the command line in this process, in a folder with networks and a photo."""
    (tmp_path / "cli_networks.py").write_text(NETWORKS)
    cv2.imwrite(str(tmp_path / "cat.png"), skimage.data.chelsea()[60:160, 100:220, ::-1])
    (tmp_path / "names.txt").write_text("\n".join(MARKUP), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEATMAP_DEBUG", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["heatmap", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        return Outcome(code, *capsys.readouterr())

    yield run
    sys.modules.pop("cli_networks", None)


def everything(folder="."):
    """Every path below a folder, hidden ones too, but for compiled Python."""
    paths = (str(path) for path in Path(folder).rglob("*"))
    return sorted(path for path in paths if "__pycache__" not in path)


def assert_one_line(outcome: Outcome, *parts: str) -> None:
    """A failure as users must see it: exit code 1, one line on standard error, nothing else."""
    assert (outcome.code, outcome.out) == (1, "")
    assert re.fullmatch(r"heatmap: [^\n]+\n", outcome.err)
    assert "unexpected" not in outcome.err
    for part in parts:
        assert part in outcome.err


# Help and usage.

MODEL = "--model --weights --window --mean --std --channel-order --class-names --groups"
VIEW = "--class --top --opacity --stretch --conf"
LIMITS = "--memory --store-classes --skip-background --mask --device --dtype"
EXTRAS = "--format --coco --html"
NEW_HEAD = "--model --weights --window --head --levels --fc6 --freeze --average --softmax"
SCHEDULE = "--epochs --batch --rate --decay --views --validation-split --patience --seed"
OPTIONS = {
    "adapt": f"{NEW_HEAD} --num-classes --class-names --seed --output --json",
    "train": f"{NEW_HEAD} --boxes {SCHEDULE} --output --resume --json",
    "run": f"{MODEL} --stride --scale --fuse --border {LIMITS} --engine {VIEW} {EXTRAS} "
    "--output --json",
    "batch": f"{MODEL} --stride --scale --fuse --border {LIMITS} --engine {VIEW} {EXTRAS} --output "
    "--runner --workers --threads --ray-address --gpus --retry-failed --dry-run --watch --every "
    "--quiet --json",
    "verify": f"{MODEL} --stride --scale --border --class --windows --output --json",
    "render": f"{VIEW} --output --json",
    "view": "--photo --json",
    "evaluate": f"{MODEL} --scale --fuse --labels --cam --json",
    "summary": f"{MODEL} --photo-size --json",
    "models": "--json",
    "export": f"{MODEL} --stride --to --output --json",
}


@pytest.mark.parametrize("command", OPTIONS)
def test_help_lists_every_option_and_no_other(call, command):
    outcome = call(command, "--help")
    listed = re.findall(r"^ +(?:-\w, )?(--[a-z0-9-]+)", outcome.out, re.MULTILINE)
    assert sorted(listed) == sorted([*OPTIONS[command].split(), "--help"])
    assert (outcome.code, outcome.err) == (0, "")


def test_help_lists_every_command_in_whole_sentences(call):
    out = call("--help").out
    assert call("-h").out == out
    assert re.findall(r"^  (\w+)  +[A-Z].*\.$", out, re.MULTILINE) == sorted(OPTIONS)
    assert "..." not in out.replace("[ARGS]...", "")


def test_version(call):
    assert call("--version") == Outcome(0, f"heatmap, version {heatmap.__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing",),
        ("run",),
        ("run", "cat.png", "--border", "mirror"),
        ("run", "cat.png", "--engine", "fly"),
        ("run", "cat.png", "--scale", "large"),
        ("run", "cat.png", "--mean", "0.5,0.5"),
        ("run", "cat.png", "--std", "a,b,c"),
        ("run", "cat.png", "--opacity", "1.5"),
        ("run", "cat.png", "--conf", "-1"),
        ("run", "cat.png", "--top", "-1"),
        ("run", "cat.png", "--nonsense"),
        ("verify", "cat.png", "--windows", "0"),
        ("summary", "--photo-size", "400"),
        ("render",),
        ("view",),
        ("evaluate", "photos"),
        ("run", "cat.png", "--format", "xml"),
        ("adapt", "--head", "cone"),
        ("adapt", "--levels", "4;2"),
        ("train",),
        ("train", "photos", "--epochs", "0"),
    ],
)
def test_usage_errors_exit_with_2(call, arguments):
    outcome = call(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert "Error: " in outcome.err
    assert not Path("results").exists()


# run


def test_run_writes_files_that_agree_with_what_it_says(call):
    outcome = call("run", "cat.png", *PADDED, "-o", "out")
    assert (outcome.code, outcome.err) == (0, "")
    grid = heatmap.load("out/cat.npz")
    assert grid.scores.shape == (18, 23, 5)
    told = json.loads(Path("out/cat.json").read_text("utf-8"))
    assert told["detections"]
    for one in told["detections"]:
        left, top, right, bottom = one["box_xyxy"]
        assert 0 <= left < right <= 120
        assert 0 <= top < bottom <= 100
        assert one["confidence"] == pytest.approx(
            grid.probabilities()[(*one["cell"], *one["indices"])], abs=1e-6
        )
        rows = ("top", "middle", "bottom")[int(3 * (top + bottom) / 2 / 100)]
        columns = ("left", "middle", "right")[int(3 * (left + right) / 2 / 120)]
        row = [
            one["class"],
            f"{one['score']:.0%}",
            f"{rows} {columns}".replace("middle middle", "middle"),
            f"{(right - left) * (bottom - top) / 120:.0f}%",
            f"{left:.0f}, {top:.0f} to {right:.0f}, {bottom:.0f}",
        ]
        assert re.search(r"^" + r" +".join(map(re.escape, row)) + r" *$", outcome.out, re.MULTILINE)
    pictures = [Path("out", one["file"]) for one in told["overlays"]]
    assert everything("out") == sorted(map(str, [*pictures, "out/cat.json", "out/cat.npz"]))
    for path in pictures:
        height, width = cv2.imread(str(path)).shape[:2]
        assert height > 100
        assert width >= 120
    for path in everything("out"):
        assert f"wrote {path}\n" in outcome.out
    assert "100 x 120 px, 18 x 23 windows of 32 px, 4 px apart" in outcome.out


def test_run_prints_the_same_as_json(call):
    outcome = call("run", "cat.png", *PADDED, "-o", "out", "--json")
    assert outcome == Outcome(0, Path("out/cat.json").read_text("utf-8"), "")
    assert json.loads(outcome.out)["geometry"]["grid_hw"] == [18, 23]


def test_run_with_the_built_in_model(call):
    cv2.imwrite("chelsea.jpg", skimage.data.chelsea()[:, :, ::-1])
    outcome = call("run", "chelsea.jpg", "-c", "Egyptian cat", "--top", 3)
    assert outcome.code == 0
    assert (
        "300 x 451 px, 4 x 9 windows of 224 px, 32 px apart, by efficientnet_lite0" in outcome.out
    )
    assert everything("results") == [
        "results/chelsea.Egyptian-cat.png",
        "results/chelsea.json",
        "results/chelsea.npz",
        "results/chelsea.sharp.npz",
    ]
    assert {
        one["class"] for one in json.loads(Path("results/chelsea.json").read_text())["detections"]
    } <= {"Egyptian cat"}


def test_run_uses_its_settings(call):
    call(
        *("run", "cat.png", *PADDED, "-o", "out", "--scale", "0.5", "--border", "valid"),
        *("--engine", "crop", "--stride", "3", "--mean", "0.1,0.2,0.3"),
        *("--class-names", "names.txt"),
    )
    grid = heatmap.load("out/cat.npz")
    assert grid.geometry.scaled_hw == (50, 60)
    assert grid.geometry.border == "valid"
    assert grid.geometry.stride_px == 3
    assert grid.scores.shape[:2] == ((50 - 32) // 3 + 1, (60 - 32) // 3 + 1)
    assert grid.origin.engine == "crop"
    assert grid.classes.names == MARKUP
    call("run", "cat.png", *PADDED, "-o", "out2", *("--scale", "0.5", "--border", "valid"))
    assert not np.allclose(heatmap.load("out2/cat.npz").scores[0, 0], grid.scores[0, 0], rtol=1e-3)


def test_an_asked_class_that_is_not_found_is_named_with_its_best(call):
    call("run", "cat.png", *PADDED, "-o", "out")
    peaks = heatmap.load("out/cat.npz").probabilities().max(axis=(0, 1))
    least = int(peaks.argmin())
    assert peaks[least] < 0.995
    outcome = call("run", "cat.png", *PADDED, "-c", least, "--conf", 1)
    assert (
        f"nothing found; the best is class {least} with {peaks[least]:.2g}: "
        "try another --scale, --conf or --engine crop"
    ) in outcome.out.splitlines()


def test_an_inexact_network_is_cropped_with_a_note(call):
    outcome = call("run", "cat.png", *SQUEEZING, "-o", "out")
    note = re.search(r"^note: (.*)$", outcome.out, re.MULTILINE)[1]
    assert note.startswith("scored crop by crop: sliding would be inexact: ")
    assert "mean" in note
    assert "--engine crop" not in note
    assert heatmap.load("out/cat.npz").origin.engine == "crop"


def test_an_inexact_network_slides_when_told_to(call):
    outcome = call("run", "cat.png", *SQUEEZING, "-o", "out", "--engine", "slide")
    assert re.search(r"^note: slid all the same, but sliding is inexact: ", outcome.out, re.M)
    assert heatmap.load("out/cat.npz").origin.engine == "slide"


def test_a_refused_network_is_cropped_and_never_slides(call):
    assert_one_line(
        call("run", "cat.png", *VIT, "--engine", "slide"), "cannot slide", "use --engine crop"
    )
    assert not Path("results").exists()
    outcome = call("run", "cat.png", *VIT, "--json")
    assert json.loads(outcome.out)["origin"]["engine"] == "crop"
    assert json.loads(outcome.out)["origin"]["weights"]["text"] == "random (seed 0)"


# Photos of every kind.


def save_with_pillow(path, mode="RGB", hw=(40, 50), **options):
    pixels = np.random.default_rng(0).integers(0, 256, (*hw, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, **options)


def save_frames(path):
    frames = [Image.new("RGB", (50, 40), colour) for colour in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def save_turned(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    save_with_pillow(path, exif=exif)


ODD_PHOTOS = {
    "1x1.png": (lambda p: save_with_pillow(p, hw=(1, 1)), "1 x 1 px"),
    "1x5000.png": (lambda p: save_with_pillow(p, hw=(1, 5000)), "1 x 5000 px"),
    "grey.png": (lambda p: save_with_pillow(p, "L"), "40 x 50 px"),
    "rgba.png": (lambda p: save_with_pillow(p, "RGBA"), "40 x 50 px"),
    "cmyk.jpg": (lambda p: save_with_pillow(p, "CMYK"), "note: CMYK brought to sRGB"),
    "palette.png": (lambda p: save_with_pillow(p, "P"), "40 x 50 px"),
    "16 bit.png": (
        lambda p: cv2.imwrite(p, np.full((40, 50, 3), 40_000, np.uint16)),
        "note: 16-bit reduced to 8",
    ),
    "turned.jpg": (save_turned, "50 x 40 px"),
    "animated.gif": (save_frames, "note: first of 2 frames"),
}


@pytest.mark.parametrize("name", ODD_PHOTOS)
def test_odd_photos_work_and_say_what_was_done(call, name):
    save, expected = ODD_PHOTOS[name]
    save(name)
    outcome = call("run", name, *PADDED, "-o", "out")
    assert (outcome.code, outcome.err) == (0, "")
    assert expected in outcome.out
    assert heatmap.load(f"out/{Path(name).stem}.npz").scores.size


def save_cut_short(path):
    stream = io.BytesIO()
    save_with_pillow(stream, format="JPEG", hw=(200, 200))
    Path(path).write_bytes(stream.getvalue()[:9_000])


BAD_PHOTOS = {
    "missing.jpg": (lambda p: None, "missing.jpg: no such file"),
    "directory.jpg": (os.mkdir, "directory.jpg: is a directory"),
    "empty.jpg": (lambda p: Path(p).touch(), "empty.jpg: is empty"),
    "text.jpg": (lambda p: Path(p).write_text("a cat" * 99), "text.jpg: not an image"),
    "cut.jpg": (save_cut_short, "cut.jpg: is cut short"),
    "nan.tif": (
        lambda p: tifffile.imwrite(p, np.full((40, 50), np.nan, np.float32)),
        "nan.tif: holds values that are not finite",
    ),
    "[red]none[/red].jpg": (lambda p: None, "[red]none[/red].jpg: no such file"),
    "two\nlines.jpg": (lambda p: None, "two lines.jpg: no such file"),
}


@pytest.mark.parametrize("command", ["run", "verify"])
@pytest.mark.parametrize("name", BAD_PHOTOS)
def test_bad_photos_end_in_one_line_and_leave_nothing(call, command, name):
    save, expected = BAD_PHOTOS[name]
    save(name)
    before = everything()
    assert_one_line(call(command, name, *PADDED, "-o", "out"), expected)
    assert everything() == before


# Bad settings.


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
        (("--weights", "random"), ("brings its own weights",)),
        (("--weights", "nowhere.pth"), ("nowhere.pth: no such weights file",)),
        (("--weights", "cat.png"), ("cat.png: not a weights file",)),
        (("-m", "cli_networks:nothing"), ("cli_networks:nothing", "no attribute 'nothing'")),
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


def test_a_factory_without_a_window_is_told_how_to_give_it(call):
    assert_one_line(call("run", "cat.png", "-m", "cli_networks:padded"), "--window")


def test_weights_that_cannot_be_downloaded_are_named_with_their_place(call, monkeypatch, tmp_path):
    def unreachable(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    started = time.monotonic()
    outcome = call("run", "cat.png", "-m", "vgg16")
    assert_one_line(
        outcome,
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        str(tmp_path / "torch" / "hub" / "checkpoints" / "vgg16-397923af.pth"),
        "--weights FILE",
        "--weights random",
    )
    assert time.monotonic() - started < 10
    assert not [path for path in everything("torch") if Path(path).is_file()]


@pytest.mark.parametrize("command", ["run", "verify", "render"])
@pytest.mark.parametrize("output", ["a file", "a file/below"])
def test_an_output_below_a_file_is_refused(call, command, output):
    call("run", "cat.png", *PADDED, "-o", "done")
    Path("a file").write_text("precious")
    before = everything()
    subject = ("done/cat.npz",) if command == "render" else ("cat.png", *PADDED)
    assert_one_line(call(command, *subject, "-o", output), "a file", "is a file, not a folder")
    assert everything() == before
    assert Path("a file").read_text() == "precious"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("run", "cat.npz"),
        ("run", "cat.json"),
        ("run", "cat.class-1.png"),
        ("verify", "cat.verify.png"),
        ("render", "cat.class-1.png"),
    ],
)
def test_an_output_name_that_is_a_directory_is_refused(call, command, name):
    call("run", "cat.png", *PADDED, "-o", "done")
    Path("out", name).mkdir(parents=True)
    before = everything()
    subject = {
        "run": ("cat.png", *PADDED, "-c", "class 0", "-c", "class 1"),
        "verify": ("cat.png", *PADDED),
        "render": ("done/cat.npz", "-c", "class 0", "-c", "class 1"),
    }
    assert_one_line(call(command, *subject[command], "-o", "out"), f"out/{name}", "directory")
    assert everything() == before


# Names.


@pytest.mark.parametrize(
    "name", ["two words.png", "[red]x[/red].png", "<img>.png", "日本 é.png", "[[/].png", "-.png"]
)
def test_names_are_shown_as_they_are_and_files_written(call, name):
    path = Path("[bold]in[", name)
    path.parent.mkdir(parents=True)
    shutil.copy("cat.png", path)
    out = Path("[b] out", path.stem)
    call_named = ("run", path, *PADDED, "--class-names", "names.txt", "-o", out.parent)
    outcome = call(*call_named, "--conf", "0.2")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"{path}: 100 x 120 px")
    assert f"wrote {out}.npz\n" in outcome.out
    assert heatmap.load(f"{out}.npz").origin.photo == str(path)
    assert call("verify", path, *PADDED, "-o", out.parent).out.endswith(f"wrote {out}.verify.png\n")
    assert call("render", f"{out}.npz", "-c", 0, "-o", out.parent).code == 0
    assert Path(f"{out}.red-cat-red.png").exists()


def test_class_names_are_shown_as_they_are(call):
    wanted = [part for name in (0, 1, 4) for part in ("-c", name)]
    outcome = call(*("run", "cat.png", *PADDED, "--class-names", "names.txt", "--conf", 0, *wanted))
    first_words = {re.split(r" +\d+%  ", line)[0] for line in outcome.out.splitlines()[2:-5]}
    assert first_words == {MARKUP[0], MARKUP[1], MARKUP[4]}


def test_names_that_the_terminal_cannot_show_are_escaped(call, tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    shutil.copy("cat.png", name)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [Path(sys.executable).with_name("heatmap"), "run", name, *PADDED, "-c", "class 0"],
        capture_output=True,
        env=environment,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"wrote results/caf\udce9.npz" in done.stdout
    assert os.fsdecode(b"results/caf\xe9.json") in everything("results")


# verify


def test_verify_of_a_padded_network_does_not_say_equal(call):
    outcome = call("verify", "cat.png", *PADDED, "-o", "out", "--windows", 50)
    assert (outcome.code, outcome.err) == (0, "")
    assert "18 x 23 windows, 50 compared" in outcome.out
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
    right = scoring.convert

    def wrong(*arguments, **options):
        network = right(*arguments, **options)
        network.head.register_forward_hook(lambda module, given, scores: scores * 1.001)
        return network

    monkeypatch.setattr(scoring, "convert", wrong)
    outcome = call("verify", "cat.png", *PADDED, *extra)
    assert (outcome.code, outcome.err) == (1, "")
    assert "The converted head is wrong" in outcome.out
    if extra:
        assert json.loads(outcome.out)["passed"] is False
    else:
        assert "NOT EXACT" in outcome.out


@pytest.mark.parametrize("command", [("verify", "cat.png"), ("summary",)])
def test_where_only_sliding_makes_sense_no_other_engine_is_advised(call, command):
    outcome = call(*command, *VIT)
    assert_one_line(outcome, "cannot slide", "`heatmap run` scores it crop by crop")
    assert "--engine" not in outcome.err


# render


def test_render_draws_what_run_drew_without_a_network(call, monkeypatch):
    call("run", "cat.png", *PADDED, "-o", "out", "--top", 2, "--stretch", "--opacity", 0.5)
    monkeypatch.setattr(scoring, "prepare", None)
    outcome = call(
        *("render", "out/cat.npz", "-o", "again", "--top", 2, "--stretch", "--opacity", 0.5)
    )
    assert (outcome.code, outcome.err) == (0, "")
    drawn = [Path(path).name for path in everything("out") if path.endswith(".png")]
    assert len(drawn) == 2
    assert [Path(path).name for path in everything("again")] == drawn
    for name in drawn:
        assert Path("again", name).read_bytes() == Path("out", name).read_bytes()
        assert f"again/{name}\n" in outcome.out


def test_render_of_sharp_maps_outlines_no_single_positions(call):
    call("run", "cat.png", *POOLED, "-c", 3, "-o", "out")
    assert call("render", "out/cat.sharp.npz", "-c", "class 3", "-o", "again").code == 0
    sharp = heatmap.load("out/cat.sharp.npz")
    expected = rendering.overlay("cat.png", sharp, "class 3")
    drawn = cv2.imread("again/cat.sharp.class-3.png")[:, :, ::-1]
    np.testing.assert_array_equal(drawn, expected)


def test_render_json_lists_the_pictures_and_keeps_like_names_apart(call):
    call("run", "cat.png", *PADDED, "--class-names", "names.txt", "-o", "out", "--top", 1)
    outcome = call("render", "out/cat.npz", "-c", 2, "-c", 3, "-o", "again", "--json")
    assert json.loads(outcome.out) == [
        {"class": "crane", "file": "again/cat.crane-2.png"},
        {"class": "crane", "file": "again/cat.crane-3.png"},
    ]
    assert everything("again") == ["again/cat.crane-2.png", "again/cat.crane-3.png"]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("nowhere.npz",), ("nowhere.npz: not a score grid", "No such file")),
        (("cat.png",), ("cat.png: not a score grid",)),
        ((".",), ("not a score grid", "directory")),
        (("done/cat.npz", "nowhere.png"), ("nowhere.png: no such file",)),
        (("done/cat.npz", "small.png"), ("10 x 10", "100 x 120")),
        (("done/cat.npz", "-c", "cat"), ("no class 'cat'",)),
    ],
)
def test_render_of_bad_input(call, arguments, parts):
    call("run", "cat.png", *PADDED, "-o", "done")
    save_with_pillow("small.png", hw=(10, 10))
    before = everything()
    assert_one_line(call("render", *arguments, "-o", "out"), *parts)
    assert everything() == before


def test_render_needs_the_photo_of_an_array(call):
    module = sys.modules.get("cli_networks") or __import__("cli_networks")
    classifier = heatmap.load_classifier(module.padded(), window=32)
    heatmap.score(np.zeros((40, 50, 3), np.uint8), classifier).save("array.npz")
    assert_one_line(call("render", "array.npz"), "array.npz", "name the photo")
    save_with_pillow("photo.png")
    assert call("render", "array.npz", "photo.png").code == 0


# Groups, further formats, pages.


def test_a_group_of_the_built_in_model_is_one_class(call):
    cv2.imwrite("chelsea.jpg", skimage.data.chelsea()[:, :, ::-1])
    outcome = call("run", "chelsea.jpg", "-c", "cat", "-c", "dog")
    assert (outcome.code, outcome.err) == (0, "")
    told = json.loads(Path("results/chelsea.json").read_text())
    assert [(one["class"], len(one["indices"])) for one in told["overlays"]] == [
        ("cat", 5),
        ("dog", 118),
    ]
    assert {"results/chelsea.cat.png", "results/chelsea.dog.png"} < set(everything("results"))
    cat, *_ = told["detections"]
    assert cat["class"] == "cat"
    grid = heatmap.load("results/chelsea.npz")
    single = grid.probabilities()[tuple(cat["cell"])]
    assert cat["confidence"] == pytest.approx(single[cat["indices"]].sum(), abs=1e-5)
    assert cat["confidence"] > single.max() + 0.01
    assert re.search(rf"^cat +{cat['score']:.0%} ", outcome.out, re.MULTILINE)
    again = call("render", "results/chelsea.npz", "-c", "dog", "-o", "again")
    assert again.out == "dog: again/chelsea.dog.png\n"


def test_groups_of_a_file_are_classes_to_ask_for_and_to_keep(call):
    Path("groups.json").write_text('{"pair": [1, "class 3"], "all": ["0-4"]}')
    arguments = ("run", "cat.png", *PADDED, "--groups", "groups.json", "-c", "pair")
    assert call(*arguments, "-o", "out", "--conf", 0).code == 0
    told = json.loads(Path("out/cat.json").read_text())
    grid = heatmap.load("out/cat.npz")
    assert told["detections"]
    for one in told["detections"]:
        assert (one["class"], one["indices"]) == ("pair", [1, 3])
        expected = grid.probabilities()[tuple(one["cell"])][[1, 3]].sum()
        assert one["confidence"] == pytest.approx(expected, abs=1e-6)
    assert everything("out") == ["out/cat.json", "out/cat.npz", "out/cat.pair.png"]
    assert call(*arguments, "-o", "kept", "--store-classes", "pair").code == 0
    assert heatmap.load("kept/cat.npz").classes.names == ("class 1", "class 3")
    assert_one_line(
        call(*arguments, "--store-classes", "1"),
        "class 'pair' is asked for and not stored: add --store-classes pair",
    )


def listed(told) -> list[str]:
    """Every file that a result names, and the result."""
    pictures = [one[key] for one in told["overlays"] for key in ("file", "preview") if key in one]
    exports = [name for names in told.get("exports", {}).values() for name in names]
    single = [told[key] for key in ("grid", "sharp", "page") if key in told]
    return sorted([*pictures, *exports, *single, *told["scales"].values(), "cat.json"])


EXTRA = ("--html", "--format", "csv", "--format", "coco", "--format", "geojson", "--format", "tiff")


@pytest.mark.parametrize("network", [PADDED, POOLED])
def test_further_files_are_written_printed_and_listed(call, network):
    arguments = ("run", "cat.png", *network, *EXTRA, "-c", 1, "-c", 3, "--conf", "0.05")
    outcome = call(*arguments, "-o", "out")
    assert (outcome.code, outcome.err) == (0, "")
    told = json.loads(Path("out/cat.json").read_text())
    assert told["exports"] == {
        "csv": ["cat.csv"],
        "coco": ["cat.coco.json", "cat.coco.dataset.json"],
        "geojson": ["cat.geojson"],
        "tiff": ["cat.class-1.heat.tif", "cat.class-3.heat.tif"],
    }
    assert told["page"] == "cat.html"
    assert ("sharp" in told) == (network is POOLED)
    written = [f"out/{name}" for name in listed(told)]
    assert everything("out") == written
    assert sorted(re.findall(r"^wrote (.*)$", outcome.out, re.MULTILINE)) == written
    assert len(told["detections"]) > 1
    with open("out/cat.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, one in zip(rows, told["detections"], strict=True):
        assert (row["photo"], row["class"]) == ("cat.png", one["class"])
        sides = [float(row[side]) for side in ("left", "top", "right", "bottom")]
        assert (float(row["confidence"]), sides) == (one["confidence"], one["box_xyxy"])
    results = json.loads(Path("out/cat.coco.json").read_text())
    assert [one["category_id"] for one in results] == [
        one["indices"][0] + 1 for one in told["detections"]
    ]
    assert len(json.loads(Path("out/cat.geojson").read_text())["features"]) == len(rows)
    shown = heatmap.load("out/cat.sharp.npz" if network is POOLED else "out/cat.npz")
    for name in ("class 1", "class 3"):
        heat = tifffile.imread(f"out/cat.{name.replace(' ', '-')}.heat.tif")
        np.testing.assert_allclose(heat, shown.heatmap(name), atol=1e-6)
    assert Path("out/cat.html").read_text("utf-8").startswith("<!doctype html>")
    assert call(*arguments, "-o", "out", "--json").out == Path("out/cat.json").read_text()


def save_coco(path, photo="cat.png", category="Class 1"):
    images = [{"id": 7, "file_name": photo}, {"id": 8, "file_name": "dog.png"}]
    dataset = {"images": images, "categories": [{"id": 40, "name": category}]}
    Path(path).write_text(json.dumps(dataset))


COCO = ("-c", 1, "--conf", 0, "--format", "coco", "--coco")


def test_a_coco_dataset_without_the_format_is_called_wrongly(call):
    save_coco("instances.json")
    outcome = call("run", "cat.png", *PADDED, "--coco", "instances.json", "-o", "out")
    assert outcome.code == 2
    assert "add --format coco" in outcome.err
    assert not Path("out").exists()


def test_the_ids_of_a_coco_dataset_are_taken(call):
    save_coco("instances.json")
    assert call("run", "cat.png", *PADDED, *COCO, "instances.json", "-o", "out").code == 0
    results = json.loads(Path("out/cat.coco.json").read_text())
    assert {(one["image_id"], one["category_id"]) for one in results} == {(7, 40)}
    assert not Path("out/cat.coco.dataset.json").exists()


@pytest.mark.parametrize(
    ("save", "parts"),
    [
        (lambda p: None, ("coco.json: cannot be read: No such file",)),
        (lambda p: Path(p).write_text("[]"), ("coco.json: is no COCO dataset",)),
        (lambda p: save_coco(p, photo="dog.jpg"), ("cat.png is not among the 2 images",)),
        (lambda p: save_coco(p, category="dog"), ("'class 1' is not among the 1 categories",)),
    ],
)
def test_a_coco_dataset_that_does_not_fit_is_one_line_and_leaves_nothing(call, save, parts):
    save("coco.json")
    before = everything()
    assert_one_line(call("run", "cat.png", *PADDED, *COCO, "coco.json", "-o", "out"), *parts)
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


# view


def test_view_writes_the_page_that_run_writes(call):
    call("run", "cat.png", *POOLED, "--html", "-o", "out")
    expected = Path("out/cat.html").read_bytes()
    for results in ("out", "out/cat.json"):
        Path("out/cat.html").unlink()
        assert call("view", results) == Outcome(0, "wrote out/cat.html\n", "")
        assert Path("out/cat.html").read_bytes() == expected
    assert json.loads(call("view", "out", "--json").out) == ["out/cat.html"]


def test_view_of_a_folder_writes_all_pages_beside_other_files(call):
    shutil.copy("cat.png", "other.png")
    for name in ("cat.png", "other.png"):
        call("run", name, *PADDED, "--format", "coco", "--format", "geojson", "-o", "out")
    assert call("view", "out").out == "wrote out/cat.html\nwrote out/other.html\n"
    assert_one_line(call("view", "out", "--photo", "cat.png"), "out: holds the results of 2 photos")


def test_view_takes_a_photo_that_was_moved(call):
    call("run", "cat.png", *PADDED, "-o", "out")
    Path("away").mkdir()
    Path("cat.png").rename("away/moved.png")
    assert_one_line(call("view", "out"), "cat.png: no such file")
    save_with_pillow("noise.png", hw=(100, 120))
    assert_one_line(
        call("view", "out", "--photo", "noise.png"),
        "noise.png: is not the photo that was scored",
        "--photo",
    )
    assert not Path("out/cat.html").exists()
    assert call("view", "out", "--photo", "away/moved.png").code == 0
    assert "moved.png" in Path("out/cat.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("results", "parts"),
    [
        ("nowhere", ("nowhere: not the result of a run", "No such file")),
        ("empty", ("empty: no results in this folder", "heatmap run PHOTO")),
        ("cat.png", ("cat.png: not the result of a run",)),
    ],
)
def test_view_of_what_is_no_result_is_one_line(call, results, parts):
    Path("empty").mkdir()
    before = everything()
    assert_one_line(call("view", results), *parts)
    assert everything() == before


# evaluate


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
    assert (told["photos"], told["pairs"]) == (2, 2)
    assert list(told["methods"]) == ["heatmap, scale 1", "heatmap, scales auto"]
    lines = outcome.out.splitlines()
    assert lines[:2] == [
        "2 pairs of photo and class on 2 photos",
        "left out, no such class: sofa (1)",
    ]
    for name, method in told["methods"].items():
        assert row_of(name, method["total"]) in rows_of(lines)
    for label, cases in method["labels"].items():
        assert cases["all"]["pairs"] == 1
        assert row_of(label, cases) in rows_of(lines)


def rows_of(lines: list[str]) -> list[list[str]]:
    return [re.split(r"  +", line.strip()) for line in lines]


def row_of(name, cases) -> list[str]:
    """A line of the table of figures, with what is empty left out."""
    figures = cases["all"]
    shares = [cases[case]["pointing"] for case in ("all", "small", "hard")]
    shares += [one[kind] for kind in ("detections", "region") for one in figures["boxes"]]
    return [name, str(figures["pairs"]), *(f"{one:.3f}" for one in shares if one is not None)]


def test_evaluate_takes_scales_and_what_labels_mean(boxed):
    Path("labels.json").write_text('{"sofa": ["class 0", 2]}')
    outcome = boxed(
        *("evaluate", "photos", "boxes.json", *PADDED, "--no-cam", "--json", "--scale", "0.5"),
        *("--scale", "2", "--fuse", "max", "--labels", "labels.json"),
    )
    told = json.loads(outcome.out)
    assert list(told["methods"]) == ["heatmap, scales 0.5, 2"]
    assert list(told["methods"]["heatmap, scales 0.5, 2"]["labels"]) == ["sofa"]
    assert told["left_out"]["labels"] == {"class 1": 1, "class 3": 1}


def test_evaluate_compares_with_class_activation_maps(boxed):
    told = json.loads(boxed("evaluate", "photos", "boxes.json", *POOLED, "--json").out)
    cams = [f"{name}, scale {scale}" for name in ("CAM", "Grad-CAM") for scale in (1, 2, 3)]
    assert list(told["methods"])[2:] == cams
    assert_one_line(boxed("evaluate", "photos", "boxes.json", *PADDED), "CAM")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("photos", "nowhere.json"), ("nowhere.json", "No such file")),
        (("photos", "cat.png"), ("cat.png",)),
        (("nowhere", "boxes.json"), ("nowhere/cat.png: no such file",)),
        (("photos", "boxes.json", "--labels", "nowhere.json"), ("nowhere.json",)),
        (("photos", "boxes.json", "--labels", "boxes.json"), ("boxes.json: holds no object",)),
    ],
)
def test_evaluate_of_what_does_not_fit_is_one_line(boxed, arguments, parts):
    before = everything()
    assert_one_line(boxed("evaluate", *arguments, *PADDED, "--no-cam"), *parts)
    assert everything() == before


# summary and models


def test_summary_json_holds_what_the_table_shows(call):
    frozen = ("-m", "cli_networks:frozen", "--window", "32", "--photo-size", "100x120")
    told = json.loads(call("summary", *frozen, "--json").out)
    shown = call("summary", *frozen)
    assert (shown.code, shown.err) == (0, "")
    lines = shown.out.splitlines()
    assert len(told["rows"]) == 5
    for row, line in zip(told["rows"], lines[1:], strict=False):
        assert line.startswith(f"{row['path']} ")
        assert row["kind"] in line
        assert "x".join(map(str, row["shape"])) in line
        assert line.split()[-2:] == [str(row["stride_px"]), str(row["field_px"])]
        if row["parameters"]:
            assert f" {row['parameters']:,} " in line
        assert (" fixed" in line) == (row["parameters"] > row["trainable"])
    assert told["rows"][0]["trainable"] == 0
    assert "8x8, 8 to 5" in lines[5]
    assert "100 x 120 px: 18 x 23 windows of 32 px, native stride 4 px" in lines[6]
    assert lines[7] == "parameters 3,373: 3,149 trainable, 224 fixed"
    assert told["grid_hw"] == [18, 23]


@pytest.mark.parametrize("columns", [80, 66])
def test_summary_fits_into_a_terminal_with_its_numbers_whole(call, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1")
    outcome = call("summary", "-m", "alexnet", "--weights", "random", "--photo-size", "4000x4000")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", outcome.out)
    assert max(map(len, plain.splitlines())) <= columns
    assert "…" not in plain
    fc6 = next(line.split() for line in plain.splitlines() if "6x6" in line)
    assert fc6[-4:] == ["4096x119x119", "37,752,832", "32", "355"]
    if columns == 80:
        assert fc6[:-4] == ["classifier.1", "Conv2d", "6x6,", "256", "to", "4096"]


def test_verify_and_run_fit_into_80_columns_of_a_terminal(call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    for command in ("verify", "run"):
        out = call(command, "cat.png", *PADDED, "-o", "out").out
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out)
        assert max(map(len, plain.splitlines())) <= 80
        assert re.search(r"^(windows|found) +(number|sure) +(largest|where)", plain, re.M)


@pytest.mark.parametrize(
    ("size", "part"), [("10x10", "the window is 32 px"), ("-5x400", "the window is 32 px")]
)
def test_summary_of_a_photo_below_the_window(call, size, part):
    assert_one_line(call("summary", *PADDED, "--photo-size", size), size.replace("x", " x "), part)


def test_models_says_the_same_as_json_and_keeps_it(call):
    told = json.loads(call("models", "squeezenet1_*", "--json").out)
    assert [(one["name"], one["sliding"]) for one in told] == [
        ("squeezenet1_0", "exact"),
        ("squeezenet1_1", "exact"),
    ]
    outcome = call("models", "squeezenet1_*")
    assert (outcome.code, outcome.err) == (0, "")
    lines = [line.split() for line in outcome.out.splitlines()]
    assert lines[0] == ["model", "window", "stride", "sliding"]
    facts = ("name", "window_px", "native_stride_px", "sliding", "reason")
    assert lines[1:] == [" ".join(str(one[fact]) for fact in facts).split() for one in told]
    assert told[1]["reason"] == "8 layers pad: differs from cropping"
    kept = json.loads(Path("cache/heatmap/models.json").read_text())["models"]
    assert sorted(kept) == ["squeezenet1_0", "squeezenet1_1"]


def test_models_gives_reasons(call):
    told = json.loads(call("models", "timm/vit_tiny_patch16_224", "--json").out)
    assert [one["sliding"] for one in told] == ["refused"]
    assert told[0]["reason"]
    assert told[0]["native_stride_px"] is None
    assert told[0]["reason"] in call("models", "timm/vit_tiny_patch16_224").out


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"versions": {}, "models": {"a": 1}}'])
def test_models_works_with_a_cache_that_cannot_be_read_or_written(call, broken):
    if broken:
        Path("cache/heatmap").mkdir(parents=True)
        Path("cache/heatmap/models.json").write_text(broken)
    else:
        Path("cache").write_text("a file")
    outcome = call("models", "squeezenet1_1")
    assert (outcome.code, outcome.err) == (0, "")
    assert "squeezenet1_1" in outcome.out


def test_no_such_models(call):
    assert_one_line(call("models", "nothing*"), "no model fits 'nothing*'", "'timm/*resnet*'")


# What nobody foresaw.


def test_an_unforeseen_error_is_one_line_too(call, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr("heatmap.runs.settings.prepare", broken)
    outcome = call("run", "cat.png", *PADDED)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("heatmap: unexpected RuntimeError: first line second line (")
    monkeypatch.setenv("HEATMAP_DEBUG", "1")
    with pytest.raises(RuntimeError):
        call("run", "cat.png", *PADDED)


def test_interrupting_leaves_nothing(call, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(scoring.Scorer, "confidence", interrupted)
    before = everything()
    assert call("run", "cat.png", *PADDED) == Outcome(130, "", "\nheatmap: interrupted\n")
    assert everything() == before


def test_a_reader_that_goes_away_is_no_error(call):
    script = Path(sys.executable).with_name("heatmap")
    process = subprocess.Popen(
        [script, "models", "squeezenet1_1", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.wait()
