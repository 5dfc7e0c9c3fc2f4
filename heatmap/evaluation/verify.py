"""What the shortcut changed and what it saved: sliding against cropping, measured."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..classes import Wanted
from ..conversion.check import ROUNDING_TOLERANCE, SliceReference, relative_difference
from ..conversion.network import FullyConvolutional
from ..errors import ConversionError, GeometryError, Use
from ..geometry import Border, Geometry, Placement
from ..grid.score_grid import ScoreGrid
from ..networks.load import Model
from ..networks.registry import DEFAULT_MODEL
from ..photo.extended import place
from ..photo.photo import Photo, read_photo
from ..rendering.comparison import comparison
from ..rendering.paint import Image
from ..scoring.crop import Cell, all_cells, crop_scores
from ..scoring.prepare import prepare
from ..scoring.scorer import Scorer

# Windows compared unless another number is asked for: half a minute of VGG16 on two cores.
WINDOWS = 128


# Slices on which the original head is run one by one.
SLICES = 64


@dataclass(frozen=True)
class HeadCheck:
    """Claim 1: the converted network against the original head on slices of the
    original trunk's feature map. ``relative`` is max |difference| / max |reference|."""

    slices: int
    relative: float

    @property
    def holds(self) -> bool:
        return self.relative <= ROUNDING_TOLERANCE


@dataclass(frozen=True)
class Agreement:
    """Claim 3 on some windows: sliding against cropping, over all K classes.

    Differences are in the scores' own unit. ``relative`` is max |difference| /
    max |crop score|; ``correlation`` is Pearson's; ``top1`` the share of
    windows, 0..1, in which both name the same class.
    """

    windows: int
    largest: float
    mean: float
    relative: float
    correlation: float
    top1: float


@dataclass(frozen=True)
class Timing:
    """Seconds of both ways. Cropping was timed on ``crop_windows`` windows, in
    batches; ``crop_s`` is that, scaled up to the whole grid."""

    slide_s: float
    crop_measured_s: float
    crop_windows: int
    crop_s: float
    extrapolated: bool

    @property
    def ratio(self) -> float:
        return self.crop_s / self.slide_s


@dataclass(frozen=True)
class VerifyReport:
    """What :func:`verify` found; ``cropped`` is float32 (N, M, K), NaN where not sampled."""

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
        """Claim 1 holds, and where sliding must equal cropping, it does."""
        must_be_equal = not self.padded and not self.whole_input
        return self.head.holds and not (
            must_be_equal and self.everywhere.relative > ROUNDING_TOLERANCE
        )

    @property
    def conclusion(self) -> str:
        """One sentence: what the reader may conclude."""
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


def verify(
    photo: str | Path | npt.NDArray[np.uint8] | Photo,
    model: Model | Scorer = DEFAULT_MODEL,
    *,
    windows: int = WINDOWS,
    stride: int | None = None,
    scale: float = 1.0,
    border: Border = "cover",
) -> VerifyReport:
    """Compare sliding with cropping on one photo.

    Args:
        photo: a path, or an RGB uint8 array (H, W, 3).
        model: as :func:`heatmap.score` takes it.
        windows: how many windows to crop at most; a random sample (seed 0) where
            the grid has more.
        stride, scale, border: as :func:`heatmap.score` takes them.

    Raises:
        ConversionError: the network cannot slide.
        GeometryError: fewer than one window, or a grid that does not fit.
    """
    if windows < 1:
        raise GeometryError(f"{windows} windows: at least 1 must be compared")
    scorer = _sliding(model if isinstance(model, Scorer) else prepare(model, engine="slide"))
    read = read_photo(photo)
    height, width = read.pixels.shape[:2]
    placement = Placement(stride, scale, border)
    geometry = scorer.plan((height, width), placement)
    placed = place(read.pixels, geometry)
    _warm_up(scorer, placed, geometry)
    started = time.perf_counter()
    grid = scorer.score(read, placement)
    slide_s = time.perf_counter() - started
    cells = _some(all_cells(geometry), windows)
    cropped, timing = _crop(scorer, placed, geometry, cells, slide_s)
    edge = [cell for cell in cells if _at_edge(cell, geometry)]
    inner = [cell for cell in cells if not _at_edge(cell, geometry)]
    return VerifyReport(
        grid=grid,
        cropped=cropped,
        head=_check_head(scorer, placed, grid),
        everywhere=_compare(grid.scores, cropped, cells),
        inner=_compare(grid.scores, cropped, inner) if inner else None,
        edge=_compare(grid.scores, cropped, edge) if edge else None,
        timing=timing,
        padded=_network(scorer).padded,
        whole_input=_network(scorer).whole_input,
    )


def _sliding(scorer: Scorer) -> Scorer:
    """The same scorer, sliding even where it would rather crop."""
    if scorer.network is None:
        raise ConversionError(
            f"{scorer.why_not}; nothing to compare with cropping",
            Use("engine", "crop", "score with {}"),
        )
    return replace(scorer, engine="slide")


