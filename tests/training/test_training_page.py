"""The page of a training: what it says is what is returned."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html import unescape

import cv2
import numpy as np
import pytest

from heatmap.photo.broken import BrokenPhoto
from heatmap.training.fit import Schedule
from heatmap.training.training_page import training_page
from tests.support.trainings import (
    HOSTILE,
    logits_of,
    make_examples,
    make_history,
    make_trained,
    tables_of,
)


def page_of(trained) -> str:
    return training_page(trained).decode()


def text_of(page: str) -> str:
    return unescape(re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", page)))


def cards_of(page: str) -> list[str]:
    (listed,) = re.findall(r'<ol class="wrong-ones">(.*?)</ol>', page, re.DOTALL)
    return re.findall(r"<li>(.*?)</li>", listed, re.DOTALL)


def test_epochs_matrix_and_figures_of_classes_are_those_returned(tmp_path):
    history = make_history(12)
    trained = make_trained(
        tmp_path, history=history, schedule=Schedule(epochs=40, patience=8), resumed_after=(3, 7)
    )
    page = page_of(trained)
    epochs, matrix, classes = tables_of(page)
    assert [row[:7] for row in epochs[1:]] == [
        [
            str(one.number),
            f"{one.loss:.4f}",
            f"{one.accuracy:.1%}",
            f"{one.validation_loss:.4f}",
            f"{one.validation_accuracy:.1%}",
            "0.001",
            "1.5 s",
        ]
        for one in history
    ]
    assert {row[0]: row[7] for row in epochs[1:] if row[7]} == {
        "4": "resumed",
        "8": "kept, resumed",
        "12": "stopped early",
    }
    counts = [[int(cell.replace("·", "0")) for cell in row[1:]] for row in matrix[1:]]
    assert counts == trained.validation.confusion.tolist()
    assert [row[0] for row in matrix[1:]] == matrix[0][1:] == list(trained.examples.classes)
    assert classes[1:] == [
        [one.name, "8", "10", f"{one.precision:.1%}", f"{one.recall:.1%}", f"{one.f1:.1%}"]
        for one in trained.validation.classes
    ]
    for line in (
        "Epoch 8 of 12 is kept: its validation loss, 0.5000, is the lowest.",
        "Stopped early: no lower validation loss in 4 epochs.",
        "Resumed after epochs 3 and 7.",
        "12 epochs took 18.0 s; this call took 20.0 s in all.",
        f"{30 - trained.validation.wrong} of 30 validation examples are classified right.",
        "6 trainable, 0 fixed",
        "AdamW, learning rate 0.001, weight decay 0.01",
    ):
        assert line in text_of(page)
    told = re.findall(r"<title>(\w+), (\d+): ([\d.]+%?)</title>", page)
    values = {(name, int(number), text.endswith("%")): text for name, number, text in told}
    for one in history:
        assert values["training", one.number, False] == f"{one.loss:.4g}"
        assert values["validation", one.number, False] == f"{one.validation_loss:.4g}"
        assert values["training", one.number, True] == f"{100 * one.accuracy:.4g}%"
        assert values["validation", one.number, True] == f"{100 * one.validation_accuracy:.4g}%"


def test_lines_across_the_curves_stand_where_the_training_was_resumed_kept_and_stopped(tmp_path):
    schedule = Schedule(epochs=40, patience=8)
    page = page_of(make_trained(tmp_path, schedule=schedule, resumed_after=(3, 12)))
    curves = re.findall(r"<svg.*?</svg>", page)
    assert len(curves) == 2
    for curve in curves:
        points = re.findall(r'<circle class="training" cx="([\d.]+)"', curve)
        x = dict(enumerate(map(float, points), start=1))
        lines = re.findall(r'<line class="moment (\w+)" x1="([\d.]+)"', curve)
        assert [(kind, pytest.approx(float(at), abs=0.1)) for kind, at in lines] == [
            ("resumed", (x[3] + x[4]) / 2),
            # After the last one there is nothing.
            ("resumed", x[12]),
            ("stopped", x[12]),
            ("kept", x[8]),
        ]


def test_each_wrong_example_is_shown_with_its_classes_and_probabilities(tmp_path):
    examples = make_examples(tmp_path, 6)
    trained = make_trained(tmp_path, examples=examples, logits=logits_of(examples, sure=1))
    cards, worst = cards_of(page_of(trained)), trained.validation.worst
    assert len(cards) == len(worst) == 20
    for card, wrong in zip(cards, worst, strict=True):
        assert unescape(re.sub("<[^>]+>", "", re.search("<h3>(.*?)</h3>", card)[1])) == (
            f"{wrong.true} taken for {wrong.predicted}"
        )
        assert wrong.photo in card
        named = re.findall(r"<dt( class=hit)?>(.*?)</dt><dd>(.*?)</dd>", card)
        ranked = sorted(
            zip(wrong.probabilities, examples.classes, strict=True), key=lambda pair: -pair[0]
        )
        assert [(unescape(name), share) for _, name, share in named][:3] == [
            (name, f"{share:.1%}") for share, name in ranked[:3]
        ]
        # The right class, however improbable it is.
        (right,) = [unescape(name) for hit, name, _ in named if hit]
        assert right == wrong.true


def test_pictures_show_what_the_network_saw_with_its_box(tmp_path):
    examples = make_examples(tmp_path, 2, validation=2)
    pixels = np.full((100, 300, 3), 60, np.uint8)
    pixels[20:60, 10:50] = (0, 0, 255)  # blue, green, red
    first, *others = examples.validation
    for name in {one.photo for one in (first, *others[:2])}:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), pixels)
    boxed = replace(first, xyxy=(5, 15, 55, 65), box=(10, 20, 50, 60))
    # A photo of which there are two, a whole one, and one that is gone.
    validation = (boxed, replace(others[0], photo=first.photo), *others[1:])
    examples = replace(examples, validation=validation)
    trained = make_trained(tmp_path, examples=examples, logits=logits_of(examples, sure=-9))
    cards = cards_of(page_of(trained))
    shown = dict(zip([one.photo for one in trained.validation.worst], cards, strict=True))
    assert "The photo cannot be read any more." in shown[others[2].photo]
    assert "160 x" not in shown[first.photo]
    pictures = {}
    for wrong, card in zip(trained.validation.worst, cards, strict=True):
        if found := re.search(r'src="data:image/jpeg;base64,([^"]+)"', card):
            encoded = np.frombuffer(base64.b64decode(found[1]), np.uint8)
            pictures[wrong.photo, wrong.box] = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
            assert ("40 x 40 px at 10, 20" in card) == (wrong.box is not None)
    assert {one.shape for one in pictures.values()} == {(224, 224, 3)}
    assert len(pictures) == 3
    square = pictures[first.photo, boxed.box].astype(int)
    # The region is 50 px wide, the box 5 px within it: 22 of the picture.
    assert abs(square[112, 112] - (0, 0, 255)).max() < 30
    assert square[112, 22].min() > 150
    assert abs(square[112, 10] - 60).max() < 30
    # The centre of a whole photo, as far as it is high.
    assert abs(pictures[first.photo, None].astype(int) - 60).max() < 30


def test_of_many_classes_the_most_frequent_confusions_are_listed(tmp_path):
    examples = make_examples(tmp_path, 21, validation=5)
    trained = make_trained(tmp_path, examples=examples, logits=logits_of(examples, sure=1))
    page = page_of(trained)
    _, pairs, classes = tables_of(page)
    confusions = trained.validation.confusions()
    assert len(confusions) > 50 == len(pairs) - 1
    assert pairs[1:] == [
        [one.true, f"{one.count} of 5", f"{one.count / 5:.1%}", one.predicted]
        for one in confusions[:50]
    ]
    assert f"Of {len(confusions)} pairs of classes that are confused, the 50 most" in page
    assert len(classes) == 22
    assert 'class="matrix"' not in page
    examples = make_examples(tmp_path, 20, validation=5)
    trained = make_trained(tmp_path, examples=examples, logits=logits_of(examples, sure=1))
    assert 'class="matrix"' in page_of(trained)


def test_a_class_that_is_never_predicted_or_has_no_examples_has_no_figures(tmp_path):
    examples = make_examples(tmp_path, 3)
    kept = tuple(one for one in examples.validation if one.label == 1)
    examples = replace(examples, validation=kept)
    trained = make_trained(tmp_path, examples=examples, logits=logits_of(examples, sure=50))
    _, matrix, classes = tables_of(page_of(trained))
    assert [row[3:] for row in classes[1:]] == [["", "", ""], ["100.0%"] * 3, [""] * 3]
    assert matrix[1][1:] == ["·"] * 3
    assert "No validation example is classified wrong." in page_of(trained)


def test_without_a_validation_split_training_alone_is_shown(tmp_path):
    trained = make_trained(tmp_path, examples=make_examples(tmp_path, validation=0))
    page = page_of(trained)
    (epochs,) = tables_of(page)
    assert epochs[0] == ["epoch", "loss", "right", "rate", "time", ""]
    assert epochs[-1][-1] == "kept"
    assert "There was no validation split." in page
    assert "Epoch 12 is kept, the last one: there is no validation split." in page
    assert page.count("<polyline") == 2
    assert "Stopped early" not in page


def test_a_loss_that_is_no_number_leaves_a_gap_in_its_curve(tmp_path):
    history = make_history(12)
    gap = replace(history[4], loss=float("nan"), validation_loss=float("inf"))
    page = page_of(make_trained(tmp_path, history=(*history[:4], gap, *history[5:])))
    assert page.count("<polyline") == 6
    for curve in re.findall(r"<svg.*?</svg>", page):
        assert not re.search(r"\b(?:nan|inf)\b", curve)
    assert tables_of(page)[0][5][:4] == ["5", "nan", f"{gap.accuracy:.1%}", "inf"]


@pytest.mark.parametrize("noisy", [True, False])
def test_the_page_is_small_and_allows_nothing_but_its_style_and_pictures(tmp_path, noisy):
    examples = make_examples(tmp_path, 2, validation=12)
    drawn = np.random.default_rng(0)
    for one in examples.validation if noisy else ():
        (tmp_path / one.photo).parent.mkdir(exist_ok=True)
        cv2.imwrite(
            str(tmp_path / one.photo), drawn.integers(0, 256, (224, 224, 3), dtype=np.uint8)
        )
    if not noisy:
        strange = (replace(one, photo=f"{HOSTILE}/{one.photo}") for one in examples.validation)
        examples = replace(examples, validation=tuple(strange))
    hostile = BrokenPhoto(f"{HOSTILE}.png", f"is {HOSTILE}")
    examples = replace(examples, broken=(hostile,), notes=(HOSTILE, "\udce4"))
    trained = make_trained(tmp_path, examples=examples, logits=logits_of(examples, sure=-9))
    content = training_page(trained)
    assert len(content) < 1e6
    page = content.decode()
    assert len(re.findall(r'src="data:image/jpeg', page)) == 20 * noisy
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("style-src").startswith("'sha256-")
    assert rules == {
        **dict.fromkeys(("default-src", "base-uri", "form-action", "script-src"), "'none'"),
        "img-src": "data:",
    }
    assert HOSTILE not in page
    assert HOSTILE in text_of(page)
    assert "<script" not in page
    assert "style=" not in page
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)
