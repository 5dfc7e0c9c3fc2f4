"""README: one screen, and pictures made by the commands beside them."""

from __future__ import annotations

import re

import numpy as np
import pytest

import heatmap
from tests.support.examples import command_lines
from tests.support.paths import ROOT

README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
# Of a screen in which paragraphs and the row of pictures are a few lines high.
MOST_LINES = 80


def test_readme_is_one_screen_with_three_commands():
    assert len(TEXT.splitlines()) <= MOST_LINES
    assert len(command_lines(README)) == 3
    assert "make demo" in TEXT
    assert "make test" in TEXT


def test_pictures_of_readme_are_there():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", TEXT)
    assert len(pictures) == 3
    assert [path for path in pictures if not (ROOT / path).is_file()] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["coffee", "camera", "chelsea"])
def test_pictures_are_those_of_the_commands_above_them(tmp_path, name):
    photo = f"samples/photos/{name}.png"
    assert f"| `heatmap run {photo}` |" in TEXT
    done = heatmap.run(ROOT / photo, output=tmp_path)
    drawn, shown = (
        heatmap.read_photo(path).pixels.astype(int)
        for path in (done.saved.pictures[0], ROOT / "docs" / "img" / f"{name}.jpg")
    )
    assert drawn.shape == shown.shape
    assert np.abs(drawn - shown).mean() < 1
