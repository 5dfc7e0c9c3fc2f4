"""The layer table of a converted network for a photo of a given size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Unpack

import torch
from torch import fx, nn

from ..choices import Statistics, check_statistics
from ..conversion.convert import convert_usable
from ..conversion.graph import layer, operation, read_attribute
from ..conversion.layers import ChannelLayerNorm, MeanOfWindow, PoolOfOne, SliceHead, SlidingLinear
from ..conversion.network import FullyConvolutional
from ..conversion.operation_facts import Fact, has
from ..conversion.shapes import peak_bytes, shapes_at
from ..errors import GeometryError
from ..geometry import whole_windows
from ..keywords import among, check_keywords
from .classifier import Classifier
from .layer_table import LayerRow, Summary
from .load import Model, load_classifier
from .load_options import LoadOptions
from .model_names import DEFAULT_MODEL

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


def summary(
    model: Model = DEFAULT_MODEL,
    *,
    photo_size: tuple[int, int] | None = None,
    statistics: Statistics | None = None,
    **options: Unpack[LoadOptions],
) -> Summary:
    """Describe each layer of the converted network, before BatchNorm is folded.

    Args:
        model, options: as for :func:`heatmap.load_classifier`.
        photo_size: width and height of the photo, px; None is one window.
        statistics: over what layers that look at their whole input take statistics: "local", a
            window around each position, or "whole", the photo; None is "whole".

    Raises:
        ModelError: the network cannot be loaded.
        ConversionError: the network cannot slide.
        GeometryError: the photo is smaller than the window.
    """
    check_keywords(summary, options, LoadOptions)
    classifier = load_classifier(model, **among(options, LoadOptions))
    return _summary(classifier, photo_size, check_statistics(statistics) or "whole")


def _summary(
    classifier: Classifier, photo_size: tuple[int, int] | None, statistics: Statistics
) -> Summary:
    window = classifier.preprocessing.window_px
    width, height = photo_size or (window, window)
    if min(height, width) < window:
        raise GeometryError(
            f"photo is {width} x {height} px, the window is {window} px: give at least that"
        )
    channels = classifier.preprocessing.channels
    network = convert_usable(
        classifier.module, window, channels=channels, statistics=statistics, fuse=False
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
        weights=classifier.weights,
        notes=classifier.notes,
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
    if isinstance(module, MeanOfWindow):
        return "AvgPool2d"
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
