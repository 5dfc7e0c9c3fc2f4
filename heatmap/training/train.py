"""Train a network on your own photos, and save it as a checkpoint."""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Unpack, cast

import torch

from ..classes import BACKGROUND, ClassList
from ..contents import read_bytes
from ..errors import ModelError, ResultError, Use
from ..files import of_bytes, write_all
from ..grid.outputs import outputs_of_head
from ..keywords import among, check_keywords
from ..localization.auto_scales import ScaleRule, rule_of_examples
from ..networks.adapt import AdaptOptions, adapt
from ..networks.adapted import Adapted
from ..networks.checkpoint import check_named, check_target, checkpoint_files
from ..networks.classifier import Classifier
from ..networks.load import Model, load_original
from ..networks.model_names import DEFAULT_MODEL
from ..networks.resolve import Source
from ..networks.state_dict import digest_of_weights
from ..ownership import Ownership
from ..photo.photo_file import upright_hw
from ..photo.reading import Reading, ReadingOptions
from ..progress import Progress, Reporter, reporting
from ..scoring.prepare import prepare
from .box_fit import fit_boxes
from .examples import Examples, boxed_examples, folder_examples
from .few_photos import from_zero, initial, is_refitted, refit, with_known, with_patience
from .fit import Fit, Schedule, ScheduleOptions
from .trained import Trained, page_path
from .training_page import training_page
from .training_reporter import TrainingReporter, training_reporter
from .validation import validated
from .view_store import ViewStore
from .work_folder import WorkFolder, work_folder


class TrainOptions(AdaptOptions, ScheduleOptions, ReadingOptions, total=False):
    """The options of :func:`train`; None is as not given.

    Attributes:
        weights, weights_key, architecture, window, head, levels, fc6, freeze, average, softmax:
            the network to train, as of :class:`heatmap.AdaptOptions`.
        epochs: maximum number of passes over the examples, by default 40.
        batch: batch size, by default 32.
        rate, decay: learning rate, 0.001, and weight decay, 0.01, of AdamW.
        views: number of views of each example, 8: the plain one, and augmented ones.
        validation_split: share of the photos for validation, from 0 to below 1, by default 0.2.
        patience: number of epochs without a lower validation loss after which training stops, by
            default 8, or never where the validation split is too small to say.
        seed: random seed of augmentation, split and weights, 0.
        input_range, damaged, max_pixels: how photos are read, as of :class:`heatmap.Reading`.
    """


def train(
    folder: str | Path,
    output: str | Path = "trained.safetensors",
    model: Model = DEFAULT_MODEL,
    *,
    boxes: str | Path | None = None,
    background: str | Path | None = None,
    resume: bool = False,
    skip_broken: bool = False,
    overwrite: bool = False,
    progress: Progress = False,
    **options: Unpack[TrainOptions],
) -> Trained:
    """Train a network on your own photos, and write it as a checkpoint, and a page about it.

    >>> heatmap.train("photos", "mine.safetensors", epochs=20, freeze="none")  # doctest: +SKIP

    Frozen layers are computed once for each view; the others are trained with AdamW on
    cross-entropy, in which all classes have the same weight. The epoch with the lowest validation
    loss is kept; with few photos see :mod:`few_photos`. With ``boxes`` a box regression is fitted
    (:mod:`box_regression`). The same seed and number of threads give the same bits, resumed or not.

    Args:
        folder: one folder of photos for each class; or whole photos, with ``boxes``.
        output: checkpoint to write, x.safetensors; beside it x.json, x.html, meanwhile x.training.
        model: a network to adapt, or one already adapted to exactly these classes.
        boxes: COCO instances, or a JSON or CSV list; what lies beside is the class "background".
        background: photos of the class "background"; not with ``boxes``.
        resume: go on with an interrupted training after its last complete epoch.
        skip_broken: leave out photos that cannot be used; ``examples.broken`` lists them.
        overwrite: also replace files of these names that this tool did not write.
        progress: as in :func:`heatmap.score`; counts views, then epochs.
        options: any of :class:`heatmap.TrainOptions`, as ``heatmap train`` has them.

    Returns:
        The trained network, its files and epochs, and what it makes of the validation split.

    Raises:
        PhotoError: photos cannot be used (``skip_broken`` says why), or are too few.
        ResultError: the boxes cannot be read, or a file is in the way or cannot be written.
        ModelError: the network, an option or the saved state cannot be used.
    """
    check_keywords(train, options, TrainOptions)
    began, target = time.perf_counter(), Path(output)
    schedule, adapting = Schedule(**among(options, ScheduleOptions)), among(options, AdaptOptions)
    reading = Reading(**among(options, ReadingOptions))
    owner = _owner(target, (model, boxes, *adapting.values()), overwrite)
    with reporting(progress) as given:
        reporter = training_reporter(given, schedule.epochs)
        reporter.stage("reading")
        read: dict[str, Any] = {"skip_broken": skip_broken, "reading": reading}
        examples = _examples(Path(folder), boxes, background, target, schedule, **read)
        original = _original(model, cast(AdaptOptions, adapting))
        examples = with_known(examples, original)
        classifier = _classifier(original, examples, schedule, cast(AdaptOptions, adapting))
        work = WorkFolder.opened(target, _settings(examples, classifier, schedule), resume)
        fit, trained = _fitted(classifier, examples, schedule, work, reporter)
        outcome = _outcome(trained, target, examples, fit, began)
        _write(outcome, fit, owner, work)
        return outcome


