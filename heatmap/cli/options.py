"""Options that several commands share, grouped under the headings of ``--help``.

Each option has the name of the corresponding Python parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ..choices import ACTIVATIONS, BACKENDS, DTYPES, ENGINES, STATISTICS
from ..geometry import BORDERS
from ..localization.auto_scales import RESOLUTIONS
from ..photo.reading import MAX_PIXELS
from .completion import complete_classes, complete_models
from .parameter_types import (
    ChannelNumbers,
    DeviceName,
    InputRange,
    Memory,
    PixelCount,
    RegionXywh,
    StridePx,
    WindowSide,
    read_scales,
)

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(path_type=Path)

# Copies of library defaults whose modules are slow to import; a test compares them.
DEFAULT_MODEL = "efficientnet_lite0"
CONFIDENCE_THRESHOLD = 0.35
IOU_THRESHOLD = 0.2
CONFIRM = 100


def under(heading: str, *options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, listed in help under ``heading``."""

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
        shell_complete=complete_models,
        help="torchvision name, timm/NAME, package.module:factory, checkpoint, or exported .onnx.",
    ),
    click.option(
        "--weights",
        default="default",
        show_default=True,
        metavar="default|random|FILE",
        help="Pretrained or random weights, or a .safetensors, .pt or .pth file.",
    ),
    click.option(
        "--weights-key",
        metavar="NAME",
        help="Key of the weights in a file that holds several, or a prefix of their names.",
    ),
    click.option(
        "--architecture",
        metavar="MODULE:FACTORY",
        help="For a checkpoint of a network of your own: the factory that made it.",
    ),
)
activation_option = under(
    "Model",
    click.option(
        "--activation",
        type=click.Choice(ACTIVATIONS),
        default="auto",
        show_default=True,
        help="What makes probabilities of the network's outputs: softmax, if its classes exclude "
        "each other; sigmoid, if they are independent; none, if it gives probabilities; auto: "
        "what its outputs look like.",
    ),
)
model_options = under(
    "Model",
    network_options,
    click.option(
        "--window",
        type=WindowSide(),
        metavar="PX",
        help="Side of the network's square input; default: the model's own.",
    ),
    click.option(
        "--mean", type=ChannelNumbers(), help="Mean of each channel, in units of pixel/255."
    ),
    click.option(
        "--std",
        type=ChannelNumbers(),
        help="Standard deviation of each channel, in units of pixel/255.",
    ),
    click.option(
        "--channel-order",
        type=click.Choice(["rgb", "bgr"]),
        help="Channel order of the network's input.",
    ),
    click.option(
        "--class-names",
        type=click.Path(),
        metavar="FILE",
        help="Text file of the class names, one per line.",
    ),
    click.option(
        "--groups", type=click.Path(), metavar="FILE", help="JSON file of additional class groups."
    ),
    activation_option,
)

reading_options = under(
    "Reading photos",
    click.option(
        "--input-range",
        type=InputRange(),
        help="Values of the file that become black and white, for more than 8 bits; default: by "
        "the file's own depth.",
    ),
    click.option(
        "--damaged",
        type=click.Choice(["note", "refuse"]),
        default="note",
        show_default=True,
        help="Photos that are damaged and partly made up by the decoder: take with a note, or "
        "refuse.",
    ),
    click.option(
        "--max-pixels",
        type=PixelCount(),
        default=MAX_PIXELS,
        show_default=PixelCount().spell(MAX_PIXELS),
        help="Refuse photos of more pixels in formats that are read as a whole.",
    ),
)

_WINDOWS = "Windows"


def _stride_option(kind: click.ParamType, more: str = "") -> Callable[[F], F]:  # type: ignore[type-arg]
    text = f"Distance between neighbouring windows; default: the network's native stride.{more}"
    metavar = "PX|auto" if more else "PX"
    return under(_WINDOWS, click.option("--stride", type=kind, metavar=metavar, help=text))


