"""Write ONNX files with torch, and run them with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.export import ExportedProgram

from ..conversion.graph import operation
from ..marks import MARK

# An ONNX file is limited to 2 GiB; larger weights are written to a separate file.
SINGLE_FILE_BYTES = 2 * 10**9

# Photos (B, 3, H, W) -> scores (B, K, N, M).
RunProgram: TypeAlias = Callable[[Tensor], Tensor]


def is_large(program: ExportedProgram) -> bool:
    """Whether the weights need a separate file."""
    size: int = sum(tensor.nbytes for tensor in program.state_dict.values())
    return size > SINGLE_FILE_BYTES


def data_file(path: Path) -> Path:
    """The separate file of the weights of an ONNX file."""
    return path.with_name(f"{path.name}.data")


def onnx_model(
    program: ExportedProgram, classes: int, least_chw: Sequence[int], notes: Mapping[str, str]
) -> Any:
    """A recorded network as ``torch.onnx.ONNXProgram``, its ``notes`` as metadata properties.

    Input "photos" (batch, channels, height, width), output "scores" (batch, classes, rows,
    columns); a photo smaller than ``least_chw``, (channels, height, width) of a window, is an
    error. The program is changed.
    """
    written = onnx_program(program, "photos", ["scores"])
    _refuse_below(written.model, least_chw)
    axes = {
        "photos": ("batch", least_chw[0], "height", "width"),
        "scores": ("batch", classes, "rows", "columns"),
    }
    name_axes(written.model, axes)
    written.model.metadata_props.update(notes)
    return written


def onnx_program(program: ExportedProgram, name: str, outputs: Sequence[str]) -> Any:
    """A recorded network as ``torch.onnx.ONNXProgram``, without metadata about the recording.

    Weights that are the same are stored once. The program is changed.
    """
    from onnx_ir.passes.common import DeduplicateInitializersPass

    _leave_in_place(program)
    written = torch.onnx.export(
        program, dynamo=True, verbose=False, input_names=[name], output_names=list(outputs)
    )
    assert written is not None
    DeduplicateInitializersPass(size_limit=2**40)(written.model)
    for node in written.model.graph.all_nodes():
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
            value.shape = None
    written.model.producer_name = MARK
    return written


def name_axes(model: Any, axes: Mapping[str, Sequence[str | int]]) -> None:
    """Name the axes of inputs and outputs: names, or lengths that never differ."""
    import onnx_ir

    for value in (*model.graph.inputs, *model.graph.outputs):
        value.shape = onnx_ir.Shape(axes[value.name])


def _leave_in_place(program: ExportedProgram) -> None:
    """Undo the in-place operations of fuse.py, with which torch takes twice as long to export."""
    for node in program.graph_module.graph.nodes:
        name, schema = operation(node), getattr(node.target, "_schema", None)
        if schema is not None and schema.is_mutable and name.endswith("_"):
            packet = getattr(torch.ops.aten, name.removesuffix("_"))
            node.target = getattr(packet, node.target._overloadname)
    program.graph_module.recompile()


def _refuse_below(model: Any, least_chw: Sequence[int]) -> None:
    """Make photos smaller than the window fail before they reach the network.

    Pooling a feature map that is too small divides by zero in ONNX Runtime, which crashes the
    process. ONNX has no operation that raises an error; so each of the four lengths is looked up
    in the shape at its own index or, if it is too small, at one out of range.
    """
    import onnx_ir

    photos, first = model.graph.inputs[0], model.graph[0]
    readers = list(photos.uses())
    tape = onnx_ir.tape.Tape()

    def number(*values: int) -> Any:
        return tape.op("Constant", [], {"value_ints": values})

    shape = tape.op("Shape", [photos])
    missing = tape.op("Min", [tape.op("Sub", [shape, number(0, *least_chw)]), number(0)])
    indices = tape.op("Add", [number(0, 1, 2, 3), tape.op("Mul", [missing, number(8)])])
    looked_up = tape.op("GatherElements", [shape, indices], {"axis": 0})
    checked = tape.op("Reshape", [photos, looked_up])
    for count, node in enumerate(tape.nodes):
        node.name = f"large_enough_{count}"
        node.outputs[0].name = f"large_enough_{count}"
    for node, index in readers:
        node.replace_input_with(index, checked)
    model.graph.insert_before(first, tape.nodes)


def onnx_runner(path: Path) -> RunProgram:
    """A function that runs an ONNX file in ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Errors are raised as well.
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda photos: torch.from_numpy(session.run(["scores"], {"photos": photos.numpy()})[0])
