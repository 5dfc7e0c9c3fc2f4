"""The COCO files of a batch: those of its photos joined, which pycocotools loads together.

They are made of the photos' own files, one at a time, so that their size does not matter. The
manifest has their digests: a file of these names that the batch did not write is never replaced.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from ..contents import digest_of
from ..errors import ResultError
from ..files import write_all
from ..localization.formats.coco import INFO
from ..names import COCO, COCO_DATASET, JOINED_COCO, JOINED_DATASET, PHOTOS
from ..ownership import Ownership
from .manifest import Manifest, Record

# Gives the content of a file piece by piece.
Pieces: TypeAlias = Callable[[], Iterator[bytes]]
_NAMES = (JOINED_COCO, JOINED_DATASET)


def joined_pieces(output: Path, records: Iterable[Record], *, dataset: bool) -> dict[str, Pieces]:
    """The content of ``coco.json`` and ``coco.dataset.json``, by name.

    Args:
        output: the folder of the batch.
        records: of the photos to join, whose results have the format "coco".
        dataset: whether ids are the batch's own, which the dataset names.
    """
    ordered = sorted(records, key=lambda record: record.name)
    files = {JOINED_COCO: COCO} | ({JOINED_DATASET: COCO_DATASET} if dataset else {})
    pieces = {JOINED_COCO: _results, JOINED_DATASET: _dataset}

    def of(name: str) -> Pieces:
        return lambda: pieces[name](_files(output, ordered, files[name]))

    return {name: of(name) for name in files}


def write_joined(manifest: Manifest, pieces: Mapping[str, Pieces], owner: Ownership) -> None:
    """Write the joined files whose content has changed, and remove those that are not wanted.

    Args:
        manifest: of the batch, open for writing; the files are written beside it.
        pieces: the content by name; a file that is not among them goes, unless somebody changed it.
        owner: which files may be replaced.

    Raises:
        ResultError: a file of a photo is not what was written, or one may not be replaced.
    """
    output = manifest.path.parent
    owner.check(output / name for name in pieces)
    digests = {name: _digest(content()) for name, content in pieces.items()}
    changed = [name for name in pieces if digest_of(output / name) != digests[name]]
    # Noted before: whenever the process is killed, what is there is known.
    manifest.note({name: digests[name] for name in changed})
    write_all({output / name: _writer(pieces[name]) for name in changed}, owner)
    for name in set(_NAMES) - pieces.keys():
        if digest_of(output / name) in manifest.written.get(name, ()):
            (output / name).unlink(missing_ok=True)


def _writer(pieces: Pieces) -> Callable[[Path], None]:
    def write(to: Path) -> None:
        with to.open("wb") as file:
            file.writelines(pieces())

    return write


def _files(output: Path, records: Sequence[Record], suffix: str) -> Iterator[Path]:
    """The file of each photo with this suffix."""
    yield from filter(None, (own_file(output, record, suffix) for record in records))


def own_file(output: Path, record: Record, suffix: str) -> Path | None:
    """The file with this suffix among the results of a photo; None where there is none.

    Args:
        output: the folder of the batch.
        record: that of the photo.
        suffix: of a file of a format.
    """
    names = [name for name in record.files if name.endswith(suffix)]
    # "x.coco.json" is also the description of a photo "x.coco.jpg".
    return output / PHOTOS / record.name / max(names, key=len) if names else None


def _results(files: Iterable[Path]) -> Iterator[bytes]:
    """One results array, a line for each detection."""
    yield b"["
    yield from _listed(result for file in files for result in read_own(file, list))
    yield b"\n]\n"


def _dataset(files: Iterable[Path]) -> Iterator[bytes]:
    """One dataset; annotations are numbered from 1."""
    images: list[Mapping[str, Any]] = []
    categories: dict[int, str] = {}

    def annotations() -> Iterator[Mapping[str, Any]]:
        number = 0
        for file in files:
            content = read_own(file, dict)
            try:
                images.extend(content["images"])
                categories.update((one["id"], one["name"]) for one in content["categories"])
                for annotation in content["annotations"]:
                    number += 1
                    yield {**annotation, "id": number}
            except (LookupError, TypeError) as error:
                raise _changed(file) from error

    yield f'{{"info": {json.dumps(INFO)},\n"annotations": ['.encode()
    yield from _listed(annotations())
    yield b'\n],\n"images": ['
    yield from _listed(images)
    yield b'\n],\n"categories": ['
    yield from _listed({"id": number, "name": categories[number]} for number in sorted(categories))
    yield b"\n]}\n"


def _listed(values: Iterable[Any]) -> Iterator[bytes]:
    """The values of an array, one on each line."""
    separator = "\n"
    for value in values:
        yield f"{separator}{json.dumps(value)}".encode()
        separator = ",\n"


def read_own(file: Path, kind: type) -> Any:
    """The content of a JSON file of a photo, which is a ``dict`` or a ``list``.

    Raises:
        ResultError: it is not.
    """
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise _changed(file) from error
    if not isinstance(content, kind):
        raise _changed(file)
    return content


def _changed(file: Path) -> ResultError:
    return ResultError(f"{file}: is not what was written: remove it and run the batch again")


def _digest(pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
