"""What must be installed, said in one line before any work rather than in a traceback after it."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from .errors import HeatmapError, reason_of
from .versions import OTHER_OPENCVS

_DISTRIBUTION = "heatmap-localizer"
_OPENCV, _LIBVIPS = "opencv-python-headless", "pyvips-binary"


@cache
def check_installed() -> None:
    """Refuse to work with libraries that are too old, or cannot be loaded.

    Which versions are needed is what the package's own metadata says (``pyproject.toml``). OpenCV
    and libvips, which come from several packages, are asked themselves.

    Raises:
        HeatmapError: names the library, the version found, and what to install.
    """
    least = least_versions()
    _check_opencv(least[_OPENCV])
    _check_libvips(least[_LIBVIPS])
    for name in least.keys() - {_OPENCV, _LIBVIPS}:
        try:
            found = version(name)
        # It may come without metadata; what is missing says so when it is imported.
        except PackageNotFoundError:
            continue
        _check(name, found, least[name], name)


def imported(name: str, asked_by: str, *, package: str = "") -> Any:
    """A library that heatmap itself can do without, loaded where it is asked for.

    Args:
        name: of the library.
        asked_by: the call that needs it.
        package: what to install; by default its name.

    Raises:
        HeatmapError: it is not installed, or cannot be loaded.
    """
    try:
        return import_module(name)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == name
        why = "is not installed" if missing else f"cannot be loaded ({reason_of(error)})"
        advice = f"pip install '{package or name}'"
        raise HeatmapError(f"{asked_by} needs {name}, which {why}: {advice}") from error


def least_versions() -> dict[str, str]:
    """The lowest version of each package that is needed, "2.9", by its name on the index."""
    needed = (line for line in requires(_DISTRIBUTION) or () if "extra ==" not in line)
    pairs = (re.fullmatch(r"([\w.-]+) ?>=([\d.]+)", line) for line in needed)
    return {pair[1]: pair[2] for pair in pairs if pair is not None}


def _check_opencv(least: str) -> None:
    try:
        import cv2
    except ImportError as error:
        raise _not_loaded("OpenCV", error, _OPENCV, least) from error
    others = [name for name in OTHER_OPENCVS if _is_installed(name)]
    removed = f"pip uninstall {' '.join((*others, _OPENCV))}, then " if others else ""
    _check("OpenCV", cv2.__version__, least, _OPENCV, removed)


def _check_libvips(least: str) -> None:
    try:
        import pyvips
    # OSError: pyvips is there, the library is not.
    except (ImportError, OSError) as error:
        raise _not_loaded("libvips", error, _LIBVIPS, least) from error
    _check("libvips", ".".join(str(pyvips.version(part)) for part in range(3)), least, _LIBVIPS)


def _check(name: str, found: str, least: str, package: str, first: str = "") -> None:
    """Refuse a version that is too old.

    Args:
        name: of the library.
        found, least: its version, and the lowest that will do.
        package: what to install.
        first: what to do before.
    """
    if is_older(found, least):
        raise HeatmapError(
            f"{name} {found} is installed, heatmap needs {least} or newer: "
            f"{first}pip install '{package}>={least}'"
        )


def _not_loaded(name: str, error: BaseException, package: str, least: str) -> HeatmapError:
    return HeatmapError(
        f"{name} cannot be loaded ({reason_of(error)}): pip install '{package}>={least}'"
    )


def is_older(found: str, least: str) -> bool:
    """Whether a version is lower than another one."""
    return _numbers(found) < _numbers(least)


def _numbers(version_text: str) -> tuple[int, ...]:
    """The numbers that a version begins with: "2.14.1+cpu" is (2, 14, 1)."""
    leading = re.match(r"\d+(\.\d+)*", version_text)
    return tuple(map(int, leading[0].split("."))) if leading else ()


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
