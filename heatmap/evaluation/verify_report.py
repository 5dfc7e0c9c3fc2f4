"""The report of a verification: figures, a conclusion in words, and a picture."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..classes import Wanted
from ..conversion.check import ROUNDING_TOLERANCE
from ..grid.outputs import activation_of
from ..grid.score_grid import ScoreGrid
from ..photo.photo import Photo, read_photo
from ..rendering.comparison import comparison
from ..rendering.paint import Image


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
class VerifyReport:
    """The result of :func:`heatmap.verify`; :func:`heatmap.draw_report` draws it.

    Attributes:
        grid: the scores of sliding; ``kind`` says what they are.
        cropped: the scores of cropping, float32 (N, M, K); NaN where a window was not sampled.
        head: the converted head against the original head.
        everywhere: sliding against cropping on all sampled windows.
        inner: the same for windows not at the edge of the grid; None if there are none.
        edge: the same for windows at the edge of the grid; None if there are none.
        timing: the times of both.
        padded: names of the layers that pad.
        whole_input: names of layers whose output depends on the whole photo, with reasons.
    """

    grid: ScoreGrid
    cropped: npt.NDArray[np.float32]
    head: HeadCheck
    everywhere: Agreement
    inner: Agreement | None
    edge: Agreement | None
    timing: Timing
    padded: tuple[str, ...]
    whole_input: tuple[tuple[str, str], ...]

    @property
    def passed(self) -> bool:
        """Whether the head is exact, and sliding equals cropping where it has to.

        It has to where no layer pads or depends on the whole photo.
        """
        must_be_equal = not self.padded and not self.whole_input
        return self.head.holds and not (
            must_be_equal and self.everywhere.relative > ROUNDING_TOLERANCE
        )

    @property
    def conclusion(self) -> str:
        """The conclusion, in one sentence."""
        seen = self.everywhere
        if not self.head.holds:
            return (
                f"The converted head is wrong, off by {self.head.relative:.1e} of the largest "
                "score; do not use this conversion."
            )
        if not self.passed:
            return (
                "The network has no padding, so sliding should equal cropping, but it differs by "
                f"{seen.relative:.1e} of the largest score; do not use this conversion."
            )
        if not self.padded and not self.whole_input:
            return (
                f"Sliding equals cropping: no layer pads, and in {seen.windows} windows the scores "
                f"differ by at most {seen.relative:.1e} of the largest."
            )
        return (
            f"The head is exact, but {self._reason()}: scores differ by up to {seen.largest:.3g} "
            f"({seen.relative:.1%} of the largest), both name the same class in {seen.top1:.0%} "
            "of the windows; compare sliding scores with each other, not with scores of crops."
        )

    def _reason(self) -> str:
        if self.whole_input:
            name, why = self.whole_input[0]
            return f"the trunk looks at the whole photo ({name}: {why})"
        return (
            f"{len(self.padded)} layers pad, so that a window sees its neighbourhood "
            "where a crop sees the padding"
        )


def describe_report(report: VerifyReport) -> dict[str, Any]:
    """A report without its grids, for JSON; differences are in units of the scores."""
    return {
        "passed": report.passed,
        "conclusion": report.conclusion,
        "head": {**asdict(report.head), "holds": report.head.holds},
        "sliding_against_cropping": {
            "everywhere": asdict(report.everywhere),
            "inner": asdict(report.inner) if report.inner else None,
            "edge": asdict(report.edge) if report.edge else None,
        },
        "timing": {**asdict(report.timing), "ratio": report.timing.ratio},
        "padded_layers": list(report.padded),
        "whole_input_layers": [list(pair) for pair in report.whole_input],
        "scores": report.grid.kind,
        "activation": activation_of(report.grid.kind),
        "geometry": asdict(report.grid.geometry),
        "origin": asdict(report.grid.origin),
    }


def draw_report(
    photo: str | Path | npt.NDArray[np.uint8] | Photo,
    report: VerifyReport,
    wanted: Wanted | None = None,
) -> Image:
    """Draw the heatmaps of sliding and cropping and their difference, side by side.

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
    grid = report.grid
    group = grid.winners(1)[0] if wanted is None else grid.classes.find(wanted)
    cropped = replace(grid, scores=report.cropped)
    return comparison(
        read_photo(photo).pixels,
        grid.geometry,
        grid.class_map(group),
        cropped.class_map(group),
        title=f"{group.name}: {grid.origin.model}, {grid.origin.weights.text}",
    )
