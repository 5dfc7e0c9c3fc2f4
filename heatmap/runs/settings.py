"""The settings of a batch: everything that can change a result, and a digest of it.

Memory, threads and backend that were not given are chosen once and reused as long as all other
settings stay the same, since they can change the last bits of the scores.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..choices import Engine
from ..classes import ClassGroup, ClassList, Wanted
from ..contents import read_bytes
from ..errors import PhotoError
from ..localization.auto_scales import described_rule
from ..progress import Reporter
from ..threads import thread_count
from ..versions import package_versions
from .request import Request

if TYPE_CHECKING:
    from ..networks.load import Model
    from ..scoring.scorer import Scorer

# Those who ask for a scorer tell its notes.
_SILENT = Reporter()

# Options that may be paths, and what they may be instead.
_FILES = ("weights", "class_names", "groups")
_NO_FILES = ("default", "random")


@dataclass(frozen=True)
class ScorerRecipe:
    """How to prepare a scorer, in this process or another; see :func:`heatmap.prepare`.

    In another only if the model is given by its name or file; in this one it may also be a scorer.
    """

    model: Model | Scorer
    engine: Engine = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the model, or of what it is."""
        from ..scoring.scorer import Scorer

        if isinstance(self.model, Scorer):
            return self.model.facts.name
        if isinstance(self.model, str | Path):
            return str(self.model)
        return str(getattr(self.model, "name", type(self.model).__name__))

    @property
    def is_prepared(self) -> bool:
        """Whether the model is a scorer."""
        from ..scoring.scorer import Scorer

        return isinstance(self.model, Scorer)

    @property
    def absolute(self) -> ScorerRecipe:
        """The same with absolute paths, for a worker whose working folder is another."""
        from ..networks.model_names import is_path

        options = {
            name: _absolute(value) if name in _FILES else value
            for name, value in self.options.items()
        }
        of_file = isinstance(self.model, str | Path) and is_path(self.model)
        model = _absolute(self.model) if of_file else self.model
        return replace(self, model=model, options=options)

    def prepare(self) -> Scorer:
        """Prepare the scorer, silently.

        Raises:
            HeatmapError: as :func:`heatmap.prepare`.
        """
        from ..scoring.prepare import prepare
        from ..scoring.scorer import Scorer

        if isinstance(self.model, Scorer):
            return self.model
        return prepare(self.model, engine=self.engine, progress=_SILENT, **self.options)


@dataclass(frozen=True)
class Resources:
    """Per photo: bytes that activations may take, number of threads, and what runs the network."""

    memory: int
    threads: int
    backend: Literal["torch", "onnx"]


@dataclass(frozen=True)
class Settings:
    """The settings asked for, and the resources chosen."""

    asked: Mapping[str, Any]
    resources: Resources

    @property
    def noted(self) -> dict[str, Any]:
        """The settings as they are saved in the manifest."""
        return {**asdict(self.resources), "asked": self.asked}

    @property
    def digest(self) -> str:
        """SHA-256 of the settings as JSON."""
        return hashlib.sha256(json.dumps(self.noted, sort_keys=True).encode()).hexdigest()


def settle(
    scorer: Scorer,
    request: Request,
    threads: int | None,
    earlier: Mapping[str, Any] | None,
    *,
    stride_px: int,
    share: int = 1,
    keep: bool = False,
) -> Settings:
    """Choose the settings of a batch.

    Args:
        scorer, request: how photos are scored, and the request for each.
        threads: threads per photo; None is 1 if ``share`` is above 1, else torch's default.
        earlier: the settings last saved in the manifest; their resources are reused if
            nothing that is asked for has changed.
        stride_px: distance between windows, px; the network is made ready for it.
        keep: whether the network is prepared for ONNX Runtime if it was not before.
        share: number of photos at a time, which share the memory.
    """
    asked = _asked(scorer, request, threads)
    if earlier is not None and earlier.get("asked") == asked:
        resources = Resources(int(earlier["memory"]), int(earlier["threads"]), earlier["backend"])
    else:
        resources = Resources(
            (request.limits.memory or scorer.compute.free_memory) // share,
            threads or (1 if share > 1 else thread_count()),
            scorer.ready_at(stride_px, keep=keep),
        )
    return Settings(asked, resources)


def _asked(scorer: Scorer, request: Request, threads: int | None) -> dict[str, Any]:
    """Everything that can change a result, after a round trip through JSON."""
    facts, extras, skip = scorer.facts, request.extras, request.limits.skip
    display = request.display
    described = {
        "model": facts.name,
        "weights": facts.weights_digest,
        "preprocessing": asdict(facts.preprocessing),
        "outputs": facts.outputs,
        "classes": _digest(json.dumps(_listed(facts.classes)).encode()),
        "scales": described_rule(facts.scale_rule),
        "box_regression": boxes.digest if (boxes := facts.box_regression) else None,
        "engine": scorer.engine,
        "statistics": scorer.slides.statistics,
        "compute": asdict(scorer.compute),
        "backend": scorer.backend,
        "placement": asdict(request.placement),
        "display": {
            "classes": list(map(_wanted, display.classes)),
            "conf": display.conf,
            "iou": display.iou,
            "max_det": display.max_det,
            "confirm": display.confirm,
            "exclude": list(map(_wanted, display.exclude)),
            "alpha": display.alpha,
            "color_range": display.color_range,
            "colormap": display.colormap,
            "legend": display.legend,
            "boxes": display.boxes,
            "full": display.full,
            "per_class": display.per_class,
            "areas": display.areas,
        },
        "store_classes": list(map(_wanted, request.limits.store_classes or ())),
        "reading": asdict(request.limits.reading),
        "skip": None if skip is None else {"background": skip.background, "mask": _mask(skip.mask)},
        "formats": extras.formats,
        "html": extras.html,
        "thumbnail": extras.thumbnail,
        "save_grid": extras.save_grid,
        "save_crops": extras.save_crops,
        "coco": None if extras.coco is None else _digest(json.dumps(asdict(extras.coco)).encode()),
        "memory": request.limits.memory,
        "threads": threads,
        "versions": package_versions(),
    }
    as_json: dict[str, Any] = json.loads(json.dumps(described))
    return as_json


def _absolute(value: Any) -> Any:
    """The absolute path of a path; what is none, or a web address, which is refused, as it is."""
    if not isinstance(value, str | Path) or value in _NO_FILES or "://" in str(value):
        return value
    return type(value)(os.path.abspath(value))


def _wanted(wanted: Wanted) -> Any:
    return [wanted.name, *wanted.indices] if isinstance(wanted, ClassGroup) else wanted


def _listed(classes: ClassList) -> dict[str, Any]:
    """The classes of a network, all of which it has."""
    return {
        "names": classes.names,
        "wnids": classes.wnids,
        "groups": list(map(asdict, classes.groups)),
    }


def _mask(mask: Any) -> str | None:
    """A digest of the content of a mask."""
    if mask is None or isinstance(mask, np.ndarray):
        return None if mask is None else _digest(mask.tobytes())
    return _digest(read_bytes(mask, PhotoError))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
