"""What the scores of a network mean: their kind, how it is recognised, and their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from ..choices import ACTIVATIONS, Activation
from ..errors import ModelError, Use

Scores = npt.NDArray[np.float32]

# Independent: no class excludes another (multi-label), so that each has a probability of its own.
Outputs = Literal[
    "logits",
    "log-probabilities",
    "independent logits",
    "probabilities",
    "independent probabilities",
]

# What makes probabilities of each kind.
_ACTIVATIONS: dict[Outputs, Activation] = {
    "logits": "softmax",
    "log-probabilities": "softmax",
    "independent logits": "sigmoid",
    "probabilities": "none",
    "independent probabilities": "none",
}
# Rounding of probabilities and of their sum. Logits leave 0..1 by much more on some window.
_TOLERANCE = 1e-3
# From this many classes on there is no correction for chance. Of 170 (photo, class) pairs of COCO a
# network with 1,000 classes points at 128 so, and at 127 with it, which takes faint evidence from
# large groups; with two classes the correction is what makes boxes end (docs/evaluation.md).
_MANY_CLASSES = 100
# What to give for scores that are no probabilities.
LOGITS_WAYS = (
    Use("activation", "softmax", "use {} for classes that exclude each other"),
    Use("activation", "sigmoid", "use {} for independent ones"),
)


def outputs_of(scores: Scores, activation: Activation = "auto") -> Outputs:
    """What scores are, by their values in several windows.

    Scores in 0..1 are probabilities if they add to 1 in every window, otherwise independent
    probabilities. Scores of at most 0 whose exponentials add to 1 are log-probabilities. All else
    are logits. A single output is independent: there is no other class for it to exclude.

    Args:
        scores: (n, K), of n windows. Windows with scores that are not finite are left out.
        activation: as in :func:`with_activation`.

    Raises:
        ModelError: as :func:`with_activation`.

    >>> outputs_of(np.array([[0.2, 0.8], [0.5, 0.5]], np.float32))
    'probabilities'
    >>> outputs_of(np.array([[0.9, 0.8], [0.5, 0.5]], np.float32))
    'independent probabilities'
    >>> outputs_of(np.array([[0.9, 0.8], [3.0, -1.0]], np.float32), "sigmoid")
    'independent logits'
    """
    return with_activation(_recognised(_finite(scores)), activation, scores.shape[1])


def with_activation(outputs: Outputs, activation: Activation, classes: int) -> Outputs:
    """What scores recognised as ``outputs`` are, if the user says their activation.

    Args:
        outputs: what they were recognised as.
        activation: "auto" leaves it at that. "softmax" says that they are logits or
            log-probabilities of classes that exclude each other, "sigmoid" that they are logits
            of independent classes, "none" that they are probabilities.
        classes: number of classes.

    Raises:
        ModelError: an unknown activation, a softmax of one output, or "none" for scores that are
            no probabilities.

    >>> with_activation("logits", "auto", 3), with_activation("logits", "sigmoid", 3)
    ('logits', 'independent logits')
    """
    if activation not in ACTIVATIONS:
        raise ModelError(f"activation is {activation!r}: choose one of {', '.join(ACTIVATIONS)}")
    if activation in ("auto", activation_of(outputs)):
        return outputs
    if activation == "none":
        raise ModelError(f"outputs are {outputs}, not probabilities in 0..1", *LOGITS_WAYS)
    if activation == "softmax" and classes == 1:
        raise ModelError("the softmax of one output is always 1", Use("activation", "sigmoid"))
    return "logits" if activation == "softmax" else "independent logits"


def _finite(scores: Scores) -> npt.NDArray[np.float64]:
    return scores[np.isfinite(scores).all(axis=1)].astype(np.float64)


def _recognised(scores: npt.NDArray[np.float64]) -> Outputs:
    alone, some = scores.shape[1] == 1, len(scores) > 0
    # Of a network without training logits may be so small that only their signs tell.
    if some and not outside(scores, "probabilities") and scores.min() >= -_TOLERANCE * scores.max():
        return "independent probabilities" if alone or not _add_to_1(scores) else "probabilities"
    if alone:
        return "independent logits"
    at_most_0 = some and bool((scores <= _TOLERANCE).all())
    return "log-probabilities" if at_most_0 and _add_to_1(np.exp(scores)) else "logits"


def _add_to_1(scores: npt.NDArray[np.float64]) -> bool:
    return bool((np.abs(scores.sum(axis=1) - 1) <= _TOLERANCE).all())


def are_surely_logits(scores: Scores) -> bool:
    """Whether these windows (n, K) show that the scores are logits, whatever others would."""
    finite = _finite(scores)
    return len(finite) > 0 and _recognised(finite) in ("logits", "independent logits")


def outside(scores: npt.NDArray[Any], outputs: Outputs) -> bool:
    """Whether any of the scores, said to be probabilities, is not in 0..1; none may be NaN."""
    if activation_of(outputs) != "none" or not scores.size:
        return False
    return bool(scores.min() < -_TOLERANCE or scores.max() > 1 + _TOLERANCE)


def activation_of(outputs: Outputs) -> Activation:
    """What makes probabilities of such scores: "softmax", "sigmoid" or "none"."""
    return _ACTIVATIONS[outputs]


def are_exclusive(outputs: Outputs) -> bool:
    """Whether the classes exclude each other, so that their probabilities add to 1."""
    return not outputs.startswith("independent")


def made_probable(outputs: Outputs) -> Outputs:
    """The kind of the probabilities that :func:`probabilities_of` makes of such scores.

    >>> made_probable("logits"), made_probable("independent logits")
    ('probabilities', 'independent probabilities')
    """
    return "probabilities" if are_exclusive(outputs) else "independent probabilities"


def outputs_of_head(classes: int, *, softmax: bool) -> Outputs:
    """What the head of an adapted network gives.

    >>> outputs_of_head(3, softmax=False), outputs_of_head(1, softmax=False)
    ('logits', 'independent logits')
    """
    if classes == 1:
        return "independent probabilities" if softmax else "independent logits"
    return "probabilities" if softmax else "logits"


def described(outputs: Outputs) -> str:
    """What scores are and what makes probabilities of them, in words.

    >>> print(described("logits"))
    logits, made probabilities by softmax
    >>> print(described("independent probabilities"))
    independent probabilities, used as they are
    """
    activation = activation_of(outputs)
    how = "used as they are" if activation == "none" else f"made probabilities by {activation}"
    return f"{outputs}, {how}"


def read_outputs(text: object) -> Outputs:
    """The kind of scores of that name, from a file.

    Raises:
        ValueError: there is no such kind.
    """
    for outputs in get_args(Outputs):
        if outputs == text:
            return outputs  # type: ignore[no-any-return]
    raise ValueError(f"outputs are {text!r}")


def probabilities_of(scores: Scores, outputs: Outputs) -> Scores:
    """Probabilities of scores (..., K): their softmax or sigmoid, or the scores themselves.

    NaN stays NaN. Of independent classes any may be left out of ``scores``.

    >>> probabilities_of(np.zeros((1, 1, 4), np.float32), "logits").tolist()
    [[[0.25, 0.25, 0.25, 0.25]]]
    >>> probabilities_of(np.zeros((1, 1, 2), np.float32), "independent logits").tolist()
    [[[0.5, 0.5]]]
    """
    activation = activation_of(outputs)
    if activation == "none":
        return scores
    if activation == "sigmoid":
        # Of a negative number only, which never overflows.
        small = np.exp(-np.abs(scores))
        return np.asarray(np.where(scores < 0, small, 1) / (1 + small), dtype=np.float32)
    shifted = scores - scores.max(axis=-1, keepdims=True)
    np.exp(shifted, out=shifted)
    shifted /= shifted.sum(axis=-1, keepdims=True)
    return np.asarray(shifted, dtype=np.float32)


def scores_of(probabilities: Scores, outputs: Outputs) -> Scores:
    """Scores of a kind that have these probabilities: what :func:`probabilities_of` undoes.

    Of 0 and of 1, which no logits have, they are those of the nearest float32.

    >>> scores_of(np.float32([0.5, 0.5]), "independent logits").tolist()
    [0.0, 0.0]
    """
    activation = activation_of(outputs)
    if activation == "none":
        return probabilities
    logs = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    if activation == "sigmoid":
        logs -= np.log(np.maximum(1 - probabilities, np.finfo(np.float32).tiny))
    return np.asarray(logs, np.float32)


def softmax_terms(scores: Scores, outputs: Outputs) -> tuple[Scores, Scores] | None:
    """What the softmax of any class needs of all others; None of scores that have no softmax.

    Args:
        scores: (..., K), of all classes.
        outputs: what the scores are.

    Returns:
        The highest score, and the sum of exp(score - highest): float32 (..., 1) both.
    """
    if activation_of(outputs) != "softmax":
        return None
    highest = scores.max(axis=-1, keepdims=True)
    shifted = scores - highest
    return highest, np.exp(shifted, out=shifted).sum(axis=-1, keepdims=True)


def group_probabilities(
    scores: Scores,
    groups: Sequence[tuple[int, ...]],
    outputs: Outputs,
    chance: float,
    terms: tuple[Scores, Scores] | None = None,
) -> Scores:
    """Probabilities (..., len(groups)) of groups of classes, from scores (..., K); NaN stays NaN.

    Of classes that exclude each other the sum, limited to 1 (it can be larger after fusing scales
    by their maximum), and corrected for chance; of independent ones the largest.

    Args:
        scores: of all classes, or of those that were stored.
        groups: the class indices of each group.
        outputs: what the scores are.
        chance: of a single class, from :func:`chance_of`.
        terms: :func:`softmax_terms` of the scores where they are known already.
    """
    found = np.empty((*scores.shape[:-1], len(groups)), dtype=np.float32)
    terms = terms or softmax_terms(scores, outputs)
    for column, indices in enumerate(groups):
        members = scores[..., list(indices)]
        if terms is not None:
            highest, total = terms
            members = np.exp(members - highest) / total
        if are_exclusive(outputs):
            together = np.minimum(members.sum(axis=-1), 1)
            found[..., column] = above_chance(together, chance * len(indices))
        else:
            found[..., column] = probabilities_of(members.max(axis=-1), outputs)
    return found


def chance_of(outputs: Outputs, classes: int) -> float:
    """The probability of one of ``classes`` in a window that shows none of them.

    Of a hundred classes or more it is 0: such a window always looks a little like some of the
    others, and a group of 118 of 1,000 is seldom given its 0.118.

    >>> chance_of("logits", 4), chance_of("logits", 1000), chance_of("independent logits", 4)
    (0.25, 0.0, 0.0)
    """
    return 1 / classes if are_exclusive(outputs) and classes < _MANY_CLASSES else 0.0


def above_chance(probabilities: Scores, chance: float) -> Scores:
    """Probabilities corrected for chance: (p - chance) / (1 - chance), at least 0; NaN stays NaN.

    A softmax over K classes gives each 1/K in a window that shows none of them, and n/K to n
    classes together. As in Cohen's kappa, what is left says how much better than chance a class
    is (J. Cohen, "A Coefficient of Agreement for Nominal Scales", 1960).

    Args:
        probabilities: of any shape, 0..1.
        chance: 0..1. At 1 (all classes together) nothing is better than chance.

    >>> above_chance(np.float32([0.5, 0.75, 1]), 0.5).tolist()
    [0.0, 0.5, 1.0]
    """
    if chance >= 1:
        return np.asarray(probabilities * np.float32(0))
    better = (probabilities - np.float32(chance)) / np.float32(1 - chance)
    return np.asarray(np.maximum(better, np.float32(0)))
