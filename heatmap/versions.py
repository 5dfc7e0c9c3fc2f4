"""Versions of the packages that can change a result."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("heatmap", "torch", "torchvision", "timm", "numpy", "opencv-python-headless", "pyvips")


@cache
def package_versions() -> dict[str, str]:
    """Name to version, of those installed."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
