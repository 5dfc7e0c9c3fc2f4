"""Examples of README and docs give what the pages say: blocks of python, console and sh run.

CONTRIBUTING.md ("Write documentation") says how they are written.
"""

from __future__ import annotations

import ast
import re
import shutil
import sys
from pathlib import Path

import pytest
import skimage.data

from tests.support.examples import PAGES, run_line, save
from tests.support.paths import ROOT, SAMPLES

# A heading, or a block of code with its language.
PARTS = re.compile(r"^##? ([^\n]*)$|^```(python|console|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# A line that is run of a block of sh.
HEATMAP = re.compile(r"^heatmap ", re.MULTILINE)
# Pages with small networks, which are tried each time, section by section, on smaller photos.
QUICK = (
    "docs/how-it-works/what-equals-what.md",
    "docs/reference/your-network.md",
)
PHOTOS = ("chelsea", "coffee")

Blocks = list[tuple[str, str]]


def sections(page: Path) -> list[tuple[str, Blocks]]:
    """Each heading with the blocks below it that run."""
    parts: list[tuple[str, Blocks]] = []
    for heading, language, code in PARTS.findall(page.read_text(encoding="utf-8")):
        if heading:
            parts.append((heading, []))
        elif parts and (language != "sh" or HEATMAP.search(code)):
            parts[-1][1].append((language, code))
    return parts


def examples():
    """Pages with their blocks; of quick ones each section, behind what stands above the first."""
    for page in PAGES:
        name, parts = str(page.relative_to(ROOT)), sections(page)
        if name not in QUICK:
            if blocks := [block for _, own in parts for block in own]:
                yield pytest.param(name, blocks, id=name, marks=pytest.mark.slow)
            continue
        for number, (heading, own) in enumerate(parts):
            if own:
                blocks = [*parts[0][1], *own] if number else own
                yield pytest.param(name, blocks, id=f"{name}: {heading}")


def fits(line: str, promised: str) -> bool:
    """Whether a printed line is what the page says; "..." stands for anything."""
    return bool(re.fullmatch(re.escape(promised).replace(r"\.\.\.", ".*"), line))


def run_python(code: str, names: dict[str, object]) -> None:
    """Run a block.

    Each ``print(...)  # text`` must print that text, each time, and another ``expression  # value``
    have that value.
    """
    if file := re.match(r"# (\w+\.py)\n", code):
        Path(file[1]).write_text(code)
        return
    lines, printed = code.splitlines(), []

    def record(*values: object) -> None:
        line = lines[sys._getframe(1).f_lineno - 1]
        printed.append((line, " ".join(map(str, values))))

    names["print"] = record
    exec(compile(code, "<example>", "exec"), names)
    for line in lines:
        call, _, promised = line.partition("  # ")
        if not promised:
            continue
        if call.lstrip().startswith("print("):
            given = [text for at, text in printed if at == line]
            assert given, f"nothing printed by {line}"
            assert [text for text in given if not fits(text, promised)] == []
        elif value := re.fullmatch(r"(True|False|\(.*?\)|[\d.]+)(?:: .*)?", promised):
            assert eval(call, names) == ast.literal_eval(value[1]), line


def run_console(code: str, monkeypatch, capsys) -> None:
    """Run each command of a block; what follows it are lines of its output, in their order."""
    for part in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
        command, *promised = part.replace("\\\n", " ").splitlines()
        exit_code, captured = run_line(command, monkeypatch, capsys)
        printed = iter((captured.out + captured.err).splitlines())
        refused = any(line.startswith("heatmap: ") for line in promised)
        assert exit_code == (1 if refused else 0), captured.err
        for text in promised:
            assert any(fits(line, text) for line in printed), text


def run_shell(code: str, monkeypatch, capsys) -> None:
    """Run the commands of a block that are heatmap's; none may fail."""
    for line in code.replace("\\\n", " ").splitlines():
        if line.startswith("heatmap "):
            exit_code, captured = run_line(line, monkeypatch, capsys)
            assert exit_code == 0, captured.err


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> dict[float, Path]:
    """By their size, folders that hold what the pages name."""
    folders = {}
    for factor in (0.5, 1):
        folders[factor] = folder = tmp_path_factory.mktemp("photos")
        save(folder / "cat.png", skimage.data.chelsea(), factor)
        (folder / "photos").mkdir()
        for photo in PHOTOS:
            save(folder / "photos" / f"{photo}.png", getattr(skimage.data, photo)(), factor)
        shutil.copytree(SAMPLES / "photos", folder / "samples/photos")
    return folders


@pytest.mark.parametrize(("page", "blocks"), list(examples()))
def test_every_example_gives_what_the_page_says(
    page, blocks, photos, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    # Two sections write the same file anew.
    modules = set(sys.modules)
    shutil.copytree(photos[0.5 if page in QUICK else 1], ".", dirs_exist_ok=True)
    names: dict[str, object] = {}
    try:
        for language, code in blocks:
            if language == "python":
                run_python(code, names)
            elif language == "console":
                run_console(code, monkeypatch, capsys)
            else:
                run_shell(code, monkeypatch, capsys)
    finally:
        for name in set(sys.modules) - modules:
            if (tmp_path / f"{name}.py").exists():
                del sys.modules[name]


@pytest.mark.parametrize(
    "wrong",
    [
        "print(1)  # 2",
        "for each in 'ab':\n    print(each)  # a",
        "if 0:\n    print(1)  # 1",
        "1 + 1  # 3",
    ],
)
def test_a_broken_promise_is_noticed(wrong):
    with pytest.raises(AssertionError):
        run_python(wrong, {})
