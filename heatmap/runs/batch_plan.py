"""What a batch has to do: its files compared with what the manifest says of them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import ResultError
from ..localization.formats.coco import CocoIds, CocoImage, batch_images, dataset_images
from ..names import PHOTOS
from ..ownership import ELSEWHERE, OVERWRITE
from .manifest import FileStamp, Manifest, Record
from .settings import Settings
from .sources import BatchFile, BatchFiles
from .worker import PhotoTask, described_way, stamp_of


@dataclass(frozen=True)
class BatchPlan:
    """What a batch has to do.

    Attributes:
        todo: the photos to run.
        unchanged: number of photos left as they are.
        skipped: other files.
        unread: folders of photos that cannot be read, which have failed.
        refused: photos of whose name there are results of another photo; they have failed, which
            the manifest does not record, since it has that of the other one.
    """

    todo: tuple[PhotoTask, ...]
    unchanged: int
    skipped: tuple[Record, ...] = ()
    unread: tuple[Record, ...] = ()
    refused: tuple[Record, ...] = ()


def plan_work(
    gathered: BatchFiles,
    manifest: Manifest,
    settings: Settings,
    output: Path,
    *,
    retry_failed: bool,
    overwrite: bool = False,
    coco: CocoIds | None = None,
) -> BatchPlan:
    """Compare the files found with the manifest.

    With ``overwrite`` photos replace the results of others; ``coco`` has the ids of a COCO dataset,
    if there is one.
    """
    ids, todo, refused = _image_ids(gathered, manifest), [], []
    images = ids if coco is None else _images_of(gathered, coco)
    for item in gathered.photos:
        record, folder = manifest.records.get(item.name), output / PHOTOS / item.name
        if record is not None and _is_another(item, record):
            if not overwrite:
                refused.append(_refused(item, record, folder, settings))
                continue
            why = "another photo"
        else:
            why = _why(item, record, folder, settings.digest, retry_failed=retry_failed)
        if why:
            of_coco = images[item.name]
            todo.append(PhotoTask(item, folder, why, record, ids[item.name].id, of_coco))
    skipped = [_skipped(item, settings) for item in gathered.others]
    skipped += _readable_again(manifest, gathered)
    unread = [
        Record(item.name, str(item.path), "failed", settings.digest, reason)
        for item, reason in gathered.unread
    ]
    return BatchPlan(
        tuple(todo),
        len(gathered.photos) - len(todo) - len(refused),
        tuple(record for record in skipped if _is_news(record, manifest)),
        tuple(record for record in unread if retry_failed or _is_news(record, manifest)),
        tuple(refused),
    )


def _image_ids(gathered: BatchFiles, manifest: Manifest) -> Mapping[str, CocoImage]:
    """The images that the photos are by the batch's own ids, by name."""
    remembered = {
        name: record.image_id
        for name, record in manifest.records.items()
        if record.image_id is not None
    }
    relative = {item.name: item.relative or item.name for item in gathered.photos}
    return batch_images(relative, remembered)


def _images_of(gathered: BatchFiles, coco: CocoIds) -> Mapping[str, CocoImage | ResultError]:
    """The images of a dataset that the photos are, by name."""
    paths = {item.name: (str(item.path), item.relative or item.name) for item in gathered.photos}
    return dataset_images(paths, coco)


def _readable_again(manifest: Manifest, gathered: BatchFiles) -> Iterator[Record]:
    """That folders which could not be read have not failed any more."""
    unread = {item.name for item, _ in gathered.unread}
    for record in manifest.records.values():
        of_folder = record.state == "failed" and record.name.endswith("/")
        if of_folder and record.name not in unread and os.access(record.path, os.R_OK | os.X_OK):
            yield replace(record, state="skipped", message="a folder, which can be read again")


def _is_news(record: Record, manifest: Manifest) -> bool:
    """Whether the manifest does not have a file in this state for this reason."""
    before = manifest.records.get(record.name)
    return before is None or (before.state, before.message) != (record.state, record.message)


def _why(
    item: BatchFile, record: Record | None, folder: Path, settings: str, *, retry_failed: bool
) -> str:
    """Why a photo needs to be run, or "" if it does not."""
    if record is None or record.state == "skipped":
        return "new"
    if record.settings != settings:
        return "settings changed"
    if _changed(item.path, record.stamp):
        return "photo changed"
    # Also of a photo that failed since its worker wrote them elsewhere.
    if not all((folder / name).exists() for name in record.files):
        return "results missing"
    return "failed before" if record.state == "failed" and retry_failed else ""


def _is_another(item: BatchFile, record: Record) -> bool:
    """Whether a record is of another photo: one of another place, still there, and content."""
    elsewhere = record.path != str(item.path) and os.path.exists(record.path)
    return record.state != "skipped" and elsewhere and _changed(item.path, record.stamp)


def _refused(item: BatchFile, record: Record, folder: Path, settings: Settings) -> Record:
    return Record(
        item.name,
        str(item.path),
        "failed",
        settings.digest,
        f"{folder}: holds the results of {record.path}, another photo than {item.path}",
        tuple(map(described_way, (ELSEWHERE, OVERWRITE))),
    )


def _changed(path: Path, stamp: FileStamp | None) -> bool:
    """Whether the content of a file has changed; a new modification time alone does not count."""
    try:
        status = path.stat()
    # Gone, or of an impossible name.
    except (OSError, ValueError):
        return stamp is not None
    if not stat.S_ISREG(status.st_mode):
        return stamp is not None
    if stamp is None or status.st_size != stamp.size:
        return True
    if status.st_mtime_ns == stamp.mtime_ns:
        return False
    now = stamp_of(path)
    return now is None or now.sha256 != stamp.sha256


def _skipped(item: BatchFile, settings: Settings) -> Record:
    ending = f"ends in {item.path.suffix}" if item.path.suffix else "has no suffix"
    return Record(
        item.name,
        str(item.path),
        "skipped",
        settings.digest,
        f"not a photo by its name: it {ending}",
    )


def file_sizes(gathered: BatchFiles) -> dict[Path, tuple[int, int]]:
    """Size and modification time of every file, to see whether it is still being written."""
    sizes = {}
    for item in (*gathered.photos, *gathered.others):
        try:
            now = item.path.stat()
        except OSError:
            continue
        sizes[item.path] = (now.st_size, now.st_mtime_ns)
    return sizes


def settled_files(gathered: BatchFiles, seen: dict[Path, tuple[int, int]]) -> BatchFiles:
    """Only the files that have not changed since they were seen before."""
    now = file_sizes(gathered)

    def settled(item: BatchFile) -> bool:
        return now.get(item.path) == seen.get(item.path)

    photos, others = filter(settled, gathered.photos), filter(settled, gathered.others)
    return BatchFiles(tuple(photos), tuple(others), gathered.unread)
