"""The files of one run: grid, what was found, overlays; all of them or none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from .colours import Image
from .files import write_all
from .grid import ScoreGrid
from .localizing import Found
from .photos import Photo
from .rendering import encode_image, slug
from .streams import PhotoFile

FORMAT = 1

Writer: TypeAlias = Callable[[Path], object]
Picture: TypeAlias = Image | Mapping[str, Writer]


@dataclass(frozen=True)
class SavedRun:
    """Where the results of one photo lie.

    ``overlays`` maps class index to picture; ``previews`` to a small one of it, where the
    photo is too large to be looked at whole.
    """

    grid: Path
    description: Path
    overlays: Mapping[int, Path]
    scales: Mapping[str, Path] = field(default_factory=dict)
    previews: Mapping[int, Path] = field(default_factory=dict)


def save_run(
    folder: str | Path,
    photo: Photo | PhotoFile,
    grid: ScoreGrid,
    found: Sequence[Found],
    overlays: Mapping[int, Picture],
    scales: Mapping[str, ScoreGrid] = {},
) -> SavedRun:
    """Write ``cat.npz``, ``cat.json`` and ``cat.<class>.png`` for a photo ``cat.jpg``.

    Each file gets a temporary name first; they are renamed when all are written.

    Args:
        folder: where to; made if missing.
        photo, grid, found: what was scored and what came out.
        overlays: by class index an RGB uint8 picture, or functions that write the
            files of one too large for memory, by suffix: ".tif", then its preview.
        scales: the grids of single scales by name ("x0.5"), where ``grid`` is made of several.

    Raises:
        ResultError: the folder or a file cannot be written.
    """
    stem = Path(photo.path).stem if photo.path else "photo"
    pictures = _picture_files(Path(folder), stem, grid, overlays)
    saved = SavedRun(
        grid=Path(folder, f"{stem}.npz"),
        description=Path(folder, f"{stem}.json"),
        overlays={index: next(iter(written)) for index, written in pictures.items()},
        scales={name: Path(folder, f"{stem}.{name}.npz") for name in scales},
        previews={
            index: list(written)[1] for index, written in pictures.items() if len(written) > 1
        },
    )
    files = dict(grid.files(saved.grid))
    for name, one in scales.items():
        files |= one.files(saved.scales[name])
    for written in pictures.values():
        files |= written
    description = json.dumps(describe_run(saved, photo, grid, found), indent=2, ensure_ascii=False)
    # File names that are not UTF-8 hold lone surrogates: as escapes they are valid JSON.
    content = f"{description}\n".encode("utf-8", "backslashreplace")
    files[saved.description] = lambda to: to.write_bytes(content)
    write_all(files)
    return saved


def save_overlays(
    folder: str | Path, stem: str, grid: ScoreGrid, overlays: Mapping[int, Picture]
) -> dict[int, Path]:
    """Write ``<stem>.<class>.png`` for each picture, named as :func:`save_run` names them.

    Returns:
        The paths by class index, in the order given.

    Raises:
        ResultError: the folder or a file cannot be written; no picture is then.
    """
    pictures = _picture_files(Path(folder), stem, grid, overlays)
    write_all({path: write for files in pictures.values() for path, write in files.items()})
    return {index: next(iter(files)) for index, files in pictures.items()}


def _picture_files(
    folder: Path, stem: str, grid: ScoreGrid, overlays: Mapping[int, Picture]
) -> dict[int, dict[Path, Writer]]:
    """The files of each overlay, the main one first; classes of one slug get their index too."""
    slugs = {index: slug(grid.classes.names[index]) for index in overlays}
    common = {name for name in slugs.values() if list(slugs.values()).count(name) > 1}
    names = {i: f"{name}-{i}" if name in common else name for i, name in slugs.items()}
    return {
        index: {
            folder / f"{stem}.{names[index]}{suffix}": write
            for suffix, write in _writers(picture).items()
        }
        for index, picture in overlays.items()
    }


def _writers(picture: Picture) -> Mapping[str, Writer]:
    """What writes a picture, by suffix."""
    if isinstance(picture, np.ndarray):
        return {".png": lambda to: to.write_bytes(encode_image(picture))}
    return picture


def describe_run(
    saved: SavedRun, photo: Photo | PhotoFile, grid: ScoreGrid, found: Sequence[Found]
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
                "scale": round(one.scale, 6),
                "cell": list(one.cell),
            }
            for one in found
        ],
        "grid": saved.grid.name,
        "scales": {name: path.name for name, path in saved.scales.items()},
        "windows": grid.geometry.grid_hw[0] * grid.geometry.grid_hw[1],
        "not_scored": int((~grid.scored).sum()),
        "overlays": [
            {
                "class": grid.classes.names[index],
                "index": index,
                "file": path.name,
                **({"preview": saved.previews[index].name} if index in saved.previews else {}),
            }
            for index, path in saved.overlays.items()
        ],
        "geometry": asdict(grid.geometry),
        "origin": asdict(grid.origin),
    }
