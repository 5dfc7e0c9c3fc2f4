"""Weights as tensors by name: compared with a network, and loaded into it."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import nn

from ..errors import ModelError, Use

StateDict: TypeAlias = dict[str, torch.Tensor]

# Old files lack this counter; PyTorch accepts that too.
_OPTIONAL = "num_batches_tracked"
_POSITIONS = re.compile(r"pos_?emb|position|rel_pos|relative_")


def digest_of_weights(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over sorted names with dtypes, shapes and values: 64 hex digits.

    The memory layout does not matter. The 553 MB of VGG16 take 0.3 s.
    """
    total = hashlib.sha256()
    for name, values in sorted(state.items()):
        total.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        flat = values.detach().cpu().contiguous().reshape(-1)
        total.update(flat.view(torch.uint8).numpy().data)
    return total.hexdigest()


def fill(
    module: nn.Module,
    state: Mapping[str, torch.Tensor],
    source: str,
    name: str,
    *,
    assign: bool = False,
) -> None:
    """Copy weights into a network, all of them or none.

    Args:
        source, name: names of the weights and the network in error messages.
        assign: use the tensors themselves, for a network without memory ("meta").

    Raises:
        ModelError: the first tensor whose name or shape differs, how many do, and why they seem to.
    """
    own = module.state_dict()
    differing = list(_differences(own, state))
    if differing:
        why, ways = _why(own, state, differing)
        raise ModelError(
            f"{source} does not fit {name}: {_listed(differing)}; {len(differing)} of "
            f"{len(own.keys() | state.keys())} tensors differ: {why}",
            *ways,
        )
    versioned = OrderedDict(state)
    # Layer versions, which safetensors cannot hold and without which MNASNet refuses.
    versioned._metadata = getattr(own, "_metadata", {})  # type: ignore[attr-defined]
    module.load_state_dict(versioned, strict=False, assign=assign)


def class_count(module: nn.Module, state: Mapping[str, torch.Tensor]) -> int | None:
    """Number of classes in ``state`` if only that number differs from the network, else None."""
    own = module.state_dict()
    changed = {name for name in own if name in state and own[name].shape != state[name].shape}
    counts = {tuple(state[name].shape[:1]) for name in changed}
    alike = all(own[name].shape[1:] == state[name].shape[1:] for name in changed)
    return next(iter(counts))[0] if alike and len(counts) == 1 and () not in counts else None


@dataclass(frozen=True)
class _Difference:
    """A tensor that is not the same in network and weights; a shape is None where it is missing."""

    name: str
    own: torch.Size | None
    given: torch.Size | None

    def __str__(self) -> str:
        own, given = ("missing" if s is None else str(tuple(s)) for s in (self.own, self.given))
        return f"{self.name} is {own} in the network and {given} in the weights"


def _differences(
    own: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor]
) -> Iterator[_Difference]:
    """The tensors that differ, in the network's order, then those that only the weights have."""
    for name in dict.fromkeys((*own, *state)):
        if name not in state and name.endswith(_OPTIONAL):
            continue
        shapes = [held[name].shape if name in held else None for held in (own, state)]
        if shapes[0] != shapes[1]:
            yield _Difference(name, *shapes)


def _listed(differing: Sequence[_Difference]) -> str:
    """The first difference; where the weights lack it, also what they have instead."""
    first = differing[0]
    added = [difference for difference in differing if difference.own is None]
    instead = added[:1] if first.given is None else []
    return "; ".join(map(str, (first, *instead)))


def _why(
    own: Mapping[str, torch.Tensor],
    state: Mapping[str, torch.Tensor],
    differing: Sequence[_Difference],
) -> tuple[str, tuple[Use, ...]]:
    """Why weights seem not to fit, and what helps."""
    in_python = "build that network in a function of yours and give it as {}"
    ways = (Use("model", "package.module:factory", in_python),)
    others = [d for d in differing if not (_POSITIONS.search(d.name) and d.own and d.given)]
    if len(others) < len(differing) and (not others or _only_head(own, others)):
        return "their position embedding is of another window", ways
    if _only_head(own, differing):
        if any(difference.given for difference in differing):
            return "the head was replaced", ways
        return "they have no head, so no classes", ()
    prefix = _unknown_prefix(own, state)
    if prefix:
        key = prefix.removesuffix(".")
        return f"names would fit without {prefix!r}", (Use("weights_key", key),)
    return "name the network that the weights were trained in", ()


def _only_head(own: Mapping[str, torch.Tensor], differing: Sequence[_Difference]) -> bool:
    """Whether all that differs are the last layers, and most of the network is the same."""
    changed = {_layer(difference.name) for difference in differing if difference.name in own}
    added = [difference.name for difference in differing if difference.name not in own]
    same = [name for name in own if _layer(name) not in changed]
    if not changed or 2 * len(same) < len(own):
        return False
    last = list(own)[len(same) :]
    trunk = {name.partition(".")[0] for name in same}
    return {_layer(name) for name in last} == changed and all(
        name.startswith(tuple(f"{layer}." for layer in changed))
        or name.partition(".")[0] not in trunk
        for name in added
    )


def _layer(name: str) -> str:
    """The layer of a tensor: "fc" of "fc.weight"."""
    return name.rpartition(".")[0]


def _unknown_prefix(own: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor]) -> str:
    """The prefix without which most of the network's tensors are there, or ""."""
    prefixes = {f"{name.partition('.')[0]}." for name in state}
    hits = {prefix: sum(prefix + name in state for name in own) for prefix in sorted(prefixes)}
    best = max(hits, key=hits.__getitem__, default="")
    return best if 2 * hits.get(best, 0) > len(own) else ""