def _warm_up(scorer: Scorer, placed: npt.NDArray[np.uint8], geometry: Geometry) -> None:
    """One window both ways, so that neither is charged for what only a first call costs."""
    next(crop_scores(scorer.classifier, placed, geometry, [(0, 0)]))
    side = geometry.window_px
    with torch.inference_mode():
        network = scorer.network_at(geometry.stride_px)
        network(scorer.classifier.preprocessing.tensor(placed[:side, :side]))


def _network(scorer: Scorer) -> FullyConvolutional:
    assert scorer.network is not None
    return scorer.network


def _some(cells: list[Cell], most: int) -> list[Cell]:
    """All cells, or a random sample (seed 0) of so many."""
    if len(cells) <= most:
        return cells
    chosen = np.random.default_rng(0).choice(len(cells), size=most, replace=False)
    return [cells[position] for position in sorted(chosen)]


def _at_edge(cell: Cell, geometry: Geometry) -> bool:
    rows, columns = geometry.grid_hw
    return cell[0] in (0, rows - 1) or cell[1] in (0, columns - 1)


def _crop(
    scorer: Scorer,
    placed: npt.NDArray[np.uint8],
    geometry: Geometry,
    cells: Sequence[Cell],
    slide_s: float,
) -> tuple[npt.NDArray[np.float32], Timing]:
    """Crop the sampled windows, timed; the whole grid's time follows in proportion."""
    started = time.perf_counter()
    scores = np.concatenate(list(crop_scores(scorer.classifier, placed, geometry, cells)))
    measured = time.perf_counter() - started
    cropped = np.full((*geometry.grid_hw, scores.shape[1]), np.nan, dtype=np.float32)
    rows, columns = zip(*cells, strict=True)
    cropped[list(rows), list(columns)] = scores
    total = geometry.grid_hw[0] * geometry.grid_hw[1]
    whole = measured / len(cells) * total
    return cropped, Timing(slide_s, measured, len(cells), whole, len(cells) < total)


def _check_head(scorer: Scorer, placed: npt.NDArray[np.uint8], grid: ScoreGrid) -> HeadCheck:
    """Claim 1, on cells of the native grid: the original head on the original's slices."""
    network = _network(scorer)
    reference, k = SliceReference(network.plan), network.native_stride_px // grid.geometry.stride_px
    with torch.inference_mode():
        tensor = scorer.classifier.preprocessing.tensor(placed)
        photo = network.whole_windows(tensor).contiguous()
        features = reference.features(photo)
        # Below the last whole native stride a padded network sees more at a finer one.
        same = photo.shape == tensor.shape
        scores = grid.scores[::k, ::k] if same else network(photo)[0].permute(1, 2, 0).numpy()
        cells = _some([(i, j) for i in range(len(scores)) for j in range(scores.shape[1])], SLICES)
        expected = torch.cat([reference.score(features, *cell) for cell in cells])
    found = torch.from_numpy(np.stack([scores[cell] for cell in cells]))
    return HeadCheck(len(cells), relative_difference(found, expected))


def _compare(
    slid: npt.NDArray[np.float32], cropped: npt.NDArray[np.float32], cells: Sequence[Cell]
) -> Agreement:
    ours = np.stack([slid[cell] for cell in cells]).astype(np.float64)
    theirs = np.stack([cropped[cell] for cell in cells]).astype(np.float64)
    difference = np.abs(ours - theirs)
    largest = np.abs(theirs).max()
    return Agreement(
        windows=len(cells),
        largest=float(difference.max()),
        mean=float(difference.mean()),
        relative=float(difference.max() / largest) if largest else float(difference.max()),
        correlation=_correlation(ours.ravel(), theirs.ravel()),
        top1=float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean()),
    )


def _correlation(ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64]) -> float:
    """Pearson's, and 1 for two constants that are the same."""
    if ours.std() == 0 or theirs.std() == 0:
        return float(np.array_equal(ours, theirs))
    return float(np.corrcoef(ours, theirs)[0, 1])


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
        "geometry": asdict(report.grid.geometry),
        "origin": asdict(report.grid.origin),
    }


def draw_report(
    photo: str | Path | npt.NDArray[np.uint8] | Photo,
    report: VerifyReport,
    wanted: Wanted | None = None,
) -> Image:
    """Both heatmaps of one class and their difference, side by side: RGB uint8.

    Args:
        photo: the one that was verified.
        report: what came out.
        wanted: class to draw; None is the one that wins the most.

    Raises:
        ClassError: an unknown class.
    """
    grid: ScoreGrid = report.grid
    group = grid.winners(1)[0] if wanted is None else grid.classes.find(wanted)
    cropped = replace(grid, scores=report.cropped)
    return comparison(
        read_photo(photo).pixels,
        grid.geometry,
        grid.class_map(group),
        cropped.class_map(group),
        title=f"{group.name}: {grid.origin.model}, {grid.origin.weights.text}",
    )
