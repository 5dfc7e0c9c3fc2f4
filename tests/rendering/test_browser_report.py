"""The page of an evaluation in a real browser: whole by itself, at every width, without scripts."""

import pytest

from tests.support.reports import HOSTILE, make_page, make_report


@pytest.fixture
def shown(shown_file, tmp_path):
    """Opens a page of some content at a width."""

    def show(content: bytes, width: int = 1280, scheme: str = "light"):
        path = tmp_path / "evaluation.html"
        path.write_bytes(content)
        return shown_file(path, width, scheme)

    return show


@pytest.mark.parametrize(
    "width", [390, *(pytest.param(width, marks=pytest.mark.slow) for width in (1280, 2560))]
)
def test_pictures_and_text_fit_any_width(shown, width):
    page = shown(make_page(make_report()), width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    sizes = page.eval_on_selector_all(
        "img", "all => all.map(one => [one.naturalWidth, one.clientWidth, one.clientHeight])"
    )
    assert [natural for natural, _, _ in sizes] == [640, 640]
    for _, wide, high in sizes:
        assert wide == (640 if width > 1000 else 360)
        assert high == pytest.approx(wide * 480 / 640, abs=1)


def test_the_page_says_what_was_hit_missed_and_false(shown):
    page = shown(make_page(make_report()))
    best, worst = page.locator(".judged").all()
    assert best.locator("h4").all_inner_texts() == [f"{HOSTILE}.jpg"]
    assert best.locator("dt, dd").all_inner_texts() == [
        *("Hit", f"<b>tabby</b> 80 % {HOSTILE}, IoU 1.00"),
        *("Missed", "dog × 2"),
        *("False", "dog 70 %"),
        *("Not annotated", "screw 90 %"),
    ]
    assert worst.locator("dt, dd").all_inner_texts() == ["Missed", "dog"]
    assert [page.locator(".judged p").nth(place).inner_text() for place in range(2)] == [
        "F1 0.40: 1 of 3 objects found",
        "F1 0.00: 0 of 1 objects found",
    ]
    assert HOSTILE in page.locator("#totals").inner_text()


@pytest.mark.parametrize(
    ("labels", "opened"), [pytest.param(12, 1, marks=pytest.mark.slow), (13, 0)]
)
def test_many_labels_are_folded_away(shown, labels, opened):
    page = shown(make_page(make_report(labels)))
    assert page.locator("details[open]").count() == opened
    assert page.locator("summary").inner_text() == f"heatmap, by label ({labels})"
    assert page.locator("details tbody tr").count() == labels


def test_the_page_is_dark_where_the_reader_wants_it(shown):
    colours = {
        scheme: shown(make_page(make_report()), scheme=scheme).evaluate(
            "getComputedStyle(document.body).backgroundColor"
        )
        for scheme in ("light", "dark")
    }
    assert colours == {"light": "rgb(253, 253, 252)", "dark": "rgb(25, 25, 27)"}
