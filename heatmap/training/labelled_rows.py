"""The examples of a training as rows of a store, each with its class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

# Reads inputs of the trainable part by row numbers of the store.
ReadRows: TypeAlias = Callable[[npt.NDArray[np.int64]], Tensor]


@dataclass(frozen=True)
class LabelledRows:
    """The training data, as rows of a store with labels.

    Attributes:
        read: reads rows of the store.
        train_rows: rows of the views of each training example, int64 (N, views).
        train_labels: their class indices, int64 (N,).
        validation_rows: the same of the validation examples, int64 (V, views or 1); the first
            view of each is the plain one.
        validation_labels: their class indices, int64 (V,).
        class_weights: weights of the classes in the loss, float32 (K,).
    """

    read: ReadRows
    train_rows: npt.NDArray[np.int64]
    train_labels: npt.NDArray[np.int64]
    validation_rows: npt.NDArray[np.int64]
    validation_labels: npt.NDArray[np.int64]
    class_weights: Tensor

    def together(self) -> LabelledRows:
        """All examples as training examples; there must be as many views of each."""
        labels = np.concatenate([self.train_labels, self.validation_labels])
        return LabelledRows(
            self.read,
            np.concatenate([self.train_rows, self.validation_rows]),
            labels,
            self.validation_rows[:0],
            self.validation_labels[:0],
            class_weights(labels, len(self.class_weights)),
        )


def class_weights(labels: npt.NDArray[np.int64], classes: int) -> Tensor:
    """Weights by which all classes have the same total weight, however many examples they have."""
    counts = np.bincount(labels, minlength=classes)
    weights = len(labels) / (classes * np.maximum(counts, 1))
    return torch.from_numpy(weights.astype(np.float32))
