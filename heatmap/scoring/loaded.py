"""A network in torch: the classifier, and what it was converted into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..choices import Engine
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


def loaded(classifier: Classifier, engine: Engine, compute: Compute) -> Loaded:
    """Convert a classifier, and try it out on the device.

    Raises:
        ModelError: an operation does not exist on the device in this format.
        ConversionError: the engine is "slide", and the network cannot slide.
    """
    window, channels = classifier.preprocessing.window_px, classifier.preprocessing.channels
    try:
        native = convert_usable(classifier.module, window, channels=channels, allow_inexact=True)
    except ConversionError as error:
        if engine == "slide":
            raise
        compute.try_out(compute.moved(classifier.module), window, channels)
        return Loaded(classifier, None, "crop", SlidingFacts("refused", error.message))
    networks = NetworkCache(classifier, native, compute)
    why_not = whole_input_reason(native.whole_input) if native.whole_input else ""
    sliding = SlidingFacts(native.sliding, why_not, native.native_stride_px)
    if engine == "crop" or (engine == "auto" and native.sliding == "inexact"):
        compute.try_out(compute.moved(classifier.module), window, channels)
        return Loaded(classifier, networks, "crop", sliding)
    compute.try_out(networks.windows(native.native_stride_px), window, channels)
    return Loaded(classifier, networks, "slide", sliding)
