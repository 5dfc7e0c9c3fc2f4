"""Names of weights, made those of a network: training scripts put prefixes before them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, takewhile

from ..errors import some_of
from .state_dict import StateDict
from .weights_file import is_averaged

# DataParallel and torch.compile, and what scripts call a network that is part of another module.
_KNOWN = ("module", "_orig_mod", "model", "net", "backbone", "network")
# Both of them around single parts: "backbone._orig_mod.conv.weight".
_WITHIN = re.compile(r"(?<=\.)(?:_orig_mod|module)\.")
# Beside the weights: the counter of torch.optim.swa_utils.AveragedModel, and the loss.
_NOT_OF_NETWORKS = re.compile(r"n_averaged$|criterion\.")
# How many names a note lists.
_LISTED = 3


@dataclass(frozen=True)
class Fitted:
    """Weights under the names of a network, as far as known prefixes are the difference.

    Attributes:
        state: the weights.
        off: the prefix that was taken off their names, or "".
        notes: what was taken off, put before, or left out.
    """

    state: StateDict
    off: str
    notes: tuple[str, ...]


def fitted(state: StateDict, own: Collection[str]) -> Fitted:
    """Take known prefixes off the names of weights, where that makes them the network's.

    The network's own names decide, since they may begin with "model." or "backbone." too. A
    prefix that all of its names have and the weights lack is put before. Of averaged weights
    ("ema_model.fc.bias") and raw ones the averaged are taken.

    Args:
        state: weights by the names in a file.
        own: the names of the network's tensors.
    """
    off, on = _prefixes(state, set(own))
    renamed = {name: _renamed(name, off, on, own) for name in state}
    left_out = {
        name
        for name, new in renamed.items()
        if new not in own and _NOT_OF_NETWORKS.match(_bare(name))
    } | _raw(state, off)
    kept = {renamed[name]: values for name, values in state.items() if name not in left_out}
    notes = list(_notes(off, on, sorted(left_out)))
    if any(new != on + name.removeprefix(off) for name, new in renamed.items()):
        notes.append("wrappers of single parts ('_orig_mod.', 'module.') taken out of the names")
    return Fitted(kept, off, tuple(notes))


def _renamed(name: str, off: str, on: str, own: Collection[str]) -> str:
    """A name with other prefixes; without wrappers of single parts too, if that makes it fit."""
    new = on + name.removeprefix(off)
    if new not in own:
        inner = _WITHIN.sub("", new)
        return inner if inner in own else new
    return new


def _prefixes(state: Collection[str], own: set[str]) -> tuple[str, str]:
    """The prefix to take off, and the one to put before: those under which most names fit.

    Where several do equally well, averaged weights come first, then the shortest prefixes.
    """
    offs = {"", *(prefix for name in state for prefix in _leading(name))}
    ons = {"", *_shared(own)}

    def merit(pair: tuple[str, str]) -> tuple[int, bool, int]:
        off, on = pair
        hits = len(own & {_renamed(name, off, on, own) for name in state})
        return hits, _of_averaged(off), -len(off) - len(on)

    best = max(sorted((off, on) for off in offs for on in ons), key=merit)
    if merit(best)[0]:
        return best
    # Names of another kind, which are converted later: take off what all of them have.
    rest = [name for name in state if not _NOT_OF_NETWORKS.match(_bare(name))]
    return max(_shared(rest), key=len, default=""), ""


def _shared(names: Iterable[str]) -> set[str]:
    """The known prefixes that all names have."""
    prefixes = [set(_leading(name)) for name in names]
    return set.intersection(*prefixes) if prefixes else set()


def _leading(name: str) -> Iterator[str]:
    """The known prefixes of a name, from the shortest: "module.", "module.model."."""
    parts = name.split(".")[:-1]
    known = takewhile(lambda part: part in _KNOWN or is_averaged(part), parts)
    return accumulate(f"{part}." for part in known)


def _bare(name: str) -> str:
    """A name without any known prefix."""
    return name.removeprefix(max(_leading(name), key=len, default=""))


def _of_averaged(prefix: str) -> bool:
    return any(map(is_averaged, prefix.split(".")))


def _raw(state: Collection[str], off: str) -> set[str]:
    """The raw weights beside averaged ones of the same names."""
    if not _of_averaged(off):
        return set()
    averaged = {_bare(name) for name in state if name.startswith(off)}
    return {name for name in state if not name.startswith(off) and _bare(name) in averaged}


def _notes(off: str, on: str, left_out: list[str]) -> Iterator[str]:
    if _of_averaged(off):
        yield f"averaged weights (EMA) taken, those whose names begin with {off!r}"
    elif off:
        yield f"prefix {off!r} taken off the names of the weights"
    if on:
        yield f"prefix {on!r} put before the names of the weights"
    if left_out:
        yield f"left out of the weights: {some_of(left_out, _LISTED)}"
