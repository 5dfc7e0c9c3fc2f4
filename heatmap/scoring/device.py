"""The device and number format that a network computes with."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ..choices import DEVICES, DTYPES, Device, Dtype
from ..errors import ModelError, Use, reason_of
from ..held import Held
from ..memory import MEMORY_SHARE, free_memory

if TYPE_CHECKING:
    from torch import Tensor, nn

M = TypeVar("M", bound="nn.Module")
B = TypeVar("B")

_NUMBERED = re.compile(r"cuda:\d+")
# The formats that torch's autocast takes.
_HALF = ("bfloat16", "float16")


@dataclass(frozen=True)
class Compute:
    """An available device, and a number format.

    Weights are in float32 whatever the format. In bfloat16 and float16 torch computes what
    gains by it in that format (convolutions, matrix products) and sums that need the digits
    (norms, softmax) in float32 (``torch.autocast``). "tf32" rounds what goes into matrix products
    and convolutions to 10 bits, on GPUs of NVIDIA; in "float32" that is off, whatever torch's own
    setting.

    Raises:
        ModelError: an unknown name, or a device or format that is not available.
    """

    device: Device = "cpu"
    dtype: Dtype = "float32"

    def __post_init__(self) -> None:
        known = self.device in DEVICES or _NUMBERED.fullmatch(str(self.device))
        if not known:
            raise ModelError(
                f"device is {self.device!r}: choose one of {', '.join(DEVICES)}, cuda:N"
            )
        if self.dtype not in DTYPES:
            raise ModelError(f"dtype is {self.dtype!r}: choose one of {', '.join(DTYPES)}")
        if self.dtype == "tf32" and self.kind != "cuda":
            raise ModelError(
                f"tf32 is a format of CUDA devices, not of {self.device}", Use("dtype", "float32")
            )
        if not _is_available(self.device):
            raise ModelError(f"device {self.device} is not available", Use("device", "cpu"))

    @property
    def kind(self) -> str:
        """The device without its number."""
        return self.device.partition(":")[0]

    @property
    def is_plain(self) -> bool:
        return (self.device, self.dtype) == ("cpu", "float32")

    @property
    def free_memory(self) -> int:
        """Bytes that activations may take where no limit is given: half of what is free."""
        return _free_on(self.device) if self.kind == "cuda" else free_memory()

    def tensor(self, photos: Tensor) -> Tensor:
        """Preprocessed photos on the device."""
        return photos.to(self.device)

    def moved(self, module: M) -> M:
        """The module itself for the CPU, otherwise a copy on the device."""
        return module if self.device == "cpu" else copy.deepcopy(module).to(self.device)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Compute in this format within the block.

        Raises:
            ModelError: the device runs out of memory.
        """
        if self.is_plain:
            yield
            return
        import torch

        half = getattr(torch, self.dtype) if self.dtype in _HALF else None
        format_ = nullcontext() if half is None else torch.autocast(self.kind, half)
        try:
            with format_, _tf32(self.dtype == "tf32", on=self.kind == "cuda"):
                yield
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            raise ModelError(
                f"device {self.device} ran out of memory{_free_words(self)}",
                Use("memory", text="set a lower {}"),
                Use("device", "cpu"),
            ) from error

    def each(self, blocks: Iterator[B]) -> Iterator[B]:
        """What an iterator gives, each computed in this format; the format ends in between."""
        while True:
            with self.running():
                block = next(blocks, None)
            if block is None:
                return
            yield block

    def try_out(self, module: nn.Module, side_px: int, channels: int = 3) -> None:
        """Run one window, to refuse unsupported operations before a photo is read.

        Raises:
            ModelError: an operation does not exist in this format on this device.
        """
        if self.is_plain:
            return
        import torch

        try:
            with torch.inference_mode(), self.running():
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

    if device == "mps":
        return bool(torch.backends.mps.is_available())
    number = int(device.partition(":")[2] or 0)
    return bool(torch.cuda.is_available()) and number < torch.cuda.device_count()


def _free_on(device: Device) -> int:
    """Half of the bytes that this process may still have on a CUDA device."""
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    # What torch holds without using it.
    spare = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int((free + spare) * MEMORY_SHARE)


def _is_out_of_memory(error: RuntimeError) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error)


def _free_words(compute: Compute) -> str:
    """How much of a CUDA device is free, for an error message."""
    if compute.kind != "cuda":
        return ""
    import torch

    free, total = torch.cuda.mem_get_info(compute.device)
    return f" ({free / 1e9:.1f} of {total / 1e9:.1f} GB are free)"


def _tf32_switches() -> tuple[Any, Any]:
    import torch

    return torch.backends.cuda.matmul, torch.backends.cudnn


def _tf32_now() -> tuple[bool, ...]:
    return tuple(switch.allow_tf32 for switch in _tf32_switches())


def _set_tf32(values: tuple[bool, ...]) -> None:
    for switch, value in zip(_tf32_switches(), values, strict=True):
        switch.allow_tf32 = value


# They are of the whole process.
_switching = Held(_tf32_now, _set_tf32)


@contextmanager
def _tf32(wanted: bool, *, on: bool) -> Iterator[None]:
    """Set torch's switches for TF32 within the block, where the device has any."""
    if not on:
        yield
        return
    with _switching.held():
        _set_tf32((wanted, wanted))
        yield
