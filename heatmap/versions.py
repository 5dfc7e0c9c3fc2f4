"""Versions of the installed packages that can change a result."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version

# Names as on the package index.
_PACKAGES = (
    "heatmap-localizer",
    "torch",
    "torchvision",
    "timm",
    "onnxruntime",
    "numpy",
    "opencv-python-headless",
    "pyvips",
)


@cache
def package_versions() -> dict[str, str]:
    """The version of each of these packages that is installed, by name."""
    return installed_versions(_PACKAGES)


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """The version of each package that is installed, by name; none is imported."""
    versions = {}
    for name in packages:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
