"""Options of what is drawn and written, which several commands share."""

from __future__ import annotations

from pathlib import Path

import click

from ..choices import COLORMAPS
from .completion import complete_classes
from .options import FILE, under
from .parameter_types import ColorRange

# A copy of the library's default, whose module is slow to import; a test compares them.
ALPHA = 0.7

_PICTURES = "Pictures"
per_class_option = under(
    _PICTURES,
    click.option(
        "--per-class",
        is_flag=True,
        default=None,
        help="Also draw the heatmap of each class by itself.",
    ),
)
areas_option = under(
    _PICTURES,
    click.option(
        "--areas",
        is_flag=True,
        help="Also draw a map of areas: each pixel in the colour of the class that wins there, "
        "whatever was named; for textures, land cover, defects.",
    ),
)
drawing_options = under(
    _PICTURES,
    click.option(
        "--alpha",
        type=click.FloatRange(0, 1),
        metavar="SHARE",
        help=f"Opacity of the highest scores on the photo; default: {ALPHA}, or as it was drawn "
        "before.",
    ),
    click.option(
        "--color-range",
        type=ColorRange(),
        help="Probabilities that the colours range over; default: of one photo from 0 to its own "
        "maximum, of a batch 0:0.5, or as it was drawn before.",
    ),
    click.option(
        "--colormap",
        type=click.Choice(COLORMAPS, case_sensitive=False),
        metavar="NAME",
        help="Colour the highest probability of all classes by a colormap of OpenCV, such as turbo "
        "or viridis; default: a colour for each class, or as it was drawn before.",
    ),
    click.option(
        "--legend/--no-legend",
        default=None,
        help="With or without the legend below; default: with, or as it was drawn before.",
    ),
    click.option(
        "--boxes/--no-boxes",
        default=None,
        help="With or without boxes and labels; default: with, or as it was drawn before.",
    ),
    click.option(
        "--full",
        is_flag=True,
        default=None,
        help="Draw photos at their full size, those too large for memory as a tiled TIFF; "
        "default: at most 2,000 px on the longer side.",
    ),
)
picture_options = under(_PICTURES, per_class_option, areas_option, drawing_options)
store_options = under(
    "Output",
    click.option(
        "--store-classes",
        multiple=True,
        metavar="CLASS",
        shell_complete=complete_classes,
        help="Store the probabilities of this class only; may be repeated.",
    ),
    click.option(
        "--format",
        "formats",
        multiple=True,
        type=click.Choice(["csv", "coco", "geojson", "yolo", "voc", "labelme", "tiff"]),
        help="Also write detections in this format (yolo, voc, labelme: annotations to correct; "
        "tiff: float32 heatmaps); may be repeated.",
    ),
    click.option(
        "--coco",
        type=FILE,
        metavar="FILE",
        help="COCO instances file that --format coco takes its image and category ids from.",
    ),
    click.option("--html", is_flag=True, help="Also write an HTML page for the browser."),
    click.option(
        "--save-grid",
        is_flag=True,
        help="Also write the score grid: all classes of all windows, or those stored.",
    ),
    click.option(
        "--save-crops", is_flag=True, help="Also write a cut-out of the photo for each detection."
    ),
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
        help="Folder for the results; created if missing.",
    ),
)
overwrite_option = under(
    "Output",
    click.option(
        "--overwrite",
        is_flag=True,
        help="Also replace files that this tool did not write, or that were changed since; "
        "never a photo.",
    ),
)


def _only(context: click.Context, parameter: click.Parameter, value: bool) -> bool:
    """A flag, which --quiet and --verbose are only by themselves."""
    other = {"quiet": "verbose", "verbose": "quiet"}[str(parameter.name)]
    if value and context.params.get(other):
        raise click.UsageError("--quiet and --verbose contradict each other: give one")
    return value


talk_options = under(
    "Output",
    click.option("-q", "--quiet", is_flag=True, callback=_only, help="Print only errors."),
    click.option(
        "-v",
        "--verbose",
        is_flag=True,
        callback=_only,
        help="Also print times and settings.",
    ),
)
json_option = under(
    "Output",
    click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text."),
)
