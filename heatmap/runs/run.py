"""The main job: score one photo, detect objects, draw them, and save the results."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..classes import ClassGroup
from ..errors import Use
from ..geometry import Box, Geometry, shrunk_hw
from ..grid.collector import grid_bytes
from ..grid.score_grid import LARGE_GRID_BYTES, ScoreGrid, noted
from ..grid.skip import no_data_note
from ..localization.areas import Areas, areas_of
from ..localization.auto_scales import RESOLUTIONS, sizes_looked_for
from ..localization.confirm import CropAnswers, Crops
from ..localization.detect import Scored, windows_of
from ..localization.detection import Detection
from ..localization.findings import Findings, find
from ..localization.formats.coco import CocoImage
from ..localization.scales import fuse_scales
from ..memory import kept_memory
from ..names import scale_name
from ..photo.photo_file import upright_hw
from ..photo.reduced import OpenPhoto, decoded_hw, open_photo
from ..progress import Reporter
from ..rendering.overlay import PICTURE_PX
from ..room import room_to_grow
from .earlier import Claim
from .network_notes import network_notes
from .possible import check_claim, notes_of_kept
from .request import (
    NO_EXTRAS,
    Display,
    Extras,
    Limits,
    MultiScale,
    Request,
    check_photo,
    display_of_stored,
    image_of,
)
from .save import Outcome, SavedRun, claim_of, save_run

if TYPE_CHECKING:
    from ..scoring.scorer import Scorer

# Expected seconds from which on finer scales are announced.
SLOW_S = 20


@dataclass(frozen=True)
class Run:
    """The results of a run on one photo.

    Attributes:
        photo: the photo, upright, or the region that was looked at.
        findings: what is on it: detections, or guesses where there are none, and their maps.
        grid: scores of its windows, float32 (N, M, K); fused where there are several scales.
        scales: where there are several scales, the grid of each by its name ("x0.5").
        areas: which class wins where, if that was asked for.
        saved: the paths of its files.
        notes: what is to be noted of this photo in particular, beside how it was read.
    """

    photo: OpenPhoto
    findings: Findings
    grid: ScoreGrid
    scales: Mapping[str, ScoreGrid]
    areas: Areas | None
    saved: SavedRun
    notes: tuple[str, ...] = ()

    @property
    def detections(self) -> tuple[Detection, ...]:
        """Objects, most confident first; boxes in px of the whole photo."""
        return self.findings.detections


class PhotoRun:
    """The run of one photo in steps: open it, then :meth:`score`, then :meth:`finish`.

    The steps may run in different threads. ``needed`` is the number of bytes that the scores
    will take on disk, 0 if they fit into memory. ``image`` is what the photo is in COCO files; by
    default what its path says.

    Raises:
        HeatmapError: the photo cannot be read, or the request cannot be met for it.
    """

    def __init__(
        self,
        photo: str | Path,
        scorer: Scorer,
        request: Request,
        image: CocoImage | None = None,
    ) -> None:
        self.scorer, self.request = scorer, request
        whole_hw = upright_hw(Path(photo))
        region = request.limits.region_of(whole_hw)
        hw = region.hw if region else whole_hw
        self.scales = planned_scales(hw, scorer, request)
        # Refused before the photo is scored, not after.
        self.display = display_of_stored(request, scorer.facts.classes)
        self.photo = open_photo(photo, self._needed_hw(hw), region, request.limits.reading)
        self.image = image or image_of(request, self.photo)
        check_photo(request, self.photo)
        self.no_data = no_data_note(self.photo, self._plans(self.photo.hw))
        self.needed = planned_bytes(hw, scorer, request, self.scales)
        self._scored: dict[str, Scored] = {}
        self._home = Path()
        self._claim: Claim | None = None

    def claim(self, folder: str | Path, **known: Any) -> None:
        """Check that results can be written to ``folder``, before they are worked out.

        ``known`` is what is known of earlier results there, as attributes of :class:`Claim`.

        Raises:
            ResultError: as :func:`possible.check_claim`.
        """
        read = (*self.request.files, *self.scorer.files)
        self._claim = replace(claim_of(folder, self.photo, self.request), read=read, **known)
        request = replace(self.request, display=self.display)
        check_claim(self._claim, request, self.scorer.facts.classes, self.scales)

    def score(self, home: Path, reporter: Reporter) -> None:
        """Score at every scale; large scores are written to the folder ``home``."""
        self._home = home
        names, scales = list(self.scales), list(self.scales.values())
        first_finer, told, took = len(names) - self._octaves, False, 0.0
        # Or what is made once would count as time of the first scale.
        self.scorer.ready_at(self._plans(self.photo.hw)[0].stride_px)
        with kept_memory():
            for at, name in enumerate(names):
                if at and not told:
                    told = self._announce(scales[at - 1 :], took, reporter, asked=at == first_finer)
                started = time.perf_counter()
                self._scored[name] = self._score(scales[at], reporter)
                took = time.perf_counter() - started

    def finish(self, folder: str | Path) -> Run:
        """Detect objects, draw them, and write all results to ``folder``, where it was claimed."""
        scored = list(self._scored.values())
        grids = [windows_of(scores) for scores in scored]
        fuse = self.request.placement.fuse
        fused = grids[0] if len(grids) == 1 else fuse_scales(grids, fuse, self._home)
        findings = find(scored, fused, self.display.search, self._confirming())
        own = tuple(self._notes_of_photo(folder))
        notes = [*own, *self._notes(findings)]
        findings = replace(findings, maps=noted(findings.maps, notes))
        several = dict(zip(self._scored, grids, strict=True)) if len(grids) > 1 else {}
        areas = areas_of(fused) if self.display.areas else None
        outcome = Outcome(self.photo, findings, noted(fused, notes), several, areas, self.image)
        request = replace(self.request, display=self.display)
        saved = save_run(folder, outcome, request, self._claim)
        return Run(self.photo, findings, outcome.grid, several, areas, saved, own)

    def _needed_hw(self, hw: tuple[int, int]) -> tuple[int, int] | None:
        """How much of the photo must be decoded: height and width, px; None is all."""
        skip = self.request.limits.skip
        extras = self.request.extras
        whole = self.display.full or extras.html or extras.save_crops
        if whole or (skip and skip.background):
            return None
        scaled = [plan.scaled_hw for plan in self._plans(hw)]
        return decoded_hw(scaled, shrunk_hw(hw, PICTURE_PX))

    def _plans(self, hw: tuple[int, int]) -> list[Geometry]:
        """The grid at each scale, for a photo of this height and width, px."""
        placements = map(self.request.placement.at, self.scales.values())
        return [self.scorer.plan(hw, placement) for placement in placements]

    @property
    def _octaves(self) -> int:
        """How many of the scales, the last ones, are only there for a finer resolution."""
        return min(RESOLUTIONS.index(self.request.placement.resolution), len(self.scales) - 1)

    def _announce(
        self, scales: Sequence[float], took: float, reporter: Reporter, *, asked: bool
    ) -> bool:
        """Say how long finer scales take, if they take long or were asked for; whether it was said.

        The first of the scales took so many seconds, the others are still to be scored.
        """
        placement = self.request.placement
        done, *plans = (self.scorer.plan(self.photo.hw, placement.at(scale)) for scale in scales)
        windows = sum(math.prod(plan.grid_hw) for plan in plans)
        pixels = sum(math.prod(plan.extended_hw) for plan in plans)
        seconds = took * pixels / math.prod(done.extended_hw)
        if not asked and seconds < SLOW_S:
            return False
        reporter.note(f"{windows:,} windows at finer scales will take about {seconds:.0f} s")
        return True

    def _score(self, scale: float, reporter: Reporter) -> Scored:
        """The scores at a scale: of positions where possible, otherwise of windows."""
        placement, limits = self.request.placement.at(scale), self.request.limits
        at_scale = f" at scale {scale:g}" if len(self.scales) > 1 else ""
        reporter.stage(f"scoring {Path(self.photo.path).name}{at_scale}")
        common: dict[str, Any] = {"memory": limits.memory, "progress": reporter.advance}
        # Skipped windows and classes not stored cannot be attributed to positions.
        if limits.store_classes is None and limits.skip is None:
            positions = self.scorer.score_positions(self.photo, placement, **common)
            if positions is not None:
                return positions
        return self.scorer.score(
            self.photo,
            placement,
            store_classes=limits.store_classes,
            skip=limits.skip,
            folder=self._home,
            **common,
        )

    def _confirming(self) -> Crops | None:
        """Asks the network of boxes; None where windows were cropped already."""
        crops = self.scorer.crops(self.photo)
        if crops is None:
            return None
        store, classes = self.request.limits.store_classes, self.scorer.facts.classes
        own = classes.indices(store) if store else range(len(classes))

        def ask(boxes_xyxy: Sequence[Box], groups: Sequence[ClassGroup]) -> CropAnswers:
            # Groups have the indices of classes among those stored.
            asked = [
                ClassGroup(group.name, tuple(own[index] for index in group.indices))
                for group in groups
            ]
            return crops.ask(boxes_xyxy, asked)

        return replace(crops, ask=ask)

    def _notes_of_photo(self, folder: str | Path) -> Iterator[str]:
        """What was not looked at, and which earlier files stay beside the results."""
        if self.no_data:
            yield self.no_data
        # Read anew: files may have been changed while the photo was scored.
        claim = replace(self._claim or claim_of(folder, self.photo, self.request))
        request = replace(self.request, display=self.display)
        yield from notes_of_kept(claim, request, self.scorer.facts.classes, self.scales)

    def _notes(self, findings: Findings) -> Iterator[str]:
        """What the user should know of where was looked for what."""
        window = self.scorer.facts.preprocessing.window_px
        low, high = sizes_looked_for(list(self.scales.values()), self.photo.hw, window)
        yield f"looked for things of about {low:,} to {high:,} px; a finer resolution finds smaller"
        automatic = self.request.placement.scales == "auto"
        yield from network_notes(self.scorer.facts, automatic=automatic)
        regression = self.scorer.facts.box_regression
        if regression is not None and self.scorer.refines and self.display.confirm:
            yield f"boxes were refined by what {regression.examples:,} examples taught"
        if findings.unconfirmed:
            yield (
                f"{findings.unconfirmed} of {len(findings.detections)} detections were not "
                f"confirmed by cropping, only the {self.display.confirm} most confident ones are"
            )


def run(
    photo: str | Path,
    scorer: Scorer,
    folder: str | Path,
    *,
    display: Display = Display(),
    placement: MultiScale = MultiScale(),
    limits: Limits = Limits(),
    extras: Extras = NO_EXTRAS,
    overwrite: bool = False,
    reporter: Reporter = Reporter(),
) -> Run:
    """Score a photo, detect objects, draw them, and write all results to ``folder``.

    >>> scorer = heatmap.prepare("vgg16")            # doctest: +SKIP
    >>> heatmap.run("cat.jpg", scorer, "results").detections    # doctest: +SKIP

    For ``cat.jpg`` the folder gets ``cat.json`` (``result.schema.json`` in this package is its
    JSON Schema), the picture ``cat.heatmap.jpg``, the maps of what was found ``cat.maps.npz``, and
    the files of ``display`` and ``extras``: all of them or none. Earlier results of the photo are
    replaced as a whole; a file that this tool did not write, or that was changed since, never is.

    Args:
        photo: path of the photo.
        scorer: what :func:`heatmap.prepare` gave; one serves many photos.
        folder: where the files are written; created if missing.
        display: which classes are searched and drawn, the thresholds, and the colours.
        placement: stride (px), scales (resize factors of the photo, by default those of the
            network's rule) and border.
        limits: bytes of memory, classes to store, and windows to skip.
        extras: further files: the grid, other formats, the page, cut-outs.
        overwrite: also replace strangers' files, the results of another photo of this name, and
            a saved grid where no other is written; but never the photo.
        reporter: receives the stages, and the number of windows scored.

    Returns:
        The photo, what is on it (detections, most confident first, boxes in photo px; maps), its
        grid (float32 (N, M, K); logits or probabilities) and the paths of the files.

    Raises:
        PhotoError: the photo or the mask cannot be read.
        GeometryError: no window fits, a stride that the network does not have, or a photo
            too large for the memory.
        ClassError: an unknown class, or one that is requested but not stored.
        ResultError: the files cannot be written, or not without replacing others.

    In each of these cases nothing is written.
    """
    underway = PhotoRun(photo, scorer, Request(display, placement, limits, extras, overwrite))
    underway.claim(folder)
    # However this ends, scores on disk that were not saved are removed.
    with room_to_grow(underway.needed, Path(folder)) as home:
        if underway.needed:
            reporter.note(
                f"the scores will take {underway.needed / 1e9:.1f} GB on disk",
                Use("store_classes", text="{} stores fewer"),
            )
        underway.score(home, reporter)
        reporter.stage(f"drawing and saving {Path(underway.photo.path).name}")
        return underway.finish(folder)


def planned_bytes(
    photo_hw: tuple[int, int], scorer: Scorer, request: Request, scales: Mapping[str, float]
) -> int:
    """Bytes that the scores of a run will take on disk; 0 where they fit into memory.

    Raises:
        GeometryError: no window fits, or the network does not have this stride.
    """
    classes, store = scorer.facts.classes, request.limits.store_classes
    kept = classes.indices(store) if store else classes
    sizes = [
        grid_bytes(scorer.plan(photo_hw, request.placement.at(scale)), len(kept))
        for scale in scales.values()
    ]
    # Several are fused on the finest, which has the most windows.
    fused = [max(sizes)] if len(sizes) > 1 else []
    return sum(size for size in sizes + fused if size > LARGE_GRID_BYTES)


def planned_scales(photo_hw: tuple[int, int], scorer: Scorer, request: Request) -> dict[str, float]:
    """The scales of a run by the names of their grids, without duplicates."""
    facts, named = scorer.facts, bool(request.display.classes)
    window = facts.preprocessing.window_px
    scales = request.placement.scales_for(photo_hw, facts.scale_rule, window, named=named)
    return {scale_name(scale): scale for scale in scales}
