"""Other boxes for local statistics than a window around each position.

Each is a patch of :class:`BoxSide`, for comparisons only: for photos in one pass, at the native
stride. With phases a photo is scored several times, each time for some of its windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

import heatmap
from heatmap.conversion.box import Box
from heatmap.conversion.box_statistics import BoxSide, Statistic

# Photo (1, 3, H, W) -> scores (N, M, K).
Scored = npt.NDArray[np.float32]
_FORWARD = BoxSide.forward


@dataclass(frozen=True)
class Form:
    """How the statistic of a position is found, and how many passes over a photo that takes."""

    name: str
    score: Callable[[nn.Module, Tensor, int], Scored]
    passes: int = 1


def around(network: nn.Module, photo: Tensor, _: int) -> Scored:
    """As the package does it."""
    return network(photo)[0].permute(1, 2, 0).numpy()


def in_phases(network: nn.Module, photo: Tensor, per_window: int, apart: int) -> Scored:
    """Statistics of the nearest of the windows that are ``apart`` strides from each other.

    With as many strides as a window has, windows of one phase do not overlap, and each has its own
    statistics.
    """
    scores = None
    for down in range(apart):
        for across in range(apart):
            with _starts((down, across), per_window, apart):
                phase = around(network, photo, per_window)
            scores = np.empty_like(phase) if scores is None else scores
            scores[down::apart, across::apart] = phase[down::apart, across::apart]
    return scores


@contextmanager
def _starts(phase: tuple[int, int], per_window: int, apart: int) -> Iterator[None]:
    def starts(part: BoxSide, outputs: tuple[int, int], total: int) -> Tensor:
        stride = max(1, part.box.count // per_window)
        spacing, first = stride * apart, stride * phase[part.side]
        before = torch.arange(*outputs) - part.box.before - first
        nearest = torch.ceil(before / spacing - 0.5).long() * spacing + first
        return nearest.clamp(0, total - part.box.span_in(total))

    with patch.object(BoxSide, "_starts", starts):
        yield


def twice(network: nn.Module, photo: Tensor, per_window: int) -> Scored:
    """Boxes of two windows' sides."""

    def forward(part: BoxSide, source: Tensor) -> Tensor:
        box = replace(part.box, count=2 * part.box.count)
        return _FORWARD(BoxSide(part.statistic, box, part.side), source)

    with patch.object(BoxSide, "forward", forward):
        return around(network, photo, per_window)


def blended(network: nn.Module, photo: Tensor, per_window: int) -> Scored:
    """The mean of the statistics around all positions of the window around a position."""

    def forward(part: BoxSide, source: Tensor) -> Tensor:
        maps = _FORWARD(part, source)
        mean = Statistic("mean", (0, 2, 3, 1), maps.shape[1], 1)
        for side in (1, 0) if part.side == 0 else ():
            # Windows are square, and so are boxes.
            maps = _FORWARD(BoxSide(mean, Box(part.box.count), side), maps)
        return maps

    with patch.object(BoxSide, "forward", forward):
        return around(network, photo, per_window)


def nearest(network: nn.Module, photo: Tensor, per_window: int) -> Scored:
    return in_phases(network, photo, per_window, 1)


def two_phases(network: nn.Module, photo: Tensor, per_window: int) -> Scored:
    return in_phases(network, photo, per_window, 2)


def all_phases(network: nn.Module, photo: Tensor, per_window: int) -> Scored:
    return in_phases(network, photo, per_window, per_window)


FORMS = (
    Form("a window around each position (`local`)", around),
    Form("the nearest window of the grid", nearest),
    Form("boxes twice as wide and high", twice),
    Form("a blend: mean over the windows that a position is in", blended),
    Form("the nearest of every other window, one pass for each phase", two_phases, 4),
    Form("each window's own, one pass for each phase", all_phases, 16),
)


@torch.inference_mode()
def score_in(form: Form, classifier: heatmap.Classifier, photo: npt.NDArray[np.uint8]) -> Scored:
    """The scores (N, M, K) of the windows that lie wholly inside a photo."""
    window = classifier.preprocessing.window_px
    network = heatmap.convert(classifier.module, window, statistics="local")
    stride = network.plan.native_stride_px
    rows, columns = (length // stride * stride for length in photo.shape[:2])
    values = torch.from_numpy(photo[:rows, :columns].copy()).permute(2, 0, 1)[None].float()
    mean, std = (
        torch.tensor(values)[:, None, None]
        for values in (classifier.preprocessing.mean, classifier.preprocessing.std)
    )
    return form.score(network, (values / 255 - mean) / std, window // stride)
