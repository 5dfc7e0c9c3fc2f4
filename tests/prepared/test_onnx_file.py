"""What a file of a network may not do, or have."""

from __future__ import annotations

import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import heatmap
from heatmap.networks.exported import read_exported
from tests.support.exports import PLAIN, other_program, product, scores_of
from tests.support.scoring import photo


def beside(path, location: str) -> None:
    """Write a network whose weights are in another file, which it names so."""
    other_program(path)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="w", size_threshold=0)
    model = onnx.load(path, load_external_data=False)
    (entry,) = (each for each in model.graph.initializer[0].external_data if each.key == "location")
    entry.value = location
    onnx.save(model, path)


def test_weights_beside_the_file_are_read(tmp_path):
    weights = other_program(tmp_path / "a.onnx")
    beside(tmp_path / "a.onnx", "w")
    exported = read_exported(tmp_path / "a.onnx", **PLAIN)
    window = photo(8, 8)
    scores = scores_of(exported, window[None])
    np.testing.assert_allclose(scores, product(weights, window[None]), rtol=1e-4, atol=1e-4)
    # They are part of what the file is known by.
    (tmp_path / "w").write_bytes(bytes(len((tmp_path / "w").read_bytes())))
    assert read_exported(tmp_path / "a.onnx", **PLAIN).file.digest != exported.file.digest


@pytest.mark.parametrize(
    "location",
    ["/etc/hostname", "../w", "..", ".", "", "in/w", "*/_ORT_MEM_ADDR_/*", "C:w", r"in\w"],
)
def test_weights_elsewhere_are_refused(tmp_path, location):
    (tmp_path / "in").mkdir()
    beside(tmp_path / "in" / "a.onnx", location)
    with pytest.raises(heatmap.ModelError, match="which may lie anywhere: they are read only from"):
        read_exported(tmp_path / "in" / "a.onnx")


def test_weights_behind_a_link_are_refused(tmp_path):
    beside(tmp_path / "a.onnx", "link")
    os.symlink(tmp_path / "w", tmp_path / "link")
    with pytest.raises(heatmap.ModelError, match="'link', which is no ordinary file"):
        read_exported(tmp_path / "a.onnx")
    beside(tmp_path / "a.onnx", "missing")
    with pytest.raises(heatmap.ModelError, match="'missing', which cannot be read: No such file"):
        read_exported(tmp_path / "a.onnx")


def test_weights_elsewhere_are_refused_within_a_branch_too(tmp_path):
    other_program(tmp_path / "a.onnx")
    model = onnx.load(tmp_path / "a.onnx")
    tensor = TensorProto(name="w", data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/hostname")
    constant = helper.make_node("Constant", [], ["c"], value=tensor)
    branch = helper.make_graph([constant], "branch", [], [])
    model.graph.node.append(
        helper.make_node("If", ["c"], ["d"], then_branch=branch, else_branch=branch)
    )
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(heatmap.ModelError, match="'/etc/hostname', which may lie anywhere"):
        read_exported(tmp_path / "a.onnx")


def test_operations_of_others_are_refused_by_name(tmp_path):
    other_program(tmp_path / "a.onnx", operation="Fold", domain="their.ops")
    with pytest.raises(heatmap.ModelError, match=r"the operation 'Fold' of 'their\.ops', and no"):
        read_exported(tmp_path / "a.onnx")


def test_operations_that_the_file_defines_are_taken(tmp_path):
    weights = other_program(tmp_path / "a.onnx", operation="Fold", domain="their.ops")
    model = onnx.load(tmp_path / "a.onnx")
    flatten = helper.make_node("Flatten", ["x"], ["y"])
    opset = [helper.make_opsetid("", 17)]
    model.functions.append(
        helper.make_function("their.ops", "Fold", ["x"], ["y"], [flatten], opset)
    )
    onnx.save(model, tmp_path / "a.onnx")
    window = photo(8, 8)[None]
    scores = scores_of(read_exported(tmp_path / "a.onnx", **PLAIN), window)
    np.testing.assert_allclose(scores, product(weights, window), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("content", [b"", b"\x00" * 99, b"PK\x03\x04 no network"])
def test_what_is_no_onnx_file_is_refused(tmp_path, content):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(heatmap.ModelError, match=r"a\.onnx: not an ONNX file, or damaged"):
        read_exported(tmp_path / "a.onnx")


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(heatmap.ModelError, match="cannot be read: No such file or directory"):
        read_exported(tmp_path / "a.onnx")
    (tmp_path / "a.onnx").mkdir()
    with pytest.raises(heatmap.ModelError, match=r"a\.onnx: is a directory"):
        read_exported(tmp_path / "a.onnx")
    os.mkfifo(tmp_path / "b.onnx")
    with pytest.raises(heatmap.ModelError, match=r"b\.onnx: is a pipe, not a file"):
        read_exported(tmp_path / "b.onnx")
