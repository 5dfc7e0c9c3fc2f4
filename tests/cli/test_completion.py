"""Completion of classes and models in shells, without torch, and quoted as bash needs it."""

from __future__ import annotations

import ast
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import get_completion_class, split_arg_string

from heatmap.cli.completion import PROGRAM
from heatmap.cli.main import cli
from heatmap.networks import imagenet, model_names
from heatmap.networks.imagenet import kept_classes
from heatmap.networks.model_names import library_names
from tests.support.paths import ROOT

VARIABLE = "_HEATMAP_COMPLETE"


@pytest.fixture
def names(shared_cache) -> None:
    """What an earlier call has kept of models and classes."""
    library_names()
    kept_classes(1000)


@pytest.fixture
def own_names(tmp_path, monkeypatch) -> str:
    """A file of class names that shells need to quote, and another one of groups."""
    monkeypatch.chdir(tmp_path)
    Path("own.txt").write_text('red cat\nred "fox"\nit\'s $red\nred, blue\nred:x=1\n', "utf-8")
    Path("groups.json").write_text(json.dumps({"red ones": ["red cat", 1]}), "utf-8")
    return "--class-names own.txt"


def words(line: str) -> tuple[list[str], str]:
    """The words behind the program, and the last one, whose quote may be open."""
    *before, last = split_arg_string(f"{line}x")
    return before[1:], last[:-1]


def found(line: str, shell: str = "zsh") -> list[str]:
    """What a shell is offered for a line, as it is."""
    form = get_completion_class(shell)(cli, {}, PROGRAM, VARIABLE)
    return [item.value for item in form.get_completions(*words(line))]


def kinds(line: str) -> set[str]:
    form = get_completion_class("zsh")(cli, {}, PROGRAM, VARIABLE)
    return {item.type for item in form.get_completions(*words(line))}


def in_bash(line: str, monkeypatch) -> list[str]:
    """What bash puts in place of the last word."""
    monkeypatch.setenv("COMP_LINE", line)
    told = get_completion_class("bash")(cli, {}, PROGRAM, VARIABLE).complete()
    return [text.removeprefix("plain,") for text in told.splitlines()]


@pytest.mark.parametrize("option", ["-c", "--class", "--exclude", "--store-classes"])
def test_classes_of_the_default_model_and_groups_are_completed(names, option):
    assert found(f"heatmap run cat.jpg {option} 'egyptian c") == ["Egyptian cat"]
    assert found(f"heatmap batch photos {option} dog") == ["dog", "dogsled"]


def test_the_class_that_verify_draws_is_completed(names):
    assert found("heatmap verify cat.jpg -c zeb") == ["zebra"]


def test_classes_are_those_of_the_model_on_the_line(names, own_names):
    assert found("heatmap run cat.jpg -m vgg16 -c 'egyptian c") == ["Egyptian cat"]
    assert found("heatmap run cat.jpg -m vgg16 --weights random -c 'class 99") == [
        "class 99",
        *(f"class {number}" for number in range(990, 1000)),
    ]
    assert found(f"heatmap run cat.jpg {own_names} -c 'red c") == ["red cat"]
    with_groups = f"heatmap run cat.jpg {own_names} --groups groups.json -c 'RED "
    assert found(with_groups) == ['red "fox"', "red cat", "red ones"]


def test_a_checkpoint_tells_its_classes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own.safetensors").touch()
    Path("own.json").write_text(json.dumps({"class_names": ["rust", "paint"], "wnids": []}))
    assert found("heatmap run cat.jpg -m own.safetensors -c ") == ["paint", "rust"]


@pytest.mark.parametrize(
    "line",
    [
        "heatmap run cat.jpg -m package.module:factory -c ",
        "heatmap run cat.jpg -m none.safetensors -c ",
        "heatmap run cat.jpg -m resnet51 -c ",
        "heatmap run cat.jpg --class-names none.txt -c ",
        "heatmap run cat.jpg --groups none.json -c ",
        "heatmap run cat.jpg -c nosuchclass",
    ],
)
def test_where_classes_are_not_known_there_are_none(names, line):
    assert found(line) == []


