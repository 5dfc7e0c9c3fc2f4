"""The table of what was found on a photo: on the command line and in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..geometry import Box
from ..text_table import TextTable
from .detection import Detection

_NUMBERS = ("confidence", "slide", "crop", "area")


def found_table(shown: Sequence[Detection], whole_hw: tuple[int, int]) -> TextTable:
    """Class, how sure, where, share of the photo's area, box, and what else it may be.

    Args:
        shown: detections or guesses; boxes in px of the whole photo.
        whole_hw: height and width of the whole photo, px.
    """
    confirmed = any(detection.crop is not None for detection in shown)
    columns = {
        "class": [each.name for each in shown],
        "confidence": [percent(each.confidence) for each in shown],
        **({"slide": [percent(each.slide) for each in shown]} if confirmed else {}),
        **({"crop": [percent(each.crop) for each in shown]} if confirmed else {}),
        "where": [whereabouts(each.xyxy, whole_hw) for each in shown],
        "area": [area_text(each.xyxy, whole_hw) for each in shown],
        "box, px": [box_text(each.xyxy) for each in shown],
        "or": [next(alternatives_text(each)) for each in shown],
    }
    if not any(columns["or"]):
        del columns["or"]
    numbers = [n for n, heading in enumerate(columns) if heading in _NUMBERS]
    return TextTable(tuple(columns), tuple(zip(*columns.values(), strict=True)), numbers=numbers)


def percent(share: float | None, *, down: bool = False) -> str:
    """A confidence as pictures have it; "" for None.

    >>> percent(0.349), percent(0.349, down=True), percent(0.004, down=True)
    ('35 %', '34 %', '1 %')
    """
    if share is None:
        return ""
    return f"{max(1, int(100 * share)) if down else round(100 * share)} %"


def box_text(xyxy: Box) -> str:
    """A box in whole px: left, top to right, bottom."""
    left, top, right, bottom = (round(side) for side in xyxy)
    return f"{left}, {top} to {right}, {bottom}"


def alternatives_text(detection: Detection) -> Iterator[str]:
    """What else a detection may be, the longest form first.

    "tabby 30 %, tiger cat 12 %; cat in all 83 %", "tabby 30 %; cat in all 83 %", "tabby 30 %".
    """
    listed = [f"{each.name} {percent(each.confidence)}" for each in detection.alternatives]
    together = detection.together
    in_all = f"; {together.name} in all {percent(together.confidence)}" if together else ""
    yield f"{', '.join(listed)}{in_all}"
    yield f"{(*listed, '')[0]}{in_all}"
    yield from listed[:1]


def whereabouts(xyxy: Box, photo_hw: tuple[int, int]) -> str:
    """In which ninth of the photo the centre of a box lies."""
    down = (xyxy[1] + xyxy[3]) / 2 / photo_hw[0]
    across = (xyxy[0] + xyxy[2]) / 2 / photo_hw[1]
    row = ("top", "middle", "bottom")[min(2, int(down * 3))]
    column = ("left", "middle", "right")[min(2, int(across * 3))]
    return "middle" if row == column else f"{row} {column}"


def area_text(xyxy: Box, photo_hw: tuple[int, int]) -> str:
    """The fraction of the photo's area that a box covers, in percent."""
    area = (xyxy[2] - xyxy[0]) * (xyxy[3] - xyxy[1]) / (photo_hw[0] * photo_hw[1])
    return f"{round(100 * area)} %" if area >= 0.01 else "< 1 %"
