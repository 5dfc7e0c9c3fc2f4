"""What tests of exported files share: each kind of file is written once."""

from __future__ import annotations

import pytest

from heatmap.networks import export as programs
from tests.support.exports import Exported, exported


@pytest.fixture(scope="session")
def small_onnx(tmp_path_factory) -> Exported:
    return exported(tmp_path_factory.mktemp("onnx"), "onnx")


@pytest.fixture(scope="session")
def small_torch(tmp_path_factory) -> Exported:
    return exported(tmp_path_factory.mktemp("torch"), "torch")


@pytest.fixture(params=["onnx", "torch"])
def small_file(request) -> Exported:
    """The small network in a file of each kind."""
    return request.getfixturevalue(f"small_{request.param}")


@pytest.fixture
def _written_at_once(small_onnx, monkeypatch):
    """ONNX is not written anew: the small network has been, and nothing of it changed."""
    monkeypatch.setattr(programs, "onnx_model", lambda *_: small_onnx.onnx_model)
