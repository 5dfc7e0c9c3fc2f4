"""Turn any image classifier into a localizer for photos of any size.

grid = heatmap.score("photo.jpg")           # every window of the photo, scored
image = heatmap.overlay("photo.jpg", grid, "tabby")
detections = heatmap.localize(grid)
report = heatmap.verify("photo.jpg", model="vgg16")
fcn = heatmap.convert(module, window=224)   # (B, 3, H, W) -> (B, K, N, M)
"""

from importlib.metadata import version
from typing import Any

import lazy_loader

# The public names are listed in __init__.pyi and imported on first use, so that
# `heatmap --help` answers before torch is loaded.
_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    # Errors are there to be caught, this one too.
    if name in __all__ and not name.endswith("Error"):
        from .installed import check_installed

        check_installed()
    return _load(name)


__version__ = version("heatmap-localizer")
