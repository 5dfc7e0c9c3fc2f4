"""Exported networks (ONNX) as models: of `heatmap export`, and of other programs. Without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..class_groups import built_in
from ..classes import ClassList
from ..errors import HeatmapError, ModelError, Use
from ..grid.outputs import read_outputs, with_activation
from ..localization.auto_scales import NATIVE, read_rule
from ..prepared.exported import ExportedFile, ExportedSession
from ..prepared.facts import NetworkFacts, SlidingFacts, read_sliding
from ..prepared.onnx_file import OnnxFile, Value, read_onnx_file
from ..prepared.preprocessing import Preprocessing
from ..threads import thread_count
from .class_names import plain_names
from .overrides import Overrides
from .probe import probe

# Name of the metadata of `heatmap export`: a property in ONNX, an extra file in torch.export.
FACTS_NAME = "heatmap.json"

_MAPS_OF_WINDOWS = (
    "maps are of windows: an exported network gives no scores of single positions, which sharp "
    "maps are made of"
)
_SINGLE = "another program exported it, so that single windows go through it"


@dataclass(frozen=True)
class Exported:
    """An exported network.

    Attributes:
        file: its file.
        facts: what is known of it.
        slides: how it slides; its native stride is that of the file.
    """

    file: ExportedFile
    facts: NetworkFacts
    slides: SlidingFacts


def read_exported(
    path: str | Path,
    *,
    weights: str | Path = "default",
    weights_key: str | None = None,
    architecture: str | None = None,
    **overrides: Any,
) -> Exported:
    """The network in an ONNX file; parameters are as in :func:`heatmap.load_classifier`.

    One that ``heatmap export`` wrote brings all that has to be known. One of another program has
    one input, float32 (B, C, H, W), of 3 channels or 1, and one output, float32 (B, K).

    Raises:
        ModelError: the file cannot be used, or not with these settings.
        ClassError: the file of groups cannot be used.
    """
    given = {
        "weights": weights != "default",
        "weights_key": weights_key is not None,
        "architecture": architecture is not None,
    }
    for name, is_given in given.items():
        if is_given:
            raise ModelError(
                f"{path} is an exported network with weights of its own",
                Use(name, text="leave {} out"),
            )
    onnx, settings = read_onnx_file(Path(path)), Overrides(**overrides)
    if FACTS_NAME in onnx.properties:
        return _of_ours(str(path), onnx, settings)
    return _of_others(str(path), onnx, settings)


def origin_of(path: str | Path) -> str:
    """The name of the model that a file was exported from; "" where it does not say."""
    try:
        described = json.loads(read_onnx_file(Path(path)).properties[FACTS_NAME])
        return str(described["model"])
    except (HeatmapError, KeyError, TypeError, ValueError, RecursionError):
        return ""


def _of_ours(name: str, onnx: OnnxFile, settings: Overrides) -> Exported:
    described = _described(name, onnx)
    base = _checked(name, lambda: Preprocessing(**_preprocessing(described)))
    stride = _checked(name, lambda: _whole(described["stride_px"], base.window_px))
    facts = _checked(name, lambda: _facts(name, described, base))
    wanted = (
        ("photos", base.channels, onnx.inputs),
        ("scores", len(facts.classes), onnx.outputs),
    )
    for value_name, count, values in wanted:
        if [value.name for value in values] != [value_name] or not _is_of(values[0], 4, count):
            raise ModelError(
                f"{name}: its metadata {FACTS_NAME} is not of this network, which has "
                f"{_listed(onnx)}: export it again"
            )
    _check_window(name, settings, base.window_px)
    own = settings.preprocessing(base)
    facts = replace(
        facts,
        preprocessing=settings.for_channels(own, base.channels, name),
        classes=settings.classes(facts.classes, len(facts.classes), name),
        outputs=with_activation(facts.outputs, settings.activation, len(facts.classes)),
    )
    file = ExportedFile(onnx.path, "scores", None, onnx.digest)
    return Exported(file, facts, _checked(name, lambda: _sliding(described, stride)))


def _described(name: str, onnx: OnnxFile) -> Mapping[str, Any]:
    try:
        described = json.loads(onnx.properties[FACTS_NAME])
    except (ValueError, RecursionError) as error:
        raise _not_ours(name, "it is no JSON") from error
    if not isinstance(described, dict):
        raise _not_ours(name, "it is no JSON object")
    return described


def _checked(name: str, read: Any) -> Any:
    """What ``read`` makes of the metadata, in which everything may be anything."""
    try:
        return read()
    except KeyError as error:
        raise _not_ours(name, f"{error} is missing") from error
    except (TypeError, ValueError, AttributeError, OverflowError, HeatmapError) as error:
        reason = error.message if isinstance(error, HeatmapError) else str(error)
        raise _not_ours(name, reason) from error


def _not_ours(name: str, reason: str) -> ModelError:
    return ModelError(
        f"{name}: its metadata {FACTS_NAME} cannot be used: {reason}; export it again"
    )


def _preprocessing(described: Mapping[str, Any]) -> dict[str, Any]:
    names = ("window_px", "mean", "std", "channel_order")
    return {name: described[name] for name in names}


def _whole(value: Any, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise ValueError(f"stride_px is {value!r}")
    return value


def _sliding(described: Mapping[str, Any], stride: int) -> SlidingFacts:
    """How the network slides: as it was exported."""
    statistics = described["statistics"]
    why_not = "" if statistics is None else f"it was exported with {statistics} statistics"
    return read_sliding(
        {
            "sliding": described["sliding"],
            "why_not": why_not,
            "native_stride_px": stride,
            "map_hw": None,
            "statistics": statistics,
        }
    )


def _facts(name: str, described: Mapping[str, Any], own: Preprocessing) -> NetworkFacts:
    """The facts in the metadata.

    Raises:
        KeyError, TypeError, ValueError, HeatmapError: they are none.
    """
    names = _texts(described, "classes")
    if not names:
        raise ValueError("it has no classes")
    plain = plain_names(names, "class")
    model, weights, digest = (
        _text(described, key) for key in ("model", "weights", "weights_digest")
    )
    return NetworkFacts(
        name=name,
        preprocessing=own,
        classes=ClassList(plain, (), built_in(plain)),
        weights=f"file {Path(name).name}, exported from {model} with weights {weights}",
        weights_digest=digest,
        weights_kind="file",
        outputs=read_outputs(described["outputs"]),
        notes=(*_texts(described, "notes"), _MAPS_OF_WINDOWS),
        scale_rule=read_rule(described["scales"]),
    )


def _text(described: Mapping[str, Any], key: str) -> str:
    if not isinstance(described[key], str):
        raise TypeError(f"{key} is no text")
    return str(described[key])


def _texts(described: Mapping[str, Any], key: str) -> list[str]:
    texts = described[key]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"{key} is no list of texts")
    return texts


def _of_others(name: str, onnx: OnnxFile, settings: Overrides) -> Exported:
    given, output = _only(onnx.inputs), _only(onnx.outputs)
    if given is None or output is None or not _takes_photos(given) or not _gives_scores(output):
        raise ModelError(
            f"{name} has {_listed(onnx)}: export a classifier with one input, float32 (B, C, H, W) "
            "of 3 channels or 1, and one output, float32 (B, K)"
        )
    assert given.shape is not None
    batch, channels, *hw = given.shape
    own = _own_preprocessing(name, hw, int(channels), settings)
    file = ExportedFile(onnx.path, output.name, batch if type(batch) is int else None, onnx.digest)
    session = ExportedSession(file, own, thread_count())
    side = own.window_px
    first = session.computed(own.array(np.zeros((side, side, 3), np.uint8)))
    if first.ndim != 2:
        raise ModelError(
            f"{name} gives {first.shape} for one window of {side} px: export a classifier that "
            "gives (B, K), a score for each class"
        )
    try:
        outputs = probe(session.computed, own, first, settings.activation)
    except ModelError as error:
        raise error.about(name) from error
    facts = NetworkFacts(
        name=name,
        preprocessing=own,
        classes=settings.classes(None, first.shape[1], name),
        weights=f"file {Path(name).name}",
        weights_digest=onnx.digest,
        weights_kind="file",
        outputs=outputs,
        scale_rule=NATIVE,
    )
    return Exported(file, facts, SlidingFacts("refused", _SINGLE))


def _own_preprocessing(
    name: str, hw: list[int | str], channels: int, settings: Overrides
) -> Preprocessing:
    """As the user says; the window as the file says, if it does."""
    fixed = {side for side in hw if isinstance(side, int)}
    if len(fixed) > 1:
        raise ModelError(f"{name} takes photos of {hw[1]} x {hw[0]} px: windows are square")
    window = next(iter(fixed), settings.window)
    if window is None:
        raise ModelError(
            f"{name} does not say which window it was trained on",
            Use("window", text="give its side in px as {}"),
        )
    _check_window(name, settings, window)
    own = settings.preprocessing(Preprocessing(window))
    return settings.for_channels(own, channels, name)


def _check_window(name: str, settings: Overrides, window: int) -> None:
    if settings.window not in (None, window):
        raise ModelError(
            f"{name} was exported for windows of {window} px, not {settings.window} px",
            Use("window", text="leave {} out"),
        )


def _only(values: tuple[Value, ...]) -> Value | None:
    return values[0] if len(values) == 1 else None


def _takes_photos(value: Value) -> bool:
    return any(_is_of(value, 4, channels) for channels in (3, 1)) and all(
        isinstance(length, str) or length > 0 for length in value.shape or ()
    )


def _gives_scores(value: Value) -> bool:
    return value.dtype == "float32" and (value.shape is None or len(value.shape) == 2)


def _is_of(value: Value, axes: int, count: int) -> bool:
    """Whether it is of float32, and as long as this along its second axis."""
    shape = value.shape
    return (
        value.dtype == "float32" and shape is not None and len(shape) == axes and shape[1] == count
    )


def _listed(onnx: OnnxFile) -> str:
    inputs, outputs = (", ".join(map(str, each)) for each in (onnx.inputs, onnx.outputs))
    return f"inputs {inputs or 'none'} and outputs {outputs or 'none'}"
