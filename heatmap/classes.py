"""Class names: from what a person types to indices of the score grid."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from .errors import ClassError

# A class of this name is where nothing is: found only where asked for.
BACKGROUND = "background"


@dataclass(frozen=True)
class ClassGroup:
    """What is looked for: one class, or several whose probabilities are added ("dog")."""

    name: str
    indices: tuple[int, ...]


Wanted: TypeAlias = str | int | ClassGroup


@dataclass(frozen=True)
class ClassList:
    """The K classes of a model.

    ``wnids`` are WordNet ids where they are known; ``groups`` have names of their own,
    such as "dog" for 118 breeds.
    """

    names: tuple[str, ...]
    wnids: tuple[str, ...] = ()
    groups: tuple[ClassGroup, ...] = ()

    def __post_init__(self) -> None:
        if self.wnids and len(self.wnids) != len(self.names):
            raise ClassError(f"{len(self.wnids)} wnids for {len(self.names)} class names")

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def numbered(cls, count: int) -> ClassList:
        """Names for a model that brings none: "class 0", "class 1", ..."""
        return cls(tuple(f"class {index}" for index in range(count)))

    def only(self, indices: Iterable[int]) -> ClassList:
        """Some of the classes, in the order given, and the groups that are whole in them."""
        places = {index: place for place, index in enumerate(indices)}
        groups = (
            ClassGroup(group.name, tuple(places[index] for index in group.indices))
            for group in self.groups
            if places.keys() >= set(group.indices)
        )
        return ClassList(
            tuple(self.names[index] for index in places),
            tuple(self.wnids[index] for index in places) if self.wnids else (),
            tuple(groups),
        )

    def single(self, index: int) -> ClassGroup:
        """One class as a group of its own."""
        return ClassGroup(self.names[index], (index,))

    def find(self, wanted: Wanted) -> ClassGroup:
        """A class given as name, index, wnid or unique prefix of a name, or a group by its name.

        Names compare without regard to case; one of a class goes before that of a group.
        Digits are an index, unless they are given as text and a class bears just that
        name. Where several classes share one exact name (ImageNet has two "crane"), the
        index or wnid must be given.

        Raises:
            ClassError: none fits (the nearest names are suggested), or several do.
        """
        if isinstance(wanted, ClassGroup):
            return wanted
        text = str(wanted).strip()
        # A class that is itself called "7" (digits, say) is meant by the text "7".
        is_name = isinstance(wanted, str) and text in self.names
        if text.isascii() and text.isdigit() and len(text) < 10 and not is_name:
            return self._at(int(text))
        if text in self.wnids:
            return self.single(self.wnids.index(text))
        return self._named(text)

    def find_all(self, wanted: Iterable[Wanted]) -> list[ClassGroup]:
        """Each of several, once, in the order given.

        Raises:
            ClassError: as :meth:`find`.
        """
        return list(dict.fromkeys(self.find(one) for one in wanted))

    def indices(self, wanted: Iterable[Wanted]) -> list[int]:
        """The classes that are meant, those of groups one by one, each once.

        Raises:
            ClassError: as :meth:`find`.
        """
        return list(dict.fromkeys(i for one in self.find_all(wanted) for i in one.indices))

    def _named(self, text: str) -> ClassGroup:
        """A class by its name, then a group by its name, then a class by a prefix."""
        lowered = text.casefold()
        folded = [name.casefold() for name in self.names]
        fitting = [index for index, name in enumerate(folded) if name == lowered]
        if not fitting:
            for group in self.groups:
                if group.name.casefold() == lowered:
                    return group
            fitting = [i for i, name in enumerate(folded) if lowered and name.startswith(lowered)]
        if len(fitting) == 1:
            return self.single(fitting[0])
        if fitting:
            raise ClassError(f"class {text!r} fits {len(fitting)}: {self._listed(fitting)}")
        raise ClassError(f"no class {text!r} among {len(self)}{self._suggestion(lowered, folded)}")

    def _at(self, index: int) -> ClassGroup:
        if index >= len(self):
            raise ClassError(
                f"class index {index} is too large: there are {len(self)} (0 to {len(self) - 1})"
            )
        return self.single(index)

    def _listed(self, indices: Iterable[int], most: int = 5) -> str:
        listed = [f"{self.names[index]} ({index})" for index in indices]
        return ", ".join(listed[:most]) + (
            f" and {len(listed) - most} more" if len(listed) > most else ""
        )

    def _suggestion(self, lowered: str, folded: list[str]) -> str:
        grouped = [group.name.casefold() for group in self.groups]
        near = difflib.get_close_matches(lowered, folded + grouped, n=3, cutoff=0.6)
        holding = [name for name in folded if lowered and lowered in name]
        shown = [
            f"{self.names[folded.index(name)]} ({folded.index(name)})" if name in folded else name
            for name in list(dict.fromkeys(near + holding))[:3]
        ]
        return f"; did you mean {', '.join(shown)}?" if shown else ""
