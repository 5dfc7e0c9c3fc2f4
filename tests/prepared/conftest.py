"""One network that is prepared once for all tests of where such networks are kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import heatmap
from heatmap.prepared.network import PreparedNetwork
from tests.support.networks import WINDOW, heads, small_classifier

Write = Callable[[Path], PreparedNetwork]


@pytest.fixture(scope="session")
def network(_shared_cache) -> PreparedNetwork:
    """A prepared network in another cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEATMAP_CACHE", str(_shared_cache))
        module = small_classifier(heads()["global pool"])
        scorer = heatmap.prepare(module, window=WINDOW, backend="onnx")
        prepared = scorer.prepared_at(scorer.native_stride_px)
    assert prepared is not None
    return prepared


@pytest.fixture
def write(network) -> Write:
    """Writes the network to a path, as an export does."""

    def copy(path: Path) -> PreparedNetwork:
        shutil.copy(network.file, path)
        return replace(network, file=path, digest="")

    return copy
