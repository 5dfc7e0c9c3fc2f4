"""Adapt a network to your own photos: another window, other classes, another head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypedDict, Unpack

import torch

from ..choices import Activation
from ..classes import ClassList
from ..errors import ModelError, Use
from ..grid.outputs import Outputs, outputs_of_head, with_activation
from ..keywords import among, check_keywords
from ..prepared.preprocessing import Preprocessing
from ..progress import Progress, reporting
from .adapted import LEVELS, HeadKind
from .checkpoint import check_target, save_checkpoint
from .class_names import ClassNames, new_classes
from .classifier import Classifier
from .load import Model, load_original
from .model_names import DEFAULT_MODEL
from .new_head import Fc6Start, assemble, empty_head, initialise, plan_head
from .resolve import Source
from .state_dict import digest_of_weights
from .trained_parts import TrainedParts, trained_parts


class AdaptOptions(TypedDict, total=False):
    """The network to adapt and its new head, as of :func:`heatmap.adapt`; None is as not given.

    Attributes:
        weights, weights_key, architecture: as in :func:`heatmap.load_classifier`.
        window: side of the new window, px; by default the network's own. If a network does not
            say its window, this is taken for it too.
        head: "fc", "pool" or "spp" (see adapted.py); by default "fc" for networks that flatten
            their feature map (VGG) and "pool" for those that average over it (ResNet).
        levels: sides of the grids that "spp" pools to, by default 4, 2 and 1.
        fc6: for a first fully connected layer of another size: "reinitialised" (the default), or
            "resampled" from the trained one so that it gives the same as "pool". The
            classification layer is never resampled.
        freeze: which layers training does not change: "trunk" (the default), "none", or the number
            of layers, counted from the photo.
        average: whether "fc" averages the scores of all windows for photos larger than the
            window (the default); otherwise such photos are refused.
        softmax: whether to end in a softmax.
    """

    weights: str | Path
    weights_key: str | None
    architecture: str | None
    window: int | None
    head: HeadKind | None
    levels: Sequence[int]
    fc6: Fc6Start
    freeze: str | int
    average: bool
    softmax: bool


@dataclass(frozen=True)
class _HeadOptions:
    """The options of the new head; see :func:`adapt`."""

    head: HeadKind | None = None
    levels: Sequence[int] = LEVELS
    fc6: Fc6Start = "reinitialised"
    freeze: str | int = "trunk"
    average: bool = True
    softmax: bool = False
    seed: int = 0
    activation: Activation = "auto"

    def __post_init__(self) -> None:
        object.__setattr__(self, "freeze", _freeze(self.freeze))


def adapt(
    model: Model = DEFAULT_MODEL,
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    num_classes: int | None = None,
    class_names: ClassNames | None = None,
    seed: int = 0,
    activation: Activation = "auto",
    progress: Progress = False,
    **options: Unpack[AdaptOptions],
) -> Classifier:
    """Give a network another window, other classes and, if wanted, another head.

    >>> heatmap.adapt("vgg16", window=400, num_classes=3, head="pool")  # doctest: +SKIP

    The trunk keeps its weights, and so do the layers after it whose shape is unchanged. The others
    are re-initialised (He et al., arXiv 1502.01852, eq. 10: normal with variance 2 / fan-in before
    a ReLU; 1 / fan-in for the classification layer; biases 0); the classification layer also
    whenever the classes are new. ``docs/how-it-works/fc-to-conv.md`` explains the heads.

    Args:
        model: as in :func:`heatmap.load_classifier`.
        output: also write a checkpoint, as :func:`heatmap.save_checkpoint`.
        overwrite: as of :func:`heatmap.save_checkpoint`.
        num_classes: number of classes of the new network.
        class_names: names of the new classes, or a text file with one per line. Without
            ``num_classes`` and ``class_names`` the network keeps its classes.
        seed: random seed of re-initialised weights.
        activation: what makes probabilities of the new network's outputs, as in
            :func:`heatmap.load_classifier`. "auto" is that of the original where its classes
            are kept, otherwise "softmax"; "none" where the network ends in one.
        progress: as in :func:`heatmap.score`; only stages and notes.
        options: any of :class:`heatmap.AdaptOptions`: ``weights``, ``window``, ``head``, ...

    Returns:
        The adapted classifier, with its frozen parameters not requiring gradients.

    Raises:
        ModelError: the network or head cannot be used, or a value is out of range.
        ConversionError: the network has no trunk that slides.
        ResultError: the checkpoint cannot be written.
    """
    check_keywords(adapt, options, AdaptOptions)
    given = among(options, AdaptOptions)
    if output is not None:
        read = (model, class_names, *given.values())
        check_target(Path(output), read=read, overwrite=overwrite)
    source = Source(*(given.pop(each.name, each.default) for each in fields(Source)))
    window = given.pop("window", None)
    with reporting(progress, "loading the network") as reporter, torch.inference_mode(False):
        original = load_original(model, source, window)
        new = new_classes(num_classes, class_names)
        head = _HeadOptions(**given, seed=seed, activation=activation)
        adapted = _adapted(original, window, new, head)
        reporter.notes(adapted.notes)
    if output is not None:
        save_checkpoint(adapted, output, overwrite=overwrite)
    return adapted


def _adapted(
    original: Classifier, window: int | None, new: ClassList | None, options: _HeadOptions
) -> Classifier:
    preprocessing = _preprocessing(original, window)
    own = original.preprocessing
    parts = trained_parts(original.module, own.window_px, original.name, own.channels)
    if new is None:
        _check_classes_kept(parts)
    classes = original.classes if new is None else new
    adaptation = replace(
        plan_head(parts, preprocessing.window_px, options.head, options.levels),
        average=options.average,
        softmax=options.softmax,
        freeze=options.freeze,
    )
    head = empty_head(parts, adaptation, len(classes))
    noise = torch.Generator().manual_seed(options.seed)
    changes = initialise(head, noise, options.fc6, keep_classes=new is None)
    module = assemble(parts, head, adaptation)
    described = f"{adaptation.head} head, {', '.join(changes) or 'all kept'}"
    return replace(
        original,
        module=module,
        preprocessing=preprocessing,
        classes=classes,
        weights=f"{original.weights}; adapted: {described}",
        weights_digest=digest_of_weights(module.state_dict()),
        adaptation=adaptation,
        outputs=_outputs(original, new, options),
    )


def _outputs(original: Classifier, new: ClassList | None, options: _HeadOptions) -> Outputs:
    """What the outputs of the adapted network mean."""
    count = len(original.classes if new is None else new)
    kept = new is None and not options.softmax
    outputs = original.outputs if kept else outputs_of_head(count, softmax=options.softmax)
    return with_activation(outputs, options.activation, count)


def _preprocessing(original: Classifier, window: int | None) -> Preprocessing:
    """The preprocessing of the original with another window."""
    if original.adaptation is not None:
        source = original.architecture or "the original"
        raise ModelError(f"{original.name} is adapted already: adapt {source}")
    return replace(original.preprocessing, window_px=window or original.preprocessing.window_px)


def _check_classes_kept(parts: TrainedParts) -> None:
    """Refuse to keep the classes if the end of the head cannot be part of a new one."""
    if parts.lost:
        raise ModelError(
            f"{parts.name} cannot keep its classes: it has {parts.lost}, no new head has",
            Use("num_classes", text="give {}"),
            Use("class_names", text="{}"),
        )


def _freeze(value: str | int) -> str | int:
    text = str(value)
    if text in ("trunk", "none"):
        return text
    if not text.isdecimal():
        raise ModelError(f"freeze is {value!r}: give trunk, none, or a number of layers")
    return int(text)
