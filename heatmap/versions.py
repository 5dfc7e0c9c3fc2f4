"""Versions of the installed packages that can change a result."""

from __future__ import annotations

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
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
