"""Compare sliding with cropping in one call: `heatmap.verify`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack, overload

from ..classes import Wanted
from ..errors import GeometryError, HeatmapError, PhotoError, Use
from ..keywords import check_keywords
from ..names import COMPARISON, ResultNames
from ..networks.model_names import DEFAULT_MODEL
from ..ownership import check_folder
from ..photo.given import EncodedBytes, SupportsArray
from ..photo.photo import Photo, read_photo
from ..progress import Progress
from ..rendering.overlay import picture_owner, write_image
from ..runs.options import VerifyOptions, request_of, scorer_of
from ..runs.request import Request
from ..runs.sources import BatchFiles, gather
from ..scoring.scorer import Scorer
from .verify_photo import sliding, verify_photo
from .verify_photos import VerifySummary, summarise
from .verify_report import VerifyReport, draw_report
from .verify_reporter import VerifyReporter, verify_reporting

if TYPE_CHECKING:
    from ..networks.load import Model

# Default number of windows to compare: half a minute of VGG16 on two cores.
WINDOWS = 128
# What a photo is called that is of no file.
_UNNAMED = "photo"


@overload
def verify(
    photo: EncodedBytes | SupportsArray | Photo,
    model: Model | Scorer = ...,
    *,
    output: str | Path | None = ...,
    overwrite: bool = ...,
    classes: Wanted | None = ...,
    windows: int = ...,
    progress: Progress = ...,
    **options: Unpack[VerifyOptions],
) -> VerifyReport: ...


@overload
def verify(
    photo: str | Path,
    model: Model | Scorer = ...,
    *,
    output: str | Path | None = ...,
    overwrite: bool = ...,
    classes: Wanted | None = ...,
    windows: int = ...,
    progress: Progress = ...,
    **options: Unpack[VerifyOptions],
) -> VerifyReport | VerifySummary: ...


def verify(
    photo: str | Path | EncodedBytes | SupportsArray | Photo,
    model: Model | Scorer = DEFAULT_MODEL,
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    classes: Wanted | None = None,
    windows: int = WINDOWS,
    progress: Progress = False,
    **options: Unpack[VerifyOptions],
) -> VerifyReport | VerifySummary:
    """Compare sliding with cropping on photos: how scores differ, and how much time it saves.

    >>> report = heatmap.verify("cat.jpg", "vgg16")       # doctest: +SKIP
    >>> report.passed and not report.exceeds(0.5)         # doctest: +SKIP

    Two claims are checked. The converted head, slid over the feature map, must equal the
    original head on every slice of it. And sliding is compared with cropping: the original
    network on single windows cut out of the photo. The two differ where layers pad, since a
    crop sees padding where a window of the photo sees its neighbourhood. An exported network is
    compared with its own crops; its head is not checked, since the original is not there.

    Args:
        photo: as :func:`heatmap.read_photo` takes it; or a folder of photos.
        model: as of :func:`heatmap.run`.
        output: folder for a picture of each photo, ``cat.verify.jpg``; None writes nothing.
        overwrite: also replace files that this tool did not write.
        classes: class or group to draw; None is the top class of the photo.
        windows: maximum number of windows to crop at each scale, a random sample (seed 0).
        progress: as in :func:`heatmap.score`; counts windows, slid and cropped, of each scale.
        options: of :class:`heatmap.RunOptions` those of the model and its ``backend``, of reading,
            and ``stride``, ``scales``, ``resolution`` and ``border``.

    Returns:
        The report, which :func:`heatmap.draw_report` draws; of a folder a summary of all.

    Raises:
        ConversionError: the network cannot slide.
        GeometryError: ``windows`` is below 1, no window fits, or there is no such stride, or it is
            "auto", at which only some windows are scored.
        ClassError, ModelError: there is no such class, or the model cannot be loaded.
        PhotoError: the photo cannot be read; of a folder, no photo is there.
        ResultError: a picture cannot be written, or not without replacing a stranger's file.
    """
    check_keywords(verify, options, VerifyOptions)
    if windows < 1:
        raise GeometryError(f"{windows} windows: at least 1 must be compared")
    found, request = _found(photo, output), _request(options, overwrite=overwrite)
    comparing = _Comparing(request, classes, windows, None if output is None else Path(output))
    comparing.check_pictures(photo, found)
    with verify_reporting(progress) as reporter:
        is_scorer = isinstance(model, Scorer)
        asked = options if is_scorer else {**options, "engine": "slide"}
        scorer = sliding(scorer_of(model, asked, reporter))
        if classes is not None:
            scorer.facts.classes.find(classes)
        if found is None:
            return comparing.compared(photo, scorer, reporter)
        return summarise(comparing.outcomes(found, scorer, reporter))


def _request(options: VerifyOptions, *, overwrite: bool) -> Request:
    """As :func:`request_of`, but of all windows.

    Raises:
        GeometryError: the stride is "auto"; or as there.
    """
    request = request_of(options, overwrite=overwrite)
    if request.placement.stride == "auto":
        raise GeometryError(
            "stride is auto, at which only some windows are scored, but any may be compared",
            Use("stride", text="leave {} out or give px"),
        )
    return request


def _found(photo: object, output: str | Path | None) -> BatchFiles | None:
    """The photos of a folder, listed before a network is loaded for none; None for a photo.

    Raises:
        PhotoError: there are none, or pictures would lie among them.
    """
    # The method of Path raises where a name is too long.
    if not isinstance(photo, str | Path) or not os.path.isdir(photo):
        return None
    # Hidden files are no photos: without an output nothing is left out.
    return gather([photo], Path(photo, ".none") if output is None else Path(output))


@dataclass(frozen=True)
class _Comparing:
    """Compares photos one after the other, and draws them into the folder ``output``, if any."""

    request: Request
    classes: Wanted | None
    windows: int
    output: Path | None

    def check_pictures(self, photo: object, found: BatchFiles | None) -> None:
        """Refuse pictures that cannot be written, before a network is loaded.

        Raises:
            ResultError: one would replace a stranger's file, or one of the photos.
        """
        if self.output is None:
            return
        if found is None:
            path = Path(_path_of(photo))
            paths = {path.stem or _UNNAMED: path}
        else:
            paths = {item.name: item.path for item in found.photos}
        read = {_number(path) for path in paths.values()} - {None}
        for name, path in paths.items():
            picture = self._picture(name)
            check_folder(picture)
            if os.path.lexists(picture):
                owner = picture_owner(path if path.name else "", overwrite=self.request.overwrite)
                # Nor is any other of the photos replaced, whatever links lead there.
                reads = (picture,) if _number(picture) in read else ()
                replace(owner, read=reads).check([picture])

    def _picture(self, name: str) -> Path:
        assert self.output is not None
        # In a folder, names are of files and keep their suffixes.
        folder = self.output / Path(name).parent
        return ResultNames.of_stem(folder, Path(name).name).path(COMPARISON)

    def outcomes(
        self, found: BatchFiles, scorer: Scorer, reporter: VerifyReporter
    ) -> Iterator[tuple[str, VerifyReport | HeatmapError]]:
        """The outcome for each photo of a folder."""
        first = True
        for folder, reason in found.unread:
            error = PhotoError(reason)
            reporter.photo(folder.name, error)
            yield folder.name, error
        for item in found.photos:
            try:
                report = self._told(item.path, item.name, item.name, scorer, reporter, first=first)
                first = False
                yield item.name, report
            except HeatmapError as error:
                reporter.photo(item.name, error)
                yield item.name, error

    def compared(
        self,
        photo: str | Path | EncodedBytes | SupportsArray | Photo,
        scorer: Scorer,
        reporter: VerifyReporter,
    ) -> VerifyReport:
        """The report on a single photo."""
        path = _path_of(photo)
        stem = Path(path).stem or _UNNAMED
        return self._told(photo, stem, path or _UNNAMED, scorer, reporter, first=True)

    def _told(
        self,
        source: str | Path | EncodedBytes | SupportsArray | Photo,
        stem: str,
        name: str,
        scorer: Scorer,
        reporter: VerifyReporter,
        *,
        first: bool,
    ) -> VerifyReport:
        """The report on a photo, which is drawn and told; with the first, notes on the network."""
        photo = read_photo(source, reading=self.request.limits.reading)
        report = verify_photo(photo, scorer, self.request.placement, self.windows, reporter)
        reporter.notes(f"{name}: {note}" for note in photo.notes)
        if first:
            reporter.notes(report.worst.grid.origin.notes[len(scorer.facts.notes) :])
        if self.output is not None:
            picture = draw_report(photo, report, self.classes)
            overwrite = self.request.overwrite
            written = write_image(
                self._picture(stem), picture, photo=photo.path, overwrite=overwrite
            )
            report = replace(report, picture=written)
        reporter.photo(name, report)
        return report


def _path_of(photo: object) -> str:
    """The path of a photo; "" of one that is in memory."""
    return str(photo) if isinstance(photo, str | Path) else str(getattr(photo, "path", ""))


def _number(path: Path) -> tuple[int, int] | None:
    """The device and number of a file; None where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
