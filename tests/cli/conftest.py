"""The command line, called in this process in a folder of its own, with networks prepared once."""

from __future__ import annotations

import sys

import cv2
import pytest

from heatmap.cli import main as cli
from heatmap.scoring import prepare as preparing
from tests.support.command_line import CLASS_NAMES, Outcome
from tests.support.runs import PHOTO
from tests.support.training import coloured_photos

CAT = cv2.imencode(".png", PHOTO[..., ::-1])[1].tobytes()


@pytest.fixture
def call(tmp_path, monkeypatch, capsys, prepared_once):
    """Run the command line, in a folder with a photo and names of classes."""
    (tmp_path / "cat.png").write_bytes(CAT)
    (tmp_path / "names.txt").write_text("\n".join(CLASS_NAMES), "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEATMAP_DEBUG", raising=False)
    monkeypatch.setattr(preparing, "_prepared", prepared_once)

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
