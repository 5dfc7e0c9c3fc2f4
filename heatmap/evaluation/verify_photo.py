"""Compare sliding with cropping on a photo, at each scale of a run: differences and times."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..errors import ConversionError, Use
from ..geometry import Geometry, Placement
from ..grid.score_grid import ScoreGrid
from ..grid.skip import no_data_note
from ..memory import kept_memory
from ..photo.extended import extend
from ..photo.photo import Photo
from ..photo.reduced import name_of
from ..progress import Reporter
from ..runs.request import MultiScale
from ..scoring.cells import CROP_BATCH, Cell, all_cells, cut
from ..scoring.scorer import Scorer
from ..threads import thread_count
from .verify_cells import sampled
from .verify_report import Agreement, HeadCheck, ScaleReport, Timing, VerifyReport


def verify_photo(
    photo: Photo, scorer: Scorer, placement: MultiScale, windows: int, reporter: Reporter
) -> VerifyReport:
    """Compare sliding with cropping on one photo.

    Args:
        photo: the photo.
        scorer: from :func:`sliding`.
        placement: stride, scales and border; each scale is compared by itself.
        windows: maximum number of windows to crop at each scale; a random sample (seed 0) if
            there are more.
        reporter: is told of the windows, slid and cropped, of each scale.

    Raises:
        HeatmapError: as :func:`heatmap.verify`.
    """
    reports = tuple(_each_scale(photo, scorer, placement, windows, reporter))
    if _is_exported(scorer):
        return VerifyReport(reports, None, (), notes=photo.notes)
    assert scorer.network is not None
    network = scorer.network
    return VerifyReport(
        reports, network.padded, network.whole_input, network.statistics, notes=photo.notes
    )


def _each_scale(
    opened: Photo, scorer: Scorer, placement: MultiScale, windows: int, reporter: Reporter
) -> Iterator[ScaleReport]:
    """The reports of the scales at which any window is scored; refused where there is none."""
    classifier = scorer.facts
    window = classifier.preprocessing.window_px
    scales = placement.scales_for(opened.hw, classifier.scale_rule, window, named=False)
    plans = [scorer.plan(opened.hw, placement.at(scale)) for scale in scales]
    no_data_note(opened, plans)
    for scale, plan in zip(scales, plans, strict=True):
        if opened.no_data is None or not opened.no_data.mostly(plan).all():
            yield _at_scale(opened, scorer, placement.at(scale), windows, reporter)


def _at_scale(
    opened: Photo, scorer: Scorer, placement: Placement, windows: int, reporter: Reporter
) -> ScaleReport:
    where = f"over {name_of(opened)} at scale {placement.scale:g}"
    reporter.stage(f"sliding {where}")
    geometry = scorer.plan(opened.hw, placement)
    extended = extend(opened.pixels, geometry)
    _warm_up(scorer, extended, geometry)
    started = time.perf_counter()
    grid = scorer.score(opened, placement, progress=reporter)
    slide_s = time.perf_counter() - started
    cells = sampled([cell for cell in all_cells(geometry) if grid.scored[cell]], windows)
    reporter.stage(f"cropping {where}")
    cropped, timing = _crop(scorer, extended, geometry, cells, slide_s, reporter)
    edge = [cell for cell in cells if _at_edge(cell, geometry)]
    inner = [cell for cell in cells if not _at_edge(cell, geometry)]
    return ScaleReport(
        scale=placement.scale,
        grid=grid,
        cropped=cropped,
        head=_head(scorer, extended, grid),
        everywhere=_compare(grid.scores, cropped, cells),
        inner=_compare(grid.scores, cropped, inner) if inner else None,
        edge=_compare(grid.scores, cropped, edge) if edge else None,
        timing=timing,
    )


def _is_exported(scorer: Scorer) -> bool:
    """Whether it is of an exported network, without the original one."""
    return scorer.forms is not None and scorer.forms.alone


def sliding(scorer: Scorer) -> Scorer:
    """The same scorer, set to slide.

    Raises:
        ConversionError: it cannot.
    """
    can_slide = scorer.engine == "slide" if _is_exported(scorer) else scorer.network is not None
    if not can_slide:
        raise ConversionError(
            f"{scorer.why_not or 'it was prepared to crop'}; nothing to compare with cropping",
            Use("engine", "crop", "score with {}"),
        )
    # A network that crops is prepared for nothing else.
    return scorer if scorer.engine == "slide" else replace(scorer, engine="slide", forms=None)


def _warm_up(scorer: Scorer, extended: npt.NDArray[np.uint8], geometry: Geometry) -> None:
    """Score one window both ways, so that the times exclude the cost of first calls."""
    next(_cropped(scorer, extended, geometry, [(0, 0)]))
    if (prepared := scorer.prepared_at(geometry.stride_px)) is not None:
        side = geometry.window_px
        prepared.scores(extended[:side, :side], thread_count())
        return
    from .verify_head import slide_once

    slide_once(scorer, extended, geometry)


def _cropped(
    scorer: Scorer, extended: npt.NDArray[np.uint8], geometry: Geometry, cells: Sequence[Cell]
) -> Iterator[npt.NDArray[np.float32]]:
    """The scores of single windows, batch by batch: of the original network, if it is there."""
    if not _is_exported(scorer):
        from ..scoring.crop import crop_scores

        yield from crop_scores(scorer.classifier, extended, geometry, cells)
        return
    network = scorer.prepared_at(geometry.stride_px)
    assert network is not None
    for start in range(0, len(cells), CROP_BATCH):
        windows = cut(extended, geometry, cells[start : start + CROP_BATCH])
        yield network.crops(windows, thread_count())[0]


def _head(scorer: Scorer, extended: npt.NDArray[np.uint8], grid: ScoreGrid) -> HeadCheck | None:
    if _is_exported(scorer):
        return None
    from .verify_head import check_head

    return check_head(scorer, extended, grid)


def _at_edge(cell: Cell, geometry: Geometry) -> bool:
    rows, columns = geometry.grid_hw
    return cell[0] in (0, rows - 1) or cell[1] in (0, columns - 1)


def _crop(
    scorer: Scorer,
    extended: npt.NDArray[np.uint8],
    geometry: Geometry,
    cells: Sequence[Cell],
    slide_s: float,
    reporter: Reporter,
) -> tuple[npt.NDArray[np.float32], Timing]:
    """Crop the sampled windows, and extrapolate the time for the whole grid."""
    batches: list[npt.NDArray[np.float32]] = []
    done, started = 0, time.perf_counter()
    # As for any pass: without it the time of cropping would be mostly the kernel's.
    with kept_memory():
        for batch in _cropped(scorer, extended, geometry, cells):
            batches.append(batch)
            done += len(batch)
            reporter.advance(done, len(cells))
    scores = np.concatenate(batches)
    measured = time.perf_counter() - started
    cropped = np.full((*geometry.grid_hw, scores.shape[1]), np.nan, dtype=np.float32)
    rows, columns = zip(*cells, strict=True)
    cropped[list(rows), list(columns)] = scores
    total = geometry.grid_hw[0] * geometry.grid_hw[1]
    whole = measured / len(cells) * total
    return cropped, Timing(slide_s, measured, len(cells), whole, len(cells) < total)


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
    """Pearson correlation; 1 for two equal constants."""
    if ours.std() == 0 or theirs.std() == 0:
        return float(np.array_equal(ours, theirs))
    return float(np.corrcoef(ours, theirs)[0, 1])
