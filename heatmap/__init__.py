"""Turn any image classifier into a localizer for photos of any size.

grid = heatmap.score("photo.jpg")           # every window of the photo, scored
image = heatmap.overlay("photo.jpg", grid, "tabby")
found = heatmap.localize(grid)
report = heatmap.verify("photo.jpg", model="vgg16")
fcn = heatmap.convert(module, window=224)   # (B, 3, H, W) -> (B, K, N, M)
"""

from importlib.metadata import version

from .converting import FullyConvolutional, convert
from .errors import (
    ClassError,
    ConversionError,
    GeometryError,
    HeatmapError,
    InexactError,
    ModelError,
    PhotoError,
    ResultError,
)
from .geometry import Geometry
from .grid import ScoreGrid, load
from .localizing import Found, localize
from .models import Classifier, load_classifier, save_checkpoint
from .photos import Photo, read_photo
from .rendering import overlay, write_image
from .reporting import draw_report
from .running import Placement, Run, View, run
from .scoring import Scorer, prepare, score
from .summarizing import Summary, summarize
from .verifying import VerifyReport, verify

__version__ = version("heatmap")

__all__ = [
    "ClassError",
    "Classifier",
    "ConversionError",
    "Found",
    "FullyConvolutional",
    "Geometry",
    "GeometryError",
    "HeatmapError",
    "InexactError",
    "ModelError",
    "Photo",
    "PhotoError",
    "Placement",
    "ResultError",
    "Run",
    "ScoreGrid",
    "Scorer",
    "Summary",
    "VerifyReport",
    "View",
    "convert",
    "draw_report",
    "load",
    "load_classifier",
    "localize",
    "overlay",
    "prepare",
    "read_photo",
    "run",
    "save_checkpoint",
    "score",
    "summarize",
    "verify",
    "write_image",
]
