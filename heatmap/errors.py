"""Every error that heatmap raises on purpose.

    HeatmapError
    ├── PhotoError        a photo that cannot be read, or is no photo
    ├── GeometryError     window, stride, scale or border that do not fit
    ├── ModelError        an unknown model, weights that are missing or do not match
    ├── ConversionError   a network that cannot slide
    │   └── InexactError  a network that can, but whose scores depend on the whole input
    ├── ClassError        a class that the model does not have
    └── ResultError       a result that cannot be read or written

A message names the thing, the numbers and the way out, in one line: the
command line prints it as it is and exits with code 1.
"""

from __future__ import annotations


class HeatmapError(Exception):
    """Base class of all errors that heatmap raises on purpose."""


class PhotoError(HeatmapError):
    """A photo that cannot be read, or an array that is not an RGB uint8 photo."""


class GeometryError(HeatmapError):
    """Window, stride, scale or border that do not fit the photo or the network."""


class ModelError(HeatmapError):
    """An unknown model, or weights that are missing or do not match it."""


class ConversionError(HeatmapError):
    """A network that cannot be made to slide; names the layer and the reason."""


class InexactError(ConversionError):
    """A network whose sliding scores depend on what else is in the photo."""


class ClassError(HeatmapError):
    """A class that the model does not have, or a name that fits several."""


class ResultError(HeatmapError):
    """A result file that cannot be read or written."""


def first_line(error: BaseException) -> str:
    """What an error says, in one line; its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".:")
