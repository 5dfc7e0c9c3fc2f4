"""The page of a training in a real browser: whole by itself, at every width, without scripts."""

import itertools
from functools import partial

import cv2
import numpy as np
import pytest

from heatmap.training.fit import Schedule
from heatmap.training.training_page import training_page
from tests.support.trainings import HOSTILE, logits_of, make_examples, make_history, make_trained


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    examples = make_examples(folder, 20, validation=4)
    for one in examples.validation:
        (folder / one.photo).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / one.photo), np.full((40, 60, 3), 128, np.uint8))
    trained = make_trained(
        folder,
        examples=examples,
        logits=logits_of(examples),
        history=make_history(30),
        schedule=Schedule(epochs=40),
        resumed_after=(3, 19),
    )
    trained.page.write_bytes(training_page(trained))
    return trained.page


@pytest.fixture
def shown(shown_file, page_path):
    """Opens the page at a width."""
    return partial(shown_file, page_path)


BOXES = """all => all.map(one => {
    const {left, right, top, bottom, width, height} = one.getBoundingClientRect();
    return {left, right, top, bottom, width, height};
})"""


def boxes(page, selector):
    """Where elements lie on the page, px."""
    return page.eval_on_selector_all(selector, BOXES)


@pytest.mark.parametrize(
    "width", [1280, *(pytest.param(width, marks=pytest.mark.slow) for width in (390, 2560))]
)
def test_curves_and_pictures_fit_any_width_and_are_legible(shown, width):
    page = shown(width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    charts, pictures = boxes(page, "svg"), boxes(page, "img")
    assert len(charts) == 2
    assert all(340 < chart["width"] < 640 for chart in charts)
    # Below each other on a telephone, otherwise side by side.
    assert (charts[0]["top"] == charts[1]["top"]) == (width > 390)
    assert len(pictures) == 20
    assert all(150 < each["width"] <= 240 for each in pictures)
    assert all(each["width"] == pytest.approx(each["height"]) for each in pictures)
    for number, chart in enumerate(charts):
        words = boxes(page, f"figure:nth-child({number + 1}) text")
        assert min(word["height"] for word in words) > 9
        assert min(word["left"] for word in words) >= chart["left"]
        assert max(word["right"] for word in words) <= chart["right"] + 1


def test_words_above_the_curves_do_not_overlap(shown):
    page = shown()
    words = boxes(page, "figure:first-child text:not(.axis)")
    assert len(words) == 3
    for one, other in itertools.combinations(words, 2):
        assert (
            one["right"] <= other["left"]
            or other["right"] <= one["left"]
            or abs(one["top"] - other["top"]) >= 0.7 * one["height"]
        )


def test_names_are_text_and_long_tables_are_folded(shown):
    page = shown()
    assert HOSTILE in page.locator("#totals").inner_text()
    assert page.locator(".matrix tbody th").first.inner_text() == HOSTILE
    assert page.locator("details").count() == 2
    assert page.locator("details[open]").count() == 0
    page.locator("summary").first.click()
    assert page.locator("details[open] tbody tr").count() == 30


@pytest.mark.parametrize(
    ("scheme", "paper"),
    [
        pytest.param("light", "rgb(253, 253, 252)", marks=pytest.mark.slow),
        ("dark", "rgb(25, 25, 27)"),
    ],
)
def test_cells_of_the_matrix_are_shaded_by_their_number_in_light_and_in_dark(shown, scheme, paper):
    """In one hue on the diagonal, in another one beside it."""
    page = shown(scheme=scheme)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == paper
    script = "all => all.map(one => getComputedStyle(one).backgroundColor)"
    right = page.eval_on_selector_all(".matrix td.right:not(.shade-0)", script)
    wrong = page.eval_on_selector_all(".matrix td.wrong:not(.shade-0)", script)
    none = page.eval_on_selector_all(".matrix td.shade-0", script)
    assert not {*right} & {*wrong}
    assert len({*none}) == 1
    assert not {*none} & {*right, *wrong}
    assert len({*right}) >= 3
