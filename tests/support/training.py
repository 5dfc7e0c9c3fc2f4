"""Coloured photos, and a small network that learns to tell them apart."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from heatmap import train
from heatmap.training.fit import Schedule
from heatmap.training.training_reporter import TrainingReporter

COLOURS = {"blue": (200, 40, 40), "green": (40, 200, 40), "red": (40, 40, 200)}
NETWORK = "tests.support.training:network"
WINDOW = 20
SHORT = Schedule(epochs=5, batch=8, rate=1e-2, views=3, patience=5)


def network() -> nn.Module:
    """Window 20 px, stride 2, no padding; its weights are the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Sequential(
            *(nn.Conv2d(3, 6, 5, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3)),
            *(nn.ReLU(), nn.Flatten(), nn.Linear(6 * 6 * 6, 12), nn.ReLU(), nn.Dropout()),
            nn.Linear(12, 4),
        )


def paint(
    path: Path, colour: tuple[int, int, int], hw: tuple[int, int], drawn: np.random.Generator
) -> None:
    """A photo of one colour under noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.array(colour) + drawn.normal(0, 25, (*hw, 3))
    cv2.imwrite(str(path), np.clip(pixels, 0, 255).astype(np.uint8))


def coloured_photos(folder: Path) -> Path:
    """A folder for each of three colours, with ten photos in each."""
    drawn = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        for number in range(10):
            hw = (24 + number, 30 - number)
            paint(folder / name / f"{number}.png", colour, hw, drawn)
    return folder


def boxed_squares(folder: Path) -> Path:
    """Grey photos with a red or a blue square in each; the file of their boxes, beside them."""
    drawn = np.random.default_rng(1)
    listed = []
    folder.mkdir(exist_ok=True)
    for number in range(12):
        pixels = np.clip(np.full((80, 120, 3), 128) + drawn.normal(0, 25, (80, 120, 3)), 0, 255)
        left, top = int(drawn.integers(0, 90)), int(drawn.integers(0, 50))
        name = ("red", "blue")[number % 2]
        pixels[top : top + 25, left : left + 25] = COLOURS[name]
        cv2.imwrite(str(folder / f"{number}.png"), pixels.astype(np.uint8))
        box = {"label": name, "xmin": left, "ymin": top, "xmax": left + 25, "ymax": top + 25}
        listed.append({"file": f"{number}.png", "boxes": [box]})
    (folder / "boxes.json").write_text(json.dumps(listed))
    return folder / "boxes.json"


def content(path: str | Path = "net.safetensors") -> list[bytes]:
    """Both files of a checkpoint."""
    files = (Path(path), Path(path).with_suffix(".json"))
    return [file.read_bytes() for file in files]


def trained(photos, output="net.safetensors", **given):
    schedule = asdict(given.pop("schedule", SHORT))
    return train(photos, output, NETWORK, **{**schedule, "window": 20, **given})


class StopsAfter(TrainingReporter):
    """Interrupts a training as Ctrl-C would."""

    def __init__(self, epoch: int) -> None:
        self.wanted = epoch

    def epoch(self, epoch, best):
        if epoch.number == self.wanted:
            raise KeyboardInterrupt


class Records(TrainingReporter):
    def __init__(self) -> None:
        self.views = self.went_on = 0
        self.epochs = []

    def advance(self, done, total):
        self.views = done

    def resumed(self, epochs):
        self.went_on = epochs

    def epoch(self, epoch, best):
        self.epochs.append((epoch.number, best))


def parts(found):
    return [{one.photo for one in part} for part in (found.training, found.validation)]
