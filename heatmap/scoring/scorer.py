"""A classifier made ready to score photos: each one to its score grid, or to its positions'."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from ..classes import Wanted
from ..conversion.dilation import check_stride
from ..conversion.network import FullyConvolutional
from ..conversion.plan import Sliding
from ..geometry import Geometry, Placement, plan_grid
from ..grid.collector import Collector, grid_bytes
from ..grid.origin import Computation, Origin, Weights
from ..grid.position_scores import PositionScores, mean_over, positions_of
from ..grid.score_grid import LARGE_GRID_BYTES, Kind, ScoreGrid
from ..grid.skip import Skip
from ..memory import free_memory, kept_memory
from ..networks.classifier import Classifier
from ..photo.extended import ExtendedRows
from ..photo.photo import Photo
from ..photo.photo_file import PhotoFile, PhotoSource, open_photo
from ..versions import package_versions
from .device import Compute
from .network_cache import NetworkCache
from .photo_pass import PhotoPass, Spread

# Windows are this far apart where a network has no stride of its own (it cannot slide).
CROP_STRIDE_PX = 32


# Told the windows done, and all that are to be scored.
Progress = Callable[[int, int], None]


@dataclass(eq=False)
class Scorer:
    """A classifier made ready to score photos; make one with :func:`prepare`, use it for many.

    >>> scorer = heatmap.prepare("efficientnet_lite0")  # doctest: +SKIP
    >>> grid = scorer.score("cat.jpg", heatmap.Placement(scale=2.0))  # doctest: +SKIP

    Attributes:
        classifier: the original, unconverted.
        networks: its fully convolutional forms by stride, made when first asked for and
            kept; None where it cannot slide.
        engine: what :meth:`score` does: "slide" or "crop".
        sliding: whether sliding is "exact", "inexact", or "refused".
        why_not: what stands against sliding exactly, or "".
        compute: the device and the number format.
        spread: has passes computed elsewhere (workers on other machines); None is here.
        steady: whether a photo's scores have the same bits whatever was scored before.
    """

    classifier: Classifier
    networks: NetworkCache | None
    engine: Literal["slide", "crop"]
    sliding: Sliding
    why_not: str = ""
    compute: Compute = field(default_factory=Compute)
    spread: Spread | None = field(default=None, repr=False)
    steady: bool = False

    @property
    def network(self) -> FullyConvolutional | None:
        """The fully convolutional form at the native stride, on the CPU in float32."""
        return None if self.networks is None else self.networks.native

    @property
    def native_stride_px(self) -> int:
        """Distance between neighbouring windows where none is asked for, px."""
        return self.network.native_stride_px if self.network is not None else CROP_STRIDE_PX

    def plan(self, photo_hw: tuple[int, int], placement: Placement = Placement()) -> Geometry:
        """Lay the grid of windows that :meth:`score` would use.

        Args:
            photo_hw: height and width of the photo, px.
            placement: stride, scale and border.

        Raises:
            GeometryError: no window fits, or the engine does not have this stride.
        """
        native = self.native_stride_px
        if self.engine == "slide":
            placement = replace(placement, stride=check_stride(placement.stride, native))
        window = self.classifier.preprocessing.window_px
        return plan_grid(photo_hw, placement, window=window, native_stride=native)

    def network_at(self, stride_px: int) -> FullyConvolutional:
        """The network that scores windows at one of its strides, on its device.

        Raises:
            GeometryError: a stride that it does not have.
        """
        assert self.networks is not None
        network = self.networks.windows(stride_px)
        return network.steady() if self.steady else network

    def positions_at(self, stride_px: int) -> FullyConvolutional | None:
        """The network that scores single positions of the feature map at one of its strides.

        None where it crops, or where its windows are no averages over positions.

        Raises:
            GeometryError: a stride that it does not have.
        """
        if self.engine != "slide" or self.networks is None:
            return None
        network = self.networks.positions(stride_px)
        return network.steady() if self.steady and network is not None else network

    def score(
        self,
        photo: PhotoSource,
        placement: Placement = Placement(),
        *,
        memory: int | None = None,
        store_classes: Sequence[Wanted] | None = None,
        skip: Skip | None = None,
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> ScoreGrid:
        """Score every window of a photo.

        Args:
            photo: a path, an RGB uint8 array (H, W, 3), or a photo opened before.
            placement: stride, scale and border.
            memory: bytes that activations may take; None is half of what is free.
            store_classes: keep the probabilities of these classes only.
            skip: leave out flat background or what a mask leaves out; such cells are NaN.
            folder: where a grid too large for memory grows.
            progress: called with the windows done and all that are to be scored.

        Returns:
            The grid: ``scores`` is float32 (N, M, K).

        Raises:
            PhotoError, GeometryError, ModelError, ClassError: as :func:`heatmap.score`.
        """
        opened = open_photo(photo)
        geometry = self.plan(opened.hw, placement)
        wanted = None if skip is None else skip.wanted(opened, geometry)
        kept = None if store_classes is None else self.classifier.classes.indices(store_classes)
        network = self.network_at(geometry.stride_px) if self.engine == "slide" else None
        job = self._pass(opened, geometry, network, memory, wanted)
        collector = Collector(
            geometry, self.classifier.classes, self.kind(), stored=kept, folder=folder
        )
        origin = self.origin(opened, self._collect(job, collector, progress))
        if kept is not None:
            origin = replace(origin, network_classes=len(self.classifier.classes))
        return collector.finish(origin)

    def score_positions(
        self,
        photo: PhotoSource,
        placement: Placement = Placement(),
        *,
        memory: int | None = None,
        progress: Progress | None = None,
    ) -> PositionScores | None:
        """Score every position of the feature map by itself, and from that every window.

        Takes as long as :meth:`score` and gives the same windows, to rounding.

        Args:
            photo, placement, memory, progress: as :meth:`score` takes them.

        Returns:
            Scores of positions and of windows; None where windows are no averages over
            positions, or the scores too many for memory.

        Raises:
            PhotoError, GeometryError, ModelError: as :func:`heatmap.score`.
        """
        opened = open_photo(photo)
        windows = self.plan(opened.hw, placement)
        network = self.positions_at(windows.stride_px)
        if network is None:
            return None
        map_hw, native = network.plan.map_hw, network.native_stride_px
        geometry = positions_of(windows, map_hw, native)
        if grid_bytes(geometry, network.classes) > LARGE_GRID_BYTES:
            return None
        job = self._pass(opened, geometry, network, memory, None)
        collector = Collector(geometry, self.classifier.classes, "logits")
        computation = self._collect(job, collector, progress, positions=True)
        grid = collector.finish(self.origin(opened, computation))
        k = native // windows.stride_px
        means = replace(grid, scores=mean_over(grid.scores, map_hw, k), geometry=windows)
        return PositionScores(means, grid, map_hw, k)

    def _pass(
        self,
        opened: Photo | PhotoFile,
        geometry: Geometry,
        network: FullyConvolutional | None,
        memory: int | None,
        wanted: npt.NDArray[np.bool_] | None,
    ) -> PhotoPass:
        return PhotoPass(
            self.classifier,
            network,
            self.compute,
            ExtendedRows(opened, geometry),
            geometry,
            memory or free_memory(),
            wanted,
        )

    def _collect(
        self,
        job: PhotoPass,
        collector: Collector,
        progress: Progress | None,
        *,
        positions: bool = False,
    ) -> Computation:
        """Have a pass computed, all of its scores collected; says how it was computed."""
        rows, columns = job.geometry.grid_hw
        done, total = 0, rows * columns if job.wanted is None else int(job.wanted.sum())
        with kept_memory():
            stream = job.start() if self.spread is None else self.spread(job, positions)
            for row, column, scores in stream.blocks:
                collector.write(row, column, scores)
                done += int((~np.isnan(scores[:, :, 0])).sum())
                if progress is not None:
                    progress(done, total)
        return stream.computation

    def kind(self) -> Kind:
        """What the classifier gives: by its last operation, or else by what comes out."""
        if self.network is not None:
            return self.network.outputs
        side = self.classifier.preprocessing.window_px
        noise = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
        with torch.inference_mode():
            scores = self.classifier.module(self.classifier.preprocessing.tensor(noise))
        sums_to_one = torch.allclose(scores.sum(dim=1), torch.ones(2), atol=1e-4)
        return "probabilities" if sums_to_one and scores.min() >= 0 else "logits"

    def origin(self, photo: Photo | PhotoFile, computation: Computation) -> Origin:
        """Where a grid of this scorer comes from."""
        classifier = self.classifier
        return Origin(
            photo=photo.path,
            photo_digest=photo.digest,
            model=classifier.name,
            weights=Weights(classifier.weights_kind, classifier.weights, classifier.weights_digest),
            engine=self.engine,
            sliding=self.sliding,
            computation=computation,
            versions=package_versions(),
        )
