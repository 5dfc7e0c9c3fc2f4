"""Detections as GeoJSON: a polygon each, as QuPath and map programs read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...classes import ClassGroup
from ...photo.georeference import Georeference
from ..detection import Detection

_PIXELS = "photo pixels: x to the right, y downwards, from the upper left corner of the photo"
_WGS_84 = 4326


def feature_collection(
    detections: Sequence[Detection],
    georeference: Georeference | None = None,
    colours: Mapping[ClassGroup, tuple[int, int, int]] | None = None,
) -> dict[str, Any]:
    """GeoJSON in world coordinates, or in photo pixels where ``georeference`` is None.

    ``coordinate_frame`` says which. RFC 7946 allows only longitude and latitude on WGS 84; any
    other system is named by the "crs" member of GeoJSON 2008, which GDAL and QGIS read. Pixels and
    systems without a code have null there, which means that they are on no known map.

    Args:
        detections: boxes in px of the whole photo.
        georeference: that of the whole photo.
        colours: red, green and blue, 0..255, of each class, for QuPath; None names no colours.
    """
    features = [
        _feature(each, georeference, None if colours is None else colours[each.group])
        for each in detections
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
    detection: Detection,
    georeference: Georeference | None,
    colour: tuple[int, int, int] | None,
) -> dict[str, Any]:
    """A detection; QuPath takes it by ``objectType``, ``classification`` and ``measurements``."""
    # QuPath refuses a file in which an object with a name lacks the colour, and takes a bare name.
    name = detection.name
    classification = name if colour is None else {"name": name, "color": list(colour)}
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [_ring(detection.xyxy, georeference)]},
        "properties": {
            "objectType": "detection",
            "classification": classification,
            "measurements": {"confidence": detection.confidence},
            "class": name,
            "confidence": detection.confidence,
            "scale": detection.scale,
            "slide": detection.slide,
            "crop": detection.crop,
            "box_px": list(detection.xyxy),
        },
    }


def _ring(box: Sequence[float], georeference: Georeference | None) -> list[list[float]]:
    """The corners of a box as a closed ring, counter-clockwise where y points up."""
    left, top, right, bottom = box
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    if georeference is not None:
        corners = [georeference.world_xy(*corner) for corner in corners]
        if georeference.mirrors:
            corners.reverse()
    return [list(corner) for corner in (*corners, corners[0])]
