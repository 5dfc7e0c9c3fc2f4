"""The command line as tests call it: networks by name, what a call gives, and what it leaves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

NETWORKS = "tests.support.command_networks"


def network(name: str) -> tuple[str, ...]:
    """The options that name a small network."""
    return ("-m", f"{NETWORKS}:{name}", "--window", "32")


PADDED, PLAIN, POOLED = network("padded"), network("plain"), network("pooled")
# They look like markup, two are alike, and one is not ASCII.
CLASS_NAMES = ("[red]cat[/red]", "[/]", "crane", "crane", "日本 é")
SQUEEZING, ATTENDING = network("squeezing"), network("attending")


@dataclass(frozen=True)
class Outcome:
    """Exit code, standard output and standard error of a call."""

    code: int
    out: str
    err: str


def everything(folder: str | Path = ".") -> list[str]:
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


def without_colours(text: str) -> str:
    """What a terminal shows, without the codes that steer it."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def save_with_pillow(path, mode: str = "RGB", hw: tuple[int, int] = (40, 50), **options) -> None:
    """Write noise as a photo of height and width ``hw``."""
    pixels = np.random.default_rng(0).integers(0, 256, (*hw, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, **options)
