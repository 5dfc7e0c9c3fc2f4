"""Where a score grid comes from: the photo, the network, and how the scores were computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..choices import Device, Dtype

Fusion = Literal["mean", "max"]
WeightsKind = Literal["default", "random", "file", "checkpoint", "own"]


@dataclass(frozen=True)
class Weights:
    """Which weights a network had.

    ``kind`` is "default" (published ones), "random" (freshly initialised), "file" (a weights
    file), "checkpoint", or "own" (those that a module or a factory came with). ``text`` says
    the same to people: "random (seed 0)". ``digest`` is the SHA-256 of their values.

    >>> Weights("random", "random (seed 0)", "").are_random
    True
    """

    kind: WeightsKind
    text: str
    digest: str

    @property
    def are_random(self) -> bool:
        """Whether nothing was learnt, so that the scores mean nothing."""
        return self.kind == "random"


@dataclass(frozen=True)
class Computation:
    """How scores were computed: what can change their last bits.

    ``parts`` is the number of rectangles that the grid was computed in, one after another,
    ``band_px`` the height of the largest band of the photo pushed through at once, and
    ``tiles`` the number of parts given to workers. ``batch`` is the number of windows in a
    forward pass where they were cropped. None is what does not apply.
    """

    device: Device = "cpu"
    dtype: Dtype = "float32"
    threads: int = 1
    parts: int | None = None
    band_px: int | None = None
    tiles: int | None = None
    batch: int | None = None


@dataclass(frozen=True)
class Origin:
    """What a grid was made from and by: enough to make it again.

    Attributes:
        photo: path as given, or "" for an array.
        photo_digest: SHA-256 of the photo's pixels.
        model: name of the network.
        weights: the weights it had.
        engine: "slide" (one pass over the photo) or "crop" (window by window).
        sliding: whether one pass gives what the network's parts give on each window.
        maps: what a cell stands for: "windows", or "sharp" maps, whose values are attributed to
            single positions of the feature map.
        scales: resize factors of the photo that were fused in this grid; () where the grid is of
            one scale, which its geometry holds.
        fuse: how the scales were fused; None where they were not.
        network_classes: how many classes the network has, where only some were stored.
        computation: device, number format, threads and cuts.
        versions: package name to version.
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
    network_classes: int | None = None
    computation: Computation = field(default_factory=Computation)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_sharp(self) -> bool:
        """Whether cells are single positions of the feature map, not whole windows."""
        return self.maps == "sharp"
