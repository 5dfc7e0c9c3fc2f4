"""What several tests of networks share; each kind of exported file is written once."""

from __future__ import annotations

import pytest
from torch import nn

from heatmap import load_classifier
from heatmap.networks import export as programs
from tests.support.exports import Exported, exported
from tests.support.networks import Classifier as Network
from tests.support.networks import heads, randomise


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


@pytest.fixture
def averaging():
    """A network that averages over its map, as ResNet does: window 32, stride 4, map 8 x 8."""
    module = randomise(Network(heads()["global pool"]), 32)
    return load_classifier(module, window=32)


@pytest.fixture
def flattening():
    """One that flattens its map, as VGG does, with a hidden layer; without padding, map 7 x 7."""
    head = nn.Sequential(
        nn.Flatten(), nn.Linear(8 * 7 * 7, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 5)
    )
    return load_classifier(randomise(Network(head, padding=0), 31), window=31)
