"""The georeference of a photo, from its GeoTIFF tags or a world file beside it.

The transforms in files refer to pixels as stored; here they are converted to pixels of the
upright photo. All are affine: six numbers (a, b, c, d, e, f) map the image point (x, y),
continuous px, to (a x + b y + c, d x + e y + f). The tags are those of OGC GeoTIFF 1.1
(19-008r4).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import PhotoError, reason_of
from ..geometry import size_text
from ..region import Region
from .decoding.decode import stored_size
from .decoding.encoded import encoded
from .decoding.tiff_tags import Directory, opened_tiff, page_of
from .reduced import OpenPhoto

if TYPE_CHECKING:
    import tifffile

Affine: TypeAlias = tuple[float, float, float, float, float, float]
# A tag for tifffile: code, type, count, value, and whether only the first frame gets it.
Tag: TypeAlias = tuple[int, int, int, Any, bool]
_Tags: TypeAlias = Mapping[int, npt.NDArray[np.float64]]

_SCALE, _TIEPOINT, _MATRIX = 33550, 33922, 34264
_KEYS, _KEY_NUMBERS, _KEY_TEXT = 34735, 34736, 34737
_NAMES = {
    _SCALE: "ModelPixelScale",
    _TIEPOINT: "ModelTiepoint",
    _MATRIX: "ModelTransformation",
    _KEYS: "GeoKeyDirectory",
    _KEY_NUMBERS: "GeoDoubleParams",
    _KEY_TEXT: "GeoAsciiParams",
}
_DOUBLE = 12
# TIFF type code and numpy type of each tag of keys.
_KEY_TYPES: Mapping[int, tuple[int, npt.DTypeLike]] = {
    _KEYS: (3, np.uint16),
    _KEY_NUMBERS: (_DOUBLE, np.float64),
    _KEY_TEXT: (2, np.uint8),
}
_MODEL_TYPE, _RASTER_TYPE, _GEOGRAPHIC, _PROJECTED = 1024, 1025, 2048, 3072
_PIXEL_IS_POINT = 2
# EPSG codes are in this range; 32767 means that other keys describe the system.
_EPSG_CODES = range(1024, 32767)
# Far beyond any map; products of such numbers stay finite.
_FARTHEST = 1e15
_WAY_OUT = "fix or remove it, or leave out the formats geojson and tiff"

_TO_CENTRE: Affine = (1, 0, 0.5, 0, 1, 0.5)
_FROM_CENTRE: Affine = (1, 0, -0.5, 0, 1, -0.5)


@dataclass(frozen=True)
class Georeference:
    """The position of a photo in the world.

    Attributes:
        affine: maps points of the upright photo, continuous px, to world coordinates.
        epsg: EPSG code of the coordinate system; None where the photo does not name one.
        keys: the photo's GeoTIFF tags that describe the coordinate system.
        is_point: whether these keys say that transforms refer to pixel centres.
    """

    affine: Affine
    epsg: int | None = None
    keys: tuple[Tag, ...] = ()
    is_point: bool = False

    @property
    def mirrors(self) -> bool:
        """Whether the transform mirrors: its determinant is negative, as on maps with y upwards."""
        a, b, _, d, e, _ = self.affine
        return a * e < b * d

    def of_region(self, region: Region) -> Georeference:
        """That of a region of the photo."""
        return replace(self, affine=_after(self.affine, (1, 0, region.left, 0, 1, region.top)))

    def world_xy(self, x: float, y: float) -> tuple[float, float]:
        """A point of the upright photo, continuous px, in world coordinates."""
        a, b, c, d, e, f = self.affine
        return a * x + b * y + c, d * x + e * y + f

    def tiff_tags(self) -> tuple[Tag, ...]:
        """The GeoTIFF tags for an image with the same pixels as the upright photo."""
        a, b, c, d, e, f = _after(self.affine, _TO_CENTRE) if self.is_point else self.affine
        if b == d == 0 and a > 0 > e:
            # The form that most readers support, without rotation.
            scale, tiepoint = (a, -e, 0.0), (0.0, 0.0, 0.0, c, f, 0.0)
            affine = (_SCALE, _DOUBLE, 3, scale, True), (_TIEPOINT, _DOUBLE, 6, tiepoint, True)
            return *affine, *self.keys
        matrix = (a, b, 0.0, c, d, e, 0.0, f, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
        return ((_MATRIX, _DOUBLE, 16, matrix, True), *self.keys)


def georeference_of(photo: OpenPhoto) -> Georeference | None:
    """The georeference of a whole photo; None for an array, and for a file without one.

    The transform comes from GeoTIFF tags (ModelPixelScale with the first ModelTiepoint, or
    ModelTransformation), otherwise from a world file beside the photo. For ``photo.tif`` that is
    ``photo.tfw``, ``.tifw`` or ``.wld``; for ``photo.jpg``, ``.jgw``, ``.jpgw`` or ``.wld``; in
    lower or upper case.

    Raises:
        PhotoError: the file is missing or has changed since it was read, or its tags or world
            file are damaged or give no valid affine transform.
    """
    if not photo.path:
        return None
    path = Path(photo.path)
    with encoded(path) as opened:
        raw_hw, orientation = stored_size(opened)
        to_raw = _raw_of_upright(orientation, raw_hw)
        _check_size(raw_hw, photo.whole_hw, turned=to_raw[0] == 0)
        tags = _geo_tags(path, opened.directory) if opened.directory else {}
        keys = _short_keys(tags)
        is_point = keys.get(_RASTER_TYPE) == _PIXEL_IS_POINT
        affine = _affine_of_tags(tags, is_point=is_point) or _affine_beside(path)
    if affine is None:
        return None
    return Georeference(_after(affine, to_raw), _epsg(keys), _key_tags(tags), is_point)


def _after(outer: Affine, inner: Affine) -> Affine:
    """The composition: ``inner`` first, then ``outer``."""
    first, then = (np.array([*affine, 0, 0, 1]).reshape(3, 3) for affine in (inner, outer))
    a, b, c, d, e, f = (then @ first)[:2].ravel().tolist()
    return a, b, c, d, e, f


def _raw_of_upright(orientation: int, raw_hw: tuple[int, int]) -> Affine:
    """The transform from the upright photo to the image as stored, by EXIF orientation; px."""
    height, width = raw_hw
    turned: dict[int, Affine] = {
        2: (-1, 0, width, 0, 1, 0),
        3: (-1, 0, width, 0, -1, height),
        4: (1, 0, 0, 0, -1, height),
        5: (0, 1, 0, 1, 0, 0),
        6: (0, 1, 0, -1, 0, height),
        7: (0, -1, width, -1, 0, height),
        8: (0, -1, width, 1, 0, 0),
    }
    return turned.get(orientation, (1, 0, 0, 0, 1, 0))


def _check_size(raw_hw: tuple[int, int], upright_hw: tuple[int, int], *, turned: bool) -> None:
    if (raw_hw[::-1] if turned else raw_hw) != upright_hw:
        raise PhotoError(
            f"is {size_text(raw_hw)} in the file now, the photo that was scored is "
            f"{size_text(upright_hw)}: score the photo again"
        )


def _geo_tags(path: Path, image: Directory) -> _Tags:
    """The values of the GeoTIFF tags of an image, by code; of text its bytes."""
    with opened_tiff(path, "GeoTIFF tags", _WAY_OUT) as (file, complaints):
        tags = [tag for tag in page_of(file, image).tags if tag.code in _NAMES]
        found = {tag.code: _numbers_of(file, tag) for tag in tags}
    for code, name in _NAMES.items():
        # tifffile leaves out a tag that it cannot read, and logs that.
        if any(f"TiffTag {code} " in complaint for complaint in complaints):
            raise PhotoError(f"GeoTIFF tag {name} is damaged: {_WAY_OUT}")
    return found


def _numbers_of(file: tifffile.TiffFile, tag: tifffile.TiffTag) -> npt.NDArray[np.float64]:
    if tag.code != _KEY_TEXT:
        return np.asarray(tag.value, np.float64).ravel()
    # Raw bytes, since keys refer to them by offset, and tifffile would decode them.
    file.filehandle.seek(tag.valueoffset)
    return np.frombuffer(file.filehandle.read(tag.count), np.uint8).astype(np.float64)


def _affine_of_tags(tags: _Tags, *, is_point: bool) -> Affine | None:
    """The transform of the tags, relative to the upper left corner of the first pixel."""
    if not tags.keys() & {_SCALE, _TIEPOINT, _MATRIX}:
        return None
    if _SCALE in tags and _TIEPOINT in tags:
        affine = _scaled(_counted(tags, _SCALE, 3), _counted(tags, _TIEPOINT, 6))
    elif _MATRIX in tags:
        a, b, _, c, d, e, _, f = _counted(tags, _MATRIX, 16)[:8]
        affine = a, b, c, d, e, f
    else:
        alone = _NAMES[_SCALE if _SCALE in tags else _TIEPOINT]
        raise PhotoError(
            f"GeoTIFF tag {alone} alone gives no transform: warp the photo (gdalwarp), "
            "or leave out the formats geojson and tiff"
        )
    checked = _checked(affine, "GeoTIFF transform")
    return _after(checked, _FROM_CENTRE) if is_point else checked


def _counted(tags: _Tags, code: int, count: int) -> list[float]:
    """The values of a tag, checked to be ``count``; of several tiepoints, the first."""
    numbers: list[float] = tags[code].tolist()
    if len(numbers) != count and (code != _TIEPOINT or not numbers or len(numbers) % count):
        raise PhotoError(
            f"GeoTIFF tag {_NAMES[code]} holds {len(numbers)} numbers, not {count}: {_WAY_OUT}"
        )
    return numbers[:count]


def _scaled(scale: Sequence[float], tiepoint: Sequence[float]) -> Affine:
    """The transform from a pixel size and a tiepoint: (column, row, level) lies at (x, y, z)."""
    across, down, _ = scale
    # Readers disagree on the meaning of negative values.
    if not (across > 0 and down > 0):
        raise PhotoError(
            f"GeoTIFF tag ModelPixelScale is {across:g} x {down:g}, not above 0: {_WAY_OUT}"
        )
    column, row, _, x, y, _ = tiepoint
    return across, 0.0, x - column * across, 0.0, -down, y + row * down


def _checked(affine: Affine, what: str) -> Affine:
    """Refuse values that are not finite or far too large, and singular transforms."""
    a, b, _, d, e, _ = affine
    if not all(abs(number) <= _FARTHEST for number in affine) or a * e == b * d:
        shown = ", ".join(f"{number:g}" for number in affine)
        raise PhotoError(f"{what} ({shown}) gives no valid position: {_WAY_OUT}")
    return affine


def _short_keys(tags: _Tags) -> dict[int, int]:
    """The GeoKeys whose value is a single number, by key."""
    if _KEYS not in tags:
        return {}
    numbers = tags[_KEYS]  # version, two revisions, number of keys; then four numbers per key
    whole = len(numbers) >= 4 and bool(((numbers >= 0) & (numbers < 65536)).all())
    if not whole or len(numbers) < 4 + 4 * int(numbers[3]):
        raise PhotoError(f"GeoTIFF tag GeoKeyDirectory is damaged: {_WAY_OUT}")
    entries = numbers[4 : 4 + 4 * int(numbers[3])].astype(int).reshape(-1, 4).tolist()
    return {key: value for key, place, _, value in entries if place == 0}


def _epsg(keys: Mapping[int, int]) -> int | None:
    """The EPSG code of the coordinate system; None where it is described in another way."""
    code = keys.get({1: _PROJECTED, 2: _GEOGRAPHIC}.get(keys.get(_MODEL_TYPE, 0), 0))
    return code if code in _EPSG_CODES else None


def _key_tags(tags: _Tags) -> tuple[Tag, ...]:
    """The tags that describe the coordinate system, for another file."""
    return tuple(
        (code, kind, len(tags[code]), tags[code].astype(numbers).tobytes(), True)
        for code, (kind, numbers) in _KEY_TYPES.items()
        if code in tags
    )


def _affine_beside(path: Path) -> Affine | None:
    """The transform of the world file beside a photo, if there is one.

    It holds six numbers, one per line: a, d, b, e, and x and y of the centre of the first
    pixel.
    """
    world = next((name for name in _world_files(path) if os.path.isfile(name)), None)
    if world is None:
        return None
    try:
        numbers = [float(word) for word in world.read_bytes().decode("utf-8-sig").split()]
    except OSError as error:
        reason = reason_of(error)
        raise PhotoError(f"world file {world.name} cannot be read: {reason}: {_WAY_OUT}") from error
    # Also raised if it is not text.
    except ValueError as error:
        raise PhotoError(f"world file {world.name} holds more than numbers: {_WAY_OUT}") from error
    if len(numbers) != 6:
        raise PhotoError(f"world file {world.name} holds {len(numbers)} numbers, not 6: {_WAY_OUT}")
    a, d, b, e, x, y = numbers
    return _after(_checked((a, b, x, d, e, y), f"world file {world.name}"), _FROM_CENTRE)


def _world_files(path: Path) -> Iterator[Path]:
    """Possible names of a photo's world file: for photo.tif, photo.tfw, photo.tifw or photo.wld."""
    extension = path.suffix[1:].lower()
    endings = [f"{extension[0]}{extension[-1]}w", f"{extension}w"] if extension else []
    for ending in (*endings, "wld"):
        yield path.with_suffix(f".{ending}")
        yield path.with_suffix(f".{ending.upper()}")
