"""Options that several commands share, each under the heading it has in ``--help``.

Each is called as the parameter of the Python call that it stands for.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ..choices import DEVICES, DTYPES, ENGINES
from ..geometry import BORDERS
from .parameter_types import Memory, ThreeNumbers, WholeNumbers, read_scales

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(path_type=Path)

# They stand in the library too, in modules that take long to load; a test compares them.
DEFAULT_MODEL = "efficientnet_lite0"
OPACITY = 0.7
CONFIDENCE_THRESHOLD = 0.3
IOU_THRESHOLD = 0.2


def under(heading: str, *options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, listed in help under a heading of their own."""

    def decorate(function: F) -> F:
        others = list(getattr(function, "__click_params__", []))
        for option in reversed(options):
            function = option(function)
        for parameter in getattr(function, "__click_params__", []):
            if parameter not in others and not hasattr(parameter, "heading"):
                parameter.heading = heading
        return function

    return decorate


network_options = under(
    "Model",
    click.option(
        "-m",
        "--model",
        default=DEFAULT_MODEL,
        show_default=True,
        metavar="MODEL",
        help="torchvision name, timm/NAME, checkpoint file or package.module:factory.",
    ),
    click.option(
        "--weights",
        default="default",
        show_default=True,
        metavar="default|random|FILE",
        help="Pretrained weights, random ones, or a .safetensors, .pt or .pth file.",
    ),
)
model_options = under(
    "Model",
    network_options,
    click.option(
        "--window", type=int, metavar="PX", help="Side of the network's input; default: its own."
    ),
    click.option("--mean", type=ThreeNumbers(), help="Means of the channels, of pixel/255."),
    click.option(
        "--std", type=ThreeNumbers(), help="Standard deviations of the channels, of pixel/255."
    ),
    click.option(
        "--channel-order", type=click.Choice(["rgb", "bgr"]), help="Order the network takes."
    ),
    click.option(
        "--class-names",
        type=click.Path(),
        metavar="FILE",
        help="Text file of the class names, one a line.",
    ),
    click.option(
        "--groups", type=click.Path(), metavar="FILE", help="JSON file of your own class groups."
    ),
)
adapt_options = under(
    "New network",
    click.option(
        "--window",
        type=click.IntRange(min=1),
        metavar="PX",
        help="Side of the new network's input; default: unchanged.",
    ),
    click.option(
        "--head",
        type=click.Choice(["fc", "pool", "spp"]),
        help="Default: fc where the network flattens its feature map, pool where it averages.",
    ),
    click.option(
        "--levels",
        type=WholeNumbers(),
        default="4,2,1",
        show_default=True,
        help="Of the spp head: the sides of the grids it pools to.",
    ),
    click.option(
        "--fc6",
        type=click.Choice(["reinitialised", "resampled"]),
        default="reinitialised",
        show_default=True,
        help="Of the fc head: a first layer of another size is re-initialised, or resampled "
        "from the trained one.",
    ),
    click.option(
        "--freeze",
        default="trunk",
        show_default=True,
        metavar="trunk|none|N",
        help="What training leaves as it is: the trunk, nothing, or the first N layers.",
    ),
    click.option(
        "--average/--no-average",
        default=True,
        show_default=True,
        help="Of the fc head: average over the windows of a larger photo, or refuse it.",
    ),
    click.option("--softmax", is_flag=True, help="End the network in a softmax."),
)

_WINDOWS = "Windows"
stride_option = under(
    _WINDOWS,
    click.option(
        "--stride",
        type=int,
        metavar="PX",
        help="Distance between windows; default: the network's own.",
    ),
)
scale_option = under(
    _WINDOWS,
    click.option(
        "--scale",
        type=float,
        default=1.0,
        show_default=True,
        metavar="FACTOR",
        help="Resize the photo by this factor.",
    ),
)


def _scales_options(default: tuple[float, ...], *, scale: str, fuse: str) -> Callable[[F], F]:
    """Options for several scales; the texts say what none of them means, and what fusing does."""
    return under(
        _WINDOWS,
        click.option(
            "--scale",
            "--scales",
            "scales",
            multiple=True,
            callback=lambda _, __, values: read_scales(values, default),
            metavar="FACTOR|auto",
            help=scale,
        ),
        click.option(
            "--fuse",
            type=click.Choice(["mean", "max"]),
            default="mean",
            show_default=True,
            help=fuse,
        ),
    )


