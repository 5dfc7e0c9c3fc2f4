"""Class groups: one word for many classes ("dog" for 118 breeds), built in or from a file.

A file holds one JSON object, a list of members for the name of each group:

    {"cat": ["281-285"], "pet": ["cat", "hamster", "n02342885", 338]}

A member is a class as :meth:`ClassList.find` takes it (name, index, wnid), a range of
indices that includes both ends, or another group. So groups form a hierarchy like that of
WordNet (Miller, "WordNet: a lexical database for English", Communications of the ACM
38(11), 1995), whose nouns ImageNet's classes are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

from .classes import ClassGroup, ClassList, visible
from .contents import read_text
from .errors import ClassError

Definitions: TypeAlias = Mapping[str, Sequence[str | int]]

# SHA-256 of the 1000 class names as torchvision spells them, one per line.
_IMAGENET_NAMES = "0b0f9fee7c952f257418d62aa701f023a9da13b443a14f5c4291e5724d92967c"
_RANGE = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")


def built_in(names: Sequence[str], wnids: Sequence[str] = ()) -> tuple[ClassGroup, ...]:
    """Groups for common words, where the classes are ImageNet-1k under torchvision's names.

    ``names`` and ``wnids`` are those of a ClassList; any other list of classes has no
    built-in groups, which gives an empty tuple.
    """
    return _built_in(tuple(names), tuple(wnids))


def read_groups(path: str | Path, classes: ClassList) -> tuple[ClassGroup, ...]:
    """The groups of a JSON file, followed by those of ``classes`` that it does not override.

    Members may be groups of ``classes`` too. These stay as they are: where the file
    gives "dog" another meaning, the built-in "animal" still holds the built-in "dog".

    Raises:
        ClassError: a file that cannot be read or holds no groups, a member that does not
            exist, groups that contain each other in a circle, or a group with the name of a
            class.
    """
    content = read_text(path, ClassError, "groups")
    try:
        own = _resolved(_parsed(content), classes)
    except ClassError as error:
        raise error.about(str(path)) from error
    overridden = {group.name.casefold() for group in own}
    kept = (group for group in classes.groups if group.name.casefold() not in overridden)
    return (*own, *kept)


@lru_cache(maxsize=1)
def _built_in(names: tuple[str, ...], wnids: tuple[str, ...]) -> tuple[ClassGroup, ...]:
    listed = "\n".join(names).encode("utf-8", "surrogatepass")
    if sha256(listed).hexdigest() != _IMAGENET_NAMES:
        return ()
    content = files("heatmap").joinpath("imagenet_groups.json").read_text("utf-8")
    return _resolved(_parsed(content), ClassList(names, wnids))


def _parsed(content: str) -> Definitions:
    """The groups as they are written, checked to be lists of texts and integers."""
    try:
        groups: Any = json.loads(content, object_pairs_hook=_unique_groups)
    # Brackets nested a thousand deep are no groups either.
    except (ValueError, RecursionError) as error:
        raise ClassError(f"groups must be JSON: {error}") from error
    if not isinstance(groups, dict):
        raise ClassError('groups must be one JSON object, such as {"pet": ["cat", "hamster"]}')
    for name, members in groups.items():
        _check_members(name, members)
    return groups


def _unique_groups(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; of two groups under one name JSON would silently keep the second."""
    named: dict[str, tuple[str, Any]] = {}
    for name, members in pairs:
        folded = visible(name).casefold()
        if folded in named:
            raise ClassError(f"group {name!r} is given twice: join the two or rename one")
        named[folded] = (visible(name), members)
    return dict(named.values())


def _check_members(name: str, members: Any) -> None:
    if not name or not name.isprintable():
        raise ClassError(f"{name!r} cannot name a group: give it a word")
    if not isinstance(members, list):
        raise ClassError(f'group {name!r} must be a list, such as ["cat", "hamster"]')
    if not members:
        raise ClassError(f"group {name!r} is empty: give it members or leave it out")
    for number, member in enumerate(members, start=1):
        # In Python, though not in JSON, true is an integer.
        if not isinstance(member, str | int) or isinstance(member, bool):
            raise ClassError(
                f"member {number} of group {name!r} is neither text nor a whole number: "
                "give a name, an index, a wnid, a range or a group"
            )


def _resolved(defined: Definitions, classes: ClassList) -> tuple[ClassGroup, ...]:
    """Each group with the indices of all its members, ascending and without duplicates."""
    # Without indices yet, so that they can be found by name and told from finished groups.
    pending = tuple(ClassGroup(name, ()) for name in defined)
    all_classes = replace(classes, groups=pending + classes.groups)
    for group in pending:
        _check_name(group, all_classes)
    members = {group: _members(group, defined[group.name], all_classes) for group in pending}
    indices: dict[ClassGroup, set[int]] = {}
    for group in _inner_first(members):
        indices[group] = {
            index for member in members[group] for index in indices.get(member, member.indices)
        }
    return tuple(ClassGroup(group.name, tuple(sorted(indices[group]))) for group in pending)


def _check_name(group: ClassGroup, all_classes: ClassList) -> None:
    """Refuse a name that means a class: the class would always be found instead of the group."""
    try:
        named: ClassGroup | None = all_classes.find(group.name)
    except ClassError:  # It is the name of several classes, or too large an index.
        named = None
    if named != group:
        raise ClassError(
            f"group {group.name!r} has the name, index or wnid of a class, which takes precedence: "
            "rename the group, or leave it out and ask for the class"
        )


def _members(
    group: ClassGroup, members: Sequence[str | int], all_classes: ClassList
) -> tuple[ClassGroup, ...]:
    try:
        return tuple(_member(member, all_classes) for member in members)
    except ClassError as error:
        raise error.about(f"group {group.name!r}") from error


def _member(member: str | int, all_classes: ClassList) -> ClassGroup:
    text = visible(str(member))
    ends = _RANGE.fullmatch(text)
    if ends is None or text in all_classes.names:
        return all_classes.find(member)
    first, last = (int(end) for end in ends.groups())
    if first > last:
        raise ClassError(f"range {text} is out of order: write {last}-{first}")
    all_classes.find(last)  # Refuses an index that is too large.
    return ClassGroup(text, tuple(range(first, last + 1)))


def _inner_first(members: Mapping[ClassGroup, Sequence[ClassGroup]]) -> list[ClassGroup]:
    """The groups, ordered so that each follows the groups within it."""
    inner = {group: [member for member in members[group] if member in members] for group in members}
    try:
        return list(TopologicalSorter(inner).static_order())
    except CycleError as error:
        # Each group in the list is a member of the next.
        circle = " > ".join(group.name for group in reversed(error.args[1]))
        raise ClassError(f"groups contain each other in a circle: {circle}") from error
