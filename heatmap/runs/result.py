"""The result of a run on one photo, before and after it is saved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..choices import Colormap
from ..classes import ClassGroup, Wanted
from ..errors import HeatmapError, reason_of
from ..files import write_all
from ..geometry import size_text
from ..grid.score_grid import ScoreGrid
from ..localization.detection import Detection
from ..marks import Mark
from ..names import PAGE, ResultNames
from ..notebook import PICTURE_PX, Picture, notebook_html
from ..ownership import Ownership
from ..photo.georeference import georeference_of
from ..rendering.annotated import class_colours
from ..rendering.paint import Image
from .outcome import Outcome
from .pictures import Drawing
from .save import SavedRun, claim_of, describe_result, page_of, save_result

# Detections named in one line.
_TOLD = 3


@dataclass(frozen=True, eq=False, repr=False)
class Result(Outcome):
    """What a run found on one photo; a sequence of its detections.

    >>> result = heatmap.run("street.jpg", classes=["bicycle"])  # doctest: +SKIP
    >>> for detection in result:                                 # doctest: +SKIP
    ...     print(detection.name, detection.confidence, detection.xyxy)

    Attributes beside those of :class:`outcome.Outcome`:
        saved: the paths of its files, where it was saved.
    """

    saved: SavedRun | None = None

    def __len__(self) -> int:
        return len(self.detections)

    def __iter__(self) -> Iterator[Detection]:
        return iter(self.detections)

    def __getitem__(self, index: int) -> Detection:
        return self.detections[index]

    def __bool__(self) -> bool:
        # Not false for a photo on which nothing was found: it is a result.
        return True

    def __repr__(self) -> str:
        """One line: ``Result street.jpg, 640 x 480 px: bicycle 0.83, car 0.61``."""
        name = Path(self.photo.path).name or "photo"
        found = ", ".join(f"{each.name} {each.confidence:.2f}" for each in self.detections[:_TOLD])
        more = f" and {len(self) - _TOLD} more" if len(self) > _TOLD else ""
        return f"Result {name}, {size_text(self.photo.whole_hw)}: {found or 'nothing'}{more}"

    def _repr_html_(self) -> str:
        """For a notebook: the annotated picture, the table, and what is to be known."""
        conf = self.request.display.conf
        notes = (f"note: {note}" for note in self.notes)
        return notebook_html(repr(self), *notes, self._picture("jpeg"), *self.findings.told(conf))

    def _repr_png_(self) -> bytes | None:
        """The annotated picture; None where its photo cannot be read any more."""
        picture = self._picture("png")
        return None if isinstance(picture, str) else picture.content

    def _picture(self, kind: str) -> Picture | str:
        """The annotated picture as a notebook shows it, or why there is none."""
        drawing = Drawing(self.photo, self.findings, self.request.display)
        try:
            return Picture.of(drawing.annotated_picture(PICTURE_PX), kind, repr(self))
        except (HeatmapError, OSError) as error:
            return f"There is no picture: {reason_of(error)}"

    def heatmap(self, wanted: Wanted) -> npt.NDArray[np.float32]:
        """The heatmap of one class or group, float32 (H, W): a probability 0..1 for each pixel.

        >>> result.heatmap(281)                                  # doctest: +SKIP

        H and W are those of the whole photo, or of the region that was looked at, however small
        the pictures are drawn. It is the map of :attr:`maps` where the class was found or asked
        for, and otherwise made of the scores of whole windows, which are blurrier.

        Args:
            wanted: a class or group: name, index in the network, WordNet id or
                :class:`heatmap.ClassGroup`.

        Raises:
            ClassError: an unknown class, or one whose scores were not kept (``store_classes``).
        """
        maps = self._map(self._group(wanted))
        return maps.heatmap(maps.classes.single(0))

    def _map(self, group: ClassGroup) -> ScoreGrid:
        """The map of one class alone."""
        has_map = group in self.findings.groups
        return self.findings.maps_of([group], None if has_map else self.grid)

    def _group(self, wanted: Wanted) -> ClassGroup:
        """The class that is meant: of equal names the one that has a map."""
        own = [group for group in self.findings.groups if group.name == wanted]
        return own[0] if len(own) == 1 else self.windows.finest.classes.find(wanted)

    def overlay(
        self,
        wanted: Wanted | None = None,
        *,
        legend: bool | None = None,
        boxes: bool | None = None,
        alpha: float | None = None,
        color_range: tuple[float, float] | None = None,
        colormap: Colormap | None = None,
    ) -> Image:
        """The annotated picture as RGB uint8 (H, W, 3), as :meth:`save` writes it.

        With a class it is the heatmap of this class alone, as :func:`heatmap.overlay` draws it,
        with the boxes of its detections. The longer side of the photo in it has at most 2,000 px,
        unless the call that gave this result had ``full``.

        >>> result.overlay(281, colormap="turbo", boxes=False)   # doctest: +SKIP

        Args:
            wanted: a class or group, as of :meth:`heatmap`; None is all that was found.
            legend, boxes, alpha, color_range, colormap: as of :class:`heatmap.RunOptions`; None is
                as in the call that gave this result.

        Raises:
            ClassError: as :meth:`heatmap`.
            ResultError: a colour that cannot be.
        """
        look: dict[str, Any] = {"legend": legend, "boxes": boxes, "alpha": alpha}
        look |= {"color_range": color_range, "colormap": colormap}
        given = {name: value for name, value in look.items() if value is not None}
        display = replace(self.request.display, **given)
        drawing = Drawing(self.photo, self.findings, display)
        if wanted is None:
            return drawing.annotated_picture()
        group = self._group(wanted)
        return drawing.class_picture(group, self._map(group))

    def to_dict(self) -> dict[str, Any]:
        """The content of ``cat.json`` without ``files``, which is None: `result.schema.json`."""
        return describe_result(self)

    def to_dataframe(self) -> Any:
        """As :meth:`Findings.to_dataframe`: a ``pandas.DataFrame``, one row a detection."""
        return self.findings.to_dataframe()

    def to_supervision(self) -> Any:
        """As :meth:`Findings.to_supervision`: ``supervision.Detections``."""
        return self.findings.to_supervision()

    def to_torchvision(self) -> dict[str, Any]:
        """As :meth:`Findings.to_torchvision`: tensors ``boxes``, ``labels`` and ``scores``."""
        return self.findings.to_torchvision()

    def to_coco(self) -> dict[str, Any]:
        """As :meth:`Findings.to_coco`: a COCO dataset of this photo."""
        return self.findings.to_coco()

    def to_geojson(self) -> dict[str, Any]:
        """The content of ``cat.geojson``: boxes in world coordinates where the photo has them.

        Raises:
            PhotoError: the photo's georeference cannot be read.
        """
        colours = class_colours(self.findings)
        return self.findings.to_geojson(georeference_of(self.photo), colours)

    def page(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the page for the browser; the path ends in .html.

        Args:
            path: the file; a photo too large for it has a folder of tiles beside it.
            overwrite: also replace a file that this tool did not write.

        Raises:
            ResultError: it cannot be written, or is a stranger's.
        """
        names = ResultNames(Path(path).parent, Path(path).name.removesuffix(PAGE))
        files = page_of(self, names.stem)
        mark = Mark.of(self.photo.path, digest=self.photo.digest)
        owner = Ownership(mark, read=(self.photo.path, *self.read), overwrite=overwrite)
        write_all({names.path(suffix): write for suffix, write in files.items()}, owner)
        return names.path(PAGE)

    def save(
        self, folder: str | Path = "results", *, stem: str | None = None, overwrite: bool = False
    ) -> SavedRun:
        """Write all files of the result: those that ``heatmap run`` writes, to the byte.

        For ``cat.jpg`` these are ``cat.json`` (``result.schema.json`` in this package is its JSON
        Schema), the picture ``cat.heatmap.jpg``, the maps ``cat.maps.npz``, and what the run was
        asked for beside them. All of them are written or none. Earlier results of the photo are
        replaced as a whole; a file that this tool did not write, or that was changed since, never
        is.

        Args:
            folder: created if missing.
            stem: what the names begin with; None is the name of the photo's file, or "photo".
            overwrite: also replace strangers' files, the results of another photo of this name, and
                a saved grid where no other is written; but never a file that was read.

        Returns:
            The paths.

        Raises:
            ResultError: a file cannot be written, or not without replacing others.
        """
        return save_result(self, claim_of(folder, self, stem=stem, overwrite=overwrite))[1]
