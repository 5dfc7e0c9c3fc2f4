"""Digests of what was typed: of files that cannot be read yet, and of long arrays."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from heatmap.prepared import typed
from heatmap.prepared.typed import digest_of_typed, file_digest


def test_file_that_could_not_be_read_is_read_again(cache, tmp_path, monkeypatch):
    """Its size, time and path are the same then."""
    path = tmp_path / "own.pt"
    path.write_bytes(b"weights")
    then = time.time() - 1000
    os.utime(path, (then, then))
    with monkeypatch.context() as patch:
        patch.setattr(typed, "digest_of", lambda _: "")
        assert file_digest(path) == ""
    assert file_digest(path) == typed.digest_of(path) != ""


@pytest.mark.parametrize("changed", [0, 700, 1999])
def test_every_value_of_an_array_counts(cache, changed):
    names = np.array([f"name {number}" for number in range(2000)])
    others = names.copy()
    others[changed] = "another"
    digests = {
        digest_of_typed("resnet18", {"class_names": given}, "auto", None)
        for given in (names, others, list(names))
    }
    assert len(digests) == 2
