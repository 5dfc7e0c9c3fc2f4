"""The annotated picture of a photo: what was found where, in one colour a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from ..choices import Colormap
from ..classes import ClassGroup
from ..errors import ResultError
from ..geometry import size_text
from ..localization.detection import Detection
from ..localization.findings import Findings
from .class_heat import ClassHeat, table_of
from .key import NARROWEST_PX, Heading, Key, drawn_key
from .labels import labels
from .legend import SMALLEST_PX, centred, text_px
from .marks import Fill, Paste, Spot, fill, outline, paste, whole_px
from .paint import ALPHA, Image, chosen_range, colour_table
from .palette import Colour, colour_of, pale

# Smaller photos are enlarged, since they have no room for text.
_LEAST_PX = 300
# Opacity of the heat of guesses, as a share of that of detections.
_FAINT = 0.5
# Letters are at most so small a part of the boxes of large photos,
_LETTERS_A_BOX = 3
# unless they would be smaller than this, px.
_CLOSE_PX = 24


@dataclass(frozen=True, eq=False)
class Annotation:
    """What is drawn on a picture of a photo, planned for its size.

    Attributes:
        picture_hw: height and width of the picture, px.
        heat: the colours.
        lines: the boxes.
        labels: their labels.
        key: what the legend says.
    """

    picture_hw: tuple[int, int]
    heat: ClassHeat
    lines: tuple[Fill, ...]
    labels: tuple[Paste, ...]
    key: Key

    @classmethod
    def of(
        cls,
        findings: Findings,
        picture_hw: tuple[int, int],
        *,
        conf: float,
        color_range: tuple[float, float] | None = None,
        alpha: float = ALPHA,
        colormap: Colormap | None = None,
        boxes: bool = True,
        heat: Sequence[ClassGroup] | None = None,
    ) -> Annotation:
        """Plan the picture of what was found on a photo, or where nothing was, of the guesses.

        Args:
            findings: what was found.
            picture_hw: height and width of the picture, px: the photo, or its region, at any size.
            conf: the confidence threshold that detections had to reach, 0..1.
            color_range: lowest and highest probability that the colours cover; by default from 0
                to the highest of those drawn, rounded up to 0.1, 0.2, 0.5 or 1.
            alpha: opacity of the highest probability, 0..1; that of guesses is half of it.
            colormap: one of OpenCV's, which colours the highest probability of all classes; None
                is a colour for each class.
            boxes: draw boxes and their labels.
            heat: the classes whose heat is drawn; None is those that have boxes.

        Raises:
            ResultError: the picture has not the shape of the photo, ``alpha`` is outside 0..1,
                the range is none within 0..1, or there is no such colormap.
        """
        _check_shape(picture_hw, findings.maps.geometry.photo_hw)
        colours = class_colours(findings)
        found = list(dict.fromkeys(each.group for each in findings.shown))
        hot = found if heat is None else heat
        tables = _tables(findings, hot, alpha, colormap)
        colouring = _heat(findings, picture_hw, color_range, tables)
        lines, tags = _boxes(findings, picture_hw, colours) if boxes else ((), ())
        # With a colormap only boxes have the colours of classes.
        coloured = (*found, *hot) if colormap is None else found if boxes else ()
        named = {g: colours[g] if g in coloured else None for g in (*found, *hot)}
        # Where heat is asked for, that nothing was found is no news.
        headings = _headings(findings, conf, silent=heat is not None and not found)
        key = _key(findings, colouring, named, headings, colormap)
        return cls(picture_hw, colouring, lines, tags, key)

    def paint(self, rows: Image, top: int = 0) -> Image:
        """Draw on rows of the picture, RGB uint8 (n, W, 3), that begin at row ``top``.

        Returns:
            A new array. The pixels are the same whether the picture is drawn whole or in strips.
        """
        painted = self.heat.paint(rows, top)
        fill(painted, top, self.lines)
        paste(painted, top, self.labels)
        return painted

    def legend(self, width: int) -> Image:
        """The legend, RGB uint8 (h, width, 3): at most 5 % as high as the picture.

        It is never lower than one line of 10 px letters; what has no room is left out.
        """
        return drawn_key(self.key, width, self.picture_hw)

    def picture(self, pixels: Image) -> Image:
        """Draw on the whole picture, RGB uint8 (H, W, 3), with the legend below.

        Returns:
            A new array, between margins where the picture is too narrow for the legend.
        """
        width = max(self.picture_hw[1], NARROWEST_PX)
        return np.vstack([centred(self.paint(pixels), width), self.legend(width)])


def annotated(
    pixels: Image,
    findings: Findings,
    *,
    conf: float,
    legend: bool = True,
    **look: Any,
) -> Image:
    """Draw what was found on a photo, with boxes, labels, and a legend below.

    The heat of each class has one colour, and the photo is unchanged where there is none. Where
    nothing reached the confidence threshold, the best guesses are drawn faintly and named so.

    Args:
        pixels: the photo, or its region, at any size: RGB uint8 (H, W, 3). One that is too small
            for text is enlarged by a whole number.
        findings, conf: as :meth:`Annotation.of` takes them.
        legend: add the legend.
        look: ``color_range``, ``alpha``, ``colormap``, ``boxes`` and ``heat``, as there.

    Returns:
        RGB uint8 (H, W, 3): the picture above its legend, and between margins where it is too
        narrow for that.

    Raises:
        ResultError: as :meth:`Annotation.of`.
    """
    pixels = enlarged(pixels)
    hw = (pixels.shape[0], pixels.shape[1])
    annotation = Annotation.of(findings, hw, conf=conf, **look)
    return annotation.picture(pixels) if legend else annotation.paint(pixels)


def enlargement(picture_hw: tuple[int, int]) -> int:
    """By which whole number :func:`annotated` enlarges a picture of this height and width, px.

    >>> enlargement((40, 30)), enlargement((480, 640))
    (8, 1)
    """
    return -(-_LEAST_PX // max(picture_hw)) if max(picture_hw) < _LEAST_PX else 1


def enlarged(pixels: Image) -> Image:
    """A photo as large as :func:`annotated` draws it: RGB uint8 (H, W, 3)."""
    factor = enlargement((pixels.shape[0], pixels.shape[1]))
    if factor == 1:
        return pixels
    return np.asarray(
        cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), np.uint8
    )


def _check_shape(picture_hw: tuple[int, int], photo_hw: tuple[int, int]) -> None:
    """Refuse a picture that cannot be of the photo."""
    share = max(picture_hw) / max(photo_hw)
    # A side is rounded to whole px, but is never below one.
    if any(
        abs(side - max(1.0, share * full)) > 1 + share
        for side, full in zip(picture_hw, photo_hw, strict=True)
    ):
        raise ResultError(
            f"picture is {size_text(picture_hw)}, the scored photo was {size_text(photo_hw)}: "
            "give that photo, at any size"
        )


def class_colours(findings: Findings) -> dict[ClassGroup, Colour]:
    """The colour of each class: of those with maps, then of others that have boxes."""
    groups = dict.fromkeys((*findings.groups, *(each.group for each in findings.shown)))
    return {group: colour_of(place) for place, group in enumerate(groups)}


def _tables(
    findings: Findings, hot: Sequence[ClassGroup], alpha: float, colormap: Colormap | None
) -> dict[int, Image]:
    """RGBA of the 256 levels of each class that is hot and has a map, by the column of its map."""
    strength = 1.0 if findings.detections or not findings.guesses else _FAINT
    # Not by name, since several classes may have one.
    columns = [place for group in hot if (place := findings.column(group)) is not None]
    if colormap is not None:
        return dict.fromkeys(columns, colour_table(alpha, colormap, strength))
    return {column: table_of(colour_of(column), alpha, strength) for column in columns}


def _heat(
    findings: Findings,
    picture_hw: tuple[int, int],
    color_range: tuple[float, float] | None,
    tables: Mapping[int, Image],
) -> ClassHeat:
    maps = findings.maps
    cells = [np.ascontiguousarray(maps.scores[:, :, column]) for column in tables]
    return ClassHeat(
        cells,
        np.isnan(maps.scores[:, :, 0]),
        # The same cells, placed by their share of the photo.
        replace(maps.geometry, photo_hw=picture_hw),
        list(tables.values()),
        *chosen_range(np.stack(cells) if cells else np.zeros(1, np.float32), color_range),
    )


def _boxes(
    findings: Findings, picture_hw: tuple[int, int], colours: dict[ClassGroup, Colour]
) -> tuple[tuple[Fill, ...], tuple[Paste, ...]]:
    """The lines and labels of what is shown; of guesses dashed, thin and pale."""
    shown, sure = findings.shown, bool(findings.detections)
    spots = [whole_px(box, picture_hw) for box in findings.boxes_on(picture_hw)]
    size = _letters_px(spots, picture_hw)
    own = [colours[each.group] for each in shown]
    width = max(2, size // (8 if sure else 12))
    lines = [
        line
        # The most confident is drawn last, over the others.
        for spot, colour in reversed(list(zip(spots, own, strict=True)))
        for line in outline(spot, width, colour, dashed=not sure)
    ]
    grounds = own if sure else [pale(colour) for colour in own]
    tags = labels(_texts(shown, sure=sure), grounds, spots, picture_hw, size)
    return tuple(lines), tuple(tags)


def _letters_px(spots: Sequence[Spot], picture_hw: tuple[int, int]) -> int:
    """Height of letters, px: for the picture, but smaller where boxes are small for it."""
    largest = text_px(picture_hw)
    sides = [min(right - left, bottom - top) for left, top, right, bottom in spots]
    fitting = int(np.median(sides)) // _LETTERS_A_BOX if sides else largest
    return min(largest, max(fitting, min(largest // 2, _CLOSE_PX), SMALLEST_PX))


def _texts(shown: Sequence[Detection], *, sure: bool) -> list[tuple[str, str]]:
    """The name of each, and how sure it is."""
    if sure:
        return [(each.name, f"{round(100 * each.confidence)} %") for each in shown]
    # Rounded down: 34.9 % is not above 35.
    return [(each.name, f"{max(1, int(100 * each.confidence))} %?") for each in shown]


def _headings(findings: Findings, conf: float, *, silent: bool) -> list[Heading]:
    """What the key begins with, in three lengths: that nothing is meant, or was found."""
    headings: list[Heading] = []
    if findings.maps.origin.weights.are_random:
        full = "random weights: means nothing"
        headings.append((full, full, "random weights"))
    nothing = f"nothing above {100 * conf:.3g} %"
    if findings.guesses and not findings.detections:
        below = f"guesses below {100 * conf:.3g} %"
        headings.append((f"{nothing}: best guesses", below, "guesses"))
    elif not findings.detections and not silent:
        headings.append((f"{nothing}, and no guess", nothing, "nothing found"))
    return headings


def _key(
    findings: Findings,
    heat: ClassHeat,
    colours: Mapping[ClassGroup, Colour | None],
    headings: Sequence[Heading],
    colormap: Colormap | None,
) -> Key:
    covered = f"{100 * heat.low:.3g} to {100 * heat.high:.3g} %" if heat.maps else ""
    return Key(
        tuple((group.name, colour) for group, colour in colours.items()),
        tuple(headings),
        covered,
        findings.maps.origin.model,
        bool(heat.missing.any()),
        None if colormap is None else colour_table(1, colormap),
    )
