"""Examples in docstrings, run in a folder that holds cat.png."""

from __future__ import annotations

import doctest
import importlib
import shutil
from pathlib import Path

import pytest
import skimage.data

import heatmap
from tests.support.examples import save
from tests.support.paths import ROOT

NAMES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "heatmap").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.fixture(scope="module")
def cat(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "cat.png"
    save(path, skimage.data.chelsea(), 1)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_examples_in_docstrings_give_what_they_say(name, cat, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(cat, tmp_path)
    module = importlib.import_module(name)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(module, extraglobs={"heatmap": heatmap}, optionflags=flags)
    assert result.failed == 0
