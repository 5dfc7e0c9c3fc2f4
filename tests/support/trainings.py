"""Outcomes of trainings, made up."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import numpy as np
import torch
from torch import nn

from heatmap import Classifier, Trained
from heatmap.classes import ClassList
from heatmap.prepared.preprocessing import Preprocessing
from heatmap.training.examples import Example, Examples
from heatmap.training.fit import Epoch, Schedule
from heatmap.training.validation import validated

# A name that would be an element of the page.
HOSTILE = "<img src=x onerror=alert(1)>"


def class_names(count: int) -> tuple[str, ...]:
    return (HOSTILE, *(f"class {number}" for number in range(1, count)))


def make_examples(
    folder: Path, classes: int = 3, *, training: int = 8, validation: int = 10
) -> Examples:
    """Whole photos that need not exist, as many of each class."""

    def part(name: str, count: int) -> tuple[Example, ...]:
        return tuple(
            Example(f"{label}/{name} {number}.png", label)
            for label in range(classes)
            for number in range(count)
        )

    names = class_names(classes)
    return Examples(folder, names, part("training", training), part("validation", validation))


def logits_of(examples: Examples, *, sure: float = 2.0, seed: int = 0) -> torch.Tensor:
    """Noise, in which the right class is ``sure`` higher."""
    labels = torch.tensor([example.label for example in examples.validation], dtype=torch.int64)
    noise = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(labels), len(examples.classes), generator=noise)
    return logits + sure * nn.functional.one_hot(labels, len(examples.classes))


def make_history(epochs: int, *, validation: bool = True) -> tuple[Epoch, ...]:
    """Losses that fall, those of validation until two thirds of the epochs."""
    history = []
    for number in range(1, epochs + 1):
        share = number / epochs
        loss, accuracy = 1.1 * np.exp(-3 * share), 1 - 0.6 * np.exp(-3 * share)
        both = (0.5 + (share - 2 / 3) ** 2, 0.9 - (share - 2 / 3) ** 2 / 2)
        of_validation = both if validation else (None, None)
        history.append(Epoch(number, loss, accuracy, *of_validation, 1e-3, 1.5))
    return tuple(history)


def make_trained(
    folder: Path,
    *,
    examples: Examples | None = None,
    logits: torch.Tensor | None = None,
    history: tuple[Epoch, ...] | None = None,
    schedule: Schedule | None = None,
    resumed_after: tuple[int, ...] = (),
) -> Trained:
    """The outcome of a training of a network that is none."""
    examples = examples or make_examples(folder)
    if logits is None:
        logits = logits_of(examples)
    history = history or make_history(12, validation=bool(examples.validation))
    classifier = Classifier(
        f"net of {HOSTILE}",
        Preprocessing(20, (0.5,) * 3, (0.5,) * 3),
        ClassList(examples.classes),
        "default",
        "0" * 64,
        module=nn.Linear(2, 2),
    )
    losses = [epoch.validation_loss for epoch in history]
    best = history[-1] if None in losses else history[int(np.argmin(losses))]
    return Trained(
        classifier,
        folder / "net.safetensors",
        examples,
        schedule or Schedule(epochs=len(history), patience=8),
        history,
        best,
        resumed_after,
        validated(examples, logits),
        20.0,
    )


def tables_of(page: str) -> list[list[list[str]]]:
    """The texts of all cells of all tables of a page, row by row, headings too."""
    return [
        [
            [unescape(re.sub(r"<[^>]+>", "", cell)) for cell in re.findall(_CELL, row, re.DOTALL)]
            for row in re.findall(r"<tr[^>]*>(.*?)</tr>", table, re.DOTALL)
        ]
        for table in re.findall(r"<table[^>]*>(.*?)</table>", page, re.DOTALL)
    ]


_CELL = r"<t[hd](?: [^>]*)?>(.*?)</t[hd]>"
