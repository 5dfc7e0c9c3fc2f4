"""Settings given by the user that replace those that come with a network."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..choices import Activation
from ..class_groups import read_groups
from ..classes import ClassList
from ..errors import ModelError, Use
from ..prepared.preprocessing import ChannelOrder, PerChannel, Preprocessing
from .class_names import ClassNames, read_class_names


@dataclass(frozen=True)
class Overrides:
    """As :func:`heatmap.load_classifier` takes them; None where not given."""

    window: int | None = None
    mean: PerChannel | None = None
    std: PerChannel | None = None
    channel_order: ChannelOrder | None = None
    class_names: ClassNames | None = None
    groups: str | Path | None = None
    activation: Activation = "auto"

    def any(self) -> bool:
        others = [field.name for field in fields(self) if field.name != "activation"]
        return self.activation != "auto" or any(getattr(self, name) is not None for name in others)

    def preprocessing(self, base: Preprocessing) -> Preprocessing:
        """The preprocessing ``base`` with the user's settings."""
        if self.channel_order not in (None, base.channel_order):
            # Reverse mean and std too, so that each stays with its channel.
            base = replace(base, mean=base.mean[::-1], std=base.std[::-1])
        if self.channels == 1:
            base = base.in_grey()
        given: dict[str, Any] = {
            "window_px": self.window,
            "mean": self.mean,
            "std": self.std,
            "channel_order": self.channel_order,
        }
        return replace(base, **{key: value for key, value in given.items() if value is not None})

    @property
    def channels(self) -> int | None:
        """The channels that the mean or the standard deviation given is for; None: neither is."""
        given = self.mean if self.mean is not None else self.std
        return None if given is None else len(tuple(given))

    def for_channels(self, own: Preprocessing, channels: int, name: str) -> Preprocessing:
        """The preprocessing ``own`` for the channels that the network ``name`` takes.

        Raises:
            ModelError: mean and std were given for another number of channels.
        """
        if own.channels == channels:
            return own
        if self.channels is not None or channels != 1:
            raise ModelError(
                f"mean and std are for {own.channels} of the network's channels, {name} takes "
                f"{channels}",
                Use("mean", text="give one number each in {}"),
                Use("std", text="{}"),
            )
        return own.in_grey()

    def classes(self, base: ClassList | None, count: int, name: str) -> ClassList:
        """The ``count`` classes of the network ``name``, whose own names are ``base``."""
        classes = ClassList.numbered(count) if base is None else base
        if self.class_names is not None:
            classes = read_class_names(self.class_names)
        if len(classes) != count:
            raise ModelError(f"{name} has {count} classes, {len(classes)} class names were given")
        if self.groups is None:
            return classes
        return replace(classes, groups=read_groups(self.groups, classes))
