"""What is known of a network beside its weights: enough to score photos and name what they show."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np

from ..choices import STATISTICS, Sliding, Statistics
from ..classes import ClassGroup, ClassList
from ..grid.origin import WeightsKind
from ..grid.outputs import Outputs, read_outputs
from ..localization.auto_scales import PHOTO, ScaleRule, described_rule, read_rule
from ..localization.box_regression import BoxRegression
from .preprocessing import Preprocessing


@dataclass(frozen=True)
class NetworkFacts:
    """A network without its weights.

    Attributes:
        name: name of the network as given by the user.
        preprocessing: window (px), mean, std and channel order.
        classes: its K classes, and groups of them.
        weights: where the weights came from, in words.
        weights_digest: SHA-256 of the names and values of the weights, 64 hex digits.
        architecture: the name by which the network can be built again; "" if it was given as a
            module.
        weights_kind: as in :class:`origin.Weights`.
        outputs: what its scores mean, as in :attr:`heatmap.ScoreGrid.kind`.
        notes: what was decided while loading that the user should know, such as prefixes taken
            off the names of weights.
        scale_rule: which scales photos are scored at where none are given.
        box_regression: refines the boxes of detections; None where it was not trained with boxes.
    """

    name: str
    preprocessing: Preprocessing
    classes: ClassList
    weights: str
    weights_digest: str
    architecture: str = ""
    weights_kind: WeightsKind = "own"
    outputs: Outputs = "logits"
    notes: tuple[str, ...] = ()
    scale_rule: ScaleRule = PHOTO
    box_regression: BoxRegression | None = None

    @property
    def bare(self) -> NetworkFacts:
        """These facts alone, of a classifier without its module."""
        names = (each.name for each in dataclasses.fields(NetworkFacts))
        return NetworkFacts(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True)
class SlidingFacts:
    """How a network slides.

    Attributes:
        sliding: whether sliding is "exact", "inexact", or "refused".
        why_not: why it is not exact, or "".
        native_stride_px: its native stride, px; None where it does not slide.
        map_hw: rows and columns of feature map positions in a window, where single positions can
            be scored; None where they cannot.
        statistics: over what statistics of the whole input are taken where it slides: "local", a
            window around each position, or "whole", the whole photo; None without such layers.
        why_no_positions: why single positions cannot be scored, or "".
    """

    sliding: Sliding
    why_not: str = ""
    native_stride_px: int | None = None
    map_hw: tuple[int, int] | None = None
    statistics: Statistics | None = None
    why_no_positions: str = ""


def described_facts(facts: NetworkFacts) -> dict[str, Any]:
    """Facts as JSON data; :func:`read_facts` reads them back."""
    boxes = facts.box_regression
    return {
        "name": facts.name,
        "preprocessing": asdict(facts.preprocessing),
        "classes": asdict(facts.classes),
        "weights": facts.weights,
        "weights_digest": facts.weights_digest,
        "architecture": facts.architecture,
        "weights_kind": facts.weights_kind,
        "outputs": facts.outputs,
        "notes": list(facts.notes),
        "scales": described_rule(facts.scale_rule),
        "box_regression": None if boxes is None else _described_boxes(boxes),
    }


def read_facts(described: Mapping[str, Any]) -> NetworkFacts:
    """The facts of :func:`described_facts`.

    Raises:
        KeyError, TypeError, ValueError, HeatmapError: these are none.
    """
    boxes, kind = described["box_regression"], described["weights_kind"]
    if kind not in get_args(WeightsKind):
        raise ValueError(f"weights are {kind!r}")
    texts = {name: described[name] for name in ("name", "weights", "weights_digest")}
    texts["architecture"] = described["architecture"]
    if not all(isinstance(text, str) for text in (*texts.values(), *described["notes"])):
        raise TypeError("names and notes must be text")
    return NetworkFacts(
        **texts,
        preprocessing=Preprocessing(**described["preprocessing"]),
        classes=_read_classes(described["classes"]),
        weights_kind=kind,
        outputs=read_outputs(described["outputs"]),
        notes=tuple(described["notes"]),
        scale_rule=read_rule(described["scales"]),
        box_regression=None if boxes is None else _read_boxes(boxes),
    )


def described_sliding(facts: SlidingFacts) -> dict[str, Any]:
    """Facts as JSON data; :func:`read_sliding` reads them back."""
    return asdict(facts)


def read_sliding(described: Mapping[str, Any]) -> SlidingFacts:
    """The facts of :func:`described_sliding`.

    Raises:
        KeyError, TypeError, ValueError: these are none.
    """
    if described["sliding"] not in get_args(Sliding):
        raise ValueError(f"sliding is {described['sliding']!r}")
    if (statistics := described.get("statistics")) not in (None, *STATISTICS):
        raise ValueError(f"statistics are {statistics!r}")
    native, map_hw = described["native_stride_px"], described["map_hw"]
    return SlidingFacts(
        described["sliding"],
        str(described["why_not"]),
        None if native is None else int(native),
        None if map_hw is None else (int(map_hw[0]), int(map_hw[1])),
        statistics,
        str(described.get("why_no_positions", "")),
    )


def _read_classes(described: Mapping[str, Any]) -> ClassList:
    groups = tuple(
        ClassGroup(str(group["name"]), tuple(map(int, group["indices"])))
        for group in described["groups"]
    )
    names, wnids = (tuple(map(str, described[name])) for name in ("names", "wnids"))
    if wnids and len(wnids) != len(names):
        raise ValueError(f"{len(names)} classes with {len(wnids)} wnids")
    if any(index not in range(len(names)) for group in groups for index in group.indices):
        raise ValueError(f"groups of other classes than the {len(names)} there are")
    return ClassList(names, wnids, groups)


def _described_boxes(boxes: BoxRegression) -> dict[str, Any]:
    """Its numbers to the last bit, as base64 of little-endian float32."""
    arrays = {"weights": boxes.weights, "biases": boxes.biases}
    return {
        "examples": boxes.examples,
        **{
            name: base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()
            for name, values in arrays.items()
        },
    }


def _read_boxes(described: Mapping[str, Any]) -> BoxRegression:
    weights, biases = (
        np.frombuffer(base64.b64decode(described[name]), "<f4").astype(np.float32)
        for name in ("weights", "biases")
    )
    return BoxRegression(weights.reshape(4, -1), biases, int(described["examples"]))
