"""How values of options are read."""

import click
import pytest
from click.testing import CliRunner

from heatmap.cli.options import compute_options, model_options, scales_options
from heatmap.cli.parameter_types import (
    ChannelNumbers,
    ColorRange,
    DeviceName,
    Memory,
    PhotoSize,
    StridePx,
    WholeNumbers,
    WindowSide,
)


@pytest.mark.parametrize(
    ("text", "read"), [("0:0.5", (0.0, 0.5)), (".1:1", (0.1, 1.0)), ("0.25: 0.75", (0.25, 0.75))]
)
def test_a_range_is_two_probabilities(text, read):
    kind = ColorRange()
    assert kind.convert(text, None, None) == read
    assert kind.convert(kind.spell(read), None, None) == read


@pytest.mark.parametrize(
    "text", ["", "0.5", "0.5:0.5", "1:0", "-1:1", "0:2", "a:b", "0:nan", "0:1:2"]
)
def test_what_is_no_range_is_refused(text):
    with pytest.raises(click.BadParameter, match=r"two numbers from 0 to 1, such as 0:0\.5"):
        ColorRange().convert(text, None, None)


@pytest.mark.parametrize("text", ["cpu", "cuda", "cuda:1", "mps"])
def test_devices_are_taken_by_name_and_number(text):
    assert DeviceName().convert(text, None, None) == text


@pytest.mark.parametrize("text", ["gpu", "0", "cuda:", "CUDA"])
def test_no_device_is_refused_with_all_that_there_are(text):
    with pytest.raises(click.BadParameter, match=f"'{text}': choose one of cpu, cuda, mps, cuda:N"):
        DeviceName().convert(text, None, None)


photo_size_option = click.option("--photo-size", type=PhotoSize())


def parsed(*arguments: str):
    """The options as a command gets them, or the usage error."""

    @click.command()
    @scales_options
    @compute_options
    @photo_size_option
    @model_options
    @click.pass_context
    def command(context, **_):
        context.obj.update(context.params)

    values = {}
    outcome = CliRunner().invoke(command, arguments, obj=values)
    return values if outcome.exit_code == 0 else (outcome.exit_code, outcome.output)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2GB", 2 * 10**9),
        ("500MB", 500 * 10**6),
        ("500mb", 500 * 10**6),
        ("1.5 GB", 1_500_000_000),
        (".5g", 500_000_000),
        ("64k", 64_000),
        ("1TB", 10**12),
        (" 12345 ", 12345),
        ("7b", 7),
    ],
)
def test_memory_is_read_as_people_write_it(text, size):
    assert parsed("--memory", text)["memory"] == size


@pytest.mark.parametrize(
    "text", ["", "GB", "0", "0.4", "-2GB", "2XB", "2 G B", "2GBs", "two", "1e9", "nan", "9" * 400]
)
def test_memory_that_is_no_size_is_a_usage_error(text):
    code, output = parsed("--memory", text)
    assert code == 2
    assert f"'--memory': {text!r}: give bytes, such as 500MB or 2GB" in output


def test_memory_is_what_is_free_unless_said():
    assert parsed()["memory"] is None


@pytest.mark.parametrize("text", ["640x480", "640X480", " 640 x 480 "])
def test_photo_sizes_are_width_x_height(text):
    assert parsed("--photo-size", text)["photo_size"] == (640, 480)


@pytest.mark.parametrize("text", ["640", "640x", "axb", "640x480x3", "6.5x4"])
def test_photo_sizes_that_are_none_are_a_usage_error(text):
    code, output = parsed("--photo-size", text)
    assert code == 2
    assert f"{text!r}: give width x height in px, such as 640x480" in output


def test_numbers_of_channels_are_three_or_one_in_grey():
    assert parsed("--mean", "0.5,.4,1")["mean"] == (0.5, 0.4, 1.0)
    assert parsed("--mean", ".4")["mean"] == (0.4,)
    for text in ("0.5,0.5", "a,b,c", "1;2;3", ""):
        code, output = parsed("--mean", text)
        assert code == 2
        assert f"{text!r}: give three numbers, such as 0.5,0.5,0.5" in output


def test_a_window_of_two_sides_is_left_for_the_library_to_refuse():
    assert parsed("--window", "224")["window"] == 224
    assert parsed("--window", "320x224")["window"] == (224, 320)
    code, output = parsed("--window", "large")
    assert code == 2
    assert "'large': give the side in px, such as 224" in output


def test_a_stride_is_a_number_of_px_or_auto():
    with pytest.raises(click.BadParameter, match="'fine': give a whole number of px, or auto"):
        StridePx().convert("fine", None, None)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Memory(), 35_000_000, "35MB"),
        (Memory(), 35_000_001, "36MB"),
        (PhotoSize(), (640, 480), "640x480"),
        (ChannelNumbers(), (0.5, 0.4, 1.0), "0.5,0.4,1"),
        (ChannelNumbers(), (0.5,), "0.5"),
        (WindowSide(), 224, "224"),
        (StridePx(), 16, "16"),
        (StridePx(), "auto", "auto"),
        (WholeNumbers(), (4, 2, 1), "4,2,1"),
    ],
)
def test_values_are_spelled_as_they_are_read(kind, value, text):
    assert kind.spell(value) == text
    read = kind.convert(text, None, None)
    assert read >= value if isinstance(kind, Memory) else read == value


@pytest.mark.parametrize(
    ("arguments", "scales"),
    [
        ((), "auto"),
        (("--scale", "0.5"), (0.5,)),
        (("--scale", "0.5", "--scale", "2", "--scale", "0.50"), (0.5, 2.0)),
        (("--scale", "auto"), "auto"),
        (("--scales", "photo"), "photo"),
        (("--scales", "1", "--scale", "3"), (1.0, 3.0)),
    ],
)
def test_scales_are_each_taken_once_in_the_order_given(arguments, scales):
    assert parsed(*arguments)["scales"] == scales


@pytest.mark.parametrize("values", [("auto", "1"), ("large",), ("auto", "auto"), ("1,2",)])
def test_scales_that_cannot_be_are_a_usage_error(values):
    code, output = parsed(*(part for value in values for part in ("--scale", value)))
    assert code == 2
    assert f"{' '.join(values)!r}: give numbers, such as --scale 0.5 --scale 1, or one" in output
