"""The report of a verification: figures, a conclusion in words, and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..choices import Statistics
from ..classes import Wanted
from ..grid.outputs import activation_of
from ..grid.score_grid import ScoreGrid
from ..notebook import notebook_html
from ..photo.photo import Photo, read_photo
from ..rendering.comparison import comparison
from ..rendering.paint import Image
from ..text_table import TextTable
from ..tolerance import ROUNDING_TOLERANCE


@dataclass(frozen=True)
class HeadCheck:
    """The converted head against the original head on slices of the original feature map.

    Attributes:
        slices: number of slices compared.
        relative: max |difference| / max |reference|.
    """

    slices: int
    relative: float

    @property
    def holds(self) -> bool:
        """Whether they differ by rounding only."""
        return self.relative <= ROUNDING_TOLERANCE


@dataclass(frozen=True)
class Agreement:
    """Sliding against cropping on some windows, over all K classes.

    Attributes:
        windows: number of windows compared.
        largest: largest absolute difference, in units of the scores.
        mean: mean absolute difference, in units of the scores.
        relative: largest difference / largest absolute score of a crop.
        correlation: Pearson correlation of all scores, -1..1.
        top1: share of windows, 0..1, with the same most probable class.
    """

    windows: int
    largest: float
    mean: float
    relative: float
    correlation: float
    top1: float


@dataclass(frozen=True)
class Timing:
    """Times of sliding and cropping, in seconds.

    Attributes:
        slide_s: sliding over the whole photo.
        crop_measured_s: cropping ``crop_windows`` windows, in batches.
        crop_windows: number of windows cropped.
        crop_s: cropping the whole grid, extrapolated if not all windows were cropped.
        extrapolated: whether the grid has more windows than were cropped.
    """

    slide_s: float
    crop_measured_s: float
    crop_windows: int
    crop_s: float
    extrapolated: bool

    @property
    def ratio(self) -> float:
        """Time of cropping / time of sliding."""
        return self.crop_s / self.slide_s


@dataclass(frozen=True)
class ScaleReport:
    """Sliding against cropping on a photo at one scale.

    Attributes:
        scale: resize factor of the photo.
        grid: the scores of sliding; ``kind`` says what they are.
        cropped: the scores of cropping, float32 (N, M, K); NaN where a window was not sampled.
        head: the converted head against the original head; None if that is not there.
        everywhere: sliding against cropping on all sampled windows.
        inner: the same for windows not at the edge of the grid; None if there are none.
        edge: the same for windows at the edge of the grid; None if there are none.
        timing: the times of both.
    """

    scale: float
    grid: ScoreGrid
    cropped: npt.NDArray[np.float32]
    head: HeadCheck | None
    everywhere: Agreement
    inner: Agreement | None
    edge: Agreement | None
    timing: Timing


@dataclass(frozen=True, repr=False)
class VerifyReport:
    """The result of :func:`heatmap.verify`; :func:`heatmap.draw_report` draws it.

    Attributes:
        scales: the comparison at each scale, smallest scale first; at least one.
        padded: names of the layers that pad; None if they are not known, as of an exported file.
        whole_input: names of layers whose output depends on the whole input, with reasons.
        statistics: over what these took their statistics; see :func:`heatmap.prepare`.
        notes: conversions applied while the photo was read, and damage.
        picture: the picture of it, where one was written.
    """

    scales: tuple[ScaleReport, ...]
    padded: tuple[str, ...] | None
    whole_input: tuple[tuple[str, str], ...]
    statistics: Statistics | None = None
    notes: tuple[str, ...] = ()
    picture: Path | None = None

    def __repr__(self) -> str:
        """One line: ``VerifyReport 384 windows at 3 scales: difference 5.1e-08, passed``."""
        scales = f"{len(self.scales)} scale{'s' * (len(self.scales) != 1)}"
        verdict = "passed" if self.passed else "failed"
        difference = f"difference {self.difference:.1e}"
        return f"VerifyReport {self.windows} windows at {scales}: {difference}, {verdict}"

    def _repr_html_(self) -> str:
        """For a notebook: the table of scales, and the conclusion."""
        return notebook_html(repr(self), scales_table(self.scales), self.conclusion)

    @property
    def worst(self) -> ScaleReport:
        """The scale at which sliding differs most from cropping, relative to the scores."""
        return max(self.scales, key=lambda scale: scale.everywhere.relative)

    @property
    def difference(self) -> float:
        """The largest difference of sliding from cropping / the largest score of a crop."""
        return self.worst.everywhere.relative

    def exceeds(self, max_difference: float | None) -> bool:
        """Whether sliding differs from cropping by more than this; never, if it is None."""
        return max_difference is not None and not self.difference <= max_difference

    @property
    def windows(self) -> int:
        """Number of windows compared, at all scales."""
        return sum(scale.everywhere.windows for scale in self.scales)

    @property
    def top1(self) -> float:
        """Share of these windows, 0..1, with the same most probable class."""
        same = sum(scale.everywhere.top1 * scale.everywhere.windows for scale in self.scales)
        return same / self.windows

    @property
    def head(self) -> HeadCheck | None:
        """The check of the head on the slices of all scales; None if it was not checked."""
        checks = [scale.head for scale in self.scales if scale.head is not None]
        if not checks:
            return None
        return HeadCheck(
            sum(check.slices for check in checks), max(check.relative for check in checks)
        )

    @property
    def passed(self) -> bool:
        """Whether the head is exact, and sliding equals cropping where it has to.

        It has to where no layer pads or depends on the whole photo.
        """
        head, must_be_equal = self.head, self.padded == () and not self.whole_input
        exact = head is None or head.holds
        return exact and not (must_be_equal and self.difference > ROUNDING_TOLERANCE)

    @property
    def conclusion(self) -> str:
        """The conclusion, in one sentence."""
        if self.head is None:
            return (
                f"Sliding was compared with the file's own crops: in {self.windows} windows the "
                f"scores {self._differ()}. The head was not checked against the original network, "
                "which is not in the file."
            )
        if not self.head.holds:
            return (
                f"The converted head is wrong, off by {self.head.relative:.1e} of the largest "
                "score; do not use this conversion."
            )
        if not self.passed:
            return (
                "The network has no padding, so sliding should equal cropping, but it differs by "
                f"{self.difference:.1e} of the largest score; do not use this conversion."
            )
        if not self.padded and not self.whole_input:
            return (
                f"Sliding equals cropping: no layer pads, and in {self.windows} windows the scores "
                f"differ by at most {self.difference:.1e} of the largest."
            )
        if self.statistics == "local":
            return (
                f"Sliding approximates cropping: {_layers(len(self.whole_input))} statistics "
                "over a window around each position instead of the window that is scored; scores "
                f"{self._differ()}, so compare them with each other, not with scores of crops."
            )
        return (
            f"The head is exact, but {self._reason()}: scores {self._differ()}; compare sliding "
            "scores with each other, not with scores of crops."
        )

    def _differ(self) -> str:
        return (
            f"differ by up to {self.worst.everywhere.largest:.3g} ({self.difference:.1%} of the "
            f"largest), both name the same class in {self.top1:.0%} of the windows"
        )

    def _reason(self) -> str:
        if self.whole_input:
            name, why = self.whole_input[0]
            return f"the trunk looks at the whole photo ({name}: {why})"
        return (
            f"{len(self.padded or ())} layers pad, so that a window sees its neighbourhood "
            "where a crop sees the padding"
        )


def _layers(count: int) -> str:
    return "1 layer takes" if count == 1 else f"{count} layers take"


def describe_report(report: VerifyReport) -> dict[str, Any]:
    """A report without its grids, for JSON; differences are in units of the scores."""
    grid = report.worst.grid
    return {
        "passed": report.passed,
        "conclusion": report.conclusion,
        "difference": report.difference,
        "scales": list(map(_described, report.scales)),
        "padded_layers": None if report.padded is None else list(report.padded),
        "whole_input_layers": [list(pair) for pair in report.whole_input],
        "statistics": report.statistics,
        "scores": grid.kind,
        "activation": activation_of(grid.kind),
        "origin": asdict(grid.origin),
    }


def _described(scale: ScaleReport) -> dict[str, Any]:
    return {
        "scale": scale.scale,
        "head": None if scale.head is None else {**asdict(scale.head), "holds": scale.head.holds},
        "sliding_against_cropping": {
            "everywhere": asdict(scale.everywhere),
            "inner": asdict(scale.inner) if scale.inner else None,
            "edge": asdict(scale.edge) if scale.edge else None,
        },
        "timing": {**asdict(scale.timing), "ratio": scale.timing.ratio},
        "geometry": asdict(scale.grid.geometry),
    }


def draw_report(
    photo: str | Path | npt.NDArray[np.uint8] | Photo,
    report: VerifyReport,
    wanted: Wanted | None = None,
) -> Image:
    """Draw the heatmaps of sliding and cropping and their difference, side by side.

    Of several scales the one at which they differ most is drawn.

    Args:
        photo: the photo that was verified.
        report: the result of :func:`heatmap.verify`.
        wanted: class or group to draw; None is the first of :meth:`heatmap.ScoreGrid.winners`.

    Returns:
        RGB uint8 (H, W, 3), with legends.

    Raises:
        ClassError: an unknown class.
        PhotoError: the photo cannot be read.
        ResultError: the photo has another size than the verified one.
    """
    worst = report.worst
    grid = worst.grid
    group = grid.winners(1)[0] if wanted is None else grid.classes.find(wanted)
    cropped = replace(grid, scores=worst.cropped)
    at_scale = f", scale {worst.scale:g}" if len(report.scales) > 1 else ""
    return comparison(
        read_photo(photo).pixels,
        grid.geometry,
        grid.class_map(group),
        cropped.class_map(group),
        title=f"{group.name}: {grid.origin.model}, {grid.origin.weights.text}{at_scale}",
    )


def scales_table(scales: Sequence[ScaleReport]) -> TextTable:
    """Sliding against cropping, one row for each scale."""
    headings = ("scale", "windows", "largest", "mean", "relative", "inner", "edge", "corr.", "same")
    rows = tuple((f"{scale.scale:g}", *_scale_cells(scale)) for scale in scales)
    return TextTable(headings, rows, numbers=range(1, len(headings)))


def _scale_cells(scale: ScaleReport) -> tuple[str, ...]:
    seen = scale.everywhere
    of_places = (
        "" if place is None else f"{place.relative:.1e}" for place in (scale.inner, scale.edge)
    )
    return (
        f"{seen.windows}/{scale.grid.scored.size}",
        f"{seen.largest:.2e}",
        f"{seen.mean:.2e}",
        f"{seen.relative:.1e}",
        *of_places,
        f"{seen.correlation:.3f}",
        f"{seen.top1:.0%}",
    )
