"""The classes of a network: from what a person types to class indices."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from .errors import ClassError, some_of

# Characters without a width, which editors and web pages leave behind: soft hyphens, zero-width
# spaces and joiners, marks of direction, byte order marks.
_INVISIBLE = re.compile("[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")

# A class of this name means that there is no object: it is detected only if asked for.
BACKGROUND = "background"
# Classes named in one line.
_TOLD = 3


def visible(text: str) -> str:
    """A name as people see it: without characters that have no width, and without outer spaces.

    >>> visible("\\ufefftabby\\u200b ")
    'tabby'
    """
    return _INVISIBLE.sub("", text).strip()


@dataclass(frozen=True)
class ClassGroup:
    """One class, or several to look for as one ("dog").

    The probability of several is the sum of theirs, or the largest if the classes are independent.

    Attributes:
        name: what people call it.
        indices: the class indices, ascending; one index for a single class.

    >>> ClassGroup("cat", (281, 282, 283, 284, 285)).name
    'cat'
    """

    name: str
    indices: tuple[int, ...]


Wanted: TypeAlias = str | int | ClassGroup


@dataclass(frozen=True, repr=False)
class ClassList:
    """The K classes of a network, in the order of its outputs: class i has the scores at index i.

    Attributes:
        names: K names; several may be equal.
        wnids: K WordNet ids ("n02123045"), or none.
        groups: names for several classes together, such as "dog" for 118 breeds.
        network_indices: where these are only some of a network's classes, or groups of them, the
            indices of each there; otherwise none.

    Raises:
        ClassError: the numbers of wnids or network indices and names differ.

    >>> classes = ClassList(("cat", "dog"), groups=(ClassGroup("pet", (0, 1)),))
    >>> classes.find("pet").indices
    (0, 1)
    """

    names: tuple[str, ...]
    wnids: tuple[str, ...] = ()
    groups: tuple[ClassGroup, ...] = ()
    network_indices: tuple[tuple[int, ...], ...] = ()

    def __repr__(self) -> str:
        """One line: ``ClassList of 1000: tench, goldfish, great white shark, ...``."""
        more = ", ..." * (len(self.names) > _TOLD)
        return f"ClassList of {len(self.names)}: {', '.join(self.names[:_TOLD])}{more}"

    def __post_init__(self) -> None:
        if self.wnids and len(self.wnids) != len(self.names):
            raise ClassError(f"{len(self.wnids)} wnids for {len(self.names)} class names")
        if self.network_indices and len(self.network_indices) != len(self.names):
            raise ClassError(
                f"network indices of {len(self.network_indices)} classes for {len(self.names)}"
            )

    def __len__(self) -> int:
        return len(self.names)

    # Groups are made of hundreds of names, each of which is looked for among a thousand.
    @cached_property
    def _folded(self) -> tuple[str, ...]:
        return tuple(name.casefold() for name in self.names)

    @cached_property
    def _indices(self) -> dict[str, list[int]]:
        """The classes of each name, whatever its case."""
        indices: dict[str, list[int]] = {}
        for index, name in enumerate(self._folded):
            indices.setdefault(name, []).append(index)
        return indices

    @cached_property
    def _wnid_index(self) -> dict[str, int]:
        """The first class of each wnid."""
        return {wnid: index for index, wnid in reversed([*enumerate(self.wnids)])}

    @cached_property
    def _groups_by_name(self) -> dict[str, ClassGroup]:
        """The first group of each name, whatever its case."""
        return {group.name.casefold(): group for group in reversed(self.groups)}

    @classmethod
    def numbered(cls, count: int) -> ClassList:
        """Names for a model that brings none: "class 0", "class 1", ..."""
        return cls(tuple(f"class {index}" for index in range(count)))

    def only(self, indices: Iterable[int]) -> ClassList:
        """Some of the classes, in the order given, with the groups that they complete."""
        new_index = {index: number for number, index in enumerate(indices)}
        if list(new_index) == list(range(len(self))):
            return self
        groups = (
            ClassGroup(group.name, tuple(new_index[index] for index in group.indices))
            for group in self.groups
            if new_index.keys() >= set(group.indices)
        )
        return ClassList(
            tuple(self.names[index] for index in new_index),
            tuple(self.wnids[index] for index in new_index) if self.wnids else (),
            tuple(groups),
            tuple(self.in_network(index) for index in new_index),
        )

    def grouped(self, groups: Iterable[ClassGroup]) -> ClassList:
        """A list whose classes are groups of these, in the order given."""
        groups = list(groups)
        return ClassList(
            tuple(group.name for group in groups),
            network_indices=tuple(
                tuple(own for index in group.indices for own in self.in_network(index))
                for group in groups
            ),
        )

    def in_network(self, index: int) -> tuple[int, ...]:
        """What class ``index`` is in the network: one index, or those of a group."""
        return self.network_indices[index] if self.network_indices else (index,)

    def single(self, index: int) -> ClassGroup:
        """One class as a group with a single member."""
        return ClassGroup(self.names[index], (index,))

    def find(self, wanted: Wanted) -> ClassGroup:
        """Find a class by name, index, wnid or unique prefix of its name, or a group by name.

        An index is that in the network, also where these are only some of its classes; the group
        that is found has the index here. Case does not matter. A class takes precedence over a
        group of the same name. Digits are an index, unless they are given as text and a class has
        exactly that name. Where several classes share a name (ImageNet has two "crane"), give the
        index or wnid.

        Raises:
            ClassError: nothing matches (similar names are suggested), or several classes do.
        """
        if isinstance(wanted, ClassGroup):
            return wanted
        text = visible(str(wanted))
        # The text "7" means a class with the name "7" if there is one (of digits, for one).
        is_index = text.isascii() and text.isdigit() and len(text) < 10
        if is_index and not (isinstance(wanted, str) and text in self.names):
            return self._at(int(text))
        if text in self._wnid_index:
            return self.single(self._wnid_index[text])
        return self._named(text)

    def find_all(self, wanted: Iterable[Wanted]) -> list[ClassGroup]:
        """Find several, in the order given and without duplicates.

        Raises:
            ClassError: as :meth:`find`.
        """
        return list(dict.fromkeys(self.find(name) for name in wanted))

    def indices(self, wanted: Iterable[Wanted]) -> list[int]:
        """The class indices of several classes and groups, without duplicates.

        Raises:
            ClassError: as :meth:`find`.
        """
        return list(dict.fromkeys(i for group in self.find_all(wanted) for i in group.indices))

    def _named(self, text: str) -> ClassGroup:
        """A class by its name, then a group by its name, then a class by a prefix."""
        lowered = text.casefold()
        matches = self._indices.get(lowered, [])
        if not matches:
            if lowered in self._groups_by_name:
                return self._groups_by_name[lowered]
            matches = [
                i for i, name in enumerate(self._folded) if lowered and name.startswith(lowered)
            ]
        if len(matches) == 1:
            return self.single(matches[0])
        if matches:
            raise ClassError(f"class {text!r} fits {len(matches)}: {self._listed(matches)}")
        raise ClassError(f"no class {text!r} among {len(self)}{self._suggestion(lowered)}")

    def _at(self, index: int) -> ClassGroup:
        if not self.network_indices and index >= len(self):
            raise ClassError(
                f"class index {index} is too large: there are {len(self)} (0 to {len(self) - 1})"
            )
        if not self.network_indices:
            return self.single(index)
        if (index,) not in self.network_indices:
            kept = self._listed(range(len(self)))
            raise ClassError(f"class index {index} is not among the {len(self)} here: {kept}")
        return self.single(self.network_indices.index((index,)))

    def _listed(self, indices: Iterable[int], limit: int = 5) -> str:
        return some_of([self._told(index) for index in indices], limit)

    def _told(self, index: int) -> str:
        """A class with the index by which it is found; a group has none."""
        own = self.in_network(index)
        return f"{self.names[index]} ({own[0]})" if len(own) == 1 else self.names[index]

    def _suggestion(self, lowered: str) -> str:
        folded = self._folded
        group_names = [group.name.casefold() for group in self.groups]
        near = difflib.get_close_matches(lowered, [*folded, *group_names], n=3, cutoff=0.6)
        containing = [name for name in folded if lowered and lowered in name]
        suggested = [
            self._told(folded.index(name)) if name in folded else name
            for name in list(dict.fromkeys(near + containing))[:3]
        ]
        return f"; did you mean {', '.join(suggested)}?" if suggested else ""
