"""Networks as people have them, made usable: float32, in eval mode, giving one tensor (B, K).

Loading and conversion both begin here, so that both take the same modules and refuse the others in
the same words. The caller's module is never changed.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..choices import CHANNELS
from ..errors import ModelError, reason_of

# Keys under which a dictionary holds the scores (Hugging Face, torchvision's segmentation).
SCORE_KEYS = ("logits", "out")


@dataclass(frozen=True)
class Usable:
    """A module that maps float32 photos (B, ``channels``, window, window) to scores (B, K).

    ``scores`` are those of a black window, (1, K).
    """

    module: nn.Module
    channels: int
    scores: Tensor


class OneOutput(nn.Module):
    """A network that gives its scores as part of something else: (B, C, H, W) -> (B, K).

    Its state dict is the network's own, so that checkpoints and digests are too.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, photos: Tensor) -> Any:
        return scores_in(self.network(photos))

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return self.network.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return self.network.load_state_dict(*args, **kwargs)


def usable(module: nn.Module, side: int, name: str) -> Usable:
    """Make a module usable, and find how many channels it takes and classes it gives.

    Args:
        module: any module; it is run on one black window. On the "meta" device too.
        side: side of its input, px.
        name: its name in error messages.

    Raises:
        ModelError: it is of a kind whose values cannot be read, does not take the window, takes
            neither 3 channels nor 1, or does not give one tensor (1, K).
    """
    _refuse_unreadable(module, name)
    module = _plain(module, name)
    channels, given = _first_output(module, side, name)
    scores = scores_in(given)
    if not isinstance(scores, Tensor) or scores.ndim != 2 or len(scores) != 1 or not scores.numel():
        raise _not_one_tensor(module, given, name)
    return Usable(module if scores is given else OneOutput(module), channels, scores)


def scores_in(given: Any) -> Any:
    """The scores in what a network gives.

    They are its ``.logits``, its key "logits" or "out", or the only element of a tuple; otherwise
    all of it.

    >>> scores_in({"features": 1, "logits": 2}), scores_in((3,)), scores_in((4, 5))
    (2, 3, (4, 5))
    """
    if isinstance(getattr(given, "logits", None), Tensor):
        return given.logits
    if isinstance(given, Mapping):
        return next((given[key] for key in SCORE_KEYS if key in given), given)
    return given[0] if isinstance(given, tuple | list) and len(given) == 1 else given


def copy_module(module: nn.Module, name: str) -> nn.Module:
    """A copy of a module that may be changed.

    Raises:
        ModelError: it cannot be copied.
    """
    try:
        return copy.deepcopy(module)
    # Custom hooks and layers may raise anything.
    except Exception as error:
        raise ModelError(
            f"{name} cannot be copied ({reason_of(error)}): call its eval() beforehand"
        ) from error


def is_script(module: nn.Module) -> bool:
    """Whether a module is TorchScript, which can be run but not read."""
    return isinstance(module, torch.jit.ScriptModule)


def _refuse_unreadable(module: nn.Module, name: str) -> None:
    """Refuse kinds of modules whose weights are not tensors, in one line each."""
    if is_script(module) and not hasattr(module, "training"):
        raise ModelError(
            f"{name} is frozen TorchScript, without weights: give the nn.Module it was made from"
        )
    for path, part in module.named_modules():
        if ".quantized" in type(part).__module__:
            raise ModelError(
                f"{name} is quantized ({path or 'itself'} is a {type(part).__name__}): give the "
                "network as it was before, and dtype instead"
            )


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def _plain(module: nn.Module, name: str) -> nn.Module:
    """The module, or a copy in eval mode and float32 where it trains or has another precision.

    Tensors made under ``torch.inference_mode()`` are copied too, since they cannot be recorded.
    """
    tensors = _tensors(module)
    trains = any(part.training for part in module.modules())
    another = any(t.is_floating_point() and t.dtype != torch.float32 for t in tensors)
    if trains or another or any(tensor.is_inference() for tensor in tensors):
        return copy_module(module, name).eval().float()
    return module


def _first_output(module: nn.Module, side: int, name: str) -> tuple[int, Any]:
    """How many channels a module takes, and what it gives for one black window."""
    refusals = []
    for channels in CHANNELS:
        try:
            return channels, _run(module, channels, side)
        # Code of libraries and users may raise anything.
        except Exception as error:
            refusals.append(error)
    _refuse_other_channels(module, side, name)
    raise ModelError(
        f"{name} does not take a window of {side} px: {reason_of(refusals[0])}"
    ) from refusals[0]


def _run(module: nn.Module, channels: int, side: int) -> Any:
    device = next((tensor.device for tensor in _tensors(module)), None)
    with torch.no_grad():
        return module(torch.zeros(1, channels, side, side, device=device))


def _refuse_other_channels(module: nn.Module, side: int, name: str) -> None:
    """Refuse a network that takes the number of channels that its first convolution has."""
    first = next((part for part in module.modules() if isinstance(part, nn.Conv2d)), None)
    if first is None or first.in_channels in CHANNELS:
        return
    try:
        _run(module, first.in_channels, side)
    except Exception:
        return
    raise ModelError(
        f"{name} takes {first.in_channels} channels, photos have 3, or 1 in grey: put a layer "
        f"before it that makes them, such as nn.Conv2d(3, {first.in_channels}, 1)"
    )


def _not_one_tensor(module: nn.Module, given: Any, name: str) -> ModelError:
    """The refusal, with the three lines of a wrapper that picks the scores."""
    told, pick = _told_and_picked(given)
    lines = (
        f"`class Scores({type(module).__name__}):`",
        "`def forward(self, photo):`",
        f"`return super().forward(photo){pick}`",
    )
    return ModelError(
        f"{name} gives {told} for one window, not one tensor (1, K): write {', '.join(lines)} and "
        "give Scores"
    )


def _told_and_picked(given: Any) -> tuple[str, str]:
    """What a network gives, in words, and the expression that would pick the scores from it."""
    if isinstance(given, Tensor):
        return str(tuple(given.shape)), {1: "[None]", 4: ".mean((2, 3))"}.get(given.ndim, "...")
    if isinstance(given, Mapping):
        told = f"a dictionary of {', '.join(map(str, given)) or 'nothing'}"
        return told, f"[{_first_scores(given)!r}]"
    if isinstance(given, tuple | list):
        told = f"a {type(given).__name__} of {len(given)}"
        return told, f"[{_first_scores(dict(enumerate(given)))}]"
    return type(given).__name__, f".{_first_scores(getattr(given, '__dict__', {}), 'scores')}"


def _first_scores(parts: Mapping[Any, Any], nothing: Any = 0) -> Any:
    """The key of the first part that looks like scores (1, K), or of the first part."""
    for key, part in parts.items():
        if isinstance(part, Tensor) and part.ndim == 2 and len(part) == 1:
            return key
    return next(iter(parts), nothing)
