"""The layer table of a converted network for a photo of a given size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import fx, nn

from ..conversion.convert import convert_usable
from ..conversion.graph import layer, operation, read_attribute
from ..conversion.layers import ChannelLayerNorm, PoolOfOne, SliceHead, SlidingLinear
from ..conversion.network import FullyConvolutional
from ..conversion.operation_facts import Fact, has
from ..conversion.shapes import peak_bytes, shapes_at
from ..errors import GeometryError
from ..geometry import whole_windows
from ..grid.outputs import Outputs
from ..localization.auto_scales import ScaleRule
from .load import Model, load_classifier
from .model_names import DEFAULT_MODEL

MIB = 2**20

_TYPES = {
    "conv2d": "Conv2d",
    "linear": "Linear",
    "batch_norm": "BatchNorm2d",
    "layer_norm": "LayerNorm",
    "group_norm": "GroupNorm",
    "relu": "ReLU",
    "relu6": "ReLU6",
    "hardtanh": "Hardtanh",
    "silu": "SiLU",
    "gelu": "GELU",
    "hardswish": "Hardswish",
    "leaky_relu": "LeakyReLU",
    "sigmoid": "Sigmoid",
    "max_pool2d": "MaxPool2d",
    "avg_pool2d": "AvgPool2d",
    "adaptive_avg_pool2d": "AdaptiveAvgPool2d",
    "adaptive_max_pool2d": "AdaptiveMaxPool2d",
    "dropout": "Dropout",
    "softmax": "Softmax",
    "log_softmax": "LogSoftmax",
    "pad": "Pad",
    "constant_pad_nd": "Pad",
    "add": "Add",
    "mul": "Multiply",
    "cat": "Concatenate",
    "upsample_nearest2d": "Upsample",
    "upsample_bilinear2d": "Upsample",
}


@dataclass(frozen=True)
class LayerRow:
    """One layer of the table.

    Attributes:
        path: the layer's name in the network.
        kind: its type, such as "Conv2d".
        detail: kernel and channels of a convolution; otherwise "".
        shape: shape of its output for one photo: channels, height, width.
        parameters: number of parameters.
        trainable: number of trainable parameters.
        stride_px: distance between neighbouring positions, in px of the photo.
        field_px: receptive field of one position, in px of the photo.
    """

    path: str
    kind: str
    detail: str
    shape: tuple[int, ...]
    parameters: int
    trainable: int
    stride_px: int
    field_px: int


@dataclass(frozen=True)
class Summary:
    """The layer table of a network, and its totals; bytes are those of float32.

    Attributes:
        model: the network's name.
        photo_hw: height and width of the photo, px.
        grid_hw: number of rows and columns of windows.
        window_px: side of a window, px.
        native_stride_px: the network's native stride, px.
        outputs: what its scores mean, as in :attr:`heatmap.ScoreGrid.kind`.
        scale_rule: which scales photos are scored at where none are given.
        box_examples: number of examples that its box regression was fitted to; 0 without one.
        rows: one row per layer, in the order of computation.
        parameters: number of parameters.
        trainable: number of trainable parameters.
        unused: number of parameters in layers that scoring does not use (auxiliary heads).
        input_bytes: bytes of the photo.
        activation_bytes: bytes of the outputs of all layers; training needs about twice that
            (outputs and gradients).
        parameter_bytes: bytes of the parameters.
        peak_bytes: largest number of bytes in use at once during scoring.
    """

    model: str
    photo_hw: tuple[int, int]
    grid_hw: tuple[int, int]
    window_px: int
    native_stride_px: int
    outputs: Outputs
    scale_rule: ScaleRule
    box_examples: int
    rows: tuple[LayerRow, ...]
    parameters: int
    trainable: int
    unused: int
    input_bytes: int
    activation_bytes: int
    parameter_bytes: int
    peak_bytes: int


def summary(model: Model = DEFAULT_MODEL, *, photo_hw: tuple[int, int] | None = None) -> Summary:
    """Describe each layer of the converted network, before BatchNorm is folded.

    Args:
        model: a name, a path to a checkpoint, an ``nn.Module`` or a Classifier.
        photo_hw: height and width of the photo, px; None is one window.

    Raises:
        ModelError: the network cannot be loaded.
        ConversionError: the network cannot slide.
        GeometryError: the photo is smaller than the window.
    """
    classifier = load_classifier(model)
    window = classifier.preprocessing.window_px
    height, width = photo_hw or (window, window)
    if min(height, width) < window:
        raise GeometryError(
            f"photo is {width} x {height} px, the window is {window} px: give at least that"
        )
    channels = classifier.preprocessing.channels
    network = convert_usable(
        classifier.module, window, channels=channels, statistics="whole", fuse=False
    )
    photo = torch.empty(1, network.channels, height, width, device="meta")
    seen = network.whole_windows(photo).shape
    rows, sizes = _rows(network, tuple(seen))
    counted = dict(classifier.module.named_parameters())
    parameters = sum(p.numel() for p in counted.values())
    used = network.plan.traced.used
    native = network.native_stride_px
    return Summary(
        model=classifier.name,
        photo_hw=(height, width),
        grid_hw=(
            whole_windows(height, window, native),
            whole_windows(width, window, native),
        ),
        window_px=window,
        native_stride_px=native,
        outputs=classifier.outputs,
        scale_rule=classifier.scale_rule,
        box_examples=boxes.examples if (boxes := classifier.box_regression) else 0,
        rows=tuple(rows),
        parameters=parameters,
        trainable=sum(p.numel() for p in counted.values() if p.requires_grad),
        unused=sum(p.numel() for name, p in counted.items() if name not in used),
        input_bytes=4 * math.prod(seen),
        activation_bytes=sum(4 * math.prod(row.shape) for row in rows),
        parameter_bytes=4 * parameters,
        peak_bytes=sizes,
    )


def _rows(network: FullyConvolutional, input_shape: tuple[int, ...]) -> tuple[list[LayerRow], int]:
    """All rows, trunk first, and the peak of bytes in use in the trunk."""
    shapes = shapes_at(network.trunk, input_shape)
    rows = list(_trunk_rows(network.trunk, shapes))
    feature = next(n for n in network.trunk.graph.nodes if n.op == "output").all_input_nodes[0]
    if isinstance(network.head, fx.GraphModule):
        rows += _head_rows(network, shapes[feature])
    else:
        rows += _slice_head_rows(network, shapes[feature])
    return rows, peak_bytes(network.trunk, shapes)


def _trunk_rows(body: fx.GraphModule, shapes: dict[fx.Node, tuple[int, ...]]) -> Iterator[LayerRow]:
    for node, row in _recorded_rows(body, shapes):
        layout = node.meta.get("layout")
        if layout:
            row = replace(
                row, stride_px=layout.stride_hw[0], field_px=max(layout.receptive_field_hw)
            )
        yield row


def _recorded_rows(
    body: fx.GraphModule, shapes: dict[fx.Node, tuple[int, ...]]
) -> Iterator[tuple[fx.Node, LayerRow]]:
    """A row for each operation of a recorded graph, with 0 as stride and receptive field."""
    for node in body.graph.nodes:
        name = operation(node)
        if node.op != "call_function" or _is_silent(node) or node not in shapes:
            continue
        tensors = [
            read_attribute(body, str(n.target)) for n in node.all_input_nodes if n.op == "get_attr"
        ]
        yield (
            node,
            _row(
                path=layer(node)[0],
                kind=_TYPES.get(name, name),
                detail=_convolution_detail(tensors) if name == "conv2d" else "",
                shape=shapes[node][1:],
                tensors=tensors,
                stride_px=0,
                field_px=0,
            ),
        )


def _is_silent(node: fx.Node) -> bool:
    """Whether an operation gets no row, since it only moves or copies values."""
    return operation(node) == "sym_size" or has(node, Fact.VIEW | Fact.COPY | Fact.CAST)


def _row(tensors: list[torch.Tensor], **fields: object) -> LayerRow:
    parameters = [t for t in tensors if isinstance(t, nn.Parameter)]
    return LayerRow(
        parameters=sum(p.numel() for p in parameters),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        **fields,  # type: ignore[arg-type]
    )


def _convolution_detail(tensors: list[torch.Tensor]) -> str:
    outs, ins, n, m = next(t.shape for t in tensors if t.dim() == 4)
    return f"{n} x {m}, {ins} to {outs}"


def _head_rows(network: FullyConvolutional, feature_shape: tuple[int, ...]) -> Iterator[LayerRow]:
    """Rows of the converted head; after its pool or fc a position sees the whole slice."""
    body = network.head
    assert isinstance(body, fx.GraphModule)
    shapes = shapes_at(body, feature_shape)
    field = network.receptive_field_px
    for node in body.graph.nodes:
        name = operation(node)
        module = body.get_submodule(str(node.target)) if node.op == "call_module" else None
        if node not in shapes or (module is None and (not name or _is_silent(node))):
            continue
        if shapes[node][2:] != feature_shape[2:]:
            field = network.window_receptive_field_px
        yield _row(
            path=str(node.target) if module is not None else layer(node)[0],
            kind=_module_kind(module) if module is not None else _TYPES.get(name, name),
            detail=_convolution_detail(list(module.parameters()))
            if isinstance(module, nn.Conv2d)
            else "",
            shape=shapes[node][1:],
            tensors=list(module.parameters()) if module is not None else [],
            stride_px=network.native_stride_px,
            field_px=field,
        )


def _module_kind(module: nn.Module) -> str:
    if isinstance(module, SlidingLinear):
        return "Conv2d"
    if isinstance(module, PoolOfOne):
        return _TYPES.get(module.kind, module.kind)
    return "LayerNorm" if isinstance(module, ChannelLayerNorm) else type(module).__name__


def _slice_head_rows(
    network: FullyConvolutional, feature_shape: tuple[int, ...]
) -> Iterator[LayerRow]:
    """Rows of a head that runs unchanged on every slice, with shapes for one slice."""
    assert isinstance(network.head, SliceHead)
    body, (n, m) = network.head.head, network.map_hw
    native = network.native_stride_px
    slices = (1, feature_shape[1], n, m)
    if network.head.channels_last:
        slices = (1, n, m, feature_shape[1])
    for _, row in _recorded_rows(body, shapes_at(body, slices)):
        yield replace(
            row,
            detail=row.detail or f"on each {n} x {m}",
            stride_px=native,
            field_px=network.window_receptive_field_px,
        )
