"""The table of what was found on a photo: on the command line and in a notebook."""

from __future__ import annotations

from collections.abc import Sequence

from ..geometry import Box
from ..text_table import TextTable
from .detection import Detection


def found_table(shown: Sequence[Detection], whole_hw: tuple[int, int]) -> TextTable:
    """Class, how sure, where, share of the photo's area, box, and what else it may be.

    Args:
        shown: detections or guesses; boxes in px of the whole photo.
        whole_hw: height and width of the whole photo, px.
    """
    confirmed = any(detection.crop is not None for detection in shown)
    sure = ("confidence", *(("slide", "crop") if confirmed else ()))
    doubt = ("or",) if any(detection.alternatives for detection in shown) else ()
    headings = ("class", *sure, "where", "area", "box, px", *doubt)
    rows = (
        (detection.name, *_sure(detection)[: len(sure)], *_place(detection.xyxy, whole_hw))
        + ((_alternatives(detection),) if doubt else ())
        for detection in shown
    )
    area = len(sure) + 2
    return TextTable(headings, tuple(rows), numbers=(*range(1, len(sure) + 1), area))


def _sure(detection: Detection) -> tuple[str, str, str]:
    crop = "" if detection.crop is None else f"{detection.crop:.2f}"
    return f"{detection.confidence:.2f}", f"{detection.slide:.2f}", crop


def _place(xyxy: Box, whole_hw: tuple[int, int]) -> tuple[str, str, str]:
    left, top, right, bottom = (round(side) for side in xyxy)
    box = f"{left}, {top} to {right}, {bottom}"
    return _whereabouts(xyxy, whole_hw), _area_fraction(xyxy, whole_hw), box


def _alternatives(detection: Detection) -> str:
    """What else a detection may be: "tabby 0.30, tiger cat 0.12; cat in all 0.83"."""
    listed = ", ".join(f"{each.name} {each.confidence:.2f}" for each in detection.alternatives)
    together = detection.together
    in_all = f"; {together.name} in all {together.confidence:.2f}" if together else ""
    return f"{listed}{in_all}"


def _whereabouts(xyxy: Box, photo_hw: tuple[int, int]) -> str:
    """In which ninth of the photo the centre of a box lies."""
    down = (xyxy[1] + xyxy[3]) / 2 / photo_hw[0]
    across = (xyxy[0] + xyxy[2]) / 2 / photo_hw[1]
    row = ("top", "middle", "bottom")[min(2, int(down * 3))]
    column = ("left", "middle", "right")[min(2, int(across * 3))]
    return "middle" if row == column else f"{row} {column}"


def _area_fraction(xyxy: Box, photo_hw: tuple[int, int]) -> str:
    """The fraction of the photo's area that a box covers, in percent."""
    area = (xyxy[2] - xyxy[0]) * (xyxy[3] - xyxy[1]) / (photo_hw[0] * photo_hw[1])
    return f"{area:.0%}" if area >= 0.01 else "< 1%"
