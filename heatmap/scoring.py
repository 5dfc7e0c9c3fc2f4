"""From a photo and a classifier to the score grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import psutil
import torch
from torch import nn

from .converting import FullyConvolutional, convert, inexact_message
from .cropping import BATCH, all_cells, crop_scores
from .errors import ConversionError, GeometryError
from .geometry import Border, Geometry, plan_grid
from .grid import Kind, Origin, ScoreGrid
from .models import DEFAULT_MODEL, Classifier, load_classifier
from .photos import Photo, place, read_photo
from .planning import Sliding
from .versions import package_versions

Engine = Literal["auto", "slide", "crop"]
ENGINES: tuple[Engine, ...] = ("auto", "slide", "crop")

# Windows are this far apart where a network has no stride of its own (it cannot slide).
CROP_STRIDE_PX = 32

Progress = Callable[[int, int], None]
Model: TypeAlias = str | Path | nn.Module | Classifier


@dataclass(frozen=True)
class Scorer:
    """A classifier made ready to score photos; make one and use it for many.

    ``network`` is its fully convolutional form, None where it cannot slide.
    ``engine`` is what :meth:`score` uses. ``why_not`` says what stands against
    sliding exactly, or "".
    """

    classifier: Classifier
    network: FullyConvolutional | None
    engine: Literal["slide", "crop"]
    sliding: Sliding
    why_not: str = ""

    @property
    def native_stride_px(self) -> int:
        return self.network.native_stride_px if self.network is not None else CROP_STRIDE_PX

    def plan(
        self,
        photo_hw: tuple[int, int],
        *,
        stride: int | None = None,
        scale: float = 1.0,
        border: Border = "cover",
    ) -> Geometry:
        """Lay the grid of windows that :meth:`score` would use.

        Raises:
            GeometryError: no window fits, or the engine does not have this stride.
        """
        native = self.native_stride_px
        if self.engine == "slide" and stride not in (None, native):
            raise GeometryError(
                f"stride is {stride} px, {self.classifier.name} slides at {native} px: "
                f"use --stride {native}, or --engine crop for any stride"
            )
        return plan_grid(
            photo_hw,
            window=self.classifier.preprocessing.window_px,
            native_stride=native,
            stride=stride,
            scale=scale,
            border=border,
        )

    def score(
        self,
        photo: str | Path | npt.NDArray[np.uint8] | Photo,
        *,
        stride: int | None = None,
        scale: float = 1.0,
        border: Border = "cover",
        progress: Progress | None = None,
    ) -> ScoreGrid:
        """Score every window of a photo; see :func:`score`."""
        read = read_photo(photo)
        height, width = read.pixels.shape[:2]
        geometry = self.plan((height, width), stride=stride, scale=scale, border=border)
        if self.engine == "slide":
            self._check_memory(geometry)
        placed = place(read.pixels, geometry)
        scores = (
            self._slide(placed)
            if self.engine == "slide"
            else self._crop(placed, geometry, progress)
        )
        return ScoreGrid(
            scores=scores,
            geometry=geometry,
            classes=self.classifier.classes,
            kind=self.kind(),
            origin=self.origin(read),
        )

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

    def origin(self, photo: Photo) -> Origin:
        """Where a grid of this scorer comes from."""
        settings: dict[str, int | float | str] = {"threads": torch.get_num_threads()}
        if self.engine == "crop":
            settings["batch"] = BATCH
        return Origin(
            photo=photo.path,
            photo_digest=photo.digest,
            model=self.classifier.name,
            weights=self.classifier.weights,
            weights_digest=self.classifier.weights_digest,
            engine=self.engine,
            sliding=self.sliding,
            settings=settings,
            versions=package_versions(),
        )

    def _slide(self, placed: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        assert self.network is not None
        with torch.inference_mode():
            scores = self.network(self.classifier.preprocessing.tensor(placed))
        return np.ascontiguousarray(scores[0].permute(1, 2, 0).numpy())

    def _crop(
        self, placed: npt.NDArray[np.uint8], geometry: Geometry, progress: Progress | None
    ) -> npt.NDArray[np.float32]:
        cells = all_cells(geometry)
        done: list[npt.NDArray[np.float32]] = []
        for scores in crop_scores(self.classifier, placed, geometry, cells):
            done.append(scores)
            if progress is not None:
                progress(min(len(done) * BATCH, len(cells)), len(cells))
        return np.concatenate(done).reshape(*geometry.grid_hw, -1)

    def _check_memory(self, geometry: Geometry) -> None:
        """Refuse a photo that does not fit in one pass rather than let the machine swap."""
        assert self.network is not None
        height, width = geometry.extended_hw
        needed = self.network.peak_bytes(height, width)
        free = psutil.virtual_memory().available
        if needed > free:
            fitting = (free / needed) ** 0.5 * min(geometry.scale_yx)
            raise GeometryError(
                f"photo is {height} x {width} px as scored and needs {needed / 1e9:.1f} GB in one "
                f"pass, {free / 1e9:.1f} GB is free: use --scale {fitting * 0.95:.2g}"
            )


def prepare(model: Model = DEFAULT_MODEL, *, engine: Engine = "auto", **overrides: Any) -> Scorer:
    """Load a classifier, find out how it slides, and convert it.

    Args:
        model: a name, a path to a checkpoint, an ``nn.Module`` or a Classifier.
        engine: "auto" slides where that is exact and crops otherwise; "slide"
            insists; "crop" never slides.
        overrides: as :func:`load_classifier` takes them (weights, window, ...).

    Raises:
        ModelError: the model or its weights cannot be had.
        ConversionError: "slide" of a network that cannot slide at all.
    """
    if engine not in ENGINES:
        raise GeometryError(f"engine is {engine!r}: choose one of {', '.join(ENGINES)}")
    classifier = load_classifier(model, **overrides)
    window = classifier.preprocessing.window_px
    try:
        network = convert(classifier.module, window, allow_inexact=True)
    except ConversionError as error:
        if engine == "slide":
            raise
        return Scorer(classifier, None, "crop", "refused", str(error))
    why_not = inexact_message(network.whole_input) if network.whole_input else ""
    crops = engine == "crop" or (engine == "auto" and network.sliding == "inexact")
    return Scorer(classifier, network, "crop" if crops else "slide", network.sliding, why_not)


def score(
    photo: str | Path | npt.NDArray[np.uint8] | Photo,
    model: Model | Scorer = DEFAULT_MODEL,
    *,
    stride: int | None = None,
    scale: float = 1.0,
    border: Border = "cover",
    engine: Engine = "auto",
) -> ScoreGrid:
    """Score every window of a photo.

    Args:
        photo: a path, or an RGB uint8 array (H, W, 3).
        model: a name, a path to a checkpoint, an ``nn.Module``, or what
            :func:`prepare` gave (for many photos: load once).
        stride: distance between windows, px; None is the network's own.
        scale: resize factor of the photo; a window then covers window/scale px.
        border: "cover" extends the photo by reflection so that every pixel lies
            in a window; "valid" keeps to windows wholly inside.
        engine: "auto", "slide" or "crop"; see :func:`prepare`, which has decided it
            already where ``model`` is what it gave.

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
    return scorer.score(photo, stride=stride, scale=scale, border=border)
