"""What was found on a photo, computed once: the one source of pictures, pages, files and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..classes import ClassGroup
from ..geometry import Box
from ..grid.score_grid import ScoreGrid
from ..notebook import notebook_html
from ..photo.georeference import Georeference
from ..text_table import TextTable
from .confirm import Crops
from .detect import Scored, Search, detect, maps_of
from .detection import Detection, NotFound, as_stored, on_region, on_whole_photo
from .formats.arrays import as_supervision, as_torchvision
from .formats.coco import OWN_IDS, coco_dataset
from .formats.geojson import feature_collection
from .formats.table import as_dataframe
from .found_table import found_table
from .scales import Windows

# Where nothing reaches the confidence threshold, the best so many are given as guesses,
GUESSES = 3
# unless they are less sure than this.
LEAST_GUESS = 0.01
# Boxes that are confirmed by cropping to find the best guesses.
_CANDIDATES = 12
# The same for each class that was named.
_CANDIDATES_OF_ONE = 4
# There are maps of at most so many classes; of the most confident ones where more are found.
MOST_MAPS = 20
# Classes named in one line.
_TOLD = 3


@dataclass(frozen=True, eq=False, repr=False)
class Findings:
    """What was found on a photo, to the digits that files have.

    Attributes:
        detections: objects, most confident first; boxes in px of the whole photo.
        guesses: where there are no detections, the best of those below the confidence threshold.
        not_found: the classes that were searched for by name and not found, in their order.
        groups: the classes that are shown, at least one: those searched for by name; otherwise
            those of the detections or guesses, most confident first, at most ``MOST_MAPS``.
        maps: their maps, probabilities 0..1 that float16 holds exactly: sharp maps where the
            network allows them, otherwise those of windows. Its classes are ``groups``, in this
            order. NaN where a window was not scored. Of a region its geometry is that of the
            region.
        unconfirmed: how many detections were past the number that is confirmed by cropping.
        named: whether the classes were searched for by name.

    The methods ``to_...`` give the detections to other libraries, never the guesses, with the
    values that the files of these formats have.
    """

    detections: tuple[Detection, ...]
    guesses: tuple[Detection, ...]
    groups: tuple[ClassGroup, ...]
    maps: ScoreGrid
    unconfirmed: int = 0
    named: bool = False
    not_found: tuple[NotFound, ...] = ()

    def __repr__(self) -> str:
        """One line: ``Findings 2 detections, 0 guesses, maps of tabby, tiger cat``."""
        told = ", ".join(group.name for group in self.groups[:_TOLD])
        return (
            f"Findings {len(self.detections)} detections, {len(self.guesses)} guesses, "
            f"maps of {told}{', ...' * (len(self.groups) > _TOLD)}"
        )

    def _repr_html_(self) -> str:
        """For a notebook: one line, the table, and an answer for each class not found."""
        return notebook_html(repr(self), *self.told())

    def told(self, conf: float | None = None) -> Iterator[str | TextTable]:
        """The detections or guesses as a table, and an answer for each class not found.

        Args:
            conf: the confidence threshold, to be named; None leaves it out.
        """
        if not self.detections:
            below = "the confidence threshold" if conf is None else f"{conf:g}"
            guesses = f"; the best guesses, all below {below}:" if self.guesses else "."
            yield f"Nothing detected{guesses}"
        if self.shown:
            yield found_table(self.shown, self.whole_hw)
        yield from (missing.answer(conf) for missing in self.not_found)

    @property
    def shown(self) -> tuple[Detection, ...]:
        """The detections, or where there are none the guesses."""
        return self.detections or self.guesses

    @cached_property
    def peaks(self) -> tuple[float, ...]:
        """The highest value of each map, 0..1."""
        return tuple(np.nan_to_num(self.maps.scores).max(axis=(0, 1)).tolist())

    def column(self, group: ClassGroup) -> int | None:
        """The index of a class among the maps; None where there is none of it."""
        return self.groups.index(group) if group in self.groups else None

    def maps_of(self, groups: Sequence[ClassGroup], grid: ScoreGrid | None = None) -> ScoreGrid:
        """The maps of some classes; where one has none, those of all of them over windows.

        Args:
            groups: the classes.
            grid: the scores of the windows; None where all of the classes have maps.
        """
        columns = [self.groups.index(group) for group in groups if group in self.groups]
        if grid is not None and len(columns) < len(groups):
            return stored_maps(window_maps(grid, groups))
        maps = self.maps
        return replace(maps, scores=maps.scores[:, :, columns], classes=maps.classes.only(columns))

    @property
    def looked_for(self) -> list[ClassGroup]:
        """The classes of :attr:`groups`, without those that are only there as guesses."""
        guessed = {guess.group for guess in self.guesses}
        return [group for group in self.groups if group not in guessed]

    @property
    def photo(self) -> str:
        """The path of the photo as given; "" for an array."""
        return self.maps.origin.photo

    @property
    def whole_hw(self) -> tuple[int, int]:
        """Height and width of the whole photo, px."""
        region = self.maps.origin.region
        return region.whole_hw if region else self.maps.geometry.photo_hw

    def number(self, group: ClassGroup) -> int:
        """The number of a class for other libraries, counted from 0.

        Its place among the classes that were searched for by name; where none were named, its
        index in the grid.
        """
        return self.groups.index(group) if self.named else group.indices[0]

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with a row for each detection, as ``cat.csv`` has them.

        Columns are photo, class, confidence, the box (left, top, right, bottom) and the window
        (window_left, ...) in px of the whole photo, scale, slide and crop (NaN without one).

        Raises:
            HeatmapError: pandas is not installed.
        """
        return as_dataframe(self.photo, self.detections)

    def to_supervision(self) -> Any:
        """``supervision.Detections``: ``xyxy``, ``confidence``, ``class_id``, and "class_name".

        ``class_id`` is that of :meth:`number`.

        Raises:
            HeatmapError: supervision is not installed.
        """
        return as_supervision(self.detections, self.number)

    def to_torchvision(self) -> dict[str, Any]:
        """Tensors on the CPU, as torchvision's detectors give them.

        Returns:
            "boxes" float32 (n, 4), left, top, right, bottom in px of the whole photo; "labels"
            int64 (n,), those of :meth:`number`, none of which is kept for a background; "scores"
            float32 (n,), the confidences.

        Raises:
            HeatmapError: torch cannot be loaded.
        """
        return as_torchvision(self.detections, self.number)

    def to_coco(self) -> dict[str, Any]:
        """A COCO dataset of the photo, whose annotations have "score" too: no ground truth.

        Ids are those of a photo that is run by itself (:class:`formats.coco.OwnIds`).
        """
        image = OWN_IDS.image(self.photo)
        return coco_dataset(image, self.whole_hw, self.detections, self.looked_for)

    def to_geojson(
        self,
        georeference: Georeference | None = None,
        colours: Mapping[ClassGroup, tuple[int, int, int]] | None = None,
    ) -> dict[str, Any]:
        """A GeoJSON collection with a polygon for each detection, in px of the whole photo.

        Args:
            georeference: that of the whole photo, for world coordinates instead.
            colours: red, green and blue, 0..255, of each class, for QuPath.
        """
        return feature_collection(self.detections, georeference, colours)

    def boxes_on(self, picture_hw: tuple[int, int]) -> list[Box]:
        """The boxes of :attr:`shown` in px of a picture of the photo, or of its region."""
        photo_hw = self.maps.geometry.photo_hw
        down, across = (side / full for side, full in zip(picture_hw, photo_hw, strict=True))
        return [
            (left * across, top * down, right * across, bottom * down)
            for left, top, right, bottom in (
                detection.xyxy for detection in on_region(self.shown, self.maps.origin.region)
            )
        ]


