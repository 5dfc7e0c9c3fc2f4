"""Detections and heatmaps in formats that other programs read.

``csv`` is a table of the detections (RFC 4180). ``coco`` is the results array that COCO
evaluation takes, and a dataset beside it that names its ids. ``geojson`` has a polygon for each
detection, as QuPath and map programs read it, in world coordinates where the photo is
georeferenced. ``yolo``, ``voc`` and ``labelme`` are annotations, for tools in which boxes are
corrected. ``tiff`` is the heatmap of each class as float32, georeferenced like the photo.
What they say of detections is made in ``localization/formats``; guesses are in none of them.

Text is UTF-8. Bytes of file names that are not UTF-8 are written as "\\udc80" to "\\udcff".
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..errors import ResultError
from ..files import Writer, of_bytes
from ..geometry import Geometry, check_size
from ..grid.position_scores import Cells
from ..grid.upsample import nearest, upsample
from ..localization.findings import Findings
from ..localization.formats.coco import OWN_IDS, CocoIds, CocoImage, coco_dataset, coco_results
from ..localization.formats.geojson import feature_collection
from ..localization.formats.labelme import labelme_annotation
from ..localization.formats.table import as_csv
from ..localization.formats.voc import voc_annotation
from ..localization.formats.yolo import yolo_labels, yolo_names
from ..marks import MARK
from ..names import (
    COCO,
    COCO_DATASET,
    CSV,
    GEOJSON,
    HEATMAP,
    LABELME,
    VOC,
    YOLO,
    YOLO_NAMES,
    class_suffixes,
)
from ..photo.georeference import Georeference, georeference_of
from ..photo.reduced import OpenPhoto
from ..rendering.annotated import class_colours

FORMATS = ("csv", "coco", "geojson", "yolo", "voc", "labelme", "tiff")
# Formats that use the georeference of the photo.
PLACED_FORMATS = frozenset({"geojson", "tiff"})

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
    names: Sequence[str] | None = None,
    folder: Path = Path(),
) -> dict[str, Writer]:
    """Functions that write the files of some formats, by suffix of the file name.

    Suffixes are ``.csv``; ``.coco.json`` and, unless ``coco_ids`` is given,
    ``.coco.dataset.json``; ``.geojson``; ``.txt`` and, where ``names`` are given,
    ``.classes.txt``; ``.xml``; ``.labelme.json``; and for each class that has a map
    ``.<class>.heat.tif``.

    Args:
        formats: names from ``FORMATS``.
        photo: the photo that was scored.
        findings: what was found on it.
        coco_ids: the ids of a COCO dataset to refer to; None makes ids.
        image: what the photo is in COCO files; None is what its path says.
        names: the name of each class number of YOLO's labels (:meth:`Findings.number`).
        folder: where the files will lie.

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
    georeference = georeference_of(photo) if PLACED_FORMATS & set(formats) else None
    files: dict[str, Writer] = {}
    if "csv" in formats:
        files[CSV] = of_bytes(as_csv(photo.path, findings.detections))
    if "coco" in formats:
        files |= _coco_files(photo, findings, coco_ids, image)
    if "geojson" in formats:
        colours = class_colours(findings)
        files[GEOJSON] = _json(feature_collection(findings.detections, georeference, colours))
    files |= _annotation_files(set(formats), photo, findings, folder)
    if "yolo" in formats and names is not None:
        files[YOLO_NAMES] = _text(yolo_names(names))
    if "tiff" in formats:
        placed = georeference and photo.region and georeference.of_region(photo.region)
        files |= _heat_files(findings, placed or georeference)
    return files


def relative_path(photo: str, folder: Path) -> str:
    """The path from a folder to a photo, with "/"; the absolute one where there is no other."""
    if not photo:
        return "photo"
    # ".." leads to the parent of what a link leads to.
    absolute, start = os.path.abspath(photo), os.path.realpath(folder)
    try:
        return Path(os.path.relpath(absolute, start)).as_posix()
    # On another drive of Windows.
    except ValueError:
        return Path(absolute).as_posix()


def _coco_files(
    photo: OpenPhoto, findings: Findings, coco_ids: CocoIds | None, image: CocoImage | None
) -> dict[str, Writer]:
    """The results, and where the ids are our own the dataset that names them."""
    ids = coco_ids or OWN_IDS
    image = image or ids.image(photo.path)
    files = {COCO: _json(coco_results(image, findings.detections, ids))}
    if coco_ids is None:
        dataset = coco_dataset(image, photo.whole_hw, findings.detections, findings.looked_for)
        files[COCO_DATASET] = _json(dataset)
    return files


def _annotation_files(
    formats: set[str], photo: OpenPhoto, findings: Findings, folder: Path
) -> dict[str, Writer]:
    """The files of one photo from which annotation can start."""
    path, hw, found = photo.path, photo.whole_hw, findings.detections
    files: dict[str, Writer] = {}
    if "yolo" in formats:
        files[YOLO] = _text(yolo_labels(found, hw, findings.number))
    if "voc" in formats:
        files[VOC] = _text(voc_annotation(path, hw, found))
    if "labelme" in formats:
        files[LABELME] = _json(labelme_annotation(relative_path(path, folder), hw, found))
    return files


def _json(value: object) -> Writer:
    return _text(json.dumps(value, ensure_ascii=False) + "\n")


def _text(content: str) -> Writer:
    # Lone surrogates become escapes, which is what JSON has for them.
    return of_bytes(content.encode("utf-8", "backslashreplace"))


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
