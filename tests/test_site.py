"""The documentation site: it builds without a warning, links lead somewhere, nothing is missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

import heatmap
from heatmap.cli import main as cli
from tests.support.paths import ROOT

pytest.importorskip("mkdocs")
pytest.importorskip("material")
pytest.importorskip("mkdocstrings")


CODE = re.compile(r"^```.*?^```|`[^`]*`", re.MULTILINE | re.DOTALL)


def test_every_public_name_is_in_the_reference():
    page = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^::: heatmap\.(\w+)$", page, re.MULTILINE)) == heatmap.__all__


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site; links and anchors that lead nowhere fail its strict build."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_in_the_navigation_and_its_links_lead_to_files():
    """Without building it, which the slow tests do."""
    docs = ROOT / "docs"
    pages = {path.relative_to(docs).as_posix(): path for path in docs.rglob("*.md")}
    outside = re.findall(
        r'^    "(.+?\.md)": "(.+?)"', (docs / "hooks.py").read_text(), re.MULTILINE
    )
    pages |= {page: ROOT / path for page, path in outside}
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    assert sorted(re.findall(r"[\w./-]+\.md", navigation)) == sorted(pages)
    missing = [
        f"{name}: {target}"
        for name, path in pages.items()
        for target in re.findall(r"\]\(([^):#\s]+)[)#]", CODE.sub("", path.read_text("utf-8")))
        if not (path.parent / target).exists()
    ]
    assert missing == []


@pytest.mark.slow
def test_every_public_name_and_option_has_a_place(site):
    python = (site / "reference" / "python.html").read_text(encoding="utf-8")
    assert [name for name in heatmap.__all__ if f'id="heatmap.{name}"' not in python] == []
    commands = (site / "reference" / "command-line.html").read_text(encoding="utf-8")
    for name, command in cli.cli.commands.items():
        _, _, section = commands.partition(f'<h2 id="heatmap-{name}">')
        section = section.partition("<h2 ")[0]
        options = [max(option.opts, key=len) for option in command.params if option.opts]
        assert [option for option in options if option[0] == "-" and option not in section] == []


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(site):
    loaded = [
        f"{page.relative_to(site)}: {match[0]}"
        for page in sorted(site.rglob("*.html"))
        for match in re.finditer(
            r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^>]*",
            page.read_text(encoding="utf-8"),
        )
    ]
    assert loaded == []
