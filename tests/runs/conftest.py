"""What the tests of runs share: a small network, a photo, folders of photos."""

from __future__ import annotations

import pytest
import tifffile
import torch

import heatmap
from heatmap.grid import collector as collecting
from heatmap.grid import score_grid as grid
from heatmap.runs import photo_run as running
from heatmap.scoring import prepare as preparing
from tests.support.batches import write_photo
from tests.support.networks import WINDOW, Classifier, heads, randomise
from tests.support.runs import PHOTO


@pytest.fixture(autouse=True)
def _prepare_once(monkeypatch, prepared_once):
    monkeypatch.setattr(preparing, "_prepared", prepared_once)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "in"
    for number, name in enumerate(("a.jpg", "a.png", "sub/a.jpg", "sub/deep/b.tif")):
        write_photo(folder / name, number)
    return folder


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture(scope="module")
def scorer():
    torch.manual_seed(0)
    return heatmap.prepare(randomise(Classifier(heads()["fc layers"]), WINDOW), window=WINDOW)


@pytest.fixture
def photo(tmp_path):
    (tmp_path / "photos").mkdir()
    tifffile.imwrite(tmp_path / "photos" / "cat.tif", PHOTO, tile=(64, 64))
    return tmp_path / "photos" / "cat.tif"


@pytest.fixture
def large_grids(monkeypatch):
    for module in (grid, collecting, running):
        monkeypatch.setattr(module, "LARGE_GRID_BYTES", 0)
