"""The layer table of a network and its totals, for the command and for a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..geometry import grid_text
from ..grid.outputs import Outputs, described
from ..localization.auto_scales import ScaleRule, in_words
from ..notebook import notebook_html
from ..text_table import TextTable

_MIB = 2**20


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


@dataclass(frozen=True, repr=False)
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
        weights: what the weights are, in words.
        notes: what the user should know of how the network was loaded.
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
    weights: str
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        """One line: ``Summary vgg16: 38 layers, 138,357,544 parameters, window 224 px``."""
        return (
            f"Summary {self.model}: {len(self.rows)} layers, {self.parameters:,} parameters, "
            f"window {self.window_px} px"
        )

    def _repr_html_(self) -> str:
        """For a notebook: what the command prints."""
        return notebook_html(repr(self), layer_table(self.rows), *summary_lines(self))


def layer_table(rows: Sequence[LayerRow]) -> TextTable:
    """One row per layer."""
    headings = ("layer", "type", "kernel", "output", "parameters", "stride", "receptive field")
    return TextTable(headings, tuple(map(_cells, rows)), numbers=range(3, len(headings)))


def _cells(row: LayerRow) -> tuple[str, ...]:
    fixed = "" if row.trainable else " fixed"
    return (
        row.path,
        row.kind,
        row.detail.replace(" x ", "x"),
        "x".join(map(str, row.shape)),
        f"{row.parameters:,}{fixed}" if row.parameters else "",
        str(row.stride_px),
        str(row.field_px),
    )


def summary_lines(summary: Summary) -> Iterator[str]:
    """What the columns mean, the grid of windows, and the totals."""
    yield "output: channels x height x width; stride and receptive field: px of the photo"
    height, width = summary.photo_hw
    rows, columns = summary.grid_hw
    yield (
        f"{summary.model} on {width} x {height} px: {grid_text(rows, columns)} of "
        f"windows, {summary.window_px} px wide, {summary.native_stride_px} px apart"
    )
    yield f"outputs: {described(summary.outputs)}"
    yield f"scales: {in_words(summary.scale_rule)}"
    if summary.box_examples:
        yield f"boxes: refined by {summary.box_examples:,} examples"
    fixed = summary.parameters - summary.trainable
    yield (
        f"parameters {summary.parameters:,}: {summary.trainable:,} trainable, {fixed:,} fixed"
        + (f"; {summary.unused:,} in layers that scoring does not use" if summary.unused else "")
    )
    yield (
        f"memory in MiB: input {summary.input_bytes / _MIB:.2f}, "
        f"outputs of all layers {summary.activation_bytes / _MIB:.2f} "
        f"({2 * summary.activation_bytes / _MIB:.2f} forward and backward), "
        f"parameters {summary.parameter_bytes / _MIB:.2f}, "
        f"peak while scoring {summary.peak_bytes / _MIB:.2f}"
    )
