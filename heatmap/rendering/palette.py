"""The colours of classes: told apart by everyone, and in grey."""

from __future__ import annotations

from typing import TypeAlias

# Red, green, blue, 0..255.
Colour: TypeAlias = tuple[int, int, int]

# Cyan, red, yellow, blue, pink, purple, orange, green: the hues of Okabe and Ito ("Color universal
# design", 2008), moved apart in lightness. Neighbours differ by 20 or more of 100 steps of
# lightness, any two by 7, and by 15 or more (CIE 1976) to people who lack one kind of cone. Cyan is
# first since fur, skin, wood and food have every warm colour.
PALETTE: tuple[Colour, ...] = (
    (0, 226, 255),
    (204, 40, 30),
    (247, 228, 103),
    (30, 83, 181),
    (221, 128, 190),
    (122, 30, 111),
    (245, 161, 20),
    (0, 143, 95),
)
PAPER: Colour = (24, 24, 27)
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


def colour_of(place: int) -> Colour:
    """The colour of the class at a place in a picture; after the last they begin again.

    >>> colour_of(0) == colour_of(len(PALETTE))
    True
    """
    return PALETTE[place % len(PALETTE)]


def ink_on(ground: Colour) -> Colour:
    """Black or white, whichever is easier to read on a ground."""
    light = luminance(ground)
    return _BLACK if (light + 0.05) / 0.05 > 1.05 / (light + 0.05) else _WHITE


def pale(colour: Colour) -> Colour:
    """A light tint of a colour, for what is only guessed."""
    red, green, blue = (round(255 - 0.4 * (255 - value)) for value in colour)
    return red, green, blue


def luminance(colour: Colour) -> float:
    """Relative luminance of an sRGB colour, 0..1."""
    red, green, blue = (
        value / 255 / 12.92 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4
        for value in colour
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
