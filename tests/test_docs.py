"""Documentation: how to install, commands that exist; docs/fc-to-conv.md: code and figures."""

from __future__ import annotations

import re

import click
import pytest
import torch
from torchvision.models import vgg16

from heatmap.cli import main as cli
from heatmap.networks.new_head import empty_head, plan_head
from heatmap.networks.trained_parts import trained_parts
from tests.support.examples import PAGES, arguments, command_lines
from tests.support.paths import ROOT

TEXT = (ROOT / "docs" / "fc-to-conv.md").read_text(encoding="utf-8")
# Every text that people read, the messages in the code included.
TEXTS = [
    path
    for pattern in ("*.md", "docs/**/*.md", "samples/*.md", "heatmap/**/*.py")
    for path in sorted(ROOT.glob(pattern))
]

COMMANDS = [(str(page.relative_to(ROOT)), line) for page in PAGES for line in command_lines(page)]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_documented_commands_have_the_options_they_name(page, line):
    name, *given = arguments(line)
    command = cli.cli.commands[name]
    with command.make_context(name, list(given)) as context:
        assert isinstance(context, click.Context)


def test_all_pages_with_commands_are_read():
    assert {page for page, _ in COMMANDS} == {
        "README.md",
        "docs/batch.md",
        "docs/evaluation.md",
        "docs/fc-to-conv.md",
        "docs/how-it-works/local-statistics.md",
        "docs/setup.md",
        "docs/your-network.md",
        "samples/README.md",
    }


def test_nothing_says_to_install_a_strangers_package():
    """`heatmap` on the package index is not this project."""
    strangers = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in TEXTS
        for match in re.finditer(
            r"pip install [^`\n]*\bheatmap\b(?!-localizer).*", path.read_text(encoding="utf-8")
        )
    ]
    assert strangers == []


def test_the_code_gives_what_its_comments_say():
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    promised = re.findall(r"^(\S.*\S) +# (.+)$", code, re.MULTILINE)
    assert len(promised) == 2
    for expression, result in promised:
        assert eval(expression, names) == eval(result)


@pytest.fixture(scope="module")
def parts():
    """VGG16 without values: figures need none."""
    with torch.device("meta"):
        return trained_parts(vgg16().eval(), 224, "vgg16")


def test_the_map_has_the_sides_of_the_table(parts):
    for side, row in re.findall(r"\| (\d+) px \|(.+)\|\n", TEXT):
        last = int(re.findall(r"\d+", row)[-1])
        with torch.device("meta"):
            assert parts.trunk(torch.empty(1, 3, int(side), int(side))).shape[-1] == last


@pytest.mark.parametrize("head", ["fc", "pool", "spp"])
def test_heads_have_as_many_parameters_as_the_table_says(parts, head):
    row = re.search(rf"\| `{head}` \|.*\| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|", TEXT)
    promised = [int(figure.replace(",", "")) for figure in row.groups()]
    layers = empty_head(parts, plan_head(parts, 400, head, (4, 2, 1)), 3).layers
    counts = [sum(tensor.numel() for tensor in layer.parameters()) for layer in layers]
    trunk = sum(tensor.numel() for tensor in parts.trunk.parameters())
    first = next(count for count in counts if count)
    assert [first, sum(counts), sum(counts) + trunk] == promised
