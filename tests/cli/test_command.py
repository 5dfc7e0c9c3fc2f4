"""Errors of Python calls, in the words of a command's own options."""

import click
import pytest
from click.testing import CliRunner

from heatmap.cli.command import Command
from heatmap.errors import GeometryError, Use


def said(*ways: Use, options=(), arguments=()) -> str:
    """What a command with these options and arguments prints of an error with these ways out."""

    @click.command(cls=Command, params=[*map(click.Argument, arguments), *options])
    def command(**_):
        raise GeometryError("photo is 180 x 240 px, the window is 224 px", *ways)

    outcome = CliRunner().invoke(command, ["x"] * len(arguments))
    assert outcome.exit_code == 1
    assert outcome.stdout == ""
    start, _, advice = outcome.stderr.partition("the window is 224 px")
    assert start == "heatmap: photo is 180 x 240 px, "
    return advice


BORDER = click.Option(["--border"])
STRIDE = click.Option(["--stride"], type=int)
ENGINE = click.Option(["--engine"])
CROP = Use("engine", "crop")


def test_each_way_out_is_an_option_with_its_value():
    ways = (Use("border", "cover"), Use("scale", 0.5), Use("stride", text="use a larger {}"))
    options = (BORDER, STRIDE, click.Option(["-x", "--scale"], type=float))
    expected = ": use --border cover, --scale 0.5 or a larger --stride\n"
    assert said(*ways, options=options) == expected


def test_what_a_command_does_not_have_is_left_out():
    assert said(Use("border", "cover"), Use("memory"), options=(BORDER,)) == (
        ": use --border cover\n"
    )
    assert said(Use("border", "cover")) == "\n"


@pytest.mark.parametrize(
    ("option", "way", "expected"),
    [
        (click.Option(["-c", "--class", "classes"], multiple=True), Use("classes", 3), "--class 3"),
        (click.Option(["--scale", "--scales", "scales"]), Use("scale", 2), "--scale 2"),
        (click.Option(["--scale", "--scales", "scales"]), Use("scales"), "--scales"),
        (click.Option(["--groups"]), Use("groups", "my groups"), "--groups 'my groups'"),
        (click.Option(["--top"], multiple=True), Use("top", (1, 2)), "--top 1 --top 2"),
        (click.Option(["--resume"], is_flag=True), Use("resume", True), "--resume"),
        (click.Option(["--cam/--no-cam"]), Use("cam", False), "--no-cam"),
        (click.Option(["--cam/--no-cam"]), Use("cam", True), "--cam"),
    ],
)  # fmt: skip
def test_options_are_spelled_as_one_types_them(option, way, expected):
    assert said(way, options=(option,)) == f": use {expected}\n"


def test_arguments_are_called_by_their_metavar():
    way = Use("photo", "cat.png", "name the photo as {}")
    assert said(way, arguments=(["photo"],)) == ": name the photo as PHOTO\n"


def test_a_command_that_only_slides_points_to_the_one_that_crops():
    crops = ": `heatmap run` scores it crop by crop\n"
    assert said(CROP, Use("engine", "slide", "{} to slide anyway")) == crops
    assert said(Use("border", "cover"), CROP, options=(BORDER,)) == ": use --border cover\n"
    assert said(CROP, options=(ENGINE,)) == ": use --engine crop\n"
