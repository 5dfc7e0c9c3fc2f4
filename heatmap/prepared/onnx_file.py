"""Look into an ONNX file, and refuse what could read or run anything else, before it is loaded."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ..contents import no_file
from ..errors import ModelError, reason_of
from .typed import file_digest

# Lengths, names of lengths that may differ, or "?"; None where even their number is unknown.
Shape: TypeAlias = tuple[int | str, ...] | None

# Whose operations come with ONNX Runtime.
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
_TYPES = {"float": "float32", "double": "float64"}


@dataclass(frozen=True)
class Value:
    """An input or output.

    >>> print(Value("photos", "float32", ("batch", 3, 224, 224)))
    'photos': float32 (batch, 3, 224, 224)
    """

    name: str
    dtype: str
    shape: Shape

    def __str__(self) -> str:
        shape = "of any shape" if self.shape is None else f"({', '.join(map(str, self.shape))})"
        return f"{self.name!r}: {self.dtype} {shape}"


@dataclass(frozen=True)
class OnnxFile:
    """What an ONNX file says of itself.

    Attributes:
        path: the file.
        inputs, outputs: those of its network.
        properties: its metadata properties.
        digest: SHA-256 of it and of the weights beside it, 64 hex digits.
    """

    path: Path
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    properties: Mapping[str, str]
    digest: str


def read_onnx_file(path: Path) -> OnnxFile:
    """Read a file without its separate weights, and check what ONNX Runtime would do with it.

    Raises:
        ModelError: it is no ONNX file, has operations that are not ONNX Runtime's own, or weights
            that are not in an ordinary file beside it.
    """
    # Weights are beside the file itself, not beside a link to it.
    path = Path(os.path.realpath(path)) if os.path.islink(path) else path
    model = _parsed(path)
    graph, own = model.graph, {function.domain for function in model.functions}
    beside = set()
    for part in (graph, *model.functions):
        for nodes, tensors in _parts(part):
            _check_domains(path, nodes, own)
            beside |= {_beside(path, tensor) for tensor in tensors if tensor.external_data}
    held = {tensor.name for tensor in graph.initializer}
    return OnnxFile(
        path,
        tuple(_value(value) for value in graph.input if value.name not in held),
        tuple(map(_value, graph.output)),
        {entry.key: entry.value for entry in model.metadata_props},
        _digest([path, *sorted(beside)]),
    )


def _parsed(path: Path) -> Any:
    import onnx

    try:
        if reason := no_file(path.stat()):
            raise ModelError(f"{path}: {reason}")
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {reason_of(error)}") from error
    # protobuf has a class of its own for what it cannot read, and others raise further ones.
    except Exception as error:
        raise ModelError(f"{path}: not an ONNX file, or damaged") from error
    if not model.graph.node:
        raise ModelError(f"{path}: not an ONNX file, or damaged")
    return model


def _parts(part: Any) -> Iterator[tuple[Any, list[Any]]]:
    """The nodes and tensors of a graph or function, and of all graphs in it."""
    tensors = list(getattr(part, "initializer", ()))
    for sparse in getattr(part, "sparse_initializer", ()):
        tensors += [sparse.values, sparse.indices]
    inner = []
    for node in part.node:
        for attribute in node.attribute:
            tensors += [attribute.t, *attribute.tensors]
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                tensors += [sparse.values, sparse.indices]
            inner += [attribute.g, *attribute.graphs]
    yield part.node, tensors
    for graph in inner:
        if graph.node or graph.initializer:
            yield from _parts(graph)


def _check_domains(path: Path, nodes: Any, own: set[str]) -> None:
    """Refuse operations that neither ONNX Runtime has nor the file itself defines."""
    for node in nodes:
        if node.domain not in _DOMAINS and node.domain not in own:
            raise ModelError(
                f"{path} has the operation {node.op_type!r} of {node.domain!r}, and no library of "
                "operations is loaded: export it with those of ONNX alone"
            )


def _beside(path: Path, tensor: Any) -> Path:
    """The file of a tensor that is not in the file itself.

    Raises:
        ModelError: it is not an ordinary file beside it.
    """
    location: str = {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
    reason, beside = _no_name(location), path.parent / location
    try:
        if not reason and not stat.S_ISREG(os.lstat(beside).st_mode):
            reason = "which is no ordinary file"
    except (OSError, ValueError) as error:
        reason = f"which cannot be read: {reason_of(error)}"
    if reason:
        raise ModelError(
            f"{path} keeps weights in {location!r}, {reason}: they are read only from a file "
            "beside it, named without its folder"
        )
    return beside


def _no_name(location: str) -> str:
    """Why this is not the name of a file in the same folder, or ""."""
    plain = location not in ("", ".", "..") and not set(location) & set("/\\:\0")
    return "" if plain else "which may lie anywhere"


def _value(value: Any) -> Value:
    import onnx

    kind = value.type.tensor_type
    name = onnx.TensorProto.DataType.Name(kind.elem_type).lower()
    if value.type.WhichOneof("value") != "tensor_type":
        name = str(value.type.WhichOneof("value")).removesuffix("_type")
    shape = None
    if kind.HasField("shape"):
        shape = tuple(
            dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?"
            for dim in kind.shape.dim
        )
    return Value(value.name, _TYPES.get(name, name), shape)


def _digest(files: list[Path]) -> str:
    first, *others = map(file_digest, files)
    return hashlib.sha256(" ".join([first, *others]).encode()).hexdigest() if others else first
