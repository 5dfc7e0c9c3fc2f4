"""Write a network in the form that ONNX Runtime scores photos with: uint8 photos in, scores out.

Everything between is in the file, so that nothing but numpy is needed around it: preprocessing, the
trunk once, and behind it the head that scores windows and, where there is one, the head that scores
single positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.export import Dim

from ..conversion.network import FullyConvolutional
from ..errors import ConversionError, reason_of
from ..geometry import whole_windows
from ..prepared.preprocessing import LUMA_SHARES, Preprocessing
from ..prepared.session import FEATURES, POSITIONS, SCORES, Session
from ..quiet import quiet
from .classifier import Classifier
from .on_request import compute_on_request
from .onnx import is_large, name_axes, onnx_program
from .record import recorded

# Largest relative difference between both ways to run a network, of its largest score.
SAME = 1e-5
_PIXELS = "pixels"


class _Prepared(nn.Module):
    """Photos (B, 3, H, W) uint8 as the network's input (B, C, H, W) float32."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        mean, std = (torch.tensor(each) for each in (preprocessing.mean, preprocessing.std))
        self.register_buffer("mean", (mean * 255).view(1, -1, 1, 1))
        self.register_buffer("std", (std * 255).view(1, -1, 1, 1))
        self.register_buffer("shares", torch.tensor(LUMA_SHARES).float().view(1, 3, 1, 1))
        self.grey, self.reversed = preprocessing.channels == 1, preprocessing.channel_order == "bgr"

    mean: Tensor
    std: Tensor
    shares: Tensor

    def forward(self, pixels: Tensor) -> Tensor:
        if self.grey:
            # Whole numbers below 2^24, which float32 holds exactly.
            luma = (pixels.float() * self.shares).sum(1, keepdim=True)
            values = torch.floor((luma + 2**15) * 2.0**-16)
        else:
            values = (pixels.flip(1) if self.reversed else pixels).float()
        return (values - self.mean) / self.std


class _SlidingForm(nn.Module):
    """A converted network, from pixels to the scores of windows, of positions, and feature maps."""

    def __init__(
        self,
        preprocessing: Preprocessing,
        network: FullyConvolutional,
        positions: FullyConvolutional | None,
        *,
        features: bool,
    ) -> None:
        super().__init__()
        self.prepared = _Prepared(preprocessing)
        self.trunk = network.trunk
        scored = {SCORES: network} | ({POSITIONS: positions} if positions else {})
        self.heads = nn.ModuleDict({name: _head(each) for name, each in scored.items()})
        self.windows = {name: each.window_px for name, each in scored.items()}
        self.stride_px, self.features = network.stride_px, features

    @property
    def outputs(self) -> list[str]:
        return [*self.heads, *[FEATURES] * self.features]

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        features = self.trunk(self.prepared(pixels))
        scores = [self._cells(features, pixels, name) for name in self.heads]
        return (*scores, *[features] * self.features)

    def _cells(self, features: Tensor, pixels: Tensor, name: str) -> Tensor:
        """Scores (B, N, M, K); a denser feature map may extend beyond the last window."""
        rows, columns = (
            whole_windows(side, self.windows[name], self.stride_px) for side in pixels.shape[2:]
        )
        scores = self.heads[name](features).permute(0, 2, 3, 1)
        return scores.narrow(1, 0, rows).narrow(2, 0, columns)  # type: ignore[no-any-return]


def _head(network: FullyConvolutional) -> nn.Module:
    """What scores a feature map: the head, and before it what it reads of windows."""
    return network.head if network.around is None else nn.Sequential(network.around, network.head)


