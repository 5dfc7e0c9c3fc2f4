"""From a photo and a classifier to the score grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from ..choices import ENGINES, Device, Dtype, Engine
from ..classes import Wanted
from ..conversion.convert import convert, whole_input_reason
from ..conversion.dilation import check_stride
from ..conversion.network import FullyConvolutional
from ..conversion.plan import Sliding
from ..conversion.position_network import position_network
from ..errors import ConversionError, GeometryError
from ..geometry import Border, Geometry, Placement, plan_grid
from ..grid.collector import Collector, grid_bytes
from ..grid.origin import Computation, Origin, Weights
from ..grid.position_scores import PositionScores, mean_over, positions_of
from ..grid.score_grid import LARGE_GRID_BYTES, Kind, ScoreGrid
from ..grid.skip import Skip
from ..memory import free_memory, kept_memory
from ..networks.classifier import Classifier
from ..networks.load import Model, load_classifier
from ..networks.registry import DEFAULT_MODEL
from ..photo.extended import PlacedRows
from ..photo.photo import Photo
from ..photo.photo_file import PhotoFile, open_photo
from ..versions import package_versions
from .bands.scanner import Block
from .device import Compute
from .photo_pass import PhotoPass

# Windows are this far apart where a network has no stride of its own (it cannot slide).
CROP_STRIDE_PX = 32


Progress = Callable[[int, int], None]


# Makes the blocks of a pass elsewhere; told whether they are of single positions.
Spread: TypeAlias = Callable[[PhotoPass, bool], Iterator[Block]]


Source: TypeAlias = str | Path | npt.NDArray[np.uint8] | Photo | PhotoFile


@dataclass(frozen=True)
class Scorer:
    """A classifier made ready to score photos; make one and use it for many.

    ``network`` is its fully convolutional form at the native stride, None where it
    cannot slide; finer ones are made when first asked for (:meth:`network_at`).
    ``engine`` is what :meth:`score` uses. ``why_not`` says what stands against
    sliding exactly, layer and reason, or "". ``spread`` has passes computed elsewhere
    (ray_runner.py). With ``steady`` a photo's scores have the same bits whatever was scored before.
    """

    classifier: Classifier
    network: FullyConvolutional | None
    engine: Literal["slide", "crop"]
    sliding: Sliding
    why_not: str = ""
    compute: Compute = field(default_factory=Compute)
    spread: Spread | None = field(default=None, repr=False)
    steady: bool = False
    _networks: dict[int, FullyConvolutional] = field(default_factory=dict, repr=False)
    _positions: dict[int, FullyConvolutional | None] = field(default_factory=dict, repr=False)

    @property
    def native_stride_px(self) -> int:
        return self.network.native_stride_px if self.network is not None else CROP_STRIDE_PX

    def plan(self, photo_hw: tuple[int, int], placement: Placement = Placement()) -> Geometry:
        """Lay the grid of windows that :meth:`score` would use.

        Raises:
            GeometryError: no window fits, or the engine does not have this stride.
        """
        native = self.native_stride_px
        if self.engine == "slide":
            placement = replace(placement, stride=check_stride(placement.stride, native))
        window = self.classifier.preprocessing.window_px
        return plan_grid(photo_hw, placement, window=window, native_stride=native)

    def network_at(self, stride_px: int) -> FullyConvolutional:
        """The converted network at one of its strides, on its device.

        Raises:
            GeometryError: a stride that it does not have.
        """
        if stride_px not in self._networks:
            self._networks[stride_px] = self.compute.moved(self._converted_at(stride_px))
        network = self._networks[stride_px]
        return network.steady() if self.steady else network

    def _converted_at(self, stride_px: int) -> FullyConvolutional:
        """The same on the CPU in float32."""
        assert self.network is not None
        if stride_px == self.network.native_stride_px:
            return self.network
        window = self.classifier.preprocessing.window_px
        return convert(self.classifier.module, window, stride_px, allow_inexact=True)

    def positions_at(self, stride_px: int) -> FullyConvolutional | None:
        """The network that scores single positions of the feature map at one of its strides.

        None where it crops, or where its windows are no averages over positions.

        Raises:
            GeometryError: a stride that it does not have.
        """
        if self.engine != "slide":
            return None
        if stride_px not in self._positions:
            plain = self.compute.is_plain
            # Checked in float32, whatever it runs in.
            made = position_network(
                self.network_at(stride_px) if plain else self._converted_at(stride_px)
            )
            self._positions[stride_px] = None if made is None else self.compute.moved(made)
        network = self._positions[stride_px]
        return network.steady() if self.steady and network is not None else network

    def score(
        self,
        photo: Source,
        placement: Placement = Placement(),
        *,
        memory: int | None = None,
        store_classes: Sequence[Wanted] | None = None,
        skip: Skip | None = None,
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> ScoreGrid:
        """Score every window of a photo; see :func:`score`.

        ``folder`` is where a grid too large for memory grows; ``progress`` is called
        with the windows done and all that are to be scored.
        """
        opened = open_photo(photo)
        geometry = self.plan(opened.hw, placement)
        wanted = None if skip is None else skip.wanted(opened, geometry)
        kept = None if store_classes is None else self.classifier.classes.indices(store_classes)
        network = self.network_at(geometry.stride_px) if self.engine == "slide" else None
        job = self._pass(opened, geometry, network, memory, wanted)
        collector = Collector(
            geometry, self.classifier.classes, self.kind(), keep=kept, folder=folder
        )
        self._collect(job, collector, progress)
        origin = self.origin(opened, **job.settings)
        if kept is not None:
            origin = replace(origin, network_classes=len(self.classifier.classes))
        return collector.finish(origin)

    def score_positions(
        self,
        photo: Source,
        placement: Placement = Placement(),
        *,
        memory: int | None = None,
        progress: Progress | None = None,
    ) -> PositionScores | None:
        """Score every position of the feature map by itself, and from that every window.

        Takes as long as :meth:`score` and gives the same windows, to rounding. None where
        windows are no averages over positions, or their scores too many for memory.
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
        self._collect(job, collector, progress, positions=True)
        grid = collector.finish(self.origin(opened, **job.settings))
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
            PlacedRows(opened, geometry),
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
    ) -> None:
        blocks = job.blocks() if self.spread is None else self.spread(job, positions)
        rows, columns = job.geometry.grid_hw
        done, total = 0, rows * columns if job.wanted is None else int(job.wanted.sum())
        with kept_memory():
            for row, column, scores in blocks:
                collector.write(row, column, scores)
                done += int((~np.isnan(scores[:, :, 0])).sum())
                if progress is not None:
                    progress(done, total)

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

    def origin(self, photo: Photo | PhotoFile, **computed: Any) -> Origin:
        """Where a grid of this scorer comes from; ``computed`` are fields of Computation."""
        classifier = self.classifier
        return Origin(
            photo=photo.path,
            photo_digest=photo.digest,
            model=classifier.name,
            weights=Weights(classifier.weights_kind, classifier.weights, classifier.weights_digest),
            engine=self.engine,
            sliding=self.sliding,
            computation=Computation(threads=torch.get_num_threads(), **computed),
            versions=package_versions(),
        )


