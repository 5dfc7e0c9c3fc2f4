"""Versions of the installed packages that can change a result."""

from __future__ import annotations

import platform
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
# They install the same module as opencv-python-headless, each over the others.
OTHER_OPENCVS = ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")


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


def report_versions() -> dict[str, str]:
    """What to tell of an installation in a report, by name; nothing is imported for it.

    Packages that are not installed are "missing". With pyvips-binary comes libvips, of its version.
    """
    found = installed_versions((*_PACKAGES, *OTHER_OPENCVS, "pyvips-binary"))
    own, *others = _PACKAGES
    return {
        own: found.get(own, "missing"),
        "Python": platform.python_version(),
        **dict.fromkeys(others, "missing"),
        **found,
        "platform": platform.platform(),
    }