def _fitted(
    classifier: Classifier,
    examples: Examples,
    schedule: Schedule,
    work: WorkFolder,
    reporter: TrainingReporter,
) -> tuple[Fit, Classifier]:
    """The fit, and the classifier whose module was trained, with its box regression."""
    reporter.begins(examples, classifier)
    fit = _fit(classifier, examples, schedule, work, reporter)
    trained = _trained(classifier, examples)
    trained = _with_boxes(trained, examples, schedule.seed, reporter)
    reporter.stage("writing the page")
    return fit, trained


def _owner(target: Path, read: Iterable[object], overwrite: bool) -> Ownership:
    return check_target(target, beside=(page_path(target),), read=read, overwrite=overwrite)


def _outcome(
    classifier: Classifier, target: Path, examples: Examples, fit: Fit, began: float
) -> Trained:
    return Trained(
        classifier,
        target,
        examples,
        fit.schedule,
        tuple(fit.history),
        fit.history[fit.best_epoch - 1],
        tuple(fit.resumed_after),
        validated(examples, fit.best_logits),
        time.perf_counter() - began,
    )


def _write(outcome: Trained, fit: Fit, owner: Ownership, work: WorkFolder) -> None:
    """Write the checkpoint and its page, after which nothing is left to resume."""
    record = _record(fit, outcome)
    files = checkpoint_files(outcome.classifier, outcome.path, training=record)
    write_all({**files, outcome.page: of_bytes(training_page(outcome))}, owner)
    work.clear()


def _trained(classifier: Classifier, examples: Examples) -> Classifier:
    """The classifier, whose module was trained, with what is now true of it."""
    return replace(
        classifier,
        weights=f"{classifier.weights}; trained on {examples.folder.resolve().name}",
        weights_digest=digest_of_weights(classifier.module.state_dict()),
        # It was trained on cross-entropy, whatever its outputs meant before.
        outputs=outputs_of_head(len(classifier.classes), softmax=_ends_in_softmax(classifier)),
        scale_rule=_scale_rule(examples, classifier.preprocessing.window_px),
        # One of before would be of other features.
        box_regression=None,
    )


def _with_boxes(
    classifier: Classifier, examples: Examples, seed: int, reporter: Reporter
) -> Classifier:
    """The trained classifier with its box regression, where the examples have boxes."""
    if all(example.box is None for example in examples.training):
        return classifier
    reporter.stage("learning where boxes end")
    return replace(classifier, box_regression=fit_boxes(prepare(classifier), examples, seed=seed))


def _scale_rule(examples: Examples, window: int) -> ScaleRule:
    """The scales at which the objects that were shown fill a window."""
    objects = [
        example
        for example in (*examples.training, *examples.validation)
        if examples.classes[example.label] != BACKGROUND
    ]
    sides = [
        min(upright_hw(examples.folder / one.photo))
        if one.xyxy is None
        else one.xyxy[2] - one.xyxy[0]
        for one in objects
    ]
    return rule_of_examples(sides, window, whole_photos=objects[0].xyxy is None)


def _ends_in_softmax(classifier: Classifier) -> bool:
    return classifier.adaptation is not None and classifier.adaptation.softmax


