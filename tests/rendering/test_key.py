"""The key in the margin: never too high, never too wide, and the most important of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.rendering import key as keys
from heatmap.rendering.key import MARGIN, NARROWEST_PX, Key, drawn_key
from heatmap.rendering.paint import colour_table
from heatmap.rendering.palette import PAPER, colour_of

GUESSES = ("nothing above 35 %: best guesses", "guesses below 35 %", "guesses")


def make_key(classes=2, headings=(), hatched=False, name="Egyptian cat") -> Key:
    named = tuple((f"{name} {place}", colour_of(place)) for place in range(classes))
    return Key(named, headings, "0 to 50 %", "efficientnet_lite0", hatched)


@pytest.fixture
def written(monkeypatch):
    """The texts that are written, in order."""
    texts = []
    write = keys.write

    def recording(line, text, *rest):
        texts.append(text)
        write(line, text, *rest)

    monkeypatch.setattr(keys, "write", recording)
    return texts


@settings(max_examples=25)
@given(
    hw=st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    classes=st.integers(0, 30),
    guessed=st.booleans(),
    hatched=st.booleans(),
    length=st.integers(0, 60),
)
def test_the_key_stays_within_its_margin(hw, classes, guessed, hatched, length):
    width = max(hw[1], NARROWEST_PX)
    key = make_key(classes, (GUESSES,) if guessed else (), hatched, "n" * length)
    drawn = drawn_key(key, width, hw)
    assert drawn.shape[1] == width
    # One line of 10 px letters takes 16 px.
    assert drawn.shape[0] <= max(16, MARGIN * hw[0])
    # Nothing is cut off at the right.
    assert (drawn[:, -4:] == PAPER).all()


def test_a_wide_key_says_everything(written):
    drawn_key(make_key(2, (GUESSES,), hatched=True), 1500, (480, 1500))
    assert written == [
        "nothing above 35 %: best guesses",
        "Egyptian cat 0",
        "Egyptian cat 1",
        "0 to 50 %",
        "not scored",
        "efficientnet_lite0",
    ]


def test_the_least_important_is_left_out_first(written):
    said = {}
    for width in (1000, 720, 480, 330, 250, 150, 120):
        drawn_key(make_key(4, (GUESSES,)), width, (400, width))
        said[width] = list(written)
        written.clear()
    names = [f"Egyptian cat {place}" for place in range(4)]
    assert said == {
        1000: [GUESSES[0], *names, "0 to 50 %", "efficientnet_lite0"],
        720: [GUESSES[0], *names[:3], "+1 more", "0 to 50 %"],
        480: [GUESSES[1], *names[:2], "+2 more", "0 to 50 %"],
        330: [GUESSES[2], *names[:1], "+3 more", "0 to 50 %"],
        250: [GUESSES[2], *names[:1], "+3 more"],
        150: [GUESSES[2], "4 classes"],
        120: [GUESSES[2]],
    }


def test_every_class_has_a_swatch_of_its_colour():
    drawn = drawn_key(make_key(3), 900, (480, 900))
    colours = {tuple(colour) for colour in drawn.reshape(-1, 3)}
    assert {colour_of(place) for place in range(3)} <= colours


def test_a_high_narrow_picture_has_several_lines(written):
    drawn = drawn_key(make_key(3), 133, (2000, 133))
    assert 60 < drawn.shape[0] <= 100
    assert sum(text.startswith("Egyptian cat") for text in written) == 3


def test_letters_grow_with_the_picture():
    small, large = (drawn_key(make_key(1), 2000, (height, 2000)) for height in (400, 2000))
    assert large.shape[0] > 2 * small.shape[0]
    assert np.ptp(large) > 200


def test_the_key_of_a_colormap_has_its_colours_and_no_swatch_of_classes_without_one(written):
    levels = colour_table(1, "turbo")
    key = Key((("cat", None), ("dog", (0, 226, 255))), (), "0 to 50 %", levels=levels)
    drawn = drawn_key(key, 900, (480, 900)).reshape(-1, 3)
    assert written == ["cat", "dog", "0 to 50 %"]
    swatches = (drawn == (0, 226, 255)).all(axis=1).sum()
    assert swatches
    assert int(swatches**0.5) ** 2 == swatches
    top = levels[255, :3]
    assert (drawn == top).all(axis=1).any()