stride_option = _stride_option(
    StridePx(), " Auto: crop from coarse to fine at that stride; no effect on sliding."
)
# Of what needs all windows: `verify`, which says why, and `export`.
verify_stride_option = _stride_option(StridePx())
export_stride_option = _stride_option(click.INT)
scales_options = under(
    _WINDOWS,
    click.option(
        "--scale",
        "--scales",
        "scales",
        multiple=True,
        callback=lambda _, __, values: read_scales(values),
        metavar="FACTOR|auto|photo|native",
        help="Resize the photo by this factor; may be repeated to fuse several scales. Photo: "
        "scales that fit the photo, for networks that learned from whole photos; native: 1; auto "
        "(default): what the network learned from.",
    ),
    click.option(
        "--resolution",
        type=click.Choice(RESOLUTIONS),
        default="normal",
        show_default=True,
        help="Fine and finer: also look for things half and a quarter as large.",
    ),
)
fuse_option = under(
    _WINDOWS,
    click.option(
        "--fuse",
        type=click.Choice(["mean", "max"]),
        default="mean",
        show_default=True,
        help="How to combine the probabilities of several scales where there are no sharp maps.",
    ),
)
region_option = under(
    _WINDOWS,
    click.option(
        "--region",
        type=RegionXywh(),
        help="Look only at this part of the photo, px; boxes are of the whole photo.",
    ),
)
border_option = under(
    _WINDOWS,
    click.option(
        "--border",
        type=click.Choice(BORDERS),
        default="cover",
        show_default=True,
        help="Cover: extend the photo so that every pixel lies in a window; valid: only windows "
        "wholly inside the photo.",
    ),
)
engine_option = under(
    _WINDOWS,
    click.option(
        "--engine",
        type=click.Choice(ENGINES),
        default="auto",
        show_default=True,
        help="Slide: one pass over the photo; crop: window by window; auto: crop only where "
        "sliding is inexact or refused.",
    ),
)


def statistics_of(otherwise: str) -> Callable[[F], F]:
    """``--statistics``; ``otherwise`` says what happens to such networks without it."""
    return under(
        _WINDOWS,
        click.option(
            "--statistics",
            type=click.Choice(STATISTICS),
            help="Slide networks that look at their whole input (squeeze-and-excitation, "
            "GroupNorm), as an approximation: with statistics of a window around each position "
            f"(local), or of the whole photo; default: {otherwise}.",
        ),
    )


statistics_option = statistics_of("such networks are cropped")
skip_options = under(
    _WINDOWS,
    click.option(
        "--skip-background", is_flag=True, help="Skip windows that show only flat background."
    ),
    click.option(
        "--mask",
        type=FILE,
        metavar="FILE",
        help="Image of the photo's proportions; windows where it is black are skipped.",
    ),
)
conf_option = under(
    "Detections",
    click.option(
        "--conf",
        type=click.FloatRange(0, 1),
        default=CONFIDENCE_THRESHOLD,
        show_default=True,
        metavar="P",
        help="Confidence threshold: detections below it are dropped.",
    ),
)
detection_options = under(
    "Detections",
    click.option(
        "-c",
        "--class",
        "classes",
        multiple=True,
        metavar="CLASS",
        shell_complete=complete_classes,
        help="Class to look for: name, index, wnid, unique prefix, or group; may be repeated.",
    ),
    click.option(
        "--exclude",
        multiple=True,
        metavar="CLASS",
        shell_complete=complete_classes,
        help="Class to leave out where none is named with -c; may be repeated.",
    ),
    conf_option,
    click.option(
        "--iou",
        type=click.FloatRange(0, 1),
        default=IOU_THRESHOLD,
        show_default=True,
        metavar="SHARE",
        help="IoU threshold: of windows of one class that overlap more, only the most confident "
        "is kept.",
    ),
    click.option(
        "--max-det",
        type=click.IntRange(min=1),
        metavar="N",
        help="Maximum number of detections per photo, or per class with -c; default: unlimited.",
    ),
)
confirm_option = under(
    "Detections",
    click.option(
        "--confirm",
        type=click.IntRange(min=0),
        default=CONFIRM,
        show_default=True,
        metavar="N",
        help="Confirm the N most confident detections by cropping their boxes.",
    ),
)
backend_option = under(
    "Computing",
    click.option(
        "--backend",
        type=click.Choice(BACKENDS),
        default="auto",
        show_default=True,
        help="What runs the network: torch, ONNX Runtime (onnx), or the faster one of them.",
    ),
)
compute_options = under(
    "Computing",
    click.option(
        "--memory",
        type=Memory(),
        help="Memory limit for activations, such as 2GB; default: half of what is free.",
    ),
    click.option(
        "--device",
        type=DeviceName(),
        default="cpu",
        show_default=True,
        help="Device to compute on; cuda:1 is the second GPU.",
    ),
    click.option(
        "--dtype",
        type=click.Choice(DTYPES),
        default="float32",
        show_default=True,
        help="Number format of convolutions and matrix products.",
    ),
)
