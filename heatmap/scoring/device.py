"""Where and how exactly a network computes: device, number format, threads."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from ..choices import DEVICES, DTYPES, Device, Dtype
from ..errors import ModelError, Use, reason_of

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Compute:
    """A device and a number format that are there.

    Raises:
        ModelError: an unknown name, or a device that this machine does not have.
    """

    device: Device = "cpu"
    dtype: Dtype = "float32"

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("device", self.device, DEVICES),
            ("dtype", self.dtype, DTYPES),
        ):
            if value not in choices:
                raise ModelError(f"{name} is {value!r}: choose one of {', '.join(choices)}")
        if not _AVAILABLE[self.device]():
            raise ModelError(f"device {self.device} is not available", Use("device", "cpu"))

    @property
    def is_plain(self) -> bool:
        return (self.device, self.dtype) == ("cpu", "float32")

    def tensor(self, photos: torch.Tensor) -> torch.Tensor:
        """Prepared photos where the network is, in its numbers."""
        return photos.to(self.device, getattr(torch, self.dtype))

    def moved(self, module: M) -> M:
        """The module itself on the CPU in float32, else a copy of it over there."""
        if self.is_plain:
            return module
        return copy.deepcopy(module).to(self.device, getattr(torch, self.dtype))

    def try_out(self, module: nn.Module, side_px: int) -> None:
        """Run one window, so that what cannot work here is refused before a photo is read.

        Raises:
            ModelError: an operation that does not exist in this format on this device.
        """
        if self.is_plain:
            return
        try:
            with torch.inference_mode():
                module(self.tensor(torch.zeros(1, 3, side_px, side_px)))
        except (RuntimeError, NotImplementedError) as error:
            raise ModelError(
                f"cannot compute in {self.dtype} on {self.device} ({reason_of(error)})",
                Use("dtype", "float32"),
            ) from error


_AVAILABLE: dict[str, Callable[[], bool]] = {
    "cpu": lambda: True,
    "cuda": torch.cuda.is_available,
    "mps": torch.backends.mps.is_available,
}


def thread_count() -> int:
    """How many threads torch computes with, in this process."""
    return torch.get_num_threads()


def use_threads(count: int) -> None:
    """Let torch compute with so many threads from now on, in this process."""
    torch.set_num_threads(count)
