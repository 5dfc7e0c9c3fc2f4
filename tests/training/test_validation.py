"""What a network makes of the validation split: against scikit-learn, and against a slow way."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from heatmap.training.examples import Example
from heatmap.training.validation import validated
from tests.support.trainings import class_names, logits_of, make_examples


def with_labels(labels, classes):
    examples = make_examples(Path("photos"), classes, validation=0)
    validation = tuple(Example(f"{at}.png", int(label)) for at, label in enumerate(labels))
    return replace(examples, validation=validation)


@pytest.mark.filterwarnings("ignore:A single label was found")
@pytest.mark.parametrize(
    ("classes", "count", "seed"), [(1, 3, 0), (2, 40, 1), (5, 60, 2), (40, 25, 3)]
)
def test_figures_are_those_of_scikit_learn(classes, count, seed):
    """Of 40 classes and 25 examples, some have no example and some are never predicted."""
    noise = np.random.default_rng(seed)
    examples = with_labels(noise.integers(0, classes, count), classes)
    logits = logits_of(examples, sure=1, seed=seed)
    validation = validated(examples, logits)
    true = [example.label for example in examples.validation]
    wanted = {"y_true": true, "y_pred": logits.argmax(1).tolist(), "labels": range(classes)}
    np.testing.assert_array_equal(validation.confusion, confusion_matrix(**wanted))
    theirs = precision_recall_fscore_support(**wanted, zero_division=np.nan)
    ours = [
        [math.nan if one is None else one for one in (each.precision, each.recall, each.f1)]
        for each in validation.classes
    ]
    np.testing.assert_allclose(np.transpose(ours), np.array(theirs[:3]))
    assert [each.validation for each in validation.classes] == list(theirs[3])
    assert [each.training for each in validation.classes] == [8] * classes
    assert tuple(each.name for each in validation.classes) == class_names(classes)
    assert (validation.total, validation.wrong) == (
        count,
        sum(a != b for a, b in zip(true, wanted["y_pred"], strict=True)),
    )


def test_the_worst_are_those_with_the_lowest_probability_of_their_class():
    examples = make_examples(Path("photos"), 6, validation=30)
    logits = logits_of(examples, sure=1)
    validation = validated(examples, logits)
    losses = []
    for example, row in zip(examples.validation, logits.double().tolist(), strict=True):
        shares = [math.exp(value) for value in row]
        shares = [share / sum(shares) for share in shares]
        if max(shares) > shares[example.label]:
            losses.append((shares[example.label], example, shares))
    losses.sort(key=lambda entry: entry[0])
    assert len(validation.worst) == 20 < validation.wrong == len(losses)
    for ours, (least, example, shares) in zip(validation.worst, losses[:20], strict=True):
        assert (ours.photo, ours.true) == (example.photo, examples.classes[example.label])
        assert ours.predicted == examples.classes[int(np.argmax(shares))]
        assert ours.probabilities == pytest.approx(shares)
        assert ours.probabilities[example.label] == pytest.approx(least)


def test_examples_whose_class_has_no_probability_left_are_still_ranked():
    """Both probabilities are 0 in double precision."""
    examples = with_labels([0, 0], 2)
    validation = validated(examples, torch.tensor([[-2000.0, 0.0], [-3000.0, 0.0]]))
    assert [each.photo for each in validation.worst] == ["1.png", "0.png"]
    assert [each.probabilities for each in validation.worst] == [(0.0, 1.0)] * 2


def test_regions_and_boxes_go_with_the_examples():
    examples = with_labels([1, 0], 2)
    boxed = replace(examples.validation[0], xyxy=(0, 0, 10, 10), box=(1, 2, 9, 8))
    examples = replace(examples, validation=(boxed, examples.validation[1]))
    (wrong,) = validated(examples, torch.tensor([[1.0, 0.0], [1.0, 0.0]])).worst
    assert (wrong.xyxy, wrong.box) == ((0, 0, 10, 10), (1, 2, 9, 8))


def test_confusions_are_ranked_by_their_number_and_then_by_their_share():
    examples = with_labels([0, 0, 0, 1, 1, 2], 3)
    scores = torch.eye(3)[torch.tensor([1, 1, 2, 0, 1, 0])]
    names = class_names(3)
    assert [
        (pair.count, pair.of, pair.true, pair.predicted)
        for pair in validated(examples, scores).confusions()
    ] == [
        (2, 3, names[0], names[1]),
        (1, 1, names[2], names[0]),
        (1, 2, names[1], names[0]),
        (1, 3, names[0], names[2]),
    ]


def test_nothing_is_said_without_a_validation_split_and_no_mistakes_without_any():
    examples = make_examples(Path("photos"), validation=0)
    assert validated(examples, torch.empty(0, 0)) is None
    examples = make_examples(Path("photos"))
    right = validated(examples, logits_of(examples, sure=100))
    assert (right.wrong, right.worst, right.confusions()) == (0, (), [])
    assert {each.f1 for each in right.classes} == {1.0}
