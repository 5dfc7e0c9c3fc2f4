"""The annotations of a batch: a folder for each format, laid out as its readers expect.

``yolo`` holds ``data.yaml``, ``classes.txt`` and the folder ``labels``; ``voc`` the folder
``Annotations``; ``labelme`` its files. A file of a photo has the photo's path in the batch, with
another suffix; where that would be the path of two files, the suffix is added instead.

They are made of the photos' own files, and are there to be corrected: what somebody changed stays,
and so does what the batch did not write.
"""

from __future__ import annotations

import hashlib
import json
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ..contents import digest_of
from ..files import changing
from ..localization.formats.yolo import yolo_dataset, yolo_names
from ..names import ANNOTATION_FOLDERS, LABELME, VOC, YOLO, ResultNames
from ..ownership import Ownership
from .coco_joined import own_file, read_own
from .formats import relative_path
from .manifest import Manifest, Record

# Gives the content of a file.
Content: TypeAlias = Callable[[], bytes]

# The folder of the files, their suffix beside the results of a photo, and their suffix here.
_LAYOUT = {
    "yolo": ("yolo/labels", YOLO, ".txt"),
    "voc": ("voc/Annotations", VOC, ".xml"),
    "labelme": ("labelme", LABELME, ".json"),
}
_TOPS = tuple(f"{name}/" for name in ANNOTATION_FOLDERS)


@dataclass(frozen=True)
class Annotations:
    """The annotations of a batch.

    Attributes:
        contents: of each file, by its path from the folder of the batch, with "/".
    """

    contents: Mapping[str, Content]

    def write(self, manifest: Manifest, owner: Ownership) -> list[str]:
        """Write the files that are missing or have changed, and remove those not wanted.

        Args:
            manifest: of the batch, open for writing; the files are written beside it.
            owner: which files may be replaced.

        Returns:
            A note on files that stay, since somebody made or changed them, where there are any.

        Raises:
            ResultError: a file of a photo is not what was written, or one cannot be written.
        """
        output = manifest.path.parent
        wanted = {name: _digest(content()) for name, content in self.contents.items()}
        names = [*wanted, *(name for name in manifest.written if name.startswith(_TOPS))]
        now = {name: digest_of(output / name) for name in dict.fromkeys(names)}
        theirs = {
            name
            for name, digest in now.items()
            if os.path.lexists(output / name) and digest not in manifest.written.get(name, ())
        }
        kept = [] if owner.overwrite else [name for name in wanted if name in theirs]
        changed = [name for name in wanted if now[name] != wanted[name] and name not in kept]
        gone = {name: own for name, own in now.items() if own and name not in {*wanted, *theirs}}
        if changed or gone:
            # Noted before: whenever the process is killed, what is there is known.
            manifest.note({name: wanted[name] for name in changed})
            with changing(output) as change:
                change.make(_folders(output, {name: self.contents[name] for name in changed}))
                change.put(owner, gone)
        return _note_of([name for name in kept if now[name] != wanted[name]])


def annotations_of(
    output: Path, records: Sequence[Record], formats: Iterable[str], names: Sequence[str]
) -> Annotations:
    """The annotations of the photos of some records.

    Args:
        output: the folder of the batch.
        records: of photos whose results have these formats.
        formats: those of the request.
        names: the name of each class number.
    """
    contents: dict[str, Content] = {}
    for layout in (name for name in _LAYOUT if name in formats):
        folder, suffix, ending = _LAYOUT[layout]
        for record, path in zip(records, _paths(output, records), strict=True):
            own = own_file(output, record, suffix)
            if own is not None:
                name = f"{folder}/{path}{ending}"
                contents[name] = _content(own, record, output / name)
    if "yolo" in formats:
        contents["yolo/classes.txt"] = lambda: yolo_names(names).encode()
        contents["yolo/data.yaml"] = lambda: yolo_dataset(names).encode()
    return Annotations(contents)


def _paths(output: Path, records: Sequence[Record]) -> list[str]:
    """The path of each photo without its suffix, or with it where that tells photos apart."""
    shorts = [record.name.removesuffix(Path(record.name).suffix) for record in records]
    pairs = list(zip(shorts, (record.name for record in records), strict=True))
    counts = Counter(folded for pair in pairs for folded in {*map(_folded, pair)})
    return [
        _fitting(output, short if counts[_folded(short)] == 1 else whole) for short, whole in pairs
    ]


def _folded(name: str) -> str:
    """What is equal for names that some file systems would not tell apart."""
    return unicodedata.normalize("NFC", name).casefold()


def _fitting(output: Path, path: str) -> str:
    """A path whose last part has room for a suffix."""
    folder, slash, stem = path.rpartition("/")
    return f"{folder}{slash}{ResultNames.of_stem(output, stem).stem}"


def _content(own: Path, record: Record, target: Path) -> Content:
    """The content of a photo's own file, for another folder."""
    if own.name.endswith(LABELME):
        return lambda: _moved(own, record, target)
    return own.read_bytes


def _moved(own: Path, record: Record, target: Path) -> bytes:
    """The content of a file of labelme, with the path from another folder to the photo."""
    annotation = {**read_own(own, dict), "imagePath": relative_path(record.path, target.parent)}
    text = json.dumps(annotation, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


def _folders(output: Path, contents: Mapping[str, Content]) -> dict[Path, Callable[[Path], None]]:
    """A function for each folder of a format that writes its files, by the folder."""

    def writer(top: str) -> Callable[[Path], None]:
        def write(to: Path) -> None:
            for name in (name for name in contents if name.startswith(f"{top}/")):
                path = to.parent / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(contents[name]())

        return write

    return {output / top: writer(top) for top in {name.partition("/")[0] for name in contents}}


def _note_of(kept: Sequence[str]) -> list[str]:
    if not kept:
        return []
    others = f" and {len(kept) - 1} more" if len(kept) > 1 else ""
    return [f"annotations that somebody made or changed stay: {kept[0]}{others}"]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
