"""Training: photos and their classes in, a checkpoint out that slides."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..classes import ClassList
from ..errors import ModelError, ResultError
from ..networks.adapt import AdaptOptions, adapt
from ..networks.adapted import Adapted
from ..networks.checkpoint import check_named, check_target, save_checkpoint
from ..networks.classifier import Classifier
from ..networks.load import load_original
from ..networks.registry import DEFAULT_MODEL
from ..networks.state_dict import digest_of_weights
from ..progress import Reporter
from .examples import Examples, boxed_examples, folder_examples
from .fit import Epoch, Fit, Schedule, Task
from .work_folder import WorkFolder, work_folder


class TrainingReporter(Reporter):
    """Is told how training goes; does nothing by itself. What it advances by are views."""

    def begins(self, examples: Examples, classifier: Classifier) -> None:
        """Before the first view is made."""

    def resumed(self, epochs: int) -> None:
        """So many epochs were done already."""

    def epoch(self, epoch: Epoch, best: bool) -> None:
        """One more epoch is done, and saved."""


@dataclass(frozen=True)
class Trained:
    """What training gave: the classifier, its checkpoint, and each epoch."""

    classifier: Classifier
    path: Path
    examples: Examples
    history: tuple[Epoch, ...]
    best: Epoch


def train(
    folder: str | Path,
    output: str | Path,
    model: str | Path | nn.Module | Classifier = DEFAULT_MODEL,
    *,
    boxes: str | Path | None = None,
    schedule: Schedule | None = None,
    resume: bool = False,
    reporter: TrainingReporter | None = None,
    options: AdaptOptions | None = None,
) -> Trained:
    """Train a network on photos of one's own; the checkpoint is for `heatmap run -m`.

    What is frozen is computed once for every view of every example; only the rest is
    trained, with AdamW on cross-entropy, each class with the same weight. The parameters
    of the epoch with the smallest validation loss are kept. With one seed, and as many
    threads, the checkpoint has the same bits, interrupted and resumed or not.

    Args:
        folder: a folder a class (examples.folder_examples), or with ``boxes`` whole
            photos (examples.boxed_examples), whose rest makes the class "background".
        output: checkpoint to write, x.safetensors. While training goes on its state lies
            in the folder x.training beside it.
        model: a network to adapt to these classes; or one that was adapted to just these,
            whose training goes on.
        schedule: how to train.
        resume: go on from the last whole epoch of a training that was interrupted.
        options: of :func:`heatmap.adapt`, but for the classes and the seed.

    Raises:
        PhotoError, ResultError: photos or boxes that cannot be used, or files in the way.
        ModelError: a network, option or state that cannot be used.
    """
    schedule, reporter, target = (
        schedule or Schedule(),
        reporter or TrainingReporter(),
        Path(output),
    )
    check_target(target)
    split = {"validation_split": schedule.validation_split, "seed": schedule.seed}
    examples = (
        folder_examples(folder, without=work_folder(target), **split)  # type: ignore[arg-type]
        if boxes is None
        else boxed_examples(folder, boxes, **split)  # type: ignore[arg-type]
    )
    classifier = _classifier(model, examples, schedule, options or AdaptOptions())
    work = WorkFolder.opened(target, _settings(examples, classifier, schedule), resume)
    reporter.begins(examples, classifier)
    module = classifier.module
    assert isinstance(module, Adapted)
    frozen, learner = module.split()
    store = work.store(examples, schedule, classifier.preprocessing, frozen, reporter.advance)
    # The caller may have turned gradients off.
    with torch.inference_mode(False), torch.enable_grad():
        fit = Fit(learner, _task(store, examples, classifier, frozen), schedule)
        _run(fit, work, reporter)
    trained = replace(
        classifier,
        weights=f"{classifier.weights}; trained on {Path(folder).resolve().name}",
        weights_digest=digest_of_weights(module.state_dict()),
    )
    save_checkpoint(trained, target, training=_record(fit, examples))
    work.clear()
    return Trained(trained, target, examples, tuple(fit.history), fit.history[fit.best_epoch - 1])


def _classifier(
    model: str | Path | nn.Module | Classifier,
    examples: Examples,
    schedule: Schedule,
    options: AdaptOptions,
) -> Classifier:
    weights, window = options.get("weights", "default"), options.get("window")
    loaded = load_original(model, weights, window)
    check_named(loaded)
    if loaded.adaptation is None:
        rest: AdaptOptions = {**options}
        rest.pop("weights", None)
        return adapt(loaded, class_names=examples.classes, seed=schedule.seed, **rest)
    if loaded.classes.names == ClassList.numbered(len(examples.classes)).names:
        # Adapted to so many classes, which had no names yet.
        loaded = replace(loaded, classes=ClassList(examples.classes))
    if loaded.classes.names != examples.classes:
        raise ModelError(
            f"{loaded.name} tells {', '.join(loaded.classes.names)}; the photos show "
            f"{', '.join(examples.classes)}: train {loaded.architecture} on them"
        )
    if set(options) - {"weights"}:
        raise ModelError(f"{loaded.name} is adapted already: leave {', '.join(options)} out")
    # Training must not change the caller's.
    return replace(loaded, module=copy.deepcopy(loaded.module))


def _settings(examples: Examples, classifier: Classifier, schedule: Schedule) -> str:
    """Digest of all that decides what training gives, threads and machine aside."""
    whole = hashlib.sha256(classifier.weights_digest.encode())
    known = (
        asdict(schedule),
        asdict(classifier.preprocessing),
        classifier.adaptation and asdict(classifier.adaptation),
        examples.classes,
        [asdict(one) for one in (*examples.training, *examples.validation)],
    )
    whole.update(json.dumps(known).encode())
    for photo in sorted({one.photo for one in (*examples.training, *examples.validation)}):
        try:
            whole.update((examples.folder / photo).read_bytes())
        except OSError as error:
            raise ResultError(f"{examples.folder / photo}: cannot be read: {error}") from error
    return whole.hexdigest()


def _task(
    store: npt.NDArray[np.generic], examples: Examples, classifier: Classifier, frozen: object
) -> Task:
    def rows(places: npt.NDArray[np.int64]) -> Tensor:
        read = np.ascontiguousarray(store[places])
        return classifier.preprocessing.tensor(read) if frozen is None else torch.from_numpy(read)

    labels = np.array([one.label for one in examples.training])
    counts = np.bincount(labels, minlength=len(examples.classes))
    # Each class weighs the same, however many examples it has.
    weights = len(labels) / (len(counts) * np.maximum(counts, 1))
    return Task(
        rows,
        labels,
        np.array([one.label for one in examples.validation], np.int64),
        torch.from_numpy(weights.astype(np.float32)),
    )


def _run(fit: Fit, work: WorkFolder, reporter: TrainingReporter) -> None:
    if work.state.exists():
        fit.load(work.state)
        reporter.resumed(len(fit.history))
    for epoch in fit.epochs():
        fit.save(work.state)
        reporter.epoch(epoch, fit.best_epoch == epoch.number)
    fit.take_best()


def _record(fit: Fit, examples: Examples) -> dict[str, object]:
    """What the checkpoint says of its training: nothing that differs from run to run."""
    return {
        "schedule": asdict(fit.schedule),
        "examples": {name: list(both) for name, both in examples.counts().items()},
        "best_epoch": fit.best_epoch,
        "history": [asdict(epoch) for epoch in fit.history],
    }
