"""Entries of JSON and CSV files that people write, with one-line errors that name them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..contents import read_text
from ..errors import ResultError, reason_of

_Value = TypeVar("_Value")
_KINDS: dict[type, str] = {str: "text", list: "a list", dict: "an object"}


@dataclass(frozen=True)
class Entry:
    """A JSON object or CSV row of a file, and its name for error messages."""

    values: Mapping[str, object]
    name: str

    @classmethod
    def of(cls, value: object, name: str) -> Entry:
        """An entry of a JSON value, which must be an object."""
        if not isinstance(value, dict):
            raise ResultError(f"{name}: is {shown(value)}, expected an object")
        return cls(value, name)

    def get(self, key: str, kind: type[_Value]) -> _Value:
        """The value of a key, which must be text, a list or an object."""
        value = self._value(key)
        if not isinstance(value, kind):
            raise ResultError(f"{self.name}: {key!r} is {shown(value)}, expected {_KINDS[kind]}")
        return value

    def entries(self, key: str) -> list[Entry]:
        """The objects of a list, named by their index: "boxes.json: images[3]"."""
        values: list[object] = self.get(key, list)
        return [Entry.of(value, f"{self.name}: {key}[{i}]") for i, value in enumerate(values)]

    def number(self, key: str) -> float:
        """The value of a key as a finite number."""
        return number_of(self._value(key), f"{self.name}: {key!r}")

    def identity(self, key: str) -> int | str:
        """The value of a key as an id."""
        value = self._value(key)
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ResultError(f"{self.name}: {key!r} is {shown(value)}, expected a number")
        return value

    def hw(self) -> tuple[int, int] | None:
        """Height and width, px; None where both are missing."""
        if not self.values.keys() & {"height", "width"}:
            return None
        height, width = self.number("height"), self.number("width")
        if min(height, width) < 1 or not (height.is_integer() and width.is_integer()):
            raise ResultError(f"{self.name}: is {width:g} x {height:g} px, expected whole numbers")
        return int(height), int(width)

    def _value(self, key: str) -> object:
        if key not in self.values:
            raise ResultError(f"{self.name}: has no {key!r}")
        return self.values[key]


def number_of(value: object, name: str) -> float:
    """A value as a finite number.

    Raises:
        ResultError: it is none; the message calls it ``name``.
    """
    try:
        # Numbers are text in CSV; text is accepted in JSON too.
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ResultError(f"{name} is {shown(value)}, expected a finite number")
    return number


def shown(value: object) -> str:
    """A value in a few words, for error messages."""
    if isinstance(value, list | dict):
        return _KINDS[type(value)]
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def filled_text(path: str | Path) -> str:
    """The text of a file.

    Raises:
        ResultError: the file cannot be read, or is empty.
    """
    text = read_text(path, ResultError)
    if not text.strip():
        raise ResultError(f"{path}: is empty")
    return text


def parsed_json(text: str, path: str) -> object:
    """The value of a text in JSON.

    Raises:
        ResultError: it is no JSON.
    """
    try:
        parsed: object = json.loads(text)
    # RecursionError: brackets nested by the thousand.
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{path}: is not JSON: {reason_of(error)}") from error
    return parsed