class _CropForm(nn.Module):
    """A classifier as it is, from the pixels of windows to their scores (B, 1, 1, K)."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.prepared = _Prepared(classifier.preprocessing)
        self.module = classifier.module

    @property
    def outputs(self) -> list[str]:
        return [SCORES]

    def forward(self, pixels: Tensor) -> tuple[Tensor]:
        return (self.module(self.prepared(pixels))[:, None, None],)


def write_sliding(
    classifier: Classifier,
    network: FullyConvolutional,
    positions: FullyConvolutional | None,
    path: Path,
) -> None:
    """Write a converted network, and compare the file with it.

    Args:
        classifier: the classifier that it was converted from.
        network: its converted form on the CPU in float32.
        positions: the form that scores single positions, of the same feature map, or None.
        path: the file; weights too large for one are written beside it, as PATH.data.

    Raises:
        ConversionError: the network cannot be written so, or scores from the file differ by more
            than ``SAME`` of the largest.
    """
    if network.stitched:
        raise ConversionError("it takes a pass for every shift of the photo")
    boxes = classifier.box_regression is not None
    form = _SlidingForm(classifier.preprocessing, network, positions, features=boxes)
    window, step = network.window_px, network.native_stride_px
    example = torch.zeros(2, 3, window + 2 * step, window + 3 * step, dtype=torch.uint8)
    sizes = {0: Dim("batch", min=1), 2: Dim("height", min=window), 3: Dim("width", min=window)}
    given = (2 if positions and positions.around else 1) * network.classes
    axes: dict[str, tuple[str | int, ...]] = {
        _PIXELS: ("batch", 3, "height", "width"),
        SCORES: ("batch", "rows", "columns", network.classes),
        POSITIONS: ("batch", "position_rows", "position_columns", given),
        FEATURES: ("batch", "channels", "map_rows", "map_columns"),
    }
    _write(form, example, sizes, axes, path)
    for hw in ((window, window), (window + step, window + 2 * step)):
        _compare(form, hw, path)


def write_cropping(classifier: Classifier, path: Path) -> None:
    """Write a classifier as it is, for the crop engine, and compare the file with it.

    Raises:
        ConversionError: as :func:`write_sliding`.
    """
    form, window = _CropForm(classifier), classifier.preprocessing.window_px
    example = torch.zeros(2, 3, window, window, dtype=torch.uint8)
    axes: dict[str, tuple[str | int, ...]] = {
        _PIXELS: ("batch", 3, window, window),
        SCORES: ("batch", 1, 1, len(classifier.classes)),
    }
    _write(form, example, {0: Dim("batch", min=1)}, axes, path)
    _compare(form, (window, window), path)


def _write(
    form: _SlidingForm | _CropForm,
    example: Tensor,
    sizes: dict[int, Any],
    axes: Mapping[str, tuple[str | int, ...]],
    path: Path,
) -> None:
    # Networks cannot be recorded in inference mode.
    with torch.inference_mode(False), torch.no_grad(), quiet():
        try:
            program = recorded(form, _PIXELS, example, sizes)
            large = is_large(program)
            written = onnx_program(program, _PIXELS, form.outputs)
            name_axes(written.model, axes)
            if POSITIONS in form.outputs:
                compute_on_request(written.model, [SCORES, POSITIONS])
            written.save(path, external_data=large)
        except OSError:
            raise
        # torch raises anything.
        except Exception as error:
            raise ConversionError(f"cannot be exported: {reason_of(error)}") from error


def _compare(form: _SlidingForm | _CropForm, hw: tuple[int, int], path: Path) -> None:
    """Refuse a file that gives other scores than the network.

    Raises:
        ConversionError: it does.
    """
    noise = np.random.default_rng(0)
    pixels = noise.integers(0, 256, (2, *hw, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = form(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    given = Session(path, 1).run(pixels, form.outputs)
    for name, tensor in zip(form.outputs, expected, strict=True):
        if not (difference := _difference(given[name], tensor.numpy())) <= SAME:
            raise ConversionError(
                f"its {name} in ONNX Runtime differ by {difference:.1e} of the largest, "
                f"more than {SAME:.0e}"
            )


def _difference(given: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> float:
    if given.shape != expected.shape:
        return float("inf")
    largest = float(np.abs(expected).max())
    difference = float(np.abs(given - expected).max())
    return difference / largest if largest else difference
