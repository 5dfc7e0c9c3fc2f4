"""The command line, called in this process in a folder of its own, with networks prepared once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import cv2
import pytest
import skimage.data

from heatmap.cli import main as cli
from heatmap.scoring import prepare as preparing
from tests.support.command_line import CLASS_NAMES, NETWORKS, Outcome
from tests.support.training import coloured_photos

_prepare = preparing.prepare


@pytest.fixture(scope="session")
def prepare_once() -> Callable[..., Any]:
    """As ``heatmap.prepare``; what small networks and the built-in one become is kept."""
    prepared: dict[str, Any] = {}

    @wraps(_prepare)
    def prepare(model: Any, **options: Any) -> Any:
        if str(model).partition(":")[0] not in (NETWORKS, "efficientnet_lite0"):
            return _prepare(model, **options)
        asked = sorted(each for each in options.items() if each[0] != "progress")
        key = repr((model, asked))
        # A file may be another one at the next call.
        if key not in prepared or options.get("class_names") or options.get("groups"):
            prepared[key] = _prepare(model, **options)
        return prepared[key]

    return prepare


@pytest.fixture
def call(tmp_path, monkeypatch, capsys, prepare_once):
    """Run the command line, in a folder with a photo and names of classes."""
    cv2.imwrite(str(tmp_path / "cat.png"), skimage.data.chelsea()[60:160, 100:220, ::-1])
    (tmp_path / "names.txt").write_text("\n".join(CLASS_NAMES), "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEATMAP_DEBUG", raising=False)
    monkeypatch.setattr(preparing, "prepare", prepare_once)

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["heatmap", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def photos(tmp_path):
    """Three folders of coloured photos to train on."""
    return coloured_photos(tmp_path / "photos")
