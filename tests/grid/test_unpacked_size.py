"""Grid files that claim to be large, or are no files: refused before they are unpacked."""

import io
import os
import zipfile

import numpy as np
import pytest

from heatmap.errors import ResultError
from heatmap.grid import read
from heatmap.grid.read import load


def packed(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def npy_header(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    described = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, described)
    return stream.getvalue()


@pytest.mark.parametrize("name", ["scores", "meta"])
def test_what_is_larger_than_any_grid_in_a_file_is_not_unpacked(tmp_path, name, monkeypatch):
    # As a file of 10 GB that was packed to 10 MB, only smaller.
    monkeypatch.setattr(read, "_MOST_BYTES", 10**6)
    members = {"scores": npy_header((10, 10, 10)), "meta": b"{}"}
    members[name] += bytes(2 * 10**6)
    (tmp_path / "a.npz").write_bytes(packed(**members))

    def unpacked(*_, **__):
        raise AssertionError("it was unpacked")

    monkeypatch.setattr(np, "load", unpacked)
    message = rf"a.npz: {name}.npy claims 0.0 GB unpacked, in a score grid it is at most 0.0 GB"
    with pytest.raises(ResultError, match=message):
        load(tmp_path / "a.npz")


def test_the_shape_that_an_array_claims_costs_nothing(tmp_path):
    content = packed(scores=npy_header((10**6, 10**6, 1000)), meta=npy_header((1,)) + bytes(4))
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ResultError, match=r"a\.npz: not a score grid that can be read"):
        load(tmp_path / "a.npz")


def test_a_pipe_is_no_grid(tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    with pytest.raises(ResultError, match=r"a\.npz: not a score .* read: is a pipe, not a file"):
        load(tmp_path / "a.npz")