def _examples(
    folder: Path,
    boxes: str | Path | None,
    background: str | Path | None,
    target: Path,
    schedule: Schedule,
    **common: Any,
) -> Examples:
    common |= {"validation_split": schedule.validation_split, "seed": schedule.seed}
    if boxes is None:
        return folder_examples(folder, without=work_folder(target), background=background, **common)
    if background is not None:
        raise ModelError(
            "what lies beside the boxes is the background",
            Use("background", text="leave {} out"),
            Use("boxes", text="or {}"),
        )
    return boxed_examples(folder, boxes, **common)


def _original(model: Model, options: AdaptOptions) -> Classifier:
    """The network to adapt, or one that is adapted already."""
    source = Source(
        options.get("weights", "default"), options.get("weights_key"), options.get("architecture")
    )
    loaded = load_original(model, source, options.get("window"))
    check_named(loaded)
    return loaded


def _classifier(
    loaded: Classifier, examples: Examples, schedule: Schedule, options: AdaptOptions
) -> Classifier:
    """The network to train, adapted to the classes of the examples."""
    rest: AdaptOptions = {**options}
    rest.pop("weights", None)
    rest.pop("weights_key", None)
    rest.pop("architecture", None)
    if loaded.adaptation is None:
        adapted = adapt(loaded, class_names=examples.classes, seed=schedule.seed, **rest)
        return from_zero(adapted) if is_refitted(adapted, examples) else adapted
    if loaded.classes.names == ClassList.numbered(len(examples.classes)).names:
        # Adapted to this number of classes, without names yet.
        loaded = replace(loaded, classes=ClassList(examples.classes))
    if loaded.classes.names != examples.classes:
        raise ModelError(
            f"{loaded.name} has the classes {', '.join(loaded.classes.names)}; the photos show "
            f"{', '.join(examples.classes)}: train {loaded.architecture} on them"
        )
    excess = list(rest)
    if excess:
        text = "leave {} out" if len(excess) == 1 else "leave out {} and the other head options"
        raise ModelError(f"{loaded.name} is adapted already", Use(excess[0], text=text))
    # Training must not change the caller's module.
    return replace(loaded, module=copy.deepcopy(loaded.module))


def _settings(examples: Examples, classifier: Classifier, schedule: Schedule) -> str:
    """Digest of everything that determines the result, except threads and machine."""
    everything = hashlib.sha256(classifier.weights_digest.encode())
    regions = (*examples.training, *examples.validation)
    described = (
        asdict(schedule),
        asdict(examples.reading),
        asdict(classifier.preprocessing),
        classifier.adaptation and asdict(classifier.adaptation),
        is_refitted(classifier, examples),
        examples.classes,
        [asdict(example) for example in regions],
    )
    everything.update(json.dumps(described).encode())
    for photo in sorted({example.photo for example in regions}):
        everything.update(read_bytes(examples.folder / photo, ResultError))
    return everything.hexdigest()


def _fit(
    classifier: Classifier,
    examples: Examples,
    schedule: Schedule,
    work: WorkFolder,
    reporter: TrainingReporter,
) -> Fit:
    """Train the module of ``classifier``; it ends with the parameters of the best epoch."""
    module = classifier.module
    assert isinstance(module, Adapted)
    frozen, learner = module.split()
    refitted = is_refitted(classifier, examples)
    store = ViewStore(examples, schedule, classifier.preprocessing, frozen, refitted)
    labelled = store.labelled(work.views, reporter.advance)
    # The caller may have turned gradients off.
    with torch.inference_mode(False), torch.enable_grad():
        fit = Fit(learner, labelled, with_patience(schedule, refitted=refitted))
        start = initial(fit) if refitted else {}
        if work.state.exists():
            fit.load(work.state)
            reporter.resumed(len(fit.history))
        for epoch in fit.epochs():
            fit.save(work.state)
            reporter.epoch(epoch, fit.chooses and fit.best_epoch == epoch.number)
        if refitted:
            reporter.stage("training again, on all examples")
            refit(fit, start)
        else:
            fit.take_best()
    return fit


def _record(fit: Fit, outcome: Trained) -> dict[str, object]:
    """The record of the training in the checkpoint, without anything that differs between runs."""
    examples = outcome.examples
    return {
        "schedule": asdict(fit.schedule),
        "refitted": outcome.refitted,
        "examples": {name: list(both) for name, both in examples.counts().items()},
        **({"left_out": [each.file for each in examples.broken]} if examples.broken else {}),
        "best_epoch": fit.best_epoch,
        "history": [
            {name: value for name, value in asdict(epoch).items() if name != "seconds"}
            for epoch in fit.history
        ],
    }
