"""The main job: score one photo, detect objects, draw overlays, and save the results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..classes import ClassGroup
from ..errors import Use
from ..files import room_to_grow
from ..geometry import Box
from ..grid.collector import grid_bytes
from ..grid.position_scores import PositionScores
from ..grid.score_grid import LARGE_GRID_BYTES, ScoreGrid
from ..localization.localize import Detection
from ..localization.scales import auto_scales, fuse_scales
from ..localization.sharpen import sharp_maps, tighten
from ..memory import kept_memory
from ..names import scale_name
from ..photo.photo import Photo
from ..photo.photo_file import PhotoFile, open_photo
from ..progress import Reporter
from ..rendering.thumbnail import Picture
from .pictures import detect, draw, drawn_groups
from .request import Display, Limits, MultiScale, Request, check_photo, display_of_stored
from .save import NO_EXTRAS, Extras, RunFiles, SavedRun, save_run

if TYPE_CHECKING:
    from ..scoring.scorer import Scorer


@dataclass(frozen=True)
class Run:
    """The results of a run on one photo.

    Attributes:
        photo: the photo, upright.
        grid: scores of its windows, float32 (N, M, K); fused where there are several scales.
        scales: where there are several scales, the grid of each by its name ("x0.5").
        sharp: the position maps of the classes drawn and detected
            (:func:`heatmap.sharp_maps`); None where the network, the size of the photo or the
            limits do not allow any.
        detections: objects, most confident first; boxes in photo px.
        saved: the paths of its files.
    """

    photo: Photo | PhotoFile
    grid: ScoreGrid
    scales: Mapping[str, ScoreGrid]
    sharp: ScoreGrid | None
    detections: tuple[Detection, ...]
    saved: SavedRun


class PhotoRun:
    """The run of one photo in steps: open it, then :meth:`score`, then :meth:`finish`.

    The steps may run in different threads. ``needed`` is the number of bytes that the scores
    will take on disk, 0 if they fit into memory.

    Raises:
        HeatmapError: the photo cannot be read, or the request cannot be met for it.
    """

    def __init__(self, photo: str | Path, scorer: Scorer, request: Request) -> None:
        self.photo = open_photo(photo)
        self.scorer, self.request = scorer, request
        # Refused before the photo is scored, not after.
        self.display = display_of_stored(request, scorer.classifier.classes)
        check_photo(request, self.photo)
        self.needed = planned_bytes(self.photo.hw, scorer, request.placement, request.limits)
        self._scored: dict[str, ScoreGrid | PositionScores] = {}
        self._home = Path()

    def score(self, home: Path, reporter: Reporter) -> None:
        """Score at every scale; large scores are written to the folder ``home``."""
        self._home = home
        placement, limits = self.request.placement, self.request.limits
        with kept_memory():
            self._scored = dict(_scored(self.photo, self.scorer, home, placement, limits, reporter))

    def finish(self, folder: str | Path) -> Run:
        """Detect objects, draw overlays, and write all results to ``folder``."""
        scored = list(self._scored.values())
        grids = [_windows(scores) for scores in scored]
        fuse = self.request.placement.fuse
        grid = grids[0] if len(grids) == 1 else fuse_scales(grids, fuse, self._home)
        detections = detect(self.display, grids)
        groups = drawn_groups(self.display, grid, detections)
        # Drawn classes first, without duplicates.
        mapped = list(dict.fromkeys([*groups, *(detection.group for detection in detections)]))
        sharp = _sharp(scored, mapped)
        if sharp is not None:
            detections = tighten(detections, sharp, mapped)
        several = dict(zip(self._scored, grids, strict=True)) if len(grids) > 1 else {}
        files = RunFiles(self.photo, grid, detections, several, sharp)
        pictures = _pictures(self.display, files, groups)
        saved = save_run(folder, files, pictures, self.request.extras)
        return Run(self.photo, grid, several, sharp, detections, saved)


def run(
    photo: str | Path,
    scorer: Scorer,
    folder: str | Path,
    *,
    display: Display = Display(),
    placement: MultiScale = MultiScale(),
    limits: Limits = Limits(),
    extras: Extras = NO_EXTRAS,
    reporter: Reporter = Reporter(),
) -> Run:
    """Score a photo, detect objects, draw overlays, and write all results to ``folder``.

    >>> scorer = heatmap.prepare("vgg16")            # doctest: +SKIP
    >>> heatmap.run("cat.jpg", scorer, "results").detections    # doctest: +SKIP

    For ``cat.jpg`` the folder gets ``cat.json`` (``result.schema.json`` in this package is its
    JSON Schema), the score grid ``cat.npz``, an overlay ``cat.<class>.png`` for each class
    drawn, and the files of ``extras``. Either all of these files are written or none; earlier
    files of the same names are replaced.

    Args:
        photo: path of the photo.
        scorer: what :func:`heatmap.prepare` gave; one serves many photos.
        folder: where the files are written; created if missing.
        display: which classes are searched and drawn, the thresholds, and the colours.
        placement: stride (px), scales (resize factors of the photo) and border.
        limits: bytes of memory, classes to store, and windows to skip.
        extras: further files: other formats, the page.
        reporter: receives the stages, and the number of windows scored.

    Returns:
        The photo, its grid (float32 (N, M, K); logits or probabilities), its detections (most
        confident first, boxes in photo px) and the paths of the files.

    Raises:
        PhotoError: the photo or the mask cannot be read.
        GeometryError: no window fits, a stride that the network does not have, or a photo
            too large for the memory.
        ClassError: an unknown class, or one that is requested but not stored.
        ResultError: the files cannot be written, or do not fit on the disk.

    In each of these cases nothing is written.
    """
    underway = PhotoRun(photo, scorer, Request(display, placement, limits, extras))
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


def _windows(scored: ScoreGrid | PositionScores) -> ScoreGrid:
    return scored if isinstance(scored, ScoreGrid) else scored.windows


def _sharp(
    scored: Sequence[ScoreGrid | PositionScores], groups: Sequence[ClassGroup]
) -> ScoreGrid | None:
    """Sharp maps of the groups, where every scale has positions."""
    positions = [scores for scores in scored if isinstance(scores, PositionScores)]
    if len(positions) < len(scored):
        return None
    return sharp_maps(positions, groups)


def _pictures(
    display: Display, files: RunFiles, groups: Sequence[ClassGroup]
) -> dict[ClassGroup, Picture]:
    """The overlay of each group, drawn from its sharp map where there is one."""
    grid, drawn = files.drawn(groups)
    boxes: dict[ClassGroup, list[Box]] = {group: [] for group in groups}
    for detection in files.detections:
        boxes.get(detection.group, []).append(detection.xyxy)
    return {
        group: draw(display, files.photo, grid, drawn_group, boxes[group])
        for group, drawn_group in zip(groups, drawn, strict=True)
    }


def planned_bytes(
    photo_hw: tuple[int, int], scorer: Scorer, placement: MultiScale, limits: Limits
) -> int:
    """Bytes that the scores of a run will take on disk; 0 where they fit into memory.

    Raises:
        GeometryError: no window fits, or the network does not have this stride.
    """
    classes = scorer.classifier.classes
    kept = classes.indices(limits.store_classes) if limits.store_classes else classes
    sizes = [
        grid_bytes(scorer.plan(photo_hw, placement.at(scale)), len(kept))
        for scale in _scales(photo_hw, scorer, placement).values()
    ]
    # Several are fused on the finest, which has the most windows.
    fused = [max(sizes)] if len(sizes) > 1 else []
    return sum(size for size in sizes + fused if size > LARGE_GRID_BYTES)


def _scales(photo_hw: tuple[int, int], scorer: Scorer, placement: MultiScale) -> dict[str, float]:
    """The scales by the names of their grids, without duplicates."""
    window = scorer.classifier.preprocessing.window_px
    scales = placement.scales or auto_scales(photo_hw, window)
    return {scale_name(scale): scale for scale in scales}


def _scored(
    photo: Photo | PhotoFile,
    scorer: Scorer,
    folder: Path,
    placement: MultiScale,
    limits: Limits,
    reporter: Reporter,
) -> Iterator[tuple[str, ScoreGrid | PositionScores]]:
    """The scores of each scale by its name: of positions where possible, otherwise of windows."""
    scales = _scales(photo.hw, scorer, placement)
    for name, scale in scales.items():
        at_scale = f" at scale {scale:g}" if len(scales) > 1 else ""
        reporter.stage(f"scoring {Path(photo.path).name}{at_scale}")
        common: dict[str, Any] = {"memory": limits.memory, "progress": reporter.advance}
        positions = None
        # Skipped windows and classes not stored cannot be attributed to positions.
        if limits.store_classes is None and limits.skip is None:
            positions = scorer.score_positions(photo, placement.at(scale), **common)
        yield (
            name,
            positions
            or scorer.score(
                photo,
                placement.at(scale),
                store_classes=limits.store_classes,
                skip=limits.skip,
                folder=folder,
                **common,
            ),
        )
