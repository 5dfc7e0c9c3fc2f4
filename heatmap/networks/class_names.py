"""The classes of a network given by number, by names, or by a file of names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from ..classes import ClassList
from ..errors import ModelError
from ..files import read_text

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
    """The classes with these names, in order.

    Raises:
        ModelError: the file cannot be read, or has an empty line.
    """
    if isinstance(class_names, ClassList):
        return class_names
    if isinstance(class_names, str | Path):
        return ClassList(tuple(_lines(Path(class_names))))
    return ClassList(tuple(map(str, class_names)))


def _lines(path: Path) -> list[str]:
    text = read_text(path, ModelError, "class names")
    lines = [line.strip() for line in text.rstrip().splitlines()]
    if "" in lines:
        raise ModelError(f"{path}: line {lines.index('') + 1} is empty: give one name per line")
    return lines
