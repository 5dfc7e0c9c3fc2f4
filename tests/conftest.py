"""Settings of every test run, and a last line that says which kinds of tests were skipped."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import psutil
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.support.exports import Exported

# Nothing is kept for later calls, here and in the processes of tests: what one test kept would
# decide what runs the networks of others. Tests of what is kept name a folder, as `cache` does.
os.environ["HEATMAP_CACHE"] = "off"
# Before torch is loaded: threads that spin while they wait take the time of other tests' processes.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Imports and the tests' own code make millions of objects and leave no rubbish: a fifth of the time
# of collecting tests was the collector's. It runs again once they are collected.
gc.disable()

# No deadline, which a busy machine would miss; the same examples in every run.
settings.register_profile("heatmap", deadline=None, derandomize=True, max_examples=40)
# For `pytest --hypothesis-profile=thorough`, with other examples in every run.
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile("heatmap")

# What the reason of a skip mentions -> the kind of test, and how to get it.
KINDS = {
    r"chromium|playwright": (
        "of the page in a browser",
        "apt-get install chromium; pip install playwright",
    ),
    r"CUDA": ("on a GPU", "a machine with a CUDA device, and torch for it"),
    r"torchcam": ("beside torchcam", "pip install torchcam"),
    r"\bfish\b": ("in the shell fish", "apt-get install fish"),
    r"\bray\b": ("on Ray", "pip install ray"),
    r"pycocotools": ("beside pycocotools", "pip install pycocotools"),
    r"supervision": ("beside supervision", "pip install 'supervision>=0.30'"),
    r"pandas": ("beside pandas", "pip install pandas"),
    r"nbclient|nbformat|ipykernel": ("of the notebook", "pip install nbclient ipykernel"),
    r"\btwine\b|'build'": ("of what is published", "pip install build twine"),
}


# Bytes of this process from which the memory that a file of tests left is given back: tests of Ray
# and of the browser run processes beside it.
MUCH_MEMORY = 3 * 2**29


@pytest.fixture(scope="module", autouse=True)
def _memory_given_back() -> Iterator[None]:
    yield
    # What is left serves further files, such as the networks they share: frozen, the collector
    # does not go through its millions of objects again and again.
    gc.collect()
    gc.freeze()
    # glibc keeps what is freed; other C libraries have no such call.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim and psutil.Process().memory_info().rss > MUCH_MEMORY:
        trim(0)


@pytest.fixture(scope="session")
def small_onnx(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A small network as an ONNX file, which takes seconds to write."""
    from tests.support.exports import exported

    return exported(tmp_path_factory.mktemp("onnx"), "onnx")


@pytest.fixture(scope="session")
def prepared_once() -> Callable[..., object]:
    """What ``heatmap.prepare`` calls; small networks of tests and the built-in one are kept."""
    from tests.support import prepare_once

    return prepare_once.prepared_once()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache for one test, which is made when something is kept."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("HEATMAP_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def _shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared") / "cache"


@pytest.fixture
def shared_cache(_shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache for all tests that ask for it: to prepare a network takes seconds."""
    monkeypatch.setenv("HEATMAP_CACHE", str(_shared_cache))
    return _shared_cache


@pytest.fixture(scope="session")
def _kept_checkpoint(_shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import heatmap
    from heatmap.prepared.store import Store

    path = tmp_path_factory.mktemp("checkpoint") / "own.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEATMAP_CACHE", str(_shared_cache))
        patch.chdir(path.parent)
        made = heatmap.load_classifier("timm/test_resnet", weights="random", window=64)
        heatmap.save_checkpoint(made, path)
        before = {kept.key for kept in Store().networks()}
        heatmap.prepare(path.name, backend="onnx")
        (key,) = {kept.key for kept in Store().networks()} - before
        # Whichever is the faster one on this machine now.
        Store().remember(key, "onnx")
    return path


@pytest.fixture
def kept_checkpoint(
    _kept_checkpoint: Path, shared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A checkpoint of window 64 px in the working folder, which is kept for ONNX Runtime."""
    monkeypatch.chdir(tmp_path)
    for suffix in (".safetensors", ".json"):
        shutil.copy(_kept_checkpoint.with_suffix(suffix), tmp_path)
    return _kept_checkpoint.name


@pytest.fixture
def free_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """A function that sets how many bytes are free on every disk, whatever this machine's has."""

    def set_free(size: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=size))

    return set_free


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test marked `few(n)`, n of its cases run by default, spread evenly; others are slow."""
    cases: dict[object, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("few") and not item.get_closest_marker("slow"):
            cases.setdefault(getattr(item, "function", item), []).append(item)
    for each in cases.values():
        (count,) = each[0].get_closest_marker("few").args
        shown = {round(at * (len(each) - 1) / max(count - 1, 1)) for at in range(count)}
        for number, item in enumerate(each):
            if number not in shown:
                item.add_marker(pytest.mark.slow)


def _list_operations_once() -> None:
    """torch lists the operations that ONNX has at each export, which takes over a second."""
    import torch.onnx

    export = torch.onnx.export

    @functools.wraps(export)
    def first_export(*given: object, **options: object) -> object:
        torch.onnx.export = export
        # Not of torch's interface: without it exports take longer.
        with contextlib.suppress(ImportError, AttributeError):
            from torch.onnx._internal.exporter._registration import ONNXRegistry

            listed = functools.cache(ONNXRegistry.from_torchlib)
            ONNXRegistry.from_torchlib = staticmethod(listed)
        return export(*given, **options)

    torch.onnx.export = first_export


def pytest_collection_finish() -> None:
    """What imports made stays to the end: the collector need not look at it again and again."""
    if "torch" in sys.modules:
        _list_operations_once()
    gc.collect()
    gc.freeze()
    gc.enable()


def skipped_kinds(reasons: Iterable[str]) -> list[str]:
    """One text a kind of skipped tests: how many, which, and the command that brings them."""
    counts: Counter[str] = Counter()
    for reason in reasons:
        for pattern, (kind, command) in KINDS.items():
            if re.search(pattern, reason):
                counts[f"{kind} (`{command}` brings them)"] += 1
                break
        else:
            counts[f"that this machine cannot run ({reason.removeprefix('Skipped: ')})"] += 1
    return [f"{count} {kind}" for kind, count in counts.items()]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Behind the summary of pytest, so that nobody overlooks it."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    reports = reporter.stats.get("skipped", ())
    reasons = [report.longrepr[2] for report in reports if isinstance(report.longrepr, tuple)]
    if kinds := skipped_kinds(reasons):
        reporter.write_line(f"Skipped tests: {'; '.join(kinds)}")
