"""Run photos in one call: `heatmap.run`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, Unpack, cast, overload

from ..errors import ResultError
from ..keywords import check_keywords
from ..networks.model_names import DEFAULT_MODEL
from ..photo.given import is_encoded
from ..photo.reduced import PhotoSource
from ..progress import Progress, reporting
from .one_picture import is_picture, run_into
from .options import RunOptions, request_of, scorer_of
from .result import Result

# Photos as :func:`heatmap.read_photo` takes them.
Several: TypeAlias = list[Any] | tuple[Any, ...] | Iterator[Any]

if TYPE_CHECKING:
    from ..networks.load import Model
    from ..scoring.scorer import Scorer


@overload
def run(
    photo: PhotoSource,
    model: Model | Scorer = ...,
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = ...,
    **options: Unpack[RunOptions],
) -> Result: ...


@overload
def run(
    photo: Several,
    model: Model | Scorer = ...,
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = ...,
    **options: Unpack[RunOptions],
) -> Iterator[Result]: ...


def run(
    photo: PhotoSource | Several,
    model: Model | Scorer = DEFAULT_MODEL,
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = False,
    **options: Unpack[RunOptions],
) -> Result | Iterator[Result]:
    """Detect objects in a photo, or in each of several.

    >>> result = heatmap.run("cat.jpg", classes=["cat"], conf=0.5)  # doctest: +SKIP
    >>> [detection.xyxy for detection in result]                    # doctest: +SKIP
    >>> result.save("results")                                      # doctest: +SKIP

    Nothing is written without ``output``. Options are those of ``heatmap run``, by the same names;
    None is as not given.

    Args:
        photo: as :func:`heatmap.read_photo` takes it; or a list, tuple or generator of such.
        model: a name, file, module or classifier as for :func:`heatmap.prepare`, or the scorer that
            that gives, which serves many calls.
        output: also save the result in this folder, as :meth:`Result.save`; or of one photo only
            the annotated picture, at a path that ends in .png or .jpg. What cannot be written is
            refused before the photo is scored.
        overwrite: as of :meth:`Result.save`.
        progress: as in :func:`heatmap.score`, of each scale anew.
        options: any of :class:`heatmap.RunOptions`: ``classes``, ``conf``, ``scales``, ...

    Returns:
        The result; of several photos their results in order, each made when it is asked for.

    Raises:
        ModelError: the model cannot be loaded or run.
        PhotoError: the photo or the mask cannot be read.
        GeometryError: no window fits, a stride that the network does not have, or a photo
            too large for the memory.
        ClassError: an unknown class, or one that is requested but not stored.
        ResultError: a value that cannot be, or the files cannot be written.
    """
    check_keywords(run, options, RunOptions)
    request = request_of(options, overwrite=overwrite)
    if output is not None and _are_several(photo) and is_picture(output):
        raise ResultError(f"{output}: is one picture, there are several photos: give a folder")
    with reporting(progress) as reporter:
        scorer = scorer_of(model, options, reporter)
    of_one = partial(run_into, scorer=scorer, request=request, output=output, progress=progress)
    if _are_several(photo):
        return (of_one(each) for each in photo)
    return of_one(cast(PhotoSource, photo))


def _are_several(photo: PhotoSource | Several) -> TypeGuard[Several]:
    return isinstance(photo, list | tuple | Iterator) and not is_encoded(photo)
