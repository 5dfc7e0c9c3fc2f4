"""What a trained network makes of the validation split: confusions, figures, and mistakes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..geometry import Box
from .examples import Examples

# So many of the examples that were classified wrong are kept, the worst ones.
MOST_WORST = 20


@dataclass(frozen=True)
class ClassFigures:
    """How well a class is told from the others.

    Attributes:
        name: the class.
        training, validation: numbers of its examples.
        precision: share of the examples classified as it that are of it; None if there are none.
        recall: share of its examples classified as it; None if there are none.
        f1: harmonic mean of both, 0 if none is right; None if no example is of it or classified
            as it.
    """

    name: str
    training: int
    validation: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class WrongExample:
    """A validation example that was classified wrong.

    Attributes:
        photo, xyxy, box: as those of :class:`examples.Example`.
        true, predicted: names of its class, and of the most probable one.
        probabilities: of all classes, in their order, 0..1.
    """

    photo: str
    xyxy: Box | None
    box: Box | None
    true: str
    predicted: str
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Confusion:
    """So many of the ``of`` validation examples of one class were classified as another."""

    count: int
    of: int
    true: str
    predicted: str


@dataclass(frozen=True, eq=False)
class Validation:
    """What the trained network makes of the validation split.

    Attributes:
        confusion: numbers of examples by class (rows) and predicted class (columns), int64 (K, K).
        classes: the figures of each class, in their order.
        worst: up to 20 examples that were classified wrong, that with the lowest probability of
            its class first.
    """

    confusion: npt.NDArray[np.int64]
    classes: tuple[ClassFigures, ...]
    worst: tuple[WrongExample, ...]

    @property
    def total(self) -> int:
        """The number of validation examples."""
        return int(self.confusion.sum())

    @property
    def wrong(self) -> int:
        """The number of those classified wrong."""
        return self.total - int(self.confusion.trace())

    def confusions(self) -> list[Confusion]:
        """Pairs of classes of which one was taken for the other, most frequent first.

        Of pairs that are equally frequent the one comes first whose class has fewer examples, and
        then the one whose classes come first.
        """
        counts, classes = self.confusion, self.classes
        pairs = [
            Confusion(
                int(counts[true, other]),
                classes[true].validation,
                classes[true].name,
                classes[other].name,
            )
            for true, other in np.argwhere(counts)
            if true != other
        ]
        return sorted(pairs, key=lambda pair: (-pair.count, pair.of))


def validated(examples: Examples, logits: Tensor) -> Validation | None:
    """What a network makes of the validation split; None without one.

    Args:
        examples: the examples.
        logits: what it gives for those of the validation split, float32 (V, K), all finite.
    """
    if not examples.validation:
        return None
    labels = np.array([example.label for example in examples.validation])
    predicted = logits.argmax(1).numpy()
    classes = len(examples.classes)
    pairs = np.bincount(labels * classes + predicted, minlength=classes * classes)
    confusion = pairs.reshape(classes, classes)
    return Validation(confusion, _figures(confusion, examples), _worst(examples, predicted, logits))


def _figures(confusion: npt.NDArray[np.int64], examples: Examples) -> tuple[ClassFigures, ...]:
    figures = []
    for label, (name, (training, validation)) in enumerate(examples.counts().items()):
        right, predicted = int(confusion[label, label]), int(confusion[:, label].sum())
        shares = (
            right / total if total else None
            for total in (predicted, validation, (predicted + validation) / 2)
        )
        figures.append(ClassFigures(name, training, validation, *shares))
    return tuple(figures)


def _worst(
    examples: Examples, predicted: npt.NDArray[np.int64], logits: Tensor
) -> tuple[WrongExample, ...]:
    # Of logits whose probabilities are all 0 or 1 the logarithms still differ.
    logarithms = torch.log_softmax(logits.double(), 1).numpy()
    names, validation = examples.classes, examples.validation
    wrong = [at for at, each in enumerate(validation) if each.label != predicted[at]]
    wrong.sort(key=lambda at: float(logarithms[at, validation[at].label]))
    return tuple(
        WrongExample(
            validation[at].photo,
            validation[at].xyxy,
            validation[at].box,
            names[validation[at].label],
            names[predicted[at]],
            tuple(np.exp(logarithms[at]).tolist()),
        )
        for at in wrong[:MOST_WORST]
    )
