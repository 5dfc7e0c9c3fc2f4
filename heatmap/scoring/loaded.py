"""A network in torch: the classifier, and what it was converted into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..choices import Engine, Statistics
from ..conversion.convert import convert_usable, whole_input_reason
from ..errors import ConversionError
from ..networks.classifier import Classifier
from ..prepared.facts import SlidingFacts
from .device import Compute
from .network_cache import NetworkCache


@dataclass(frozen=True)
class Loaded:
    """A classifier, ready to score in torch.

    Attributes:
        classifier: the original, unconverted classifier.
        networks: its converted forms by stride, made on demand; None where it cannot slide.
        engine: how it scores: "slide" or "crop".
        slides: how it slides.
    """

    classifier: Classifier
    networks: NetworkCache | None
    engine: Literal["slide", "crop"]
    slides: SlidingFacts


def loaded(
    classifier: Classifier, engine: Engine, statistics: Statistics | None, compute: Compute
) -> Loaded:
    """Convert a classifier, and try it out on the device.

    Raises:
        ModelError: an operation does not exist on the device in this format.
        ConversionError: the engine is "slide", or statistics are asked for, and the network cannot
            slide so.
    """
    window, channels = classifier.preprocessing.window_px, classifier.preprocessing.channels
    try:
        native = convert_usable(
            classifier.module, window, channels=channels, statistics=statistics or "whole"
        )
    except ConversionError as error:
        if engine == "slide" or statistics is not None:
            raise
        compute.try_out(compute.moved(classifier.module), window, channels)
        return Loaded(classifier, None, "crop", SlidingFacts("refused", error.message))
    networks = NetworkCache(classifier, native, compute)
    why_not = whole_input_reason(native.whole_input) if native.whole_input else ""
    if native.statistics == "local":
        why_not = f"statistics of {why_not} are taken over a window around each position"
    sliding = SlidingFacts(
        native.sliding, why_not, native.native_stride_px, statistics=native.statistics
    )
    inexact = native.sliding == "inexact" and statistics is None
    if engine == "crop" or (engine == "auto" and inexact):
        compute.try_out(compute.moved(classifier.module), window, channels)
        return Loaded(classifier, networks, "crop", sliding)
    compute.try_out(networks.windows(native.native_stride_px), window, channels)
    return Loaded(classifier, networks, "slide", sliding)
