"""Benchmarks and samples import what is there: they run seldom, and modules move."""

from __future__ import annotations

import ast
import importlib

import pytest

from tests.support.paths import ROOT

SCRIPTS = [
    path for folder in ("benchmarks", "samples") for path in sorted((ROOT / folder).glob("*.py"))
]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_what_a_script_takes_from_heatmap_is_there(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    missing = [
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "heatmap"
        for alias in node.names
        if not hasattr(importlib.import_module(node.module), alias.name)
    ]
    missing += [
        f"heatmap.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "heatmap"
        and not hasattr(importlib.import_module("heatmap"), node.attr)
    ]
    assert missing == []
