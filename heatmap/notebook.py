"""What a notebook shows of an object: lines, tables and pictures, as HTML without scripts."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape

import cv2
import numpy as np
import numpy.typing as npt

from .text_table import TextTable, table_html

# A notebook keeps each picture that it shows, so no larger ones, bytes.
MOST_BYTES = 300_000
# Longer side of a picture: what fits beside the margin of a notebook.
PICTURE_PX = 800
# A picture with more bytes becomes so much smaller, until it has not.
_SMALLER = 0.8
_JPEG_QUALITY = 85
# Without colours, which are those of the notebook, light or dark. Its tables are flush right.
_STYLE = (
    ".heatmap-shown p{margin:.3em 0}"
    ".heatmap-shown img{display:block;max-width:100%;height:auto;margin:.5em 0}"
    ".heatmap-shown .wide{max-height:32em;overflow:auto;margin:.5em 0}"
    ".heatmap-shown .wide table{margin:0;border-collapse:collapse}"
    ".heatmap-shown .wide th,.heatmap-shown .wide td{padding:.2em .7em;text-align:left}"
    ".heatmap-shown .wide .number{text-align:right;font-variant-numeric:tabular-nums}"
    ".heatmap-shown .wide .part td:first-child{padding-left:2em}"
)


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as a file of at most ``MOST_BYTES``.

    Attributes:
        content: the file.
        kind: "png" or "jpeg".
        hw: height and width, px.
        title: what it shows, for those who do not see it.
    """

    content: bytes
    kind: str
    hw: tuple[int, int]
    title: str

    @classmethod
    def of(cls, rgb: npt.NDArray[np.uint8], kind: str, title: str = "") -> Picture:
        """The file of a picture, RGB uint8 (H, W, 3), made smaller as far as it must be."""
        options = (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY) if kind == "jpeg" else ()
        pixels: npt.NDArray[np.uint8] = rgb
        while True:
            bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
            content = cv2.imencode(f".{kind}", bgr, options)[1].tobytes()
            height, width = pixels.shape[:2]
            if len(content) <= MOST_BYTES or max(height, width) == 1:
                return cls(content, kind, (height, width), title)
            size = (max(1, round(width * _SMALLER)), max(1, round(height * _SMALLER)))
            small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
            pixels = np.asarray(small, np.uint8)

    def html(self) -> str:
        """The picture as an element that holds it."""
        data, (height, width) = base64.b64encode(self.content).decode("ascii"), self.hw
        return (
            f'<img src="data:image/{self.kind};base64,{data}" width="{width}" height="{height}" '
            f'alt="{escape(self.title)}">'
        )


def notebook_html(*parts: str | TextTable | Picture) -> str:
    """HTML for a notebook: lines of text, which are escaped, tables and pictures.

    It has no script and needs no other file.
    """
    shown = f'<div class="heatmap-shown"><style>{_STYLE}</style>{"".join(map(_html, parts))}</div>'
    # A path that is not UTF-8 contains lone surrogates.
    return shown.encode("utf-8", "replace").decode("utf-8")


def _html(part: str | TextTable | Picture) -> str:
    if isinstance(part, TextTable):
        return table_html(part)
    return part.html() if isinstance(part, Picture) else f"<p>{escape(part)}</p>"
