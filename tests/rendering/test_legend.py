"""Text and colour bars below a picture."""

import numpy as np
import pytest

from heatmap.rendering.legend import Caption, narrowest_px, strip, text_px
from heatmap.rendering.paint import colour_table


def ink_columns(picture):
    """Columns of a strip that hold anything but paper."""
    return np.flatnonzero((picture != picture[0, 0]).any(axis=(0, 2)))


@pytest.mark.parametrize(
    "text",
    [
        "entertainment center, home cinema and all that goes with it",
        "Donaudampfschifffahrtselektrizitaetenhauptbetriebswerkbauunterbeamtengesellschaft",
        "Кошка 猫 " * 9,
    ],
)
def test_long_text_is_wrapped_not_cut(text):
    size = 13
    width = narrowest_px(size)
    picture = strip(width, Caption(text), size)
    assert picture.shape[0] > strip(width, Caption("cat"), size).shape[0]
    columns = ink_columns(picture)
    assert columns.min() >= size // 2
    assert columns.max() < width - size // 2


@pytest.mark.parametrize("text", ["\ud800 cat", "a\0b", "\n\t", "😀", "قط", "\U0010ffff"])
def test_odd_text_is_drawn_or_replaced(text):
    assert strip(221, Caption("cat", notes=(text,)), 13).shape[1] == 221


def test_the_bar_shows_its_colours_from_left_to_right():
    table = colour_table(1)
    picture = strip(221, Caption("", table, ("0", "1")), 13)
    bar = picture[5]
    columns = ink_columns(picture[:10])
    assert np.abs(bar[columns[-1]].astype(int) - table[255, :3]).max() <= 2
    assert bar[columns[0]].std() == 0  # clear: grey shows through
    assert bar[columns[len(columns) * 3 // 4]].std() > 20


def test_letters_grow_with_the_picture_and_stay_legible():
    assert text_px((40, 60)) == text_px((1, 1)) >= 12
    assert text_px((3000, 4000)) > 4 * text_px((400, 600))
