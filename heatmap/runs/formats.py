"""Detections and heatmaps in formats that other programs read.

``csv`` is a table of the detections (RFC 4180). ``coco`` is the results array that COCO
evaluation takes, and a dataset beside it that names its ids. ``geojson`` has a polygon for each
detection, as QuPath and map programs read it, in world coordinates where the photo is
georeferenced. ``tiff`` is the heatmap of each class as float32, georeferenced like the photo.

Text is UTF-8. Bytes of file names that are not UTF-8 are written as "\\udc80" to "\\udcff".
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..csv_table import csv_table
from ..errors import ResultError
from ..files import Writer, of_bytes
from ..geometry import Geometry, check_size
from ..grid.position_scores import Cells
from ..grid.upsample import nearest, upsample
from ..localization.detection import Detection
from ..localization.findings import Findings
from ..localization.formats.coco import OWN_IDS, CocoIds, CocoImage, coco_dataset, coco_results
from ..marks import MARK
from ..names import COCO, COCO_DATASET, CSV, GEOJSON, HEATMAP, class_suffixes
from ..photo.georeference import Georeference, georeference_of
from ..photo.reduced import OpenPhoto
from ..rendering.annotated import class_colours
from ..rendering.palette import Colour

FORMATS = ("csv", "coco", "geojson", "tiff")
# Formats that use the georeference of the photo.
PLACED_FORMATS = frozenset({"geojson", "tiff"})

_SIDES = ("left", "top", "right", "bottom")
_COLUMNS = (
    "photo",
    "class",
    "confidence",
    *_SIDES,
    *(f"window_{side}" for side in _SIDES),
    "scale",
    "slide",
    "crop",
)
_PIXELS = "photo pixels: x to the right, y downwards, from the upper left corner of the photo"
_WGS_84 = 4326
_TILE_PX = 256
# Pixels of the strips in which a heatmap is computed.
_STRIP_PX = 2**24
# Higher levels take longer and save a tenth.
_DEFLATE_LEVEL = 1
_SHORT, _ASCII = 3, 2
# Tag by name: given by number, tifffile drops it, since it refuses this predictor for floats.
_PREDICTED = ("Predictor", _SHORT, 1, 2, True)
_NAN_IS_NO_VALUE = (42113, _ASCII, 4, "nan", True)  # GDAL_NODATA


def export_files(
    formats: Sequence[str],
    photo: OpenPhoto,
    findings: Findings,
    *,
    coco_ids: CocoIds | None = None,
    image: CocoImage | None = None,
) -> dict[str, Writer]:
    """Functions that write the files of some formats, by suffix of the file name.

    Suffixes are ``.csv``; ``.coco.json`` and, unless ``coco_ids`` is given,
    ``.coco.dataset.json``; ``.geojson``; and for each class that has a map
    ``.<class>.heat.tif``.

    Args:
        formats: names from ``FORMATS``.
        photo: the photo that was scored.
        findings: what was found on it.
        coco_ids: the ids of a COCO dataset to refer to; None makes ids.
        image: what the photo is in COCO files; None is what its path says.

    Raises:
        ResultError: an unknown format, a photo of another size than the scored one, or a
            photo that the COCO dataset does not have.
        ClassError: a detected class that the COCO dataset does not have.
        PhotoError: as :func:`georeference.georeference_of`.
    """
    for name in formats:
        if name not in FORMATS:
            raise ResultError(f"format {name!r} is unknown: choose among {', '.join(FORMATS)}")
    check_size(photo.hw, findings.maps.geometry)
    detections = findings.detections
    georeference = georeference_of(photo) if PLACED_FORMATS & set(formats) else None
    files: dict[str, Writer] = {}
    if "csv" in formats:
        files[CSV] = of_bytes(_table(photo.path, detections))
    if "coco" in formats:
        ids = coco_ids or OWN_IDS
        image = image or ids.image(photo.path)
        files[COCO] = _json(coco_results(image, detections, ids))
        if coco_ids is None:
            guessed = {guess.group for guess in findings.guesses}
            groups = [group for group in findings.groups if group not in guessed]
            dataset = coco_dataset(image, photo.whole_hw, detections, groups)
            files[COCO_DATASET] = _json(dataset)
    if "geojson" in formats:
        files[GEOJSON] = _json(_feature_collection(findings, georeference))
    if "tiff" in formats:
        placed = georeference and photo.region and georeference.of_region(photo.region)
        files |= _heat_files(findings, placed or georeference)
    return files


def _json(value: object) -> Writer:
    # Lone surrogates become escapes, which is what JSON has for them.
    text = json.dumps(value, ensure_ascii=False) + "\n"
    return of_bytes(text.encode("utf-8", "backslashreplace"))


def _table(path: str, detections: Sequence[Detection]) -> bytes:
    """A CSV table with one row per detection below a header row."""
    rows = []
    for detection in detections:
        boxes = *detection.xyxy, *detection.window_xyxy
        said = detection.scale, detection.slide, detection.crop
        rows.append([path, detection.name, detection.confidence, *boxes, *said])
    return csv_table(_COLUMNS, rows)


def _feature_collection(findings: Findings, georeference: Georeference | None) -> dict[str, Any]:
    """GeoJSON in world coordinates, or in photo pixels where ``georeference`` is None.

    ``coordinate_frame`` says which. RFC 7946 allows only longitude and latitude on WGS 84; any
    other system is named by the "crs" member of GeoJSON 2008, which GDAL and QGIS read. Pixels and
    systems without a code have null there, which means that they are on no known map.
    """
    colours = class_colours(findings)
    features = [
        _feature(detection, georeference, colours[detection.group])
        for detection in findings.detections
    ]
    return {"type": "FeatureCollection", **_frame(georeference), "features": features}


def _frame(georeference: Georeference | None) -> dict[str, Any]:
    if georeference is None:
        return {"coordinate_frame": _PIXELS, "crs": None}
    if georeference.epsg is None:
        return {"coordinate_frame": "world, in a system without an EPSG code", "crs": None}
    if georeference.epsg == _WGS_84:
        return {"coordinate_frame": "world, longitude and latitude on WGS 84 (EPSG:4326): RFC 7946"}
    frame = (
        f"world, EPSG:{georeference.epsg}, easting or longitude first: not RFC 7946, but in the "
        'system that "crs" names'
    )
    urn = f"urn:ogc:def:crs:EPSG::{georeference.epsg}"
    return {"coordinate_frame": frame, "crs": {"type": "name", "properties": {"name": urn}}}


def _feature(
    detection: Detection, georeference: Georeference | None, colour: Colour
) -> dict[str, Any]:
    """A detection; QuPath takes it by ``objectType``, ``classification`` and ``measurements``."""
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [_ring(detection.xyxy, georeference)]},
        "properties": {
            "objectType": "detection",
            "classification": {"name": detection.name, "color": list(colour)},
            "measurements": {"confidence": detection.confidence},
            "class": detection.name,
            "confidence": detection.confidence,
            "scale": detection.scale,
            "slide": detection.slide,
            "crop": detection.crop,
            "box_px": list(detection.xyxy),
        },
    }


def _ring(box: Sequence[float], georeference: Georeference | None) -> list[tuple[float, float]]:
    """The corners of a box as a closed ring, counter-clockwise where y points up."""
    left, top, right, bottom = box
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    if georeference is not None:
        corners = [georeference.world_xy(*corner) for corner in corners]
        if georeference.mirrors:
            corners.reverse()
    return [*corners, corners[0]]


def _heat_files(findings: Findings, georeference: Georeference | None) -> dict[str, Writer]:
    """Functions that write the heatmap of each class, by suffix."""
    maps = findings.maps
    return {
        f"{name}{HEATMAP}": _heat_writer(maps.scores[:, :, index], maps.geometry, georeference)
        for index, name in enumerate(class_suffixes(findings.groups))
    }


def _heat_writer(cells: Cells, geometry: Geometry, georeference: Georeference | None) -> Writer:
    """A function that writes one heatmap: float32 (H, W), 0..1, NaN where nothing was scored."""
    height, width = geometry.photo_hw
    place_tags = () if georeference is None else georeference.tiff_tags()

    def write(to: Path) -> None:
        import tifffile

        tifffile.imwrite(
            to,
            (_packed(tile) for tile in _tiles(cells, geometry)),
            shape=(height, width),
            dtype=np.float32,
            # Uncompressible values would not fit into the 4 GB of a plain TIFF.
            bigtiff=height * width > 2**29,
            photometric="minisblack",
            tile=(_TILE_PX, _TILE_PX),
            compression="zlib",
            software=MARK,
            metadata=None,
            extratags=[_PREDICTED, _NAN_IS_NO_VALUE, *place_tags],
        )

    return write


def _tiles(cells: Cells, geometry: Geometry) -> Iterator[Cells]:
    """The heatmap in tiles, row by row; tiles at the right and bottom may be smaller."""
    height, width = geometry.photo_hw
    rows = max(1, _STRIP_PX // (_TILE_PX * width)) * _TILE_PX
    for top in range(0, height, rows):
        strip = _heat(cells, geometry, (top, min(top + rows, height)))
        for y in range(0, len(strip), _TILE_PX):
            for x in range(0, width, _TILE_PX):
                yield strip[y : y + _TILE_PX, x : x + _TILE_PX]


def _packed(tile: Cells) -> bytes:
    """A tile as stored in the file: integer differences of neighbouring values, deflated.

    Differences between neighbours are nearly constant in a heatmap: 24 megapixels take
    22 MB; without the predictor, 78 MB and three times as long.
    """
    bits = np.zeros((_TILE_PX, _TILE_PX), np.uint32)
    bits[: tile.shape[0], : tile.shape[1]] = tile.view(np.uint32)
    differences = bits.copy()
    differences[:, 1:] -= bits[:, :-1]
    return zlib.compress(differences.data, _DEFLATE_LEVEL)


def _heat(cells: Cells, geometry: Geometry, rows: tuple[int, int]) -> Cells:
    """Some rows of the heatmap, NaN where the nearest window was not scored."""
    heat = upsample(np.nan_to_num(cells, nan=0.0), geometry, rows)
    if np.isnan(cells).any():
        heat[np.isnan(nearest(cells, geometry, rows))] = np.nan
    return heat
