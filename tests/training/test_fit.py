"""The fit: how classes weigh, and where training ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from heatmap import ModelError
from heatmap.training.fit import Fit, Schedule
from heatmap.training.labelled_rows import LabelledRows


def task_of(rows, training, validation, weights):
    """Training and validation examples of these classes, one view of each."""
    numbers = np.arange(len(training) + len(validation))[:, None]
    return LabelledRows(
        lambda places: rows[places % len(rows)],
        numbers[: len(training)],
        np.array(training, np.int64),
        numbers[len(training) :],
        np.array(validation, np.int64),
        weights,
    )


def test_weights_of_classes_make_up_for_their_numbers():
    """At an even start the gradients of eight examples and of two cancel exactly."""
    rows = torch.ones(10, 4)
    labels = np.array([0] * 8 + [1] * 2)

    def moved(weights):
        learner = nn.Linear(4, 2, bias=False)
        nn.init.zeros_(learner.weight)
        task = task_of(rows, labels, [], weights)
        fit = Fit(learner, task, Schedule(epochs=1, batch=10, views=1, validation_split=0.0))
        list(fit.epochs())
        return learner.weight.abs().max().item()

    assert moved(torch.tensor([0.625, 2.5])) == 0
    assert moved(torch.ones(2)) > 1e-4


def test_a_loss_that_is_no_number_ends_training():
    rows = torch.full((4, 3), float("inf"))
    task = task_of(rows, [0, 1, 0, 1], [0], torch.ones(2))
    fit = Fit(nn.Linear(3, 2), task, Schedule(views=1))
    with pytest.raises(ModelError, match=r"diverged in epoch 1: losses are nan and .*below 0.001"):
        list(fit.epochs())


def test_parameters_that_are_no_numbers_end_training_too():
    """The loss is taken before the step that spoils them."""
    rows = torch.tensor([[3e38, 1.0], [1.0, 1.0]])
    task = task_of(rows, [0, 1], [], torch.ones(2))
    fit = Fit(nn.Linear(2, 2), task, Schedule(epochs=1, views=1, rate=99.0, decay=99.0))
    fit.optimizer.register_step_post_hook(lambda *_: fit.module.weight.data.fill_(torch.nan))
    with pytest.raises(ModelError, match="diverged in epoch 1"):
        list(fit.epochs())
    assert fit.history == []


@pytest.mark.parametrize("batch", [1, 3, 10])
def test_weights_of_classes_count_in_every_batch(batch):
    """Loss is linear in the weights, however examples fall into batches."""
    labels = np.array([0] * 8 + [1] * 2)
    rows = torch.ones(10, 2)
    weights = torch.tensor([0.625, 2.5])
    task = task_of(rows, labels, labels, weights)
    module = nn.Linear(2, 2)
    nn.init.zeros_(module.weight)
    nn.init.zeros_(module.bias)
    fit = Fit(module, task, Schedule(epochs=1, batch=batch, rate=1e-9, views=1))
    (epoch,) = fit.epochs()
    # Each class adds the loss of half of the examples at an even chance.
    assert epoch.validation_loss == pytest.approx(np.log(2), rel=1e-5)
    assert epoch.loss == pytest.approx(np.log(2), rel=1e-5)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"views": 0}, "views is 0"),
        ({"patience": 0}, "patience is 0"),
        ({"rate": 0.0}, "rate is 0: give one above 0 and below 100"),
        ({"rate": 100.0}, "rate is 100: give one above 0 and below 100"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"decay": -1.0}, "decay is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**63}, "seed is 9223372036854775808"),
    ],
)
def test_schedules_that_cannot_be_meant_are_refused(values, said):
    with pytest.raises(ModelError, match=said):
        Schedule(**values)
