"""What is asked of a run, whatever the photo: where to look, for what, how to draw and keep it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..classes import ClassGroup, ClassList, Wanted
from ..errors import ClassError, Use
from ..geometry import Border, Placement
from ..grid.origin import Fusion
from ..grid.skip import Skip
from ..localization.localize import CONFIDENCE_THRESHOLD, IOU_THRESHOLD
from ..photo.georeference import georeference_of
from ..photo.photo import Photo
from ..photo.photo_file import PhotoFile
from ..rendering.paint import OPACITY
from .formats import PLACED_FORMATS
from .save import NO_EXTRAS, Extras

# Overlays drawn when no class is asked for: of what was detected, at most so many.
MOST_OVERLAYS = 5


@dataclass(frozen=True)
class Display:
    """What to look for and how to draw it.

    >>> display = heatmap.Display(classes=["cat"], conf=0.5)
    >>> heatmap.run("cat.jpg", scorer, "results", display=display)    # doctest: +SKIP

    Attributes:
        classes: names, indices or groups that are searched and drawn; none is all of them,
            and what was detected is drawn, ``MOST_OVERLAYS`` classes at most.
        top: without ``classes``, draw so many classes that win the most windows instead.
        conf: confidence threshold, 0..1: smallest confidence of a detection.
        iou: IoU threshold, 0..1: boxes of one class that overlap more are one object.
        max_det: at most so many detections, the most confident; None is all.
        opacity: 0..1, of the colours of the highest probabilities.
        stretch: spread colours over each heatmap's own range instead of 0..1.
    """

    classes: Sequence[Wanted] = ()
    top: int = 0
    conf: float = CONFIDENCE_THRESHOLD
    iou: float = IOU_THRESHOLD
    max_det: int | None = None
    opacity: float = OPACITY
    stretch: bool = False


@dataclass(frozen=True)
class MultiScale:
    """Where the windows lie at each of several scales; see :class:`heatmap.Placement`.

    Each scale gives a grid; they are fused on the finest one, by their mean or their
    maximum (``fuse``). ``scales`` None are those of :func:`scales.auto_scales`.
    """

    stride: int | None = None
    scales: tuple[float, ...] | None = (1.0,)
    border: Border = "cover"
    fuse: Fusion = "mean"

    def at(self, scale: float) -> Placement:
        """Where the windows lie at one scale."""
        return Placement(self.stride, scale, self.border)


@dataclass(frozen=True)
class Limits:
    """What a run may take and keep; see :func:`heatmap.score`."""

    memory: int | None = None
    store_classes: tuple[Wanted, ...] | None = None
    skip: Skip | None = None


@dataclass(frozen=True)
class Request:
    """All that is asked of a run; results of one request compare."""

    display: Display = field(default_factory=Display)
    placement: MultiScale = field(default_factory=MultiScale)
    limits: Limits = field(default_factory=Limits)
    extras: Extras = NO_EXTRAS


def display_of_stored(request: Request, classes: ClassList) -> Display:
    """The display of a request, its classes by their indices among those that are stored.

    Raises:
        ClassError: an unknown class, or one that is asked for and not stored.
    """
    store = request.limits.store_classes
    stored = classes.indices(store) if store else list(range(len(classes)))
    new_index = {index: position for position, index in enumerate(stored)}
    groups = classes.find_all(request.display.classes)
    for group in groups:
        if not new_index.keys() >= set(group.indices):
            single = len(group.indices) == 1
            raise ClassError(
                f"class {group.name!r} is asked for and not stored",
                Use("store_classes", [group.indices[0] if single else group.name], "add {}"),
            )
    moved = [
        ClassGroup(group.name, tuple(new_index[index] for index in group.indices))
        for group in groups
    ]
    return replace(request.display, classes=moved)


def check_photo(request: Request, photo: Photo | PhotoFile) -> None:
    """Refuse before it is scored a photo that an extra file could not be written of.

    Raises:
        ResultError: it has no place on earth, or no id.
    """
    if set(request.extras.formats) & PLACED_FORMATS:
        georeference_of(photo)
    if request.extras.coco is not None:
        request.extras.coco.image_id(photo.path)