scales_options = _scales_options(
    (1.0,),
    scale="Resize the photo by this factor; repeat it to fuse several scales; default: 1.",
    fuse="How probabilities of several scales become one.",
)
several_scales_options = _scales_options(
    (),
    scale="Resize photos by this factor; repeat it to fuse several scales; default: both 1 and "
    "auto are measured.",
    fuse="How probabilities of several scales become one, where there are no sharp maps.",
)
border_option = under(
    _WINDOWS,
    click.option(
        "--border",
        type=click.Choice(BORDERS),
        default="cover",
        show_default=True,
        help="Extend the photo so that every pixel lies in a window, or keep inside it.",
    ),
)
engine_option = under(
    _WINDOWS,
    click.option(
        "--engine",
        type=click.Choice(ENGINES),
        default="auto",
        show_default=True,
        help="Slide, or crop every window; auto crops only where sliding is inexact or refused.",
    ),
)
skip_options = under(
    _WINDOWS,
    click.option("--skip-background", is_flag=True, help="Leave out windows of flat background."),
    click.option("--mask", type=FILE, metavar="FILE", help="Picture, black where not to look."),
)
detection_options = under(
    "Detections",
    click.option(
        "-c",
        "--class",
        "classes",
        multiple=True,
        metavar="CLASS",
        help="Class to look for: name, index, prefix, or group (dog); may be repeated.",
    ),
    click.option(
        "--conf",
        type=click.FloatRange(0, 1),
        default=CONFIDENCE_THRESHOLD,
        show_default=True,
        metavar="P",
        help="Confidence threshold: detections below it are left out.",
    ),
    click.option(
        "--iou",
        type=click.FloatRange(0, 1),
        default=IOU_THRESHOLD,
        show_default=True,
        metavar="SHARE",
        help="IoU threshold: of windows that overlap more, only the most confident counts.",
    ),
    click.option(
        "--max-det",
        type=click.IntRange(min=1),
        metavar="N",
        help="Most detections of a photo, or of each class asked for; default: all.",
    ),
)
overlay_options = under(
    "Overlays",
    click.option(
        "--top",
        type=click.IntRange(min=0),
        default=0,
        metavar="K",
        help="Draw the K classes that win the most windows; default: the classes detected, "
        "5 at most.",
    ),
    click.option(
        "--opacity",
        type=click.FloatRange(0, 1),
        default=OPACITY,
        show_default=True,
        metavar="SHARE",
        help="How far the highest scores cover the photo.",
    ),
    click.option("--stretch", is_flag=True, help="Spread the colours over this photo's own range."),
)
compute_options = under(
    "Computing",
    click.option(
        "--memory",
        type=Memory(),
        help="Limit for activations, such as 2GB; default: half of what is free.",
    ),
    click.option(
        "--device",
        type=click.Choice(DEVICES),
        default="cpu",
        show_default=True,
        help="Where to compute.",
    ),
    click.option(
        "--dtype",
        type=click.Choice(DTYPES),
        default="float32",
        show_default=True,
        help="Number format to compute in.",
    ),
)
store_options = under(
    "Output",
    click.option(
        "--store-classes",
        multiple=True,
        metavar="CLASS",
        help="Store the probabilities of this class only; may be repeated.",
    ),
    click.option(
        "--format",
        "formats",
        multiple=True,
        type=click.Choice(["csv", "coco", "geojson", "tiff"]),
        help="Write detections in this format too; tiff: the heatmaps, as float32.",
    ),
    click.option(
        "--coco",
        type=FILE,
        metavar="FILE",
        help="COCO instances file whose image and category ids --format coco takes.",
    ),
    click.option("--html", is_flag=True, help="Write a page to look at in a browser."),
)
output_option = under(
    "Output",
    click.option(
        "-o",
        "--output",
        type=FILE,
        default=Path("results"),
        show_default=True,
        metavar="FOLDER",
        help="Folder for the results; made if missing.",
    ),
)
json_option = under(
    "Output",
    click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text."),
)
