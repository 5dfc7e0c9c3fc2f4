"""Turn any image classifier into a localizer for photos of any size.

result = heatmap.run("photo.jpg", classes=["dog"])     # boxes and heatmaps of one photo
result.save("results")
done = heatmap.batch("photos", output="results")       # of many, into a folder
report = heatmap.verify("photo.jpg", model="vgg16")    # is sliding the same as cropping?
trained = heatmap.train("my photos", "mine.safetensors")
grid = heatmap.score("photo.jpg")                      # the scores of every window
fcn = heatmap.convert(module, window=224)              # (B, 3, H, W) -> (B, K, N, M)

Each command of `heatmap` is a function of the same name and options.
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
