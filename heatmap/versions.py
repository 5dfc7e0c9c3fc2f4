"""Versions of the packages that can change a result."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

# As the package index calls them.
_PACKAGES = (
    "heatmap-localizer",
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "opencv-python-headless",
    "pyvips",
)


@cache
def package_versions() -> dict[str, str]:
    """Name to version, of those installed."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