def test_models_are_completed_by_name_and_file(names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in ("vgg.safetensors", "vgg.onnx", "vgg.txt", ".hidden.onnx"):
        Path(file).touch()
    assert found("heatmap run cat.jpg -m vgg1") == [
        "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
    ]  # fmt: skip
    assert found("heatmap summary -m vgg.") == ["vgg.onnx", "vgg.safetensors"]
    assert "timm/resnet10t" in found("heatmap train photos -m timm/resnet1")
    everything = found("heatmap adapt -m ")
    assert {"efficientnet_lite0", "vgg16", "vgg.onnx"} <= set(everything)
    assert not [name for name in everything if name.startswith(("timm/", "."))]


def test_other_files_are_left_to_the_shell(names):
    assert kinds("heatmap run cat.jpg -m folder/own") == {"file"}
    assert kinds("heatmap run cat.jpg -m vgg1") == {"plain"}


def test_nothing_heavy_is_asked_for_names_that_are_not_kept(cache, monkeypatch):
    def asked(*_):
        raise AssertionError("torch would have been loaded")

    monkeypatch.setattr(model_names, "_asked", asked)
    monkeypatch.setattr(imagenet, "_asked", asked)
    assert found("heatmap run cat.jpg -c zeb") == []
    assert found("heatmap run cat.jpg -m vgg16 -c zeb") == []
    assert kinds("heatmap run cat.jpg -m vgg") == {"file"}
    assert found("heatmap run cat.jpg -m eff") == ["efficientnet_lite0"]


# What is loaded after one completion.
LOADED = """
import sys
from heatmap.cli.main import main
try:
    main()
except SystemExit as end:
    print(sorted(sys.modules), file=sys.stderr)
"""


def test_completion_loads_nothing_heavy(names):
    given = {"COMP_LINE": "heatmap run cat.jpg -m vgg16 -c zeb", VARIABLE: "bash_complete"}
    ended = subprocess.run(
        [sys.executable, "-c", LOADED],
        capture_output=True,
        text=True,
        env={**os.environ, **given, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert ended.stdout == "plain,zebra\n"
    loaded = set(ast.literal_eval(ended.stderr))
    assert "heatmap.networks.known_classes" in loaded
    assert loaded & {"torch", "torchvision", "timm", "cv2", "pyvips", "skimage"} == set()


@pytest.mark.parametrize(
    ("option", "typed", "inserted", "name"),
    [
        ("-c ", r"red\ c", r"red\ cat", "red cat"),
        ("-c ", '"red c', "red cat", "red cat"),
        ("-c ", "'RED c", "red cat", "red cat"),
        ("--class=", r"red\ c", r"red\ cat", "red cat"),
        ("-c ", r"red\ \"", r"red\ \"fox\"", 'red "fox"'),
        ("-c ", r'"red \"', r"red \"fox\"", 'red "fox"'),
        ("-c ", "'red \"", 'red "fox"', 'red "fox"'),
        ("-c ", "it", r"it\'s\ \$red", "it's $red"),
        ("-c ", '"it', r"it's \$red", "it's $red"),
        ("-c ", "'it", r"it'\''s $red", "it's $red"),
        ("-c ", "red,", r"red,\ blue", "red, blue"),
        ("-c ", "'red:", "red:x=1", "red:x=1"),
        ("-c ", r"red\:", r"red\:x\=1", "red:x=1"),
    ],
)
def test_bash_gets_names_quoted_as_they_were_begun(
    own_names, monkeypatch, option, typed, inserted, name
):
    line = f"heatmap run cat.jpg {own_names} {option}"
    assert in_bash(line + typed, monkeypatch) == [inserted]
    # Bash keeps the quote that is open, and ends it.
    quote = typed[0] if typed[0] in "\"'" else ""
    command = f"printf %s {option.removeprefix('-c ')}{quote}{inserted}{quote}"
    read = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert read.stdout.removeprefix("--class=") == name


def test_bash_completes_commands_options_and_choices(monkeypatch):
    assert in_bash("heatmap do", monkeypatch) == ["doctor"]
    assert in_bash("heatmap run cat.jpg --store", monkeypatch) == ["--store-classes"]
    assert in_bash("heatmap completion ", monkeypatch) == ["bash", "zsh", "fish"]
    assert in_bash("heatmap run c", monkeypatch) == ["file,c"]


# Calls the function as bash does, and prints what it makes of the line.
IN_BASH = r"""
source ./names.bash
COMP_LINE='heatmap run cat.jpg --class-names own.txt -c red\ c'
COMP_POINT=${#COMP_LINE}
COMP_WORDS=(heatmap run cat.jpg --class-names own.txt -c 'red\ c')
COMP_CWORD=6
_heatmap_completion heatmap 'red\ c' -c
printf '%s\n' "${COMPREPLY[@]}"
complete -p heatmap
"""
PROGRAM_FILE = f"""#!/bin/sh
exec {shlex.quote(sys.executable)} -c 'from heatmap.cli.main import main; main()' "$@"
"""


def in_shell(command: list[str]) -> list[str]:
    """The lines that a shell prints in the working folder, in which `heatmap` is this one."""
    Path("bin").mkdir()
    program = Path("bin/heatmap")
    program.write_text(PROGRAM_FILE)
    program.chmod(0o755)
    path = f"{program.parent.absolute()}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
    assert ended.stderr == ""
    return ended.stdout.splitlines()


def test_the_script_works_in_bash(call, own_names):
    printed = call("completion", "bash")
    assert (printed.code, printed.err) == (0, "")
    Path("names.bash").write_text(printed.out)
    assert in_shell(["bash", "-c", IN_BASH]) == [
        r"red\ cat",
        "complete -o nosort -F _heatmap_completion heatmap",
    ]


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_the_script_works_in_fish_with_commas_too(call, own_names):
    Path("names.fish").write_text(call("completion", "fish").out)
    asked = f"source names.fish; complete -C 'heatmap run cat.jpg {own_names} --class=red,'"
    assert in_shell(["fish", "--no-config", "-c", asked]) == ["--class=red, blue"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_a_value_behind_its_option_takes_the_place_of_the_whole_word(names, shell):
    assert found("heatmap run cat.jpg --class=zeb", shell) == ["--class=zebra"]
    assert found("heatmap run cat.jpg --class zeb", shell) == ["zebra"]
    assert found("heatmap run cat.jpg --model=none-s", shell) == ["none-s"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_scripts_of_their_own(call, shell):
    printed = call("completion", shell)
    assert (printed.code, printed.err) == (0, "")
    assert f"{VARIABLE}={shell}_complete" in printed.out


def test_names_are_looked_up_when_the_script_is_made(call, cache, monkeypatch):
    monkeypatch.setattr(
        model_names, "_asked", lambda: model_names.LibraryNames({"own_net": 2}, {}, {})
    )
    monkeypatch.setattr(imagenet, "_asked", lambda count: ([f"c{n}" for n in range(count)], []))
    assert call("completion", "bash").code == 0
    assert found("heatmap run cat.jpg -m own_n") == ["own_net"]
    assert found("heatmap run cat.jpg -c c99")[:2] == ["c99", "c990"]


def test_a_script_is_printed_even_if_names_cannot_be_looked_up(call, cache, monkeypatch):
    def broken():
        raise OSError("no torchvision")

    monkeypatch.setattr(model_names, "_asked", broken)
    printed = call("completion", "bash")
    assert printed.code == 0
    assert "_heatmap_completion" in printed.out
    assert printed.err == ("note: no names of models and classes are completed: no torchvision\n")


def test_an_unknown_shell_is_refused(call):
    assert call("completion", "tcsh").code == 2
