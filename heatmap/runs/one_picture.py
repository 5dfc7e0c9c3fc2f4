"""The annotated picture of a run by itself, at a path of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..contents import digest_of
from ..errors import ResultError, Use
from ..files import of_bytes, write_all
from ..marks import Mark
from ..ownership import Ownership
from ..photo.decoding.formats import SUFFIXES
from ..photo.reduced import PhotoSource
from ..progress import Progress
from ..rendering.overlay import check_suffix, encode_image
from .photo_run import run_photo
from .request import Request
from .result import Result

if TYPE_CHECKING:
    from ..scoring.scorer import Scorer


def is_picture(output: str | Path) -> bool:
    """Whether an output is one picture, by its suffix, and not a folder for all files.

    >>> is_picture("zebra.png"), is_picture("results")
    (True, False)
    """
    return Path(output).suffix.lower() in SUFFIXES and not os.path.isdir(output)


def run_into(
    photo: PhotoSource,
    scorer: Scorer,
    request: Request,
    output: str | Path | None,
    *,
    progress: Progress = False,
) -> Result:
    """Run one photo, and write its files into a folder, its picture to a path, or nothing.

    Args:
        photo, scorer, request, progress: as of :func:`photo_run.run_photo`.
        output: the folder; or where :func:`is_picture`, the picture; or None.

    Raises:
        HeatmapError: as :func:`heatmap.run`.
    """
    if output is None or not is_picture(output):
        return run_photo(photo, scorer, request, folder=output, progress=progress)
    check_picture(output, photo if isinstance(photo, str | Path) else "", request)
    result = run_photo(photo, scorer, request, progress=progress)
    save_picture(result, output, overwrite=request.overwrite)
    return result


def check_picture(path: str | Path, photo: str | Path, request: Request) -> None:
    """Refuse before a photo is scored what would be refused after it.

    Args:
        path: the picture.
        photo: the photo's file, or "" where it has none.
        request: what is asked for.

    Raises:
        ResultError: the picture is neither .png nor .jpg, would replace the photo, another file
            that is read, or a stranger's; or the request asks for other files too.
    """
    check_suffix(Path(path).suffix)
    check_no_more_files(request, f"{path} is one picture")
    mark = Mark.of(photo, digest=digest_of(Path(photo)) if photo else "")
    Ownership(mark, read=(photo, *request.files), overwrite=request.overwrite).check([Path(path)])


def check_no_more_files(request: Request, why: str) -> None:
    """Refuse a request for files that need a folder.

    Raises:
        ResultError: it asks for one, which there is none for since ``why``.
    """
    display, extras = request.display, request.extras
    asked = {
        "html": extras.html,
        "formats": extras.formats,
        "save_grid": extras.save_grid,
        "save_crops": extras.save_crops,
        "per_class": display.per_class,
        "areas": display.areas,
    }
    for name, value in asked.items():
        if value:
            given = list(value) if isinstance(value, tuple) else value
            raise ResultError(
                f"{why}, and other files are asked for",
                Use(name, given, "leave out {}"),
                Use("output", text="give a folder as {}"),
            )


def save_picture(result: Result, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write the annotated picture of a result as PNG or JPEG.

    Raises:
        ResultError: as :func:`heatmap.write_image`.
    """
    target, photo = Path(path), result.photo
    mark = Mark.of(photo.path, digest=photo.digest)
    owner = Ownership(mark, read=(photo.path, *result.read), overwrite=overwrite)
    content = encode_image(result.overlay(), target.suffix, mark=mark.text)
    write_all({target: of_bytes(content)}, owner)
    return target
