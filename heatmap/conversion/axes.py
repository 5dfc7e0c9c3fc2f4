"""The meaning of each axis of a tensor, as letters that follow a photo through a network.

Every tensor that depends on the photo has one letter per axis:

    b  batch
    c  channel, or anything else that does not move with the photo
    h  rows that slide, w  columns that slide
    t  rows and columns merged into one axis of positions (a flattened map)

A tensor without h, w or t has no positions any more: it has been pooled or flattened. The
functions here work on letters and integers only, not on tensors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

SLIDING = frozenset("hwt")


def slides(letters: str) -> bool:
    """Whether any axis still moves with the photo."""
    return bool(SLIDING & set(letters))


def pooled(rank: int) -> str:
    """Letters of a pooled tensor of this rank, which has no positions."""
    return "b" + "c" * (rank - 1)


def broadcast(operands: Sequence[tuple[str, tuple[int, ...]]]) -> str | None:
    """Letters of an element-wise result; None if an operand depends on fixed positions.

    An operand is (letters, shape); a constant has "" for letters. Along an
    axis that slides, every operand must slide over the same number of positions
    or have length 1.
    """
    rank = max(len(shape) for _, shape in operands)
    result = ""
    for axis in range(-rank, 0):
        moving, lengths, fixed_lengths, still = set(), set(), set(), "c"
        for letters, shape in operands:
            if len(shape) < -axis:
                continue
            letter = letters[axis] if letters else ""
            if letter in SLIDING:
                moving.add(letter)
                lengths.add(shape[axis])
            else:
                fixed_lengths.add(shape[axis])
                still = "b" if letter == "b" else still
        if len(moving) > 1 or len(lengths) > 1 or (moving and fixed_lengths - {1}):
            return None
        result += moving.pop() if moving else still
    return result


def reshaped(
    letters: str, old: Sequence[int], new: Sequence[int], map_hw: tuple[int, int]
) -> str | None:
    """Letters after a view from shape ``old`` to shape ``new``; None if positions are mixed.

    ``map_hw`` is the size of the sliding axes, to recognise a flattened map
    that is unfolded again. A map merged with its channels (a flatten before a
    fully connected layer) becomes pooled: plain "c".
    """
    result = ""
    for ins, outs in _groups(old, new):
        moving = [letters[axis] for axis in ins if letters[axis] in SLIDING]
        outside = [new[axis] for axis in outs if new[axis] != 1]
        if not moving:
            first = "b" if "b" in [letters[axis] for axis in ins] else "c"
            result += (first + "c" * len(outs))[: len(outs)]
            continue
        last = max(axis for axis in ins if letters[axis] in SLIDING)
        inside = [letters[a] for a in ins if letters[a] in SLIDING or old[a] != 1 or a < last]
        kept = _regrouped(inside, moving, outside, map_hw)
        if kept is None:
            return None
        result += _spread(kept, outs, new)
    return result


def _groups(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Pair up the smallest runs of axes that hold the same number of elements."""
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) and j < len(new):
        ins, outs = [i], [j]
        while math.prod(old[a] for a in ins) != math.prod(new[a] for a in outs):
            if math.prod(old[a] for a in ins) < math.prod(new[a] for a in outs):
                ins.append(ins[-1] + 1)
            else:
                outs.append(outs[-1] + 1)
        groups.append((ins, outs))
        i, j = ins[-1] + 1, outs[-1] + 1
    # What is left over has length 1 and belongs to the last group.
    groups[-1][0].extend(range(i, len(old)))
    groups[-1][1].extend(range(j, len(new)))
    return groups


def _regrouped(
    inside: list[str], moving: list[str], outside: list[int], map_hw: tuple[int, int]
) -> list[str] | None:
    """Letters of the axes (of length above 1) that come out of one group with a map in it."""
    if inside == moving:
        if moving == ["t"] and outside == list(map_hw):
            return ["h", "w"]
        if moving == ["h", "w"] and len(outside) == 1:
            return ["t"]
        if len(outside) == len(moving) or all(length == 1 for length in map_hw):
            return moving
        return None
    if set("hw") <= set(moving) or "t" in moving:
        return ["c"] if len(outside) <= 1 else None
    return None


def _spread(kept: list[str], outs: list[int], new: Sequence[int]) -> str:
    """Assign the letters to the axes longer than 1; the others are "c"."""
    if len(kept) == len(outs):
        return "".join(kept)
    rest = iter(kept)
    return "".join(next(rest, "c") if new[axis] != 1 else "c" for axis in outs)
