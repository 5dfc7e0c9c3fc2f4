"""The page of a photo: one HTML file that shows its scores in any browser, offline."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

import numpy as np
import pyvips

from ..choices import Colormap
from ..files import Writer
from ..geometry import check_size, scale_of, shrunk_hw
from ..grid.origin import Origin
from ..grid.score_grid import ScoreGrid
from ..localization.findings import Findings
from ..marks import Mark
from ..names import PAGE, PAGE_TILES
from ..photo.photo import Photo
from ..photo.photo_file import PhotoFile
from .html import asset, embedded, policy
from .page_data import Labels, found_data, thinned, window_data
from .page_tiles import PAGE_TILE_PX, tile_levels, tile_url, write_tiles
from .paint import ALPHA, JPEG_MOST_PX, Image, colour_table, range_of

# Up to this many pixels the photo is embedded as PNG, losslessly; above as JPEG.
LOSSLESS_PX = 2**18
_PHOTO_JPEG_QUALITY = 90
# Longer side of the preview of a large photo, shown until tiles are loaded or if they are missing.
PAGE_PREVIEW_PX = 2048

# Concatenated they are the page's only script.
_SCRIPTS = tuple(
    f"{name}.js"
    for name in (
        *("grid", "heat", "picture", "view", "gestures", "panels", "boxes"),
        *("tip", "link", "viewer"),
    )
)


def page_files(
    photo: Photo | PhotoFile,
    findings: Findings,
    grid: ScoreGrid | None = None,
    *,
    stem: str = "photo",
    color_range: tuple[float, float] | None = None,
    alpha: float = ALPHA,
    colormap: Colormap | None = None,
) -> dict[str, Writer]:
    """Functions that write the page of a photo, by suffix; each takes the path to write to.

    ".html" is the page: photo, maps and detections in one file, which opens from disk and loads
    nothing else, except for a photo that stays on disk: its page needs ".tiles", the folder of an
    image pyramid, beside it.

    Args:
        photo: the photo that was scored.
        findings: what was found on it.
        grid: its scores, from which the page names the strongest classes of each window; None for
            a page that says only what the maps say of each place.
        stem: name of the page without suffix; tiles are loaded from ``<stem>.tiles``.
        color_range, alpha, colormap: of the heat, as in :func:`overlay.overlay`.

    Raises:
        ResultError: the photo has another size than the scored one.
    """
    check_size(photo.hw, findings.maps.geometry)
    heading = Path(photo.path).name or "photo"

    def write_page(path: Path) -> None:
        colours = {
            "range": color_range or range_of(max(findings.peaks)),
            "alpha": alpha,
            "colours": colour_table(1, colormap).tolist(),
        }
        data = page_data(photo, findings, grid, title=heading, stem=stem)
        mark = Mark.of(photo.path, digest=photo.digest)
        content = _filled(heading, {**data, **colours}, mark)
        # A heading that is not UTF-8 contains lone surrogates.
        path.write_bytes(content.encode("utf-8", "replace"))

    if not isinstance(photo, PhotoFile):
        return {PAGE: write_page}
    return {PAGE: write_page, PAGE_TILES: lambda to: write_tiles(to, photo)}


def page_data(
    photo: Photo | PhotoFile,
    findings: Findings,
    grid: ScoreGrid | None,
    *,
    title: str,
    stem: str,
) -> dict[str, Any]:
    """All data of the page, for JSON; see :mod:`page_data` for maps, boxes and windows."""
    maps, map_step = thinned(findings.maps, len(findings.groups))
    windows, step = (None, 1) if grid is None else thinned(grid)
    steps = {"maps": map_step, "windows": step}
    labels = Labels(findings, grid)
    return {
        "title": title,
        "settings": _settings(findings.maps),
        "warnings": _warnings(findings.maps.origin),
        "about": _about(photo, findings.maps, steps),
        "photo": {"image": _embedded(_pixels(photo)), "tiles": _tiles(photo, stem)},
        **found_data(findings, maps, labels),
        "windows": None if windows is None else window_data(windows, findings.groups, labels),
    }


def _filled(title: str, data: dict[str, Any], mark: Mark) -> str:
    """The template filled with style, script, data, and a policy that allows nothing else."""
    style = asset("viewer", "viewer.css")
    script = "\n".join(asset("viewer", name) for name in _SCRIPTS)
    tiles = " 'self' file:" if data["photo"]["tiles"] else ""
    return Template(asset("viewer", "template.html")).substitute(
        mark=mark.text,
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
    if height * width <= LOSSLESS_PX or max(height, width) > JPEG_MOST_PX:
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


def _settings(maps: ScoreGrid) -> str:
    """Model, weights and scales, in one line."""
    origin = maps.origin
    return " · ".join((origin.model, f"weights: {origin.weights.text}", _scales(maps)))


def _scales(grid: ScoreGrid) -> str:
    origin = grid.origin
    if origin.scales:
        listed = ", ".join(f"{scale:g}" for scale in origin.scales)
        return f"scales {listed} ({origin.fuse})"
    return f"scale {scale_of(grid.geometry):.3g}"


def _region(origin: Origin) -> str:
    if origin.region is None:
        return ""
    left, top = origin.region.at
    height, width = origin.region.whole_hw
    return f"from x {left}, y {top} px of a photo of {width} × {height} px"


def _warnings(origin: Origin) -> list[str]:
    warnings = []
    if origin.weights.are_random:
        warnings.append("Random weights: this means nothing.")
    if origin.sliding == "inexact" and origin.engine == "slide":
        warnings.append(
            "Approximate: some layers look at a window around each position."
            if origin.statistics == "local"
            else "Inexact: each score depends on what else is in the photo."
        )
    return warnings


def _about(
    photo: Photo | PhotoFile, maps: ScoreGrid, steps: Mapping[str, int]
) -> list[tuple[str, str]]:
    """Further facts about photo and maps, as (name, value) pairs."""
    geometry, origin = maps.geometry, maps.origin
    missing = int((~maps.scored).sum())
    every = geometry.stride_px / scale_of(geometry)
    cells = "positions of the feature map" if origin.is_sharp else "windows"
    facts = {
        "Photo": photo.path,
        "Size": f"{photo.hw[1]} × {photo.hw[0]} px",
        "Region": _region(origin),
        "Read as": "; ".join(photo.notes),
        "Model": origin.model,
        "Weights": origin.weights.text,
        "Notes": "; ".join(origin.notes),
        "Maps": f"{len(maps.classes)}, of {cells}, one every {every:.4g} px",
        "Scale": _scales(maps),
        "Engine": {"slide": "sliding", "crop": "crop by crop"}[origin.engine],
        "Not scored": f"{missing} of {maps.scored.size} windows" if missing else "",
        "Shown": "; ".join(
            f"{what}: one in {step} rows and columns" for what, step in steps.items() if step > 1
        ),
        "Versions": ", ".join(f"{name} {number}" for name, number in origin.versions.items()),
    }
    return [(word, answer) for word, answer in facts.items() if answer]
