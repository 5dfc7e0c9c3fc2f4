"""Class names: from what a person types to an index of the score grid."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import ClassError


@dataclass(frozen=True)
class ClassList:
    """The K classes of a model: names, and WordNet ids (wnids) where they are known."""

    names: tuple[str, ...]
    wnids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.wnids and len(self.wnids) != len(self.names):
            raise ClassError(f"{len(self.wnids)} wnids for {len(self.names)} class names")

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def numbered(cls, count: int) -> ClassList:
        """Names for a model that brings none: "class 0", "class 1", ..."""
        return cls(tuple(f"class {index}" for index in range(count)))

    def only(self, indices: Sequence[int]) -> ClassList:
        """Some of the classes, in the order given."""
        return ClassList(
            tuple(self.names[index] for index in indices),
            tuple(self.wnids[index] for index in indices) if self.wnids else (),
        )

    def find(self, wanted: str | int) -> int:
        """Index of a class given as name, index, wnid or unique prefix of a name.

        Names compare without regard to case. Digits are an index, unless they are
        given as text and a class bears just that name. Where several classes share one
        exact name (ImageNet has two "crane"), the index or wnid must be given.

        Raises:
            ClassError: none fits (the nearest names are suggested), or several do.
        """
        text = str(wanted).strip()
        # A class that is itself called "7" (digits, say) is meant by the text "7".
        is_name = isinstance(wanted, str) and text in self.names
        if text.isascii() and text.isdigit() and len(text) < 10 and not is_name:
            return self._at(int(text))
        if text in self.wnids:
            return self.wnids.index(text)
        lowered = text.casefold()
        folded = [name.casefold() for name in self.names]
        exact = [index for index, name in enumerate(folded) if name == lowered]
        fitting = exact or [
            i for i, name in enumerate(folded) if lowered and name.startswith(lowered)
        ]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise ClassError(f"class {text!r} fits {len(fitting)}: {self._listed(fitting)}")
        raise ClassError(f"no class {text!r} among {len(self)}{self._suggestion(lowered, folded)}")

    def _at(self, index: int) -> int:
        if index >= len(self):
            raise ClassError(
                f"class index {index} is too large: there are {len(self)} (0 to {len(self) - 1})"
            )
        return index

    def _listed(self, indices: Sequence[int], most: int = 5) -> str:
        named = ", ".join(f"{self.names[index]} ({index})" for index in indices[:most])
        return named + (f" and {len(indices) - most} more" if len(indices) > most else "")

    def _suggestion(self, lowered: str, folded: list[str]) -> str:
        near = difflib.get_close_matches(lowered, folded, n=3, cutoff=0.6)
        holding = [name for name in folded if lowered and lowered in name]
        indices = [folded.index(name) for name in dict.fromkeys(near + holding)][:3]
        return f"; did you mean {self._listed(indices)}?" if indices else ""
