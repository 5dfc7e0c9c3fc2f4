"""The device and number format that a network computes with."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ..choices import DEVICES, DTYPES, Device, Dtype
from ..errors import ModelError, Use, reason_of

if TYPE_CHECKING:
    from torch import Tensor, nn

M = TypeVar("M", bound="nn.Module")


@dataclass(frozen=True)
class Compute:
    """An available device, and a number format.

    Raises:
        ModelError: an unknown name, or a device that is not available.
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
        if not _is_available(self.device):
            raise ModelError(f"device {self.device} is not available", Use("device", "cpu"))

    @property
    def is_plain(self) -> bool:
        return (self.device, self.dtype) == ("cpu", "float32")

    def tensor(self, photos: Tensor) -> Tensor:
        """Preprocessed photos on the device, in the number format."""
        import torch

        return photos.to(self.device, getattr(torch, self.dtype))

    def moved(self, module: M) -> M:
        """The module itself for the CPU and float32, otherwise a converted copy on the device."""
        if self.is_plain:
            return module
        import torch

        return copy.deepcopy(module).to(self.device, getattr(torch, self.dtype))

    def try_out(self, module: nn.Module, side_px: int, channels: int = 3) -> None:
        """Run one window, to refuse unsupported operations before a photo is read.

        Raises:
            ModelError: an operation does not exist in this format on this device.
        """
        if self.is_plain:
            return
        import torch

        try:
            with torch.inference_mode():
                module(self.tensor(torch.zeros(1, channels, side_px, side_px)))
        except (RuntimeError, NotImplementedError) as error:
            raise ModelError(
                f"cannot compute in {self.dtype} on {self.device} ({reason_of(error)})",
                Use("dtype", "float32"),
            ) from error


def _is_available(device: Device) -> bool:
    if device == "cpu":
        return True
    import torch

    backend = torch.cuda if device == "cuda" else torch.backends.mps
    return bool(backend.is_available())
