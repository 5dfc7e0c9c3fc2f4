"""Photos with boxes, checked before they are used."""

from __future__ import annotations

from pathlib import Path

from ..errors import ResultError
from .annotations import BoxedPhoto, check_hw, check_inside
from .photo_file import upright_hw

# So many faults of one photo are told.
_MOST_FAULTS = 3


def checked_hw(listed: BoxedPhoto, path: Path, source: str) -> tuple[int, int]:
    """Height and width, px, of a listed photo, from its header.

    Args:
        listed: the photo as listed in the annotation file ``source``.
        path: its file.
        source: the annotation file, for messages.

    Raises:
        PhotoError: it is missing, cannot be read, or has another size than listed.
        ResultError: its boxes have faults, or extend beyond it.
    """
    hw = upright_hw(path)
    check_hw(listed, hw, path, source)
    faults = list(listed.faults)
    for box in listed.boxes:
        try:
            check_inside(box.xyxy, hw, f"{source}: {listed.file}: box of {box.label!r}")
        except ResultError as error:
            faults.append(error.message)
    if faults:
        more = f"; and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
        raise ResultError("; ".join(faults[:_MOST_FAULTS]) + more)
    return hw
