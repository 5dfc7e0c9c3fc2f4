"""What tests of training share."""

from __future__ import annotations

import pytest

from tests.support.training import coloured_photos


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Three folders of ten coloured photos."""
    monkeypatch.chdir(tmp_path)
    return coloured_photos(tmp_path / "photos")
