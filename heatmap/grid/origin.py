"""Where a score grid comes from: the photo, the network, and how the scores were computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..choices import Device, Dtype, Statistics
from ..region import Region

Fusion = Literal["mean", "max"]
WeightsKind = Literal["default", "random", "file", "checkpoint", "own"]


@dataclass(frozen=True)
class Weights:
    """The weights of a network.

    >>> Weights("random", "random (seed 0)", "").are_random
    True

    Attributes:
        kind: "default" (published), "random" (initialised at random), "file" (a weights file),
            "checkpoint", or "own" (those of a module or factory).
        text: the same in words, such as "random (seed 0)".
        digest: SHA-256 of the values.
    """

    kind: WeightsKind
    text: str
    digest: str

    @property
    def are_random(self) -> bool:
        """Whether the weights are untrained, so that the scores mean nothing."""
        return self.kind == "random"


@dataclass(frozen=True)
class Computation:
    """How scores were computed, as far as it can change their last bits.

    Attributes:
        device, dtype, threads: device, number format and number of threads.
        backend: what ran the network: "torch", or "onnx" for ONNX Runtime.
        parts: number of rectangles in which the grid was computed, one after the other.
        band_px: height of the highest band of the photo.
        tiles: number of tiles given to workers.
        batch: windows per forward pass, where they were cropped.
            The last four are None where they do not apply.
    """

    device: Device = "cpu"
    dtype: Dtype = "float32"
    threads: int = 1
    parts: int | None = None
    band_px: int | None = None
    tiles: int | None = None
    batch: int | None = None
    backend: Literal["torch", "onnx"] = "torch"


@dataclass(frozen=True)
class Origin:
    """How a grid was made: enough to make it again.

    Attributes:
        photo: path as given, or "" for an array.
        photo_digest: SHA-256 of the photo's file, or of shape and pixels of an array.
        model: name of the network.
        weights: its weights.
        engine: "slide" (one pass over the photo) or "crop" (window by window).
        sliding: whether sliding this network is "exact", "inexact" (its scores depend on the
            rest of the photo) or "refused".
        statistics: over what layers that look at their whole input took statistics: "local", a
            window around each position, or "whole", the whole photo; None without such layers, or
            where windows were cropped.
        cropped: where windows were cropped from coarse to fine, how many were, and how many the
            grid has, at all scales together; None where all were scored alike.
        maps: what a cell stands for: "windows", or for "sharp" maps a single position of the
            feature map.
        scales: resize factors of the photo that were fused in this grid; () for a single scale,
            which is in its geometry.
        fuse: how the scales were fused; None where they were not.
        decoded: how much of the photo's file was decoded: "whole", or which part and how.
        region: the part of the photo that was scored, as if it were all; None is all. The boxes
            of :func:`heatmap.localize` and all else made from the grid are in px of the region.
        network_classes: number of classes of the network, where only some were stored.
        computation: device, number format, threads, and how the photo was cut.
        versions: version of each package by name.
        notes: what was decided about the network that the user should know.
    """

    photo: str
    photo_digest: str
    model: str
    weights: Weights
    engine: Literal["slide", "crop"]
    sliding: Literal["exact", "inexact", "refused"]
    maps: Literal["windows", "sharp"] = "windows"
    scales: tuple[float, ...] = ()
    fuse: Fusion | None = None
    decoded: str = "whole"
    region: Region | None = None
    network_classes: int | None = None
    computation: Computation = field(default_factory=Computation)
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    statistics: Statistics | None = None
    cropped: tuple[int, int] | None = None

    @property
    def is_sharp(self) -> bool:
        """Whether cells are single positions of the feature map, not whole windows."""
        return self.maps == "sharp"
