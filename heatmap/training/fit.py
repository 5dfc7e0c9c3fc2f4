"""Fit a network to examples: epochs, early stopping, and a state to resume from."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ModelError, ResultError, reason_of
from ..files import writing
from ..networks.state_dict import StateDict
from ..ownership import ANY
from .labelled_rows import LabelledRows

# The name of the validation logits in a saved state; those of parameters begin otherwise.
_BEST_LOGITS = "validation.best"


class ScheduleOptions(TypedDict, total=False):
    """The hyperparameters of a training: the attributes of :class:`Schedule`."""

    epochs: int
    batch: int
    rate: float
    decay: float
    views: int
    validation_split: float
    patience: int | None
    seed: int


@dataclass(frozen=True)
class Schedule:
    """The hyperparameters of a training.

    Attributes:
        epochs: maximum number of passes over the examples, 1 or more.
        batch: batch size, 1 or more.
        rate: learning rate of AdamW (Loshchilov and Hutter, arXiv 1711.05101), above 0 and
            below 100.
        decay: weight decay of AdamW, from 0 to below 100.
        views: number of views of each example, 1 or more: the plain one, and augmented ones.
            Each epoch uses one random view of each example.
        validation_split: share of the photos for validation, from 0 to below 1.
        patience: number of epochs without a lower validation loss after which training stops,
            1 or more. None is 8, or never where the validation split is too small to say
            (:mod:`few_photos`).
        seed: random seed, from 0 to below 2^63.

    Raises:
        ModelError: a value out of range.

    >>> Schedule(epochs=5).rate
    0.001
    """

    epochs: int = 40
    batch: int = 32
    rate: float = 1e-3
    decay: float = 1e-2
    views: int = 8
    validation_split: float = 0.2
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "views", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ModelError(f"{name} is {value}: give 1 or more")
        if not 0 < self.rate < 100:
            raise ModelError(f"rate is {self.rate:g}: give one above 0 and below 100")
        if not 0 <= self.decay < 100:
            raise ModelError(f"decay is {self.decay:g}: give one from 0 to below 100")
        if not 0 <= self.seed < 2**63:
            raise ModelError(f"seed is {self.seed}: give a whole number from 0 to below 2^63")


@dataclass(frozen=True)
class Epoch:
    """The results of one epoch.

    Attributes:
        number: number of the epoch, from 1.
        loss: mean cross-entropy (natural logarithm) on the training examples, weighted by class.
            This and the accuracy are of the batches that were trained on: of augmented views, with
            dropout, and while the parameters changed.
        accuracy: share of training examples classified correctly, 0..1.
        validation_loss, validation_accuracy: the same on the plain views of the validation split
            after the epoch; None without one.
        rate: the learning rate.
        seconds: how long it took; epochs that differ in nothing else are equal.
    """

    number: int
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    rate: float
    seconds: float = field(compare=False)


@dataclass
class Fit:
    """A training in progress.

    Attributes:
        module: the module to train, from the rows that ``examples`` reads to logits (B, K).
        examples: the training data.
        schedule: the hyperparameters; without ``patience`` all epochs are run, and the last one
            is the best.
        history: the epochs done.
        best: the parameters of the best epoch so far, by name.
        best_epoch: its number; 0 before the first.
        best_logits: what the module gave for the validation split after it, float32 (V, K).
        resumed_after: after how many epochs the training was interrupted and resumed.
    """

    module: nn.Module
    examples: LabelledRows
    schedule: Schedule
    history: list[Epoch] = field(default_factory=list)
    best: StateDict = field(default_factory=dict)
    best_epoch: int = 0
    best_logits: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    resumed_after: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.parameters = {
            name: parameter
            for name, parameter in self.module.named_parameters()
            if parameter.requires_grad
        }
        if not self.parameters:
            raise ModelError("every layer is frozen: there is nothing to train")
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(), lr=self.schedule.rate, weight_decay=self.schedule.decay
        )

    @property
    def chooses(self) -> bool:
        """Whether the validation loss decides which epoch is the best."""
        return self.schedule.patience is not None and len(self.examples.validation_labels) > 0

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the validation loss has not fallen for too long."""
        done, patience = len(self.history), self.schedule.patience
        stalled = self.chooses and patience is not None and done - self.best_epoch >= patience
        return stalled or done >= self.schedule.epochs

    def epochs(self) -> Iterator[Epoch]:
        """Train epoch by epoch until finished; each epoch depends only on the saved state."""
        while not self.finished:
            number, began = len(self.history) + 1, time.perf_counter()
            # The caller's random state is not changed.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(_mixed(self.schedule.seed, number))
                loss, accuracy = self._train(number)
                logits = self._validation_logits()
            validation_loss, validation_accuracy = self._measured(logits)
            epoch = Epoch(
                number,
                loss,
                accuracy,
                validation_loss,
                validation_accuracy,
                self.optimizer.param_groups[0]["lr"],
                time.perf_counter() - began,
            )
            self._check_finite(epoch)
            self.history.append(epoch)
            if self._is_best(epoch):
                self.best_epoch, self.best_logits = number, logits
                self.best = {
                    name: parameter.detach().clone() for name, parameter in self.parameters.items()
                }
            yield epoch

    def _is_best(self, epoch: Epoch) -> bool:
        if not self.best_epoch or not self.chooses or epoch.validation_loss is None:
            return True
        earlier = self.history[self.best_epoch - 1].validation_loss
        return earlier is None or epoch.validation_loss < earlier

    def _train(self, number: int) -> tuple[float, float]:
        labels, rows = self.examples.train_labels, self.examples.train_rows
        drawn = np.random.default_rng([self.schedule.seed, number])
        order = drawn.permutation(len(labels))
        rows = rows[np.arange(len(labels)), drawn.integers(rows.shape[1], size=len(labels))]
        _dropout(self.module, active=True)
        loss_sum = right = 0.0
        for start in range(0, len(order), self.schedule.batch):
            batch = order[start : start + self.schedule.batch]
            wanted = torch.from_numpy(labels[batch])
            self.optimizer.zero_grad()
            logits = self.module(self.examples.read(rows[batch]))
            loss = self._loss(logits, wanted) / len(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            loss_sum += loss.item() * len(batch)
            right += (logits.argmax(1) == wanted).sum().item()
        _dropout(self.module, active=False)
        return loss_sum / len(labels), right / len(labels)

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The sum of cross-entropies, weighted by class.

        Not torch's weighted mean, in which the weights cancel out in batches of one class.
        """
        losses = functional.cross_entropy(logits, labels, reduction="none")
        return (losses * self.examples.class_weights[labels]).sum()

    def _check_finite(self, epoch: Epoch) -> None:
        losses = (epoch.loss, epoch.validation_loss or 0.0)
        finite = all(map(math.isfinite, losses))
        if not finite or not all(values.isfinite().all() for values in self.parameters.values()):
            raise ModelError(
                f"training diverged in epoch {epoch.number}: losses are {epoch.loss:g} and "
                f"{epoch.validation_loss}: give a rate below {self.schedule.rate:g}"
            )

    def _validation_logits(self) -> Tensor:
        """What the module gives for the validation split: (V, K), (0, 0) without one."""
        rows = self.examples.validation_rows[:, 0]
        # The batch size of training, since a trunk that is not frozen takes much memory.
        starts = range(0, len(rows), self.schedule.batch)
        with torch.no_grad():
            logits = [
                self.module(self.examples.read(rows[start : start + self.schedule.batch]))
                for start in starts
            ]
        return torch.cat(logits) if logits else torch.empty(0, 0)

    def _measured(self, logits: Tensor) -> tuple[float, float] | tuple[None, None]:
        """Loss and accuracy on the validation split; None without one."""
        if not len(logits):
            return None, None
        wanted = torch.from_numpy(self.examples.validation_labels)
        right = (logits.argmax(1) == wanted).sum().item()
        return self._loss(logits, wanted).item() / len(wanted), right / len(wanted)

    def save(self, path: Path) -> None:
        """Write the state needed to resume to one file, completely or not at all.

        Raises:
            ResultError: it cannot be written.
        """
        tensors: StateDict = {f"best.{name}": values for name, values in self.best.items()}
        tensors[_BEST_LOGITS] = self.best_logits
        for name, parameter in self.parameters.items():
            tensors[f"last.{name}"] = parameter.detach()
            for kind, value in self.optimizer.state[parameter].items():
                tensors[f"{kind}.{name}"] = torch.as_tensor(value)
        progress = {
            "best_epoch": self.best_epoch,
            "history": [asdict(epoch) for epoch in self.history],
            "resumed_after": self.resumed_after,
        }
        contiguous = {name: values.contiguous() for name, values in tensors.items()}
        with writing(path, ANY) as temporary:
            try:
                save_file(contiguous, temporary, metadata={"fit": json.dumps(progress)})
            except SafetensorError as error:
                raise ResultError(f"{path}: cannot be written: {reason_of(error)}") from error

    def load(self, path: Path) -> None:
        """Resume from a file that :meth:`save` wrote.

        Raises:
            ModelError: the file is damaged, or belongs to another network.
        """
        try:
            with safe_open(path, framework="pt") as opened:
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
                progress = json.loads(opened.metadata()["fit"])
            self._restore(tensors, progress)
        # Damaged files raise many kinds of exceptions.
        except Exception as error:
            raise ModelError(
                f"{path}: cannot be resumed from: {reason_of(error)}: remove it to start again"
            ) from error

    def _restore(self, tensors: StateDict, progress: Mapping[str, Any]) -> None:
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors[f"last.{name}"])
                self.optimizer.state[parameter] = {
                    kind: tensors[f"{kind}.{name}"] for kind in ("step", "exp_avg", "exp_avg_sq")
                }
        self.best = {name: tensors[f"best.{name}"] for name in self.parameters}
        self.best_logits = tensors[_BEST_LOGITS]
        self.best_epoch = progress["best_epoch"]
        self.history = [Epoch(**epoch) for epoch in progress["history"]]
        self.resumed_after = [*progress["resumed_after"], len(self.history)]

    def take_best(self) -> None:
        """Load the parameters of the best epoch into the module."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(self.best[name])


def _mixed(seed: int, number: int) -> int:
    """A seed for torch made from a seed and an epoch number."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> 1)


def _dropout(module: nn.Module, *, active: bool) -> None:
    """Switch dropout on or off; BatchNorm always keeps its statistics."""
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.train(active)
