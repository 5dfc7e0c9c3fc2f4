"""kill -9 at fifty random moments leaves only whole files, and a rerun completes them."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from heatmap.names import MANIFEST
from tests.support.batches import MODEL, WINDOW, write_photo
from tests.support.kills import Killer
from tests.support.training import NETWORK as TRAINABLE
from tests.support.training import coloured_photos

pytestmark = pytest.mark.slow

NETWORK = ["-m", MODEL, "--window", str(WINDOW), "--conf", "0.3"]
ALL = ["--per-class", "--html", "--save-grid", "--save-crops", "--format", "csv", "--areas"]
OTHER = ["--overwrite", "--alpha", "0.3", "--format", "geojson", "--format", "tiff"]


def killer(tmp_path: Path, *arguments: str, **more) -> Killer:
    """Prints its seed, which is shown where a test fails."""
    seed = int.from_bytes(os.urandom(4))
    print("seed", seed)
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    return Killer(home, list(arguments), random.Random(seed), **more)


def test_run(tmp_path):
    """Other results of the same photo are there before."""
    write_photo(tmp_path / "home" / "cat.jpg", 2)
    run = ["run", "cat.jpg", *NETWORK, "-o", "out"]
    killing = killer(tmp_path, *run, *OTHER)
    killing.prepare(*run, *ALL)
    assert len(killing.before) > len(killing.after) > 4
    killing.check(20)


def test_batch(tmp_path):
    for number in range(3):
        write_photo(tmp_path / "home" / "in" / f"{number}.jpg", number)
    batch = ["batch", "in", *NETWORK, "-o", "out"]
    killing = killer(tmp_path, *batch, *OTHER, but=MANIFEST)
    killing.prepare(*batch, *ALL)
    killing.check(10, manifest_is_whole)


def manifest_is_whole(path: Path) -> bool:
    """Every line but perhaps the last."""
    lines = path.read_bytes().split(b"\n")
    return path.name == MANIFEST and all(isinstance(json.loads(line), dict) for line in lines[:-1])


def test_train(tmp_path):
    """An earlier checkpoint is there before."""
    coloured_photos(tmp_path / "home" / "photos")
    given = ["-m", TRAINABLE, "--window", "20", "--views", "2", "--batch", "8"]
    train = ["train", "photos", *given, "-o", "out/net.safetensors"]
    killing = killer(tmp_path, *train, "--epochs", "4", again=("--resume",))
    killing.prepare(*train, "--epochs", "1")
    assert killing.before.keys() == killing.after.keys() == {"net.safetensors", "net.json"}
    killing.check(14, training_is_whole)


def training_is_whole(path: Path) -> bool:
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as opened:
            return all(opened.get_tensor(name).numel() for name in opened.keys())  # noqa: SIM118
    return bool(len(np.load(path)) if path.suffix == ".npy" else json.loads(path.read_text()))


def test_export(tmp_path):
    """An earlier export is there before."""
    export = ["export", "-m", MODEL, "--window", str(WINDOW), "-o", "out/net.onnx"]
    killing = killer(tmp_path, *export)
    killing.prepare(*export, "--stride", "2")
    killing.check(6)
