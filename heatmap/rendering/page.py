"""The page of a photo: one HTML file that shows its scores in any browser, offline."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

import numpy as np
import pyvips

from ..files import Writer
from ..geometry import check_size, scale_of, shrunk_hw
from ..grid.origin import Origin
from ..grid.score_grid import ScoreGrid
from ..localization.detection import Detection
from ..names import PAGE, PAGE_TILES
from ..photo.photo import Photo
from ..photo.photo_file import PhotoFile
from .html import asset, embedded, policy
from .page_data import score_data, thinned
from .page_tiles import PAGE_TILE_PX, tile_levels, tile_url, write_tiles
from .paint import OPACITY, Image, colour_table

# Up to this many pixels the photo is embedded as PNG, losslessly; above as JPEG.
LOSSLESS_PX = 2**18
_PHOTO_JPEG_QUALITY = 90
# Longer side of the preview of a large photo, shown until tiles are loaded or if they are missing.
PAGE_PREVIEW_PX = 2048
_JPEG_SIDE_PX = 65_500  # libjpeg's limit

# Concatenated they are the page's only script.
_SCRIPTS = ("grid.js", "heat.js", "picture.js", "view.js", "gestures.js", "panels.js", "viewer.js")


def page_files(
    photo: Photo | PhotoFile,
    grid: ScoreGrid,
    detections: Sequence[Detection],
    *,
    title: str = "",
    stem: str = "photo",
) -> dict[str, Writer]:
    """Functions that write the page of a photo, by suffix; each takes the path to write to.

    ".html" is the page: photo, scores and detections in one file, which opens from disk and loads
    nothing else, except for a photo that stays on disk: its page needs ".tiles", the folder of an
    image pyramid, beside it.

    Args:
        photo: the photo that was scored.
        grid: its scores.
        detections: its detections.
        title: heading of the page; by default the name of the photo file.
        stem: name of the page without suffix; tiles are loaded from ``<stem>.tiles``.

    Raises:
        ResultError: the photo has another size than the scored one.
    """
    check_size(photo.hw, grid.geometry)
    heading = title or Path(photo.path).name or "photo"

    def write_page(path: Path) -> None:
        content = _filled(heading, page_data(photo, grid, detections, title=heading, stem=stem))
        # A heading that is not UTF-8 contains lone surrogates.
        path.write_bytes(content.encode("utf-8", "replace"))

    if not isinstance(photo, PhotoFile):
        return {PAGE: write_page}
    return {PAGE: write_page, PAGE_TILES: lambda to: write_tiles(to, photo)}


def page_data(
    photo: Photo | PhotoFile,
    grid: ScoreGrid,
    detections: Sequence[Detection],
    *,
    title: str,
    stem: str,
) -> dict[str, Any]:
    """All data of the page, for JSON; see :func:`page_data.score_data` for the scores."""
    shown, step = thinned(grid)
    scores = score_data(shown, detections)
    return {
        "title": title,
        "settings": _settings(grid),
        "warnings": _warnings(grid.origin),
        "about": _about(photo, grid, step=step, maps=len(scores["maps"])),
        "photo": {"image": _embedded(_pixels(photo)), "tiles": _tiles(photo, stem)},
        "colours": colour_table(1).tolist(),
        "opacity": OPACITY,
        **scores,
    }


def _filled(title: str, data: dict[str, Any]) -> str:
    """The template filled with style, script, data, and a policy that allows nothing else."""
    style = asset("viewer", "viewer.css")
    script = "\n".join(asset("viewer", name) for name in _SCRIPTS)
    tiles = " 'self' file:" if data["photo"]["tiles"] else ""
    return Template(asset("viewer", "template.html")).substitute(
        policy=policy(style, script, images=f"data:{tiles}"),
        title=html.escape(title),
        style=style,
        script=script,
        data=embedded(data),
    )


def _pixels(photo: Photo | PhotoFile) -> Image:
    """The photo, or a preview of a large one: RGB uint8 (H, W, 3)."""
    if isinstance(photo, Photo):
        return photo.pixels
    return np.concatenate(list(photo.strips(scaled_hw=shrunk_hw(photo.hw, PAGE_PREVIEW_PX))))


def _embedded(pixels: Image) -> str:
    """A picture as a data URL."""
    height, width = pixels.shape[:2]
    image = pyvips.Image.new_from_memory(pixels.data, width, height, 3, "uchar")
    image = image.copy(interpretation="srgb")
    if height * width <= LOSSLESS_PX or max(height, width) > _JPEG_SIDE_PX:
        kind, content = "png", image.pngsave_buffer()
    else:
        kind, content = "jpeg", image.jpegsave_buffer(Q=_PHOTO_JPEG_QUALITY)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _tiles(photo: Photo | PhotoFile, stem: str) -> dict[str, Any] | None:
    if isinstance(photo, Photo):
        return None
    # Quoted as bytes, since a name need not be UTF-8.
    url = tile_url(quote(os.fsencode(stem)))
    return {"url": url, "tile_px": PAGE_TILE_PX, "levels": tile_levels(photo.hw)}


def _settings(grid: ScoreGrid) -> str:
    """Model, weights, windows and scales, in one line."""
    rows, columns = grid.geometry.grid_hw
    windows = f"{rows} rows × {columns} columns of windows, {grid.geometry.window_px} px wide"
    parts = (grid.origin.model, f"weights: {grid.origin.weights.text}", windows, _scales(grid))
    return " · ".join(parts)


def _scales(grid: ScoreGrid) -> str:
    origin = grid.origin
    if origin.scales:
        listed = ", ".join(f"{scale:g}" for scale in origin.scales)
        return f"scales {listed} ({origin.fuse})"
    return f"scale {scale_of(grid.geometry):.3g}"


def _warnings(origin: Origin) -> list[str]:
    warnings = []
    if origin.weights.are_random:
        warnings.append("Random weights: this means nothing.")
    if origin.sliding == "inexact" and origin.engine == "slide":
        warnings.append("Inexact: each score depends on what else is in the photo.")
    return warnings


def _about(
    photo: Photo | PhotoFile, grid: ScoreGrid, *, step: int, maps: int
) -> list[tuple[str, str]]:
    """Further facts about photo and scores, as (name, value) pairs."""
    geometry, origin = grid.geometry, grid.origin
    missing = int((~grid.scored).sum())
    every = geometry.stride_px / scale_of(geometry)
    facts = {
        "Photo": photo.path,
        "Size": f"{photo.hw[1]} × {photo.hw[0]} px",
        "Read as": "; ".join(photo.notes),
        "Model": origin.model,
        "Weights": origin.weights.text,
        "Notes": "; ".join(origin.notes),
        "Windows": f"each sees {geometry.window_px / scale_of(geometry):.4g} px of the photo, "
        f"one every {every:.4g} px",
        "Scale": _scales(grid),
        "Engine": {"slide": "sliding", "crop": "crop by crop"}[origin.engine],
        "Not scored": f"{missing} of {grid.scored.size} windows" if missing else "",
        "Shown": f"one in {step} rows and columns of windows" if step > 1 else "",
        "Classes": f"{maps} maps here, of {len(grid.classes)} classes"
        + ("" if grid.is_exclusive else ", each independent of the others"),
        "Versions": ", ".join(f"{name} {number}" for name, number in origin.versions.items()),
    }
    return [(word, answer) for word, answer in facts.items() if answer]
