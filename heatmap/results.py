"""The files of one run: grid, what was found, overlays; all of them or none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .colours import Image
from .errors import ResultError
from .files import writing
from .grid import ScoreGrid
from .localizing import Found
from .photos import Photo
from .rendering import encode_image, slug

FORMAT = 1


@dataclass(frozen=True)
class SavedRun:
    """Where the results of one photo lie; ``overlays`` maps class index to picture."""

    grid: Path
    description: Path
    overlays: Mapping[int, Path]


def save_run(
    folder: str | Path,
    photo: Photo,
    grid: ScoreGrid,
    found: Sequence[Found],
    overlays: Mapping[int, Image],
) -> SavedRun:
    """Write ``cat.npz``, ``cat.json`` and ``cat.<class>.png`` for a photo ``cat.jpg``.

    Each file gets a temporary name first; they are renamed when all are written.

    Args:
        folder: where to; made if missing.
        photo, grid, found: what was scored and what came out.
        overlays: RGB uint8 pictures by class index.

    Raises:
        ResultError: the folder or a file cannot be written.
    """
    stem = Path(photo.path).stem if photo.path else "photo"
    saved = SavedRun(
        grid=Path(folder, f"{stem}.npz"),
        description=Path(folder, f"{stem}.json"),
        overlays=_overlay_paths(Path(folder), stem, grid, list(overlays)),
    )
    contents: dict[Path, bytes] = {saved.grid: grid.to_bytes()}
    for index, picture in overlays.items():
        contents[saved.overlays[index]] = encode_image(picture)
    description = json.dumps(describe_run(saved, photo, grid, found), indent=2, ensure_ascii=False)
    # File names that are not UTF-8 hold lone surrogates: as escapes they are valid JSON.
    contents[saved.description] = f"{description}\n".encode("utf-8", "backslashreplace")
    _write_all(contents)
    return saved


def save_overlays(
    folder: str | Path, stem: str, grid: ScoreGrid, overlays: Mapping[int, Image]
) -> dict[int, Path]:
    """Write ``<stem>.<class>.png`` for each picture, named as :func:`save_run` names them.

    Returns:
        The paths by class index, in the order given.

    Raises:
        ResultError: the folder or a file cannot be written; no picture is then.
    """
    paths = _overlay_paths(Path(folder), stem, grid, list(overlays))
    _write_all({paths[index]: encode_image(picture) for index, picture in overlays.items()})
    return paths


def _write_all(contents: Mapping[Path, bytes]) -> None:
    """All files under temporary names first, then renamed."""
    with ExitStack() as all_or_none:
        for target, content in contents.items():
            if target.is_dir():
                raise ResultError(f"{target}: cannot be written: is a directory")
            all_or_none.enter_context(writing(target)).write_bytes(content)


def _overlay_paths(folder: Path, stem: str, grid: ScoreGrid, indices: list[int]) -> dict[int, Path]:
    """File names: classes of one slug get their index too."""
    slugs = {index: slug(grid.classes.names[index]) for index in indices}
    common = {name for name in slugs.values() if list(slugs.values()).count(name) > 1}
    names = {i: f"{name}-{i}" if name in common else name for i, name in slugs.items()}
    return {index: folder / f"{stem}.{name}.png" for index, name in names.items()}


def describe_run(
    saved: SavedRun, photo: Photo, grid: ScoreGrid, found: Sequence[Found]
) -> dict[str, Any]:
    """What ``cat.json`` holds; boxes are (left, top, right, bottom) in photo px."""
    height, width = grid.geometry.photo_hw
    return {
        "format": FORMAT,
        "photo": {
            "path": photo.path,
            "height": height,
            "width": width,
            "sha256": photo.digest,
            "notes": list(photo.notes),
        },
        "found": [
            {
                "class": one.name,
                "index": one.index,
                "score": round(one.score, 6),
                "box_xyxy": [round(side, 2) for side in one.xyxy],
                "cell": list(one.cell),
            }
            for one in found
        ],
        "grid": saved.grid.name,
        "overlays": [
            {"class": grid.classes.names[index], "index": index, "file": path.name}
            for index, path in saved.overlays.items()
        ],
        "geometry": asdict(grid.geometry),
        "origin": asdict(grid.origin),
    }
