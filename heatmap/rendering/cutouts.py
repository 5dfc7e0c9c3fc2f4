"""Cut-outs: each detection as a picture of its own, for review."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..files import Writer
from ..geometry import whole_px
from ..localization.confirm import widened
from ..localization.detection import Detection, on_region
from ..marks import marked
from ..names import CUTOUTS, slug
from ..photo.photo_file import LARGE_PX, fits_memory
from ..photo.reduced import OpenPhoto, reduced_hw
from .paint import JPEG_MOST_PX, Image

# No chroma subsampling, as in other pictures of this package.
_JPEG = (
    *(cv2.IMWRITE_JPEG_QUALITY, 95),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
)
# The longest side that JPEG encoders take.


def cutouts(photo: OpenPhoto, detections: Sequence[Detection]) -> dict[str, Writer]:
    """A function that writes the cut-outs of detections into a new folder, by its suffix.

    The folder holds a JPEG of each, most confident first: ``01-tabby-0.82.jpg``. It shows the box
    widened by a quarter on each side and cut to the photo, which is what the network was asked to
    confirm (:func:`confirm.confirm`), at the photo's full resolution, and at least one pixel.
    Only a cut-out that is itself too large for memory is shrunk.

    The photo is read when the function is called, from top to bottom, at most ``LARGE_PX`` pixels
    of cut-outs in one pass; the function raises PhotoError where that fails.

    Args:
        photo: the photo that was scored, opened, or the region of it.
        detections: with boxes in px of the whole photo.

    Returns:
        The function, which takes the path of the folder; nothing where there are no detections.
    """
    if not detections:
        return {}
    cuts = _planned(photo, detections)

    def write(folder: Path) -> None:
        folder.mkdir()
        for batch in _batches(cuts):
            _write_batch(folder, photo, batch)

    return {CUTOUTS: write}


@dataclass(frozen=True)
class _Cut:
    """What is cut out, in px of the photo at 1/denominator of its size; ends are exclusive."""

    name: str
    denominator: int
    top: int
    bottom: int
    left: int
    right: int

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.bottom - self.top, self.right - self.left

    @property
    def pixels(self) -> int:
        """How many px it has."""
        return self.hw[0] * self.hw[1]


def _planned(photo: OpenPhoto, detections: Sequence[Detection]) -> list[_Cut]:
    """The cut-outs, most confident first."""
    ranked = sorted(detections, key=lambda detection: -detection.confidence)
    digits = max(2, len(str(len(ranked))))
    cuts = []
    for number, detection in enumerate(on_region(ranked, photo.region), start=1):
        text = f"{number:0{digits}}-{slug(detection.name)}-{detection.confidence:.2f}.jpg"
        cuts.append(_cut(text, detection, photo.hw))
    return cuts


def _cut(name: str, detection: Detection, photo_hw: tuple[int, int]) -> _Cut:
    box = widened(detection.xyxy, photo_hw)
    denominator = 1
    while True:
        hw = _hw_at(photo_hw, denominator)
        down, across = (held / side for held, side in zip(hw, photo_hw, strict=True))
        rows = whole_px(box[1] * down, box[3] * down, hw[0])
        columns = whole_px(box[0] * across, box[2] * across, hw[1])
        cut = _Cut(name, denominator, *rows, *columns)
        if fits_memory(cut.hw) and max(cut.hw) <= JPEG_MOST_PX:
            return cut
        denominator *= 2


def _hw_at(photo_hw: tuple[int, int], denominator: int) -> tuple[int, int]:
    height, width = reduced_hw(photo_hw, denominator)
    return max(1, height), max(1, width)


def _batches(cuts: Sequence[_Cut]) -> Iterator[list[_Cut]]:
    """Cut-outs that are read in one pass: of one size of the photo, and together in memory."""
    batch: list[_Cut] = []
    for cut in sorted(cuts, key=lambda cut: (cut.denominator, cut.top)):
        held = sum(other.pixels for other in batch)
        same_size = not batch or batch[0].denominator == cut.denominator
        if batch and (not same_size or held + cut.pixels > LARGE_PX):
            yield batch
            batch = []
        batch.append(cut)
    yield batch


def _write_batch(folder: Path, photo: OpenPhoto, batch: Sequence[_Cut]) -> None:
    left, right = min(cut.left for cut in batch), max(cut.right for cut in batch)
    top, end = min(cut.top for cut in batch), max(cut.bottom for cut in batch)
    scaled_hw = _hw_at(photo.hw, batch[0].denominator)
    pictures: dict[_Cut, Image] = {}
    for strip in photo.strips(first=top, columns=(left, right), scaled_hw=scaled_hw):
        bottom = top + len(strip)
        for cut in batch:
            first, last = max(top, cut.top), min(bottom, cut.bottom)
            if first >= last:
                continue
            if cut not in pictures:
                pictures[cut] = np.empty((*cut.hw, 3), np.uint8)
            within = strip[first - top : last - top, cut.left - left : cut.right - left]
            pictures[cut][first - cut.top : last - cut.top] = within
            if last == cut.bottom:
                _write_picture(folder / cut.name, pictures.pop(cut))
        if bottom >= end:
            return
        top = bottom


def _write_picture(path: Path, picture: Image) -> None:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    path.write_bytes(marked(cv2.imencode(".jpg", bgr, _JPEG)[1].tobytes()))
