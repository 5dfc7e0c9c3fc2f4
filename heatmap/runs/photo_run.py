"""The main job on one photo in steps: open it, score it, detect objects, and save the result."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..classes import ClassGroup
from ..errors import Use
from ..geometry import Box, Geometry, shrunk_hw
from ..grid.coarse import Sought
from ..grid.collector import grid_bytes
from ..grid.score_grid import LARGE_GRID_BYTES, noted
from ..grid.skip import no_data_note
from ..localization.areas import areas_of
from ..localization.auto_scales import RESOLUTIONS, sizes_looked_for
from ..localization.confirm import CropAnswers, Crops
from ..localization.detect import Scored, windows_of
from ..localization.findings import Findings, find
from ..localization.formats.coco import CocoImage
from ..localization.scales import Windows
from ..memory import kept_memory
from ..names import ResultNames, scale_name
from ..photo.reduced import PhotoSource, decoded_hw, held, name_of, open_photo, whole_hw_of
from ..progress import Progress, Reporter, reporting
from ..rendering.overlay import PICTURE_PX
from ..room import room_to_grow
from .earlier import Claim
from .network_notes import network_notes
from .possible import check_claim
from .request import Request, check_photo, display_of_stored, image_of
from .result import Result
from .save import save_result

if TYPE_CHECKING:
    from ..scoring.scorer import Scorer

# Expected seconds from which on finer scales are announced.
SLOW_S = 20


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
        photo: PhotoSource,
        scorer: Scorer,
        request: Request,
        image: CocoImage | None = None,
    ) -> None:
        self.scorer = scorer
        photo = held(photo)
        whole_hw = whole_hw_of(photo)
        region = request.limits.region_of(whole_hw)
        hw = region.hw if region else whole_hw
        self.scales = planned_scales(hw, scorer, request)
        # Refused before the photo is scored, not after.
        display = display_of_stored(request, scorer.facts.classes)
        self.request = replace(request, display=display)
        self.photo = open_photo(photo, self._needed_hw(hw), region, request.limits.reading)
        plans, search = self._plans(self.photo.hw), request.display.search
        self._sought = request.placement.sought(plans, search, scorer.facts.classes)
        self.image = image or image_of(request, self.photo)
        check_photo(request, self.photo)
        self.no_data = no_data_note(self.photo, self._plans(self.photo.hw))
        self.needed = planned_bytes(hw, scorer, request, self.scales)
        self._read = (*request.files, *scorer.files)
        self._scored: dict[str, Scored] = {}
        self._home = Path()
        self._claim: Claim | None = None

    def claim(self, folder: str | Path, **known: Any) -> None:
        """Check that results can be written to ``folder``, before they are worked out.

        ``known`` is what is known of earlier results there, as attributes of :class:`Claim`.

        Raises:
            ResultError: as :func:`possible.check_claim`.
        """
        names = ResultNames.of_photo(folder, self.photo.path)
        self._claim = Claim(
            *(names, self.photo.path, self.photo.digest, self.request.overwrite),
            read=self._read,
            **known,
        )
        classes, store = self.scorer.facts.classes, self.request.limits.store_classes
        stored = classes.only(classes.indices(store)) if store else classes
        check_claim(self._claim, self.request, stored, self.scales)

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
                self._scored[name] = self._score(scales[at], self._sought[at], reporter)
                took = time.perf_counter() - started

    def result(self) -> Result:
        """Detect objects in the scores."""
        display, scored = self.request.display, list(self._scored.values())
        grids = {name: windows_of(scores) for name, scores in self._scored.items()}
        windows = Windows(grids, self.request.placement.fuse, self._home)
        if self.needed:
            # Now, while there is the folder that it grows in.
            _ = windows.grid
        findings = find(scored, windows, display.search, self._confirming())
        own = (self.no_data,) if self.no_data else ()
        notes = (*own, *self._notes(findings))
        return Result(
            self.photo,
            replace(findings, maps=noted(findings.maps, notes)),
            windows,
            self.request,
            self.image,
            areas_of(windows.grid) if display.areas else None,
            notes,
            own,
            self._read,
        )

    def finish(self) -> Result:
        """Detect objects, draw them, and write all results to the folder that was claimed."""
        assert self._claim is not None
        result, saved = save_result(self.result(), self._claim)
        return replace(result, saved=saved)

    def _needed_hw(self, hw: tuple[int, int]) -> tuple[int, int] | None:
        """How much of the photo must be decoded: height and width, px; None is all."""
        skip = self.request.limits.skip
        display, extras = self.request.display, self.request.extras
        whole = display.full or extras.html or extras.save_crops
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
        # The shares of the scales that are cropped from coarse to fine are not known before.
        fewer = "" if self._sought[0] is None else " if all are scored"
        reporter.note(f"{windows:,} windows at finer scales will take about {seconds:.0f} s{fewer}")
        return True

    def _score(self, scale: float, sought: Sought | None, reporter: Reporter) -> Scored:
        """The scores at a scale: of positions where possible, otherwise of windows."""
        placement, limits = self.request.placement.at(scale), self.request.limits
        at_scale = f" at scale {scale:g}" if len(self.scales) > 1 else ""
        reporter.stage(f"scoring {name_of(self.photo)}{at_scale}")
        common: dict[str, Any] = {"memory": limits.memory, "progress": reporter}
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
            sought=sought,
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

    def _notes(self, findings: Findings) -> Iterator[str]:
        """What the user should know of where was looked for what."""
        window = self.scorer.facts.preprocessing.window_px
        low, high = sizes_looked_for(list(self.scales.values()), self.photo.hw, window)
        sizes = f"{low:,} to {high:,}" if low < high else f"{low:,}"
        smaller = "; a finer resolution finds smaller" if low > 1 else ""
        yield f"looked for things of about {sizes} px{smaller}"
        automatic = self.request.placement.scales == "auto"
        if (cropped := findings.maps.origin.cropped) is not None:
            yield f"{cropped[0]:,} of {cropped[1]:,} windows were cropped, from coarse to fine"
        yield from network_notes(self.scorer.facts, automatic=automatic)
        limits = self.request.limits
        if limits.store_classes is None and limits.skip is None:
            why_not = self.scorer.why_no_positions(self._plans(self.photo.hw)[0].stride_px)
            if why_not:
                yield f"maps are of windows: {why_not}"
        regression = self.scorer.facts.box_regression
        confirm = self.request.display.confirm
        if regression is not None and self.scorer.refines and confirm:
            yield f"boxes were refined by what {regression.examples:,} examples taught"
        if findings.unconfirmed:
            yield (
                f"{findings.unconfirmed} of {len(findings.detections)} detections were not "
                f"confirmed by cropping, only the {confirm} most confident ones are"
            )


def run_photo(
    photo: PhotoSource,
    scorer: Scorer,
    request: Request,
    *,
    folder: str | Path | None = None,
    progress: Progress = False,
) -> Result:
    """Run one photo; with a folder its results are written there, or refused before scoring.

    Raises:
        HeatmapError: as :func:`heatmap.run`.
    """
    underway = PhotoRun(photo, scorer, request)
    if folder is not None:
        underway.claim(folder)
    near = Path(tempfile.gettempdir() if folder is None else folder)
    # However this ends, scores on disk that were not saved are removed.
    with reporting(progress) as reporter, room_to_grow(underway.needed, near) as home:
        if underway.needed:
            reporter.note(
                f"the scores will take {underway.needed / 1e9:.1f} GB on disk",
                Use("store_classes", text="{} stores fewer"),
            )
        underway.score(home, reporter)
        if folder is None:
            return underway.result()
        reporter.stage(f"drawing and saving {name_of(underway.photo)}")
        return underway.finish()


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
