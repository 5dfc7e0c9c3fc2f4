"""A classifier ready for use: the network, its preprocessing and its classes."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from ..prepared.facts import NetworkFacts
from .adapted import Adaptation


@dataclass(frozen=True)
class Classifier(NetworkFacts):
    """A network in eval mode, with everything needed for scoring.

    :func:`heatmap.load_classifier` makes one; any ``model`` parameter accepts it.

    Attributes:
        module: maps float32 photos (B, C, window, window) to scores (B, K).
        adaptation: how its head was replaced; None if it was not.
    """

    module: nn.Module = field(kw_only=True)
    adaptation: Adaptation | None = field(default=None, kw_only=True)
