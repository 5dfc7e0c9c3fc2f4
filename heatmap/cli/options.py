"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ..geometry import BORDERS

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_MODEL = "efficientnet_lite0"


def _stack(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several click options as one decorator."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _numbers(_: click.Context, __: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    if value is None:
        return None
    try:
        numbers = tuple(float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r}: give three numbers, such as 0.5,0.5,0.5") from None
    if len(numbers) != 3:
        raise click.BadParameter(f"{value!r}: give three numbers, such as 0.5,0.5,0.5")
    return numbers


def _size(_: click.Context, __: click.Parameter, text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    try:
        height, width = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise click.BadParameter(f"{text!r}: give height x width in px, such as 400x400") from None
    return height, width


def _levels(_: click.Context, __: click.Parameter, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r}: give whole numbers, such as 4,2,1") from None


_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def _bytes(_: click.Context, __: click.Parameter, text: str | None) -> int | None:
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([kmgt]?)b?", text.strip().lower())
    number = float(found[1]) * _BYTES[found[2]] if found else 0
    if not 1 <= number < math.inf:
        raise click.BadParameter(f"{text!r}: give bytes, such as 500MB or 2GB")
    return int(number)


def _scales(values: tuple[str, ...], default: tuple[float, ...]) -> tuple[float, ...] | None:
    """The factors, or None for "auto"."""
    if values == ("auto",):
        return None
    try:
        return tuple(dict.fromkeys(float(value) for value in values)) or default
    except ValueError:
        raise click.BadParameter(
            f"{' '.join(values)!r}: give numbers, such as --scale 0.5 --scale 1, or auto alone"
        ) from None


network_options = _stack(
    click.option(
        "-m",
        "--model",
        default=DEFAULT_MODEL,
        show_default=True,
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
model_options = _stack(
    network_options,
    click.option("--window", type=int, help="Side of the classifier's input, px."),
    click.option("--mean", metavar="R,G,B", callback=_numbers, help="Channel means of pixel/255."),
    click.option(
        "--std", metavar="R,G,B", callback=_numbers, help="Channel deviations of pixel/255."
    ),
    click.option("--channel-order", type=click.Choice(["rgb", "bgr"]), help="Of the input."),
    click.option(
        "--class-names",
        type=click.Path(),
        metavar="FILE",
        help="Text file of the class names, one a line.",
    ),
    click.option("--groups", type=click.Path(), help="JSON file of class groups of your own."),
)
adapt_options = _stack(
    click.option(
        "--window", type=click.IntRange(min=1), help="Of the new network, px; default: as it is."
    ),
    click.option(
        "--head",
        type=click.Choice(["fc", "pool", "spp"]),
        help="Default: fc where the network flattens its feature map, pool where it averages.",
    ),
    click.option(
        "--levels",
        default="4,2,1",
        show_default=True,
        metavar="L,L,...",
        callback=_levels,
        help="Grids of the pyramid, for spp.",
    ),
    click.option(
        "--fc6",
        type=click.Choice(["reinitialised", "resampled"]),
        default="reinitialised",
        show_default=True,
        help="First layer of fc where its size changed: drawn anew, or from the trained one.",
    ),
    click.option(
        "--freeze",
        default="trunk",
        show_default=True,
        metavar="trunk|none|N",
        help="What training leaves alone; N is a number of layers.",
    ),
    click.option(
        "--average/--no-average",
        default=True,
        show_default=True,
        help="Of fc: average the scores of all windows of a larger photo, or refuse it.",
    ),
    click.option("--softmax", is_flag=True, help="End in a softmax."),
)
schedule_options = _stack(
    click.option(
        "--epochs", type=click.IntRange(min=1), default=40, show_default=True, help="At most."
    ),
    click.option(
        "--batch",
        type=click.IntRange(min=1),
        default=32,
        show_default=True,
        help="Examples a step.",
    ),
    click.option(
        "--rate", type=float, default=1e-3, show_default=True, help="Learning rate of AdamW."
    ),
    click.option(
        "--decay", type=float, default=1e-2, show_default=True, help="Weight decay of AdamW."
    ),
    click.option(
        "--views",
        type=click.IntRange(min=1),
        default=8,
        show_default=True,
        help="Of each example: the plain one, and augmented ones.",
    ),
    click.option(
        "--validation-split",
        type=float,
        default=0.2,
        show_default=True,
        help="Share of the photos kept for validation; 0: none, and all epochs are trained.",
    ),
    click.option(
        "--patience",
        type=click.IntRange(min=1),
        default=8,
        show_default=True,
        help="Stop after so many epochs without a smaller validation loss.",
    ),
    click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all draws."
    ),
)
stride_option = click.option(
    "--stride", type=int, help="Distance between windows, px; default: the network's own."
)
scale_option = click.option(
    "--scale",
    type=float,
    default=1.0,
    show_default=True,
    help="Resize the photo by this factor.",
)


def _scales_options(default: tuple[float, ...], *, scale: str, fuse: str) -> Callable[[F], F]:
    """Options for several scales; the texts say what none of them means, and what fusing does."""
    return _stack(
        click.option(
            "--scale",
            "--scales",
            "scales",
            multiple=True,
            callback=lambda _, __, values: _scales(values, default),
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
    scale="Resize the photo by this factor; several are fused; default: 1.",
    fuse="How probabilities of several scales become one.",
)
several_scales_options = _scales_options(
    (),
    scale="Resize photos by this factor; several are fused; default: 1, and auto beside it.",
    fuse="How probabilities of several scales become one, where there are no sharp maps.",
)
limit_options = _stack(
    click.option(
        "--memory",
        metavar="SIZE",
        callback=_bytes,
        help="What activations may take, such as 2GB; default: half of what is free.",
    ),
    click.option(
        "--store-classes",
        multiple=True,
        metavar="CLASS",
        help="Keep the probabilities of this class only.",
    ),
    click.option("--skip-background", is_flag=True, help="Leave out windows of flat background."),
    click.option(
        "--mask",
        type=click.Path(path_type=Path),
        help="Picture that is black where not to look.",
    ),
    click.option(
        "--device",
        type=click.Choice(["cpu", "cuda", "mps"]),
        default="cpu",
        show_default=True,
        help="Where to compute.",
    ),
    click.option(
        "--dtype",
        type=click.Choice(["float32", "bfloat16", "float16"]),
        default="float32",
        show_default=True,
        help="Numbers to compute in.",
    ),
)
border_option = click.option(
    "--border",
    type=click.Choice(BORDERS),
    default="cover",
    show_default=True,
    help="Extend the photo so that every pixel lies in a window, or keep inside it.",
)
engine_option = click.option(
    "--engine",
    type=click.Choice(["auto", "slide", "crop"]),
    default="auto",
    show_default=True,
    help="Slide, or cut out every window; auto crops only where sliding is inexact or refused.",
)
view_options = _stack(
    click.option(
        "-c", "--class", "wanted", multiple=True, help="Class name, index, prefix, or group (dog)."
    ),
    click.option(
        "--top",
        type=click.IntRange(min=0),
        default=0,
        help="Draw the K classes that win most; else what was found, 5 at most.",
    ),
    click.option(
        "--opacity",
        type=click.FloatRange(0, 1),
        default=0.7,
        show_default=True,
        help="How far the highest scores cover the photo.",
    ),
    click.option("--stretch", is_flag=True, help="Spread colours over this photo's own range."),
    click.option(
        "--conf",
        type=click.FloatRange(0, 1),
        default=0.3,
        show_default=True,
        help="Smallest probability that counts as found.",
    ),
)
extra_options = _stack(
    click.option(
        "--format",
        "formats",
        multiple=True,
        type=click.Choice(["csv", "coco", "geojson", "tiff"]),
        help="Write what was found in this format too; tiff is the heatmaps as float32.",
    ),
    click.option(
        "--coco",
        type=click.Path(path_type=Path),
        help="COCO instances file whose image and category ids --format coco takes.",
    ),
    click.option("--html", is_flag=True, help="Write a page to look at in a browser."),
)
output_options = _stack(
    click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        default=Path("results"),
        show_default=True,
        help="Folder for the results; made if missing.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table."),
)
runner_options = _stack(
    click.option(
        "--runner",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="This process, or workers on Ray (needs ray).",
    ),
    click.option(
        "--workers", type=click.IntRange(min=1), help="How many on Ray; default: one for each CPU."
    ),
    click.option(
        "--threads", type=click.IntRange(min=1), help="Of each photo; default: 1 of several photos."
    ),
    click.option("--ray-address", metavar="ADDRESS", help="A cluster; default: one made here."),
    click.option(
        "--gpus",
        type=click.FloatRange(min=0),
        help="GPUs of each worker on Ray; default: 1 on cuda, else none.",
    ),
)
photo_size_option = click.option(
    "--photo-size", metavar="HxW", callback=_size, help="Default: one window."
)
