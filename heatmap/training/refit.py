"""Small validation splits: training then runs all epochs, and again on all examples.

The loss of a few photos falls and rises by chance. Where it decides, training may end after its
first steps, and the photos that it keeps back are missed in a class that has few.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import torch

from ..networks.classifier import Classifier
from ..networks.state_dict import StateDict
from .examples import Examples
from .fit import Fit, Schedule

# Fewer photos of a class in the validation split are too few. With four and six photos of persons
# both ways gave the same, with one to three of cars and dogs training ended after one epoch
# (docs/evaluation.md, "Few examples").
FEWEST_PHOTOS = 10
# Epochs without a lower validation loss after which training stops.
PATIENCE = 8


def scarce_classes(examples: Examples) -> tuple[str, ...]:
    """The classes that too few photos of the validation split show; none without a split.

    >>> from pathlib import Path
    >>> from heatmap.training.examples import Example, Examples
    >>> split = [Example(f"{number}.jpg", 1) for number in range(10)]
    >>> scarce_classes(Examples(Path("photos"), ("cat", "dog"), (), (*split, Example("a.jpg", 0))))
    ('cat',)
    """
    shown = Counter(label for label, _ in {(one.label, one.photo) for one in examples.validation})
    if not shown:
        return ()
    names = enumerate(examples.classes)
    return tuple(name for label, name in names if shown[label] < FEWEST_PHOTOS)


def is_refitted(classifier: Classifier, examples: Examples) -> bool:
    """Whether a network is trained again on all examples.

    Only where its trunk is frozen: to train the rest twice takes little, and it was not measured
    for others.
    """
    frozen = classifier.adaptation is not None and classifier.adaptation.freeze == "trunk"
    return frozen and bool(scarce_classes(examples))


def with_patience(schedule: Schedule, *, refitted: bool) -> Schedule:
    """The schedule with the patience that it leaves open."""
    if schedule.patience is not None:
        return schedule
    return replace(schedule, patience=None if refitted else PATIENCE)


def initial(fit: Fit) -> StateDict:
    """A copy of the parameters that training changes, by name."""
    return {name: parameter.detach().clone() for name, parameter in fit.parameters.items()}


def refit(fit: Fit, start: StateDict) -> None:
    """Train the module of a finished fit again, on all examples, up to its best epoch.

    Args:
        fit: the finished fit; its history and its figures stay those without validation examples.
        start: its parameters before the first epoch, by name.

    Raises:
        ModelError: training diverged.
    """
    with torch.no_grad():
        for name, parameter in fit.parameters.items():
            parameter.copy_(start[name])
    schedule = replace(fit.schedule, epochs=fit.best_epoch, patience=None)
    again = Fit(fit.module, fit.examples.together(), schedule)
    for _ in again.epochs():
        pass
    again.take_best()
