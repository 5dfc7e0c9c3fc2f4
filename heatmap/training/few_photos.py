"""What is done where the photos of a class are few.

The validation loss of a few photos falls and rises by chance. Where it decides, training may end
after its first steps, and the photos that it keeps back are missed in a class that has few. So all
epochs are run then, and run again on all examples; a classification layer that is trained alone
begins at 0.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import torch
from torch import nn

from ..classes import ClassList
from ..errors import ClassError, some_of
from ..networks.classifier import Classifier
from ..networks.state_dict import StateDict
from .examples import Examples
from .fit import Fit, Schedule

# Fewer photos of a class in the validation split are too few. With four and six photos of persons
# stopping or not gave the same, with one of cars training ended after two steps
# (docs/evaluation.md, "Few photos").
FEWEST_PHOTOS = 10
# Epochs without a lower validation loss after which training stops.
PATIENCE = 8
# Of more classes the first ones are named.
_NAMED = 3


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


def with_known(examples: Examples, original: Classifier) -> Examples:
    """The examples with a note on those scarce classes that the network to be adapted has."""
    known = [name for name in scarce_classes(examples) if _knows(original.classes, name)]
    if not known or original.adaptation is not None:
        return examples
    note = (
        f"{original.name} itself knows {some_of(known, _NAMED)}: without training, it may find "
        f"{'it' if len(known) == 1 else 'them'} better than what learns from so few photos"
    )
    return replace(examples, notes=(*examples.notes, note))


def _knows(classes: ClassList, name: str) -> bool:
    try:
        return classes.find(name).name.casefold() == name.casefold()
    except ClassError:
        return False


def too_few(examples: Examples) -> str:
    """Says of which classes there are too few photos; there must be such."""
    names = some_of(scarce_classes(examples), _NAMED)
    return f"fewer than {FEWEST_PHOTOS} photos of {names} are in the validation split, too few"


def is_refitted(classifier: Classifier, examples: Examples) -> bool:
    """Whether a network is trained again on all examples.

    Only where its trunk is frozen: what is left to train takes little time, also twice. Without
    that it was not measured.
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


def from_zero(classifier: Classifier) -> Classifier:
    """The classifier, whose classification layer is 0 if nothing else is trained.

    As in A. Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, section 3.2. Weights
    drawn at random are noise that few examples do not outweigh; layers below would not learn from
    the first steps.
    """
    *_, last = (each for each in classifier.module.modules() if isinstance(each, nn.Conv2d))
    trained = [each for each in classifier.module.parameters() if each.requires_grad]
    if all(any(each is own for own in last.parameters()) for each in trained):
        nn.init.zeros_(last.weight)
    return classifier


def refit(fit: Fit, start: StateDict) -> None:
    """Train the module of a finished fit again, on all examples, up to its best epoch.

    Args:
        fit: the finished fit; its history and its figures stay those without validation examples.
            It cannot be saved any more.
        start: its parameters before the first epoch, by name.

    Raises:
        ModelError: training diverged.
    """
    with torch.no_grad():
        for name, parameter in fit.parameters.items():
            parameter.copy_(start[name])
    # Three numbers for each parameter: of a layer of VGG16, gigabytes.
    fit.best = {}
    fit.optimizer.state.clear()
    schedule = replace(fit.schedule, epochs=fit.best_epoch, patience=None)
    again = Fit(fit.module, fit.examples.together(), schedule)
    for _ in again.epochs():
        pass
