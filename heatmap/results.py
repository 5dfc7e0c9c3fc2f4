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
    """Where the results of one photo lie; ``overlays`` maps class index to picture."""

    grid: Path
    description: Path
    overlays: Mapping[int, Path]
    scales: Mapping[str, Path] = field(default_factory=dict)


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
            files of one too large for memory, by suffix (".tif").
        scales: the grids of single scales by name ("x0.5"), where ``grid`` is made of several.

    Raises:
        ResultError: the folder or a file cannot be written.
    """
    stem = Path(photo.path).stem if photo.path else "photo"
    saved = SavedRun(
        grid=Path(folder, f"{stem}.npz"),
        description=Path(folder, f"{stem}.json"),
        overlays=_overlay_paths(Path(folder), stem, grid, overlays),
        scales={name: Path(folder, f"{stem}.{name}.npz") for name in scales},
    )
    files = dict(grid.files(saved.grid))
    for name, one in scales.items():
        files |= one.files(saved.scales[name])
    for index, picture in overlays.items():
        files |= _picture_files(saved.overlays[index].with_suffix(".png"), picture)
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
    paths = _overlay_paths(Path(folder), stem, grid, overlays)
    files: dict[Path, Writer] = {}
    for index, picture in overlays.items():
        files |= _picture_files(paths[index].with_suffix(".png"), picture)
    write_all(files)
    return paths


def _picture_files(path: Path, picture: Picture) -> dict[Path, Writer]:
    """The files of one overlay: ``<path>.png``, or one for each suffix it brings."""
    if isinstance(picture, np.ndarray):
        return {path: lambda to: to.write_bytes(encode_image(picture))}
    return {path.with_name(path.stem + suffix): write for suffix, write in picture.items()}


def _overlay_paths(
    folder: Path, stem: str, grid: ScoreGrid, overlays: Mapping[int, Picture]
) -> dict[int, Path]:
    """Main file of each overlay; classes of one slug get their index too."""
    slugs = {index: slug(grid.classes.names[index]) for index in overlays}
    common = {name for name in slugs.values() if list(slugs.values()).count(name) > 1}
    names = {i: f"{name}-{i}" if name in common else name for i, name in slugs.items()}
    return {
        index: next(iter(_picture_files(folder / f"{stem}.{names[index]}.png", picture)))
        for index, picture in overlays.items()
    }


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
            {"class": grid.classes.names[index], "index": index, "file": path.name}
            for index, path in saved.overlays.items()
        ],
        "geometry": asdict(grid.geometry),
        "origin": asdict(grid.origin),
    }
