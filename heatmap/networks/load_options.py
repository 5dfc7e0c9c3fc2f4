"""How a network is loaded: the keywords that functions share which take a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

from ..choices import Activation
from ..prepared.preprocessing import ChannelOrder, PerChannel


class LoadOptions(TypedDict, total=False):
    """How a network is loaded, as for :func:`heatmap.load_classifier`."""

    weights: str | Path
    weights_key: str | None
    architecture: str | None
    window: int | None
    mean: PerChannel | None
    std: PerChannel | None
    channel_order: ChannelOrder | None
    class_names: Any
    groups: str | Path | None
    activation: Activation
