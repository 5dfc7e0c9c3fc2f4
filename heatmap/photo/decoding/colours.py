"""Which bands of a photo file are its colours, which is its transparency, and which are neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyvips

from ...errors import PhotoError

# How many colours libvips' interpretations have, and what they are called.
_MODELS = {
    "b-w": (1, "grey"),
    "grey16": (1, "grey"),
    "srgb": (3, "RGB"),
    "rgb16": (3, "RGB"),
    "scrgb": (3, "RGB"),
    "cmyk": (4, "CMYK"),
}
# Values of the TIFF tag ExtraSamples.
ASSOCIATED, UNASSOCIATED = 1, 2
# What formats other than TIFF have beyond colours.
ALPHA = (UNASSOCIATED,)


@dataclass(frozen=True)
class Bands:
    """The bands of an image that are used.

    Attributes:
        colours: their indices: 1 is grey, 3 RGB, 4 CMYK.
        alpha: the index of the transparency, or None.
        premultiplied: whether the colours are multiplied by it ("associated").
        notes: what the user should know about.
    """

    colours: tuple[int, ...]
    alpha: int | None = None
    premultiplied: bool = False
    notes: tuple[str, ...] = ()

    @property
    def used(self) -> list[int]:
        """The indices of all that are used, the transparency last."""
        return [*self.colours, *([] if self.alpha is None else [self.alpha])]


def bands_of(image: pyvips.Image, extra: Sequence[int]) -> Bands:
    """The bands of an image as stored in a file, by its colour model and what the file says.

    Args:
        image: the image.
        extra: what the bands beyond colour are, as the TIFF tag ExtraSamples says it. Of fewer
            values than bands, the values are those of the last ones.

    Raises:
        PhotoError: the colour model is not read, or five or more bands have no named colours.
    """
    model, name = _MODELS.get(image.interpretation, (image.bands + 1, ""))
    beyond = image.bands - model
    if beyond < 0:
        raise PhotoError(
            f"has {image.bands} channels ({image.interpretation}): "
            "give grey, RGB or CMYK, with or without transparency"
        )
    kinds = [0] * (beyond - len(extra)) + list(extra)[:beyond]
    kinds = [0] * model + kinds
    alphas = [index for index, kind in enumerate(kinds) if kind in (ASSOCIATED, UNASSOCIATED)]
    plain = [index for index in range(image.bands) if index not in alphas]
    notes = []
    if model == 1 and len(plain) > 2:
        if len(plain) > 4:
            raise PhotoError(
                f"has {len(plain)} bands and does not say which are red, green and blue: choose "
                "three (gdal_translate -b 3 -b 2 -b 1)"
            )
        notes.append(f"{len(plain)} bands that do not say their colours taken as RGB")
        model, name = 3, "RGB"
    if left := len(plain) - model:
        s = "" if left == 1 else "s"
        notes.append(f"left out {left} band{s} beyond {name} (not marked as transparency)")
    alpha = alphas[0] if alphas else None
    premultiplied = alpha is not None and kinds[alpha] == ASSOCIATED
    return Bands(tuple(plain[:model]), alpha, premultiplied, tuple(notes))
