"""The scorer: a prepared classifier that turns photos into score grids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..classes import ClassGroup, Wanted
from ..geometry import Box, Geometry, Placement, plan_grid
from ..grid.coarse import CoarseToFine, Sought
from ..grid.collector import Collector, grid_bytes
from ..grid.origin import Computation, Origin, Weights
from ..grid.outputs import chance_of, group_probabilities
from ..grid.position_scores import PositionScores, positions_of
from ..grid.score_grid import LARGE_GRID_BYTES, ScoreGrid
from ..grid.skip import Skip, no_data_cells
from ..localization.confirm import CropAnswers, Crops
from ..photo.extended import ExtendedRows
from ..photo.photo_file import upright_hw
from ..photo.reduced import OpenPhoto, PhotoSource, decoded_hw, name_of, open_photo
from ..progress import Progress, reporting
from ..versions import package_versions
from .boxes import BoxOutputs, box_outputs
from .collect import collected, collected_coarse_to_fine
from .position_collector import PositionCollector
from .prepared_pass import PreparedPass
from .scoring_network import ScoringNetwork
from .stream import Pass, Spread, too_large


@dataclass(eq=False, repr=False)
class Scorer(ScoringNetwork):
    """A classifier prepared to score any number of photos; :func:`heatmap.prepare` makes one.

    >>> scorer = heatmap.prepare("efficientnet_lite0")  # doctest: +SKIP
    >>> grid = scorer.score("cat.jpg", heatmap.Placement(scale=2.0))  # doctest: +SKIP

    Attributes beside those of :class:`scoring_network.ScoringNetwork`:
        spread: a function that has passes computed elsewhere (workers on other machines); None
            computes them here.
        files: what it was prepared from, as far as given by name: paths among other names.
    """

    spread: Spread | None = field(default=None, repr=False)
    files: tuple[str | Path, ...] = ()

    def __repr__(self) -> str:
        """One line: ``Scorer vgg16, 1000 classes, window 224 px, stride 32 px, slide, auto``."""
        facts = self.facts
        return (
            f"Scorer {facts.name}, {len(facts.classes)} classes, "
            f"window {facts.preprocessing.window_px} px, stride {self.native_stride_px} px, "
            f"engine {self.engine}, backend {self.backend}"
        )

    def plan(self, photo_hw: tuple[int, int], placement: Placement = Placement()) -> Geometry:
        """The geometry of the grid that :meth:`score` would compute.

        Args:
            photo_hw: height and width of the photo, px.
            placement: stride, scale and border.

        Raises:
            GeometryError: no window fits, or the engine does not support this stride.
        """
        native = self.native_stride_px
        if self.engine == "slide":
            placement = replace(placement, stride=self.checked_stride(placement.stride))
        window = self.facts.preprocessing.window_px
        return plan_grid(photo_hw, placement, window=window, native_stride=native)

    def score(
        self,
        photo: PhotoSource,
        placement: Placement = Placement(),
        *,
        memory: int | None = None,
        store_classes: Sequence[Wanted] | None = None,
        skip: Skip | None = None,
        sought: Sought | None = None,
        folder: Path | None = None,
        progress: Progress = False,
    ) -> ScoreGrid:
        """Score every window of a photo that shows at least as much photo as no data.

        Args:
            photo: a path, an RGB uint8 array (H, W, 3), or an opened photo.
            placement: stride, scale and border.
            memory: bytes that activations may take; None is half of the free memory.
            store_classes: store the probabilities of only these classes; None is all.
            skip: which windows to skip; their cells are NaN.
            sought: crop windows from coarse to fine, near what this is likely in; the others get
                the mean probabilities of those around them. Has no effect on sliding.
            folder: folder for the scores of a grid too large for memory; None is the system's
                temporary folder.
            progress: as in :func:`heatmap.score`; counts windows.

        Returns:
            The grid: ``scores`` is float32 (N, M, K).

        Raises:
            PhotoError, GeometryError, ModelError, ClassError: as :func:`heatmap.score`.
        """
        opened = self.opened(photo, placement, skip)
        geometry = self.plan(opened.hw, placement)
        wanted = None if skip is None else skip.wanted(opened, geometry)
        left_out = no_data_cells(opened, geometry)
        if left_out is not None and (wanted is not None or self.engine == "crop" or left_out.all()):
            wanted = ~left_out if wanted is None else wanted & ~left_out
        classes, outputs = self.facts.classes, self.facts.outputs
        kept = None if store_classes is None else classes.indices(store_classes)
        job = self._pass(opened, geometry, memory, wanted)
        collector = Collector(geometry, classes, outputs, stored=kept, folder=folder)
        cropped = None
        with reporting(progress, f"scoring {name_of(opened)}") as reporter:
            advance, spread = reporter.advance, self.spread
            if sought is not None and self.engine == "crop":
                plan = CoarseToFine(geometry, sought, outputs, wanted)
                computation = collected_coarse_to_fine(job, collector, plan, advance, spread=spread)
                cropped = int(plan.scored.sum()), math.prod(geometry.grid_hw)
            else:
                computation = collected(job, collector, advance, spread=spread, left_out=left_out)
        origin = replace(self.origin(opened, job, computation), cropped=cropped)
        if kept is not None:
            origin = replace(origin, network_classes=len(classes))
        return collector.finish(origin)

    def score_positions(
        self,
        photo: PhotoSource,
        placement: Placement = Placement(),
        *,
        memory: int | None = None,
        progress: Progress = False,
    ) -> PositionScores | None:
        """Score every single position of the feature map, and every window.

        Gives the same scores of windows as :meth:`score` up to rounding, and takes hardly longer.
        Where they are means of linear functions of single positions, positions have the values of
        these; otherwise positions are scored as parts of the window around them.

        Args:
            photo, placement, memory, progress: as in :meth:`score`.

        Returns:
            The scores of positions, and of windows, NaN where these show mostly no data; None if
            single positions have no scores (:meth:`why_no_positions` says why), or the scores are
            too large for memory.

        Raises:
            PhotoError, GeometryError, ModelError: as :func:`heatmap.score`.
        """
        opened = self.opened(photo, placement)
        windows = self.plan(opened.hw, placement)
        if self.engine == "crop" or (map_hw := self.map_hw_at(windows.stride_px)) is None:
            return None
        native = self.native_stride_px
        geometry = positions_of(windows, map_hw, native)
        if grid_bytes(geometry, len(self.facts.classes)) > LARGE_GRID_BYTES:
            return None
        job = self._pass(opened, geometry, memory, None, positions=True)
        k = native // windows.stride_px
        collector = PositionCollector(geometry, windows, self.facts, map_hw, k)
        with reporting(progress, f"scoring {name_of(opened)}") as reporter:
            advance = reporter.advance
            computation = collected(job, collector, advance, spread=self.spread, positions=True)
        left_out = no_data_cells(opened, windows)
        return collector.finish(self.origin(opened, job, computation), left_out)

    def crop_probabilities(
        self,
        photo: PhotoSource,
        boxes_xyxy: Sequence[Box],
        groups: Sequence[ClassGroup],
    ) -> list[float]:
        """What the network says of boxes by themselves, each cut out and stretched to one window.

        Args:
            photo: as in :meth:`score`. One that stays on disk is read once more, made smaller.
            boxes_xyxy: boxes within the photo, px.
            groups: for each box the class or group that is asked about.

        Returns:
            The probability of each, 0..1, corrected for chance (:func:`outputs.above_chance`).

        Raises:
            PhotoError: the photo cannot be read.
        """
        return list(self.ask_crops(photo, boxes_xyxy, groups).probabilities)

    @property
    def refines(self) -> bool:
        """Whether the network says of a crop where its object ends, by box regression."""
        return self.engine == "slide" and self.facts.box_regression is not None

    def crops(self, photo: PhotoSource) -> Crops | None:
        """What asks the network of boxes on a photo; None where windows are cropped anyway."""
        if self.engine == "crop":
            return None
        return Crops(partial(self.ask_crops, photo), self.refines)

    def ask_crops(
        self, photo: PhotoSource, boxes_xyxy: Sequence[Box], groups: Sequence[ClassGroup]
    ) -> CropAnswers:
        """As :meth:`crop_probabilities`, and with box regression where the objects' boxes are.

        Raises:
            PhotoError: the photo cannot be read.
            ModelError: the box regression is of another network.
        """
        if not boxes_xyxy:
            return CropAnswers([], [] if self.refines else None)
        opened = open_photo(photo)
        given = self.box_outputs(opened, boxes_xyxy, profiles=self.refines)
        outputs = self.facts.outputs
        chance = chance_of(outputs, len(self.facts.classes))
        probabilities = [
            float(group_probabilities(one, [group.indices], outputs, chance)[0])
            for one, group in zip(given.scores, groups, strict=True)
        ]
        regression = self.facts.box_regression
        if regression is None or given.profiles is None:
            return CropAnswers(probabilities)
        boxes = regression.refined(given.profiles, boxes_xyxy, opened.hw)
        return CropAnswers(probabilities, boxes)

    def box_outputs(
        self, photo: OpenPhoto, boxes_xyxy: Sequence[Box], *, profiles: bool = False
    ) -> BoxOutputs:
        """What the network gives for boxes, at least one; profiles only where it slides."""
        window = self.facts.preprocessing.window_px
        network = self.crop_network(profiles=profiles)
        return box_outputs(network, photo, boxes_xyxy, window, profiles=profiles)

    def opened(
        self, photo: PhotoSource, placement: Placement, skip: Skip | None = None
    ) -> OpenPhoto:
        """A photo, of a file as much as it takes to score it so."""
        if not isinstance(photo, str | Path) or (skip is not None and skip.background):
            return open_photo(photo)
        plan = self.plan(upright_hw(Path(photo)), placement)
        return open_photo(photo, decoded_hw([plan.scaled_hw]))

    def _pass(
        self,
        opened: OpenPhoto,
        geometry: Geometry,
        memory: int | None,
        wanted: npt.NDArray[np.bool_] | None,
        *,
        positions: bool = False,
    ) -> Pass:
        """A pass in ONNX Runtime where that is the faster one and the photo fits; else in torch."""
        extended, memory = ExtendedRows(opened, geometry), memory or self.compute.free_memory
        prepared = None if self.spread else self.prepared_at(geometry.stride_px)
        # Of another form it is where the engine was replaced (`dataclasses.replace`).
        if prepared is not None and prepared.form == self.engine:
            job = PreparedPass(prepared, extended, geometry, positions, wanted)
            if job.needed <= memory:
                return job
            if self.forms is not None and self.forms.alone:
                raise too_large(geometry, job.needed, memory, "in ONNX Runtime")
        from .photo_pass import PhotoPass

        at, network = self.positions_at if positions else self.network_at, None
        if self.engine == "slide":
            network = at(geometry.stride_px)
        classifier = self.in_torch.get().classifier
        return PhotoPass(classifier, network, self.compute, extended, geometry, memory, wanted)

    def origin(self, photo: OpenPhoto, job: Pass, computation: Computation) -> Origin:
        """The origin of a grid made by a pass of this scorer over a photo."""
        facts = self.facts
        return Origin(
            photo=photo.path,
            photo_digest=photo.digest,
            decoded=photo.decoded,
            region=photo.region,
            model=facts.name,
            weights=Weights(facts.weights_kind, facts.weights, facts.weights_digest),
            engine=self.engine,
            sliding=self.slides.sliding,
            statistics=self.slides.statistics if self.engine == "slide" else None,
            computation=computation,
            notes=self.notes_at(job.geometry.stride_px),
            versions=package_versions(),
        )
