"""The classes of a network given by number, by names, or by a file of names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from ..class_groups import built_in
from ..classes import ClassList, visible
from ..contents import read_text
from ..errors import ModelError

_NEW_LINE = re.compile(r"\r\n|\r|\n")
# All but the tabulator, which is a kind of space.
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")

# Names, or a text file with one per line.
ClassNames: TypeAlias = Sequence[str] | str | Path | ClassList


def new_classes(num_classes: int | None, class_names: ClassNames | None) -> ClassList | None:
    """Classes by number, by name, or both; None where neither is given.

    Raises:
        ModelError: no class, duplicate names, number and names that differ, or a file that
            cannot be read.
    """
    if num_classes is not None and num_classes < 1:
        raise ModelError(f"num_classes is {num_classes}: give 1 or more")
    if class_names is None:
        return None if num_classes is None else ClassList.numbered(num_classes)
    classes = read_class_names(class_names)
    if not len(classes):
        raise ModelError("class_names is empty: give one name per class")
    if num_classes not in (None, len(classes)):
        raise ModelError(f"num_classes is {num_classes}, {len(classes)} class names were given")
    name, count = Counter(classes.names).most_common(1)[0]
    if count > 1:
        raise ModelError(f"class name {name!r} is given twice")
    return classes


def read_class_names(class_names: ClassNames) -> ClassList:
    """The classes with these names, in order, without characters that nobody sees.

    Raises:
        ModelError: the file cannot be read, or has an empty line, or a name holds a character
            that is no text.
    """
    if isinstance(class_names, ClassList):
        return class_names
    if isinstance(class_names, str | Path):
        return ClassList(tuple(_lines(Path(class_names))))
    return ClassList(plain_names(map(str, class_names), "class_names: name"))


def plain_names(names: Iterable[str], where: str) -> tuple[str, ...]:
    """Names without characters that have no width.

    Args:
        names: the names.
        where: what the message calls one of them, before its number.

    Raises:
        ModelError: a name holds a control character.
    """
    plain = tuple(map(visible, names))
    for number, name in enumerate(plain, start=1):
        if control := _CONTROL.search(name):
            raise ModelError(f"{where} {number} holds the control character {control[0]!r}")
    return plain


def described_classes(description: Mapping[str, Any]) -> ClassList:
    """The classes that the description of a checkpoint names.

    Raises:
        KeyError, TypeError, HeatmapError: it names none.
    """
    names, wnids = description["class_names"], description["wnids"]
    if not all(isinstance(text, str) for text in (*names, *wnids)):
        raise TypeError("class_names and wnids must be text")
    plain = plain_names(names, "class_names: name")
    return ClassList(plain, tuple(wnids), built_in(names, wnids))


def _lines(path: Path) -> tuple[str, ...]:
    text = read_text(path, ModelError, "class names")
    # Not splitlines(), which would make two names of one at other control characters.
    lines = plain_names(_NEW_LINE.split(text), f"{path}: line")
    while lines and not lines[-1]:
        lines = lines[:-1]
    if "" in lines:
        raise ModelError(f"{path}: line {lines.index('') + 1} is empty: give one name per line")
    return lines
