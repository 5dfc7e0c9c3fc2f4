"""The request of a run: how photos are scored, searched, drawn and saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ..choices import Colormap
from ..classes import ClassGroup, ClassList, Wanted
from ..errors import ClassError, GeometryError, Use
from ..geometry import Border, Geometry, Placement
from ..grid.coarse import Sought
from ..grid.origin import Fusion
from ..grid.skip import Skip
from ..localization.auto_scales import AUTOMATIC, Automatic, Resolution, ScaleRule
from ..localization.confirm import CONFIRM
from ..localization.detect import Search, sought_at
from ..localization.formats.coco import OWN_IDS, CocoIds, CocoImage
from ..localization.localize import CONFIDENCE_THRESHOLD, IOU_THRESHOLD
from ..photo.georeference import georeference_of
from ..photo.reading import AS_IT_IS, Reading
from ..photo.reduced import OpenPhoto
from ..region import Region
from ..rendering.paint import ALPHA, check_colours
from .formats import PLACED_FORMATS

# A stride in px, or from coarse to fine.
Stride = int | Literal["auto"]
# The colour range of a batch, the same for all photos, so that they compare.
BATCH_RANGE = (0.0, 0.5)


@dataclass(frozen=True)
class Display:
    """What to look for and how to draw it.

    >>> Display(classes=["cat"], conf=0.5).max_det is None
    True

    Attributes:
        classes: names, indices or groups to search and draw; empty searches all classes and
            draws those detected.
        conf: confidence threshold, 0..1: the lowest confidence of a detection.
        iou: IoU threshold, 0..1: of windows of one class that overlap more, only the most
            confident is kept.
        max_det: maximum number of detections, per class where ``classes`` are given; None is
            unlimited.
        exclude: classes and groups that are left out where none are given.
        confirm: how many detections are confirmed by cropping (:func:`confirm.confirm`).
        alpha: opacity of the highest probabilities on the photo, 0..1.
        color_range: lowest and highest probability of the colours, 0..1; None is from 0 to the
            photo's own maximum, rounded up to 0.1, 0.2, 0.5 or 1.
        colormap: one of OpenCV's, such as "turbo", which colours the highest probability of all
            classes; None is a colour for each class, and inferno for single classes and the page.
        legend: with a legend below the pictures.
        boxes: with boxes and labels on the pictures; the page shows and hides them.
        full: draw photos at their full size, not at most ``PICTURE_PX`` a side; of those too large
            for memory write a tiled TIFF as well.
        per_class: also draw the heatmap of each class by itself.
        areas: also draw a map of areas: each pixel in the colour of the class that wins there.
    """

    classes: Sequence[Wanted] = ()
    conf: float = CONFIDENCE_THRESHOLD
    iou: float = IOU_THRESHOLD
    max_det: int | None = None
    exclude: Sequence[Wanted] = ()
    confirm: int = CONFIRM
    alpha: float = ALPHA
    color_range: tuple[float, float] | None = None
    colormap: Colormap | None = None
    legend: bool = True
    boxes: bool = True
    full: bool = False
    per_class: bool = False
    areas: bool = False

    def __post_init__(self) -> None:
        check_colours(self.alpha, self.color_range, self.colormap)

    @property
    def search(self) -> Search:
        """What is looked for."""
        return Search(
            self.classes or None, self.conf, self.iou, self.max_det, self.confirm, self.exclude
        )

    def numbered_names(self, stored: ClassList) -> Sequence[str]:
        """The names of the numbers that :meth:`Findings.number` gives to classes, from 0.

        Args:
            stored: the classes that are stored, which ``classes`` are among.
        """
        return [group.name for group in stored.find_all(self.classes)] or stored.names


@dataclass(frozen=True)
class MultiScale:
    """How windows are laid over a photo at one or several scales; see :class:`heatmap.Placement`.

    Each scale gives a grid; several are fused on the cells of the finest.

    >>> MultiScale(scales=(0.5, 1.0)).at(0.5)
    Placement(stride=None, scale=0.5, border='cover')

    Attributes:
        stride: distance between neighbouring windows, px; None is the native stride, and so is
            "auto", at which windows that are cropped are cropped from coarse to fine
            (:class:`coarse.CoarseToFine`).
        scales: resize factors of the photo; or "auto", by the rule of the network
            (:class:`auto_scales.ScaleRule`); "photo", which follows the photo's size whatever
            the network learned from; or "native", 1.
        resolution: for scales that are not given: "fine" and "finer" go one and two octaves
            further, for smaller things.
        border: "cover" or "valid".
        fuse: "mean" or "max" of the probabilities of several scales.
    """

    stride: Stride | None = None
    scales: tuple[float, ...] | Automatic = "auto"
    border: Border = "cover"
    fuse: Fusion = "mean"
    resolution: Resolution = "normal"

    def __post_init__(self) -> None:
        if isinstance(self.stride, str) and self.stride != "auto":
            raise GeometryError(f"stride is {self.stride!r}: give a number of px, or 'auto'")
        if self.scales in AUTOMATIC:
            return
        if isinstance(self.scales, str) or not self.scales:
            raise GeometryError(
                f"scales are {self.scales!r}: give numbers, or one of {', '.join(AUTOMATIC)}"
            )
        if self.resolution != "normal":
            raise GeometryError(
                f"resolution is {self.resolution}, which is for scales that are not given",
                Use("resolution", text="leave {} out"),
                Use("scales", text="{}"),
            )

    def scales_for(
        self, photo_hw: tuple[int, int], rule: ScaleRule, window: int, *, named: bool
    ) -> tuple[float, ...]:
        """The scales for a photo.

        Args:
            photo_hw: height and width of the photo, px.
            rule: that of the network, for "auto".
            window: side of the network's input, px.
            named: whether classes are named.
        """
        if not isinstance(self.scales, str):
            return self.scales
        chosen = rule if self.scales == "auto" else ScaleRule(self.scales)
        return chosen.scales(photo_hw, window, named=named, resolution=self.resolution)

    def at(self, scale: float) -> Placement:
        """The placement at one scale."""
        return Placement(None if self.stride == "auto" else self.stride, scale, self.border)

    def sought(
        self, geometries: Sequence[Geometry], search: Search, classes: ClassList
    ) -> Sequence[Sought | None]:
        """As :func:`detect.sought_at`; None at each scale where all windows are scored."""
        if self.stride != "auto":
            return [None] * len(geometries)
        return sought_at(geometries, search, classes)


@dataclass(frozen=True)
class Limits:
    """Limits of memory, stored classes and what is scored; see :func:`heatmap.score`.

    Attributes:
        memory: bytes that activations may take; None is half of the free memory.
        store_classes: the only classes whose probabilities are stored; None is all.
        skip: windows that are not scored; None scores all.
        region: left, top, width and height, px, of the part of the photo that is looked at;
            None is all. Scales are chosen for the region as for a photo of its size.
        reading: how the photo's file is read, where it leaves a choice.
    """

    memory: int | None = None
    store_classes: tuple[Wanted, ...] | None = None
    skip: Skip | None = None
    region: tuple[int, int, int, int] | None = None
    reading: Reading = AS_IT_IS

    def region_of(self, photo_hw: tuple[int, int]) -> Region | None:
        """The region on a photo of this height and width, px.

        Raises:
            GeometryError: it is not inside the photo, or there is a mask, which is for whole
                photos.
        """
        if self.region is None:
            return None
        if self.skip is not None and self.skip.mask is not None:
            raise GeometryError(
                "a mask is for the whole photo, not for a region",
                Use("mask", text="leave out {}"),
                Use("region", text="{}"),
            )
        return Region(*self.region, whole_hw=photo_hw)


@dataclass(frozen=True)
class Extras:
    """Further files that a run writes.

    >>> Extras(formats=("csv", "geojson")).html
    False

    Attributes:
        formats: any of "csv" (a table of the detections), "coco" (COCO results), "geojson"
            (boxes, in world coordinates where the photo is georeferenced), "yolo", "voc" and
            "labelme" (annotations to correct) and "tiff" (float32 heatmaps).
        html: write a page for the browser.
        coco: the image and category ids of a COCO dataset, for the format "coco"; None makes
            ids.
        thumbnail: write a small copy of the picture.
        save_grid: write the grid of all classes, or of those stored, and that of each scale.
        save_crops: write a cut-out of the photo for each detection.
        yolo_names: write the names of the class numbers beside the labels of the format "yolo".
    """

    formats: tuple[str, ...] = ()
    html: bool = False
    coco: CocoIds | None = None
    thumbnail: bool = False
    save_grid: bool = False
    save_crops: bool = False
    yolo_names: bool = True


NO_EXTRAS = Extras()


@dataclass(frozen=True)
class Request:
    """The complete request of a run, the same for every photo of a batch.

    Attributes:
        display, placement, limits, extras: the parts of it.
        overwrite: also replace files that this tool did not write; no result depends on it.
    """

    display: Display = field(default_factory=Display)
    placement: MultiScale = field(default_factory=MultiScale)
    limits: Limits = field(default_factory=Limits)
    extras: Extras = NO_EXTRAS
    overwrite: bool = False

    @property
    def files(self) -> tuple[str | Path, ...]:
        """The files that are read for every photo: the mask, and the COCO dataset."""
        skip, coco = self.limits.skip, self.extras.coco
        named = (None if skip is None else skip.mask, None if coco is None else coco.source)
        return tuple(each for each in named if isinstance(each, str | Path))

    @property
    def of_batch(self) -> Request:
        """The same with what batches have: thumbnails, one colour range, and absolute paths.

        They write the names of classes once.
        """
        display = replace(self.display, color_range=self.display.color_range or BATCH_RANGE)
        skip, extras = self.limits.skip, replace(self.extras, thumbnail=True, yolo_names=False)
        limits = replace(self.limits, skip=None if skip is None else skip.absolute)
        return replace(self, display=display, limits=limits, extras=extras)


def display_of_stored(request: Request, classes: ClassList) -> Display:
    """The display of a request, with class indices among the stored classes.

    Raises:
        ClassError: an unknown class, or one that is requested but not stored.
    """
    store = request.limits.store_classes
    stored = classes.indices(store) if store else list(range(len(classes)))
    new_index = {index: position for position, index in enumerate(stored)}
    groups = classes.find_all(request.display.classes)
    for group in groups:
        if not new_index.keys() >= set(group.indices):
            single = len(group.indices) == 1
            raise ClassError(
                f"class {group.name!r} is requested but not stored",
                Use("store_classes", [group.indices[0] if single else group.name], "add {}"),
            )
    moved = [
        ClassGroup(group.name, tuple(new_index[index] for index in group.indices))
        for group in groups
    ]
    excluded = [
        ClassGroup(group.name, tuple(new_index[i] for i in group.indices if i in new_index))
        for group in classes.find_all(request.display.exclude)
    ]
    return replace(request.display, classes=moved, exclude=excluded)


def check_photo(request: Request, photo: OpenPhoto) -> None:
    """Refuse a photo before scoring if one of the extra files could not be written for it.

    Raises:
        PhotoError: its georeference cannot be read.
    """
    if set(request.extras.formats) & PLACED_FORMATS:
        georeference_of(photo)


def image_of(request: Request, photo: OpenPhoto) -> CocoImage:
    """What a photo that is run by itself is in COCO files.

    Raises:
        ResultError: the COCO dataset has no image for it, or several.
    """
    return (request.extras.coco or OWN_IDS).image(photo.path)