def prepare(
    model: Model = DEFAULT_MODEL,
    *,
    engine: Engine = "auto",
    device: Device = "cpu",
    dtype: Dtype = "float32",
    **overrides: Any,
) -> Scorer:
    """Load a classifier, find out how it slides, and convert it.

    Args:
        model: a name, a path to a checkpoint, an ``nn.Module`` or a Classifier.
        engine: "auto" slides where that is exact and crops otherwise; "slide"
            insists; "crop" never slides.
        device: "cpu", "cuda" or "mps".
        dtype: "float32", "bfloat16" or "float16": of weights and activations. The
            conversion is checked in float32 whatever is asked for.
        overrides: as :func:`load_classifier` takes them (weights, window, ...).

    Raises:
        ModelError: the model, its weights or the device cannot be had, or an
            operation does not exist there.
        ConversionError: "slide" of a network that cannot slide at all.
    """
    if engine not in ENGINES:
        raise GeometryError(f"engine is {engine!r}: choose one of {', '.join(ENGINES)}")
    compute = Compute(device, dtype)
    classifier = load_classifier(model, **overrides)
    window = classifier.preprocessing.window_px
    try:
        network = convert(classifier.module, window, allow_inexact=True)
    except ConversionError as error:
        if engine == "slide":
            raise
        compute.try_out(compute.moved(classifier.module), window)
        return Scorer(classifier, None, "crop", "refused", error.message, compute)
    why_not = whole_input_reason(network.whole_input) if network.whole_input else ""
    crops = engine == "crop" or (engine == "auto" and network.sliding == "inexact")
    how: Literal["slide", "crop"] = "crop" if crops else "slide"
    scorer = Scorer(classifier, network, how, network.sliding, why_not, compute)
    runs = compute.moved(classifier.module) if crops else scorer.network_at(scorer.native_stride_px)
    compute.try_out(runs, window)
    return scorer


def score(
    photo: Source,
    model: Model | Scorer = DEFAULT_MODEL,
    *,
    stride: int | None = None,
    scale: float = 1.0,
    border: Border = "cover",
    engine: Engine = "auto",
    memory: int | None = None,
    store_classes: Sequence[Wanted] | None = None,
    skip: Skip | None = None,
) -> ScoreGrid:
    """Score every window of a photo.

    Args:
        photo: a path, or an RGB uint8 array (H, W, 3).
        model: a name, a path to a checkpoint, an ``nn.Module``, or what
            :func:`prepare` gave (for many photos: load once).
        stride: distance between windows, px: a divisor of the network's own (None);
            the crop engine takes any.
        scale: resize factor of the photo; a window then covers window/scale px.
        border: "cover" extends the photo by reflection so that every pixel lies
            in a window; "valid" keeps to windows wholly inside.
        engine: "auto", "slide" or "crop"; see :func:`prepare`, which has decided it
            already where ``model`` is what it gave.
        memory: bytes that activations may take, half of what is free by default. The
            photo is cut into bands and columns to keep within it; the scores are the same.
        store_classes: keep the probabilities of these classes only.
        skip: leave out flat background or what a mask leaves out; such cells are NaN.

    Returns:
        The grid: ``scores`` is float32 (N, M, K).

    Raises:
        PhotoError, ModelError, GeometryError, ConversionError: see errors.py.
    """
    if isinstance(model, Scorer):
        if engine not in ("auto", model.engine):
            raise GeometryError(
                f"{model.classifier.name} is prepared to {model.engine}: "
                f"prepare it with engine={engine!r}"
            )
        scorer = model
    else:
        scorer = prepare(model, engine=engine)
    return scorer.score(
        photo,
        Placement(stride, scale, border),
        memory=memory,
        store_classes=store_classes,
        skip=skip,
    )