def find(
    scored: Sequence[Scored],
    windows: Windows,
    search: Search,
    crops: Crops | None = None,
) -> Findings:
    """Detect objects, or guess where none is sure enough, and make the maps that show them.

    Args:
        scored: the scores of one photo at each scale.
        windows: the windows of all scales.
        search: what to look for.
        crops: asks the network of boxes by themselves; None confirms none of them.

    Raises:
        ClassError, GeometryError, ResultError: as :func:`heatmap.localize`.
    """
    found = detect(scored, search, crops)
    missed: dict[ClassGroup, Detection | None] = {}
    if search.classes is not None:
        groups = tuple(windows.finest.classes.find_all(search.classes))
        missed = _best_below(scored, search, crops, _not_among(found.detections, groups))
        candidates = sorted(filter(None, missed.values()), key=lambda each: -each.confidence)
        guesses = () if found.detections else tuple(candidates[:GUESSES])
    else:
        guesses = () if found.detections else _guesses(scored, search, crops)
        shown = found.detections or guesses
        # Where not even a guess is left, every window was skipped.
        of_shown = tuple(dict.fromkeys(each.group for each in shown))[:MOST_MAPS]
        groups = of_shown or tuple(windows.grid.winners(1))
    maps = maps_of(scored, groups, named=search.classes is not None)
    maps = maps or window_maps(windows.grid, groups)
    region = maps.origin.region

    def stored(detections: Sequence[Detection]) -> tuple[Detection, ...]:
        return tuple(map(as_stored, on_whole_photo(detections, region)))

    return Findings(
        stored(found.detections),
        stored(guesses),
        groups,
        stored_maps(maps),
        found.unconfirmed,
        named=search.classes is not None,
        not_found=tuple(
            NotFound.of(group, stored([best])[0] if best else None)
            for group, best in missed.items()
        ),
    )


def _guesses(
    scored: Sequence[Scored], search: Search, crops: Crops | None
) -> tuple[Detection, ...]:
    """The best candidates below the threshold, where no class was named."""
    most = min(GUESSES, search.max_det or GUESSES)
    lower = _lower(search, most, _CANDIDATES)
    return detect(scored, lower, crops).detections[:most]


def _not_among(detections: Sequence[Detection], groups: Sequence[ClassGroup]) -> list[ClassGroup]:
    found = {detection.group for detection in detections}
    return [group for group in groups if group not in found]


def _best_below(
    scored: Sequence[Scored], search: Search, crops: Crops | None, groups: Sequence[ClassGroup]
) -> dict[ClassGroup, Detection | None]:
    """The best candidate of each class, or None where there is none."""
    lower = _lower(search, 1, _CANDIDATES_OF_ONE)
    best = {}
    for group in groups:
        detections = detect(scored, replace(lower, classes=[group]), crops).detections
        best[group] = detections[0] if detections else None
    return best


def _lower(search: Search, most: int, candidates: int) -> Search:
    """The same search for what is below its threshold, with few candidates confirmed."""
    conf, confirm = min(search.conf, LEAST_GUESS), min(search.confirm, candidates)
    return replace(search, conf=conf, max_det=most, confirm=confirm)


def window_maps(grid: ScoreGrid, groups: Sequence[ClassGroup]) -> ScoreGrid:
    """The maps of some classes over whole windows, as a grid whose classes are the groups.

    They are corrected for chance already, as classes that do not exclude each other need not be.
    """
    return replace(
        grid,
        scores=grid.class_maps(groups),
        classes=grid.classes.grouped(groups),
        kind="independent probabilities",
    )


def stored_maps(maps: ScoreGrid) -> ScoreGrid:
    """The maps as their file has them: values of float16."""
    return replace(maps, scores=maps.scores.astype(np.float16).astype(np.float32))
