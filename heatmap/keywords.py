"""Keywords that a function takes as a group (``**options: Unpack[...]``), checked by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter, signature
from typing import Any


def check_keywords(function: Callable[..., Any], given: Iterable[str], group: type) -> None:
    """Refuse keywords that a function does not take.

    Args:
        function: the function.
        given: those it got beside its own.
        group: the ``TypedDict`` that lists them.

    Raises:
        TypeError: as Python does, with what may be meant.
    """
    grouped = group.__annotations__.keys()
    for name in given:
        if name not in grouped:
            parameters = signature(function).parameters.values()
            own = [each.name for each in parameters if each.kind is not Parameter.VAR_KEYWORD]
            near = difflib.get_close_matches(name, [*own, *grouped], 1)
            meant = f": did you mean {near[0]!r}?" if near else ""
            raise TypeError(
                f"{function.__name__}() got an unexpected keyword argument {name!r}{meant}"
            )


def among(options: Mapping[str, Any], group: type) -> dict[str, Any]:
    """Those of some options that a ``TypedDict`` lists and that are not None."""
    names = group.__annotations__.keys()
    return {name: value for name, value in options.items() if name in names and value is not None}
