"""What help lists, and that every option exists which help, README or docs name."""

import re
import subprocess
import sys

import click
import pytest

from heatmap.cli import main as cli
from tests.support.examples import PAGES, arguments, command_lines

NETWORK = "--model --weights --weights-key --architecture"
MODEL = f"{NETWORK} --window --mean --std --channel-order --class-names --groups --activation"
DETECTIONS = "--class --exclude --conf --iou --max-det"
SCALES = "--scale --resolution"
DRAWING = "--alpha --color-range --colormap --legend --boxes --full"
PICTURES = f"--per-class --areas {DRAWING}"
LIMITS = "--memory --store-classes --skip-background --mask --backend --device --dtype"
EXTRAS = "--format --coco --html --save-grid --save-crops"
NEW_HEAD = f"{NETWORK} --window --head --levels --fc6 --freeze --average --softmax"
SCHEDULE = "--epochs --batch --rate --decay --views --validation-split --patience --seed"
READING = "--input-range --damaged --max-pixels"
RUN = (
    f"{MODEL} {READING} --stride {SCALES} --fuse --border --engine --statistics {LIMITS} "
    f"{DETECTIONS} --confirm {PICTURES} {EXTRAS} --output --overwrite --quiet --verbose --json"
)
# In the order of use.
OPTIONS = {
    "run": f"{RUN} --region",
    "batch": f"{RUN} --runner --workers --threads --ray-address --gpus --retry-failed --dry-run "
    "--watch --every",
    "render": f"--photo --class --conf --per-class {DRAWING} --output --overwrite --json",
    "view": "--photo --overwrite --json",
    "verify": f"{MODEL} {READING} --stride {SCALES} --border --statistics --backend --class "
    "--windows --max-difference --output --overwrite --json",
    "evaluate": f"{MODEL} {READING} {SCALES} --stride --statistics --fuse --backend --conf "
    "--confirm --labels --cam --output --overwrite --json",
    "summary": f"{MODEL} --statistics --photo-size --json",
    "models": "--cached --clear-cache --json",
    "adapt": f"{NEW_HEAD} --activation --num-classes --class-names --seed --output "
    "--overwrite --json",
    "train": f"{NEW_HEAD} {READING} --boxes --background {SCHEDULE} --output --resume "
    "--overwrite --skip-broken --json",
    "export": f"{MODEL} --stride --statistics --to --output --overwrite --json",
    "doctor": "--json",
    "completion": "",
}
# Commands whose help leaves the rare ones to --help-all.
LONG = ("run", "batch", "verify", "evaluate", "train")
MOST_LISTED = 20
# Options of other programs that the pages name.
OTHERS = set(
    "--data-only --choices --additional-suffix --compression --pyramid --tile --bigtiff".split()
)


def spellings(command: click.Command) -> set[str]:
    """Every long way to write an option of a command."""
    written = {text for option in command.params for text in (*option.opts, *option.secondary_opts)}
    return {text for text in written if text.startswith("--")} | {"--help"}


@pytest.mark.parametrize("command", OPTIONS)
def test_help_lists_every_option_and_no_other(call, command):
    outcome = call(command, help_of(command))
    every = [*OPTIONS[command].split(), "--help", *["--help-all"] * (command in LONG)]
    assert sorted(listed(outcome.out)) == sorted(every)
    assert (outcome.code, outcome.err) == (0, "")


def help_of(command: str) -> str:
    """The option that lists all options of a command."""
    return "--help-all" if command in LONG else "--help"


def listed(text: str) -> list[str]:
    """The options that a help screen lists."""
    return re.findall(r"^  (?:-\w, )?(--[a-z0-9-]+)", text, re.MULTILINE)


@pytest.mark.parametrize("command", OPTIONS)
def test_the_first_help_screen_is_short_and_leaves_the_rest_to_advanced(call, command):
    first, every = call(command, "--help").out, call(command, help_of(command)).out
    assert len(listed(first)) <= MOST_LISTED
    assert "Advanced" not in first
    if command in LONG:
        common, advanced = every.split("Advanced", 1)
        assert set(listed(first)) == {*listed(common), *listed(advanced.split("\nOptions:")[1])}
        assert len(listed(every)) > MOST_LISTED
    for name in getattr(cli.cli.commands[command], "common", frozenset()) - {"output"}:
        assert any(name == option.name for option in cli.cli.commands[command].params), name


def test_help_lists_every_command_in_whole_sentences_in_the_order_of_use(call):
    out = call("--help").out
    assert call("-h").out == out
    assert re.findall(r"^  (\w+)  +[A-Z].*\.$", out, re.MULTILINE) == list(OPTIONS)
    assert "..." not in out.replace("[ARGS]...", "")


@pytest.mark.parametrize("command", OPTIONS)
def test_help_explains_every_option_under_a_heading(call, command):
    for option in cli.cli.commands[command].params:
        if isinstance(option, click.Option):
            assert option.help[0].isupper() or option.help.startswith("torchvision")
            assert option.help.endswith((".", ")"))
    out = call(command, help_of(command)).out
    assert out.index("\nOptions:\n") == max(part.start() for part in re.finditer(r"\n\w.*:\n", out))


@pytest.mark.parametrize("command", OPTIONS)
def test_help_names_no_option_that_the_command_does_not_have(call, command):
    named = set(re.findall(r"--[a-z][a-z0-9-]*", call(command, help_of(command)).out))
    assert named <= spellings(cli.cli.commands[command])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_no_option_that_no_command_has(page):
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text))
    commands = (cli.cli, *cli.cli.commands.values())
    assert named - OTHERS <= set().union(*map(spellings, commands))


@pytest.mark.parametrize("line", [line for page in PAGES for line in command_lines(page)])
def test_commands_of_the_pages_are_understood(line):
    name, *rest = arguments(line)
    cli.cli.commands[name].make_context(name, rest)


def test_help_loads_neither_torch_nor_opencv():
    code = (
        "import sys\nfrom heatmap.cli.main import cli\n"
        "cli.main(['run', '--help'], standalone_mode=False)\n"
        "sys.exit(bool({'torch', 'torchvision', 'timm', 'cv2', 'skimage'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
