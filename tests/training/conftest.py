"""What tests of training share."""

from __future__ import annotations

import pytest

from heatmap import Trained
from tests.support.training import coloured_photos, trained


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Three folders of ten coloured photos."""
    monkeypatch.chdir(tmp_path)
    return coloured_photos(tmp_path / "photos")


@pytest.fixture
def enough(monkeypatch):
    """Two photos of a class in the validation split are enough to choose the best epoch by."""
    monkeypatch.setattr("heatmap.training.few_photos.FEWEST_PHOTOS", 2)


@pytest.fixture(scope="session")
def once(tmp_path_factory) -> Trained:
    """The outcome of a training on such photos, at SHORT; leave its files as they are."""
    folder = tmp_path_factory.mktemp("once")
    return trained(coloured_photos(folder / "photos"), folder / "net.safetensors")
