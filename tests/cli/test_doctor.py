"""`heatmap doctor` tells what there is and what is wrong, whatever is missing or broken."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from heatmap import loadable
from heatmap.cli import checkup
from heatmap.prepared import machine
from tests.support.command_line import without_colours

LIBRARIES = {
    "torch": {"version": "2.14.1", "threads": 2, "instructions": "AVX2", "gpus": [], "mps": False},
    "torchvision": {"version": "0.29.1"},
    "timm": {"version": "1.0.31"},
    "onnxruntime": {"version": "1.32.0", "providers": ["CPUExecutionProvider"]},
    "numpy": {"version": "2.4.6"},
    "cv2": {"version": "5.0.0"},
    "pyvips": {"version": "3.2.0", "libvips": "8.18.7"},
    "skimage": {"version": "0.26.0"},
}


@pytest.fixture(autouse=True)
def _usual(monkeypatch, cache):
    """Enough of everything, and libraries that are not loaded: that takes seconds."""
    libraries({}, monkeypatch)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(checkup, "_LITTLE_MEMORY", 0)
    room(10**12, monkeypatch)


def libraries(others: dict, monkeypatch) -> None:
    told = {**LIBRARIES, **others}
    monkeypatch.setattr(
        loadable, "loaded_facts", lambda names: {name: told[name] for name in names}
    )


def room(free: int, monkeypatch) -> None:
    monkeypatch.setattr(checkup.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))


def told(call) -> dict:
    outcome = call("doctor", "--json")
    assert outcome.err == ""
    described = json.loads(outcome.out)
    assert outcome.code == (1 if described["problems"] else 0)
    return described


def test_the_list_is_readable_in_80_columns(call, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    outcome = call("doctor")
    assert outcome.code == 0
    lines = without_colours(outcome.out).splitlines()
    assert max(map(len, lines)) <= 80
    headings = {re.split("  +", line)[0] for line in lines if line[0] != " "}
    assert headings >= {
        "heatmap-localizer", "Python", "platform", "processor", "instruction sets", "threads",
        "torch", "torchvision", "timm", "onnxruntime", "numpy", "opencv-python-headless", "pyvips",
        "device", "backend", "memory", "temporary folder", "cache", "nothing is broken",
    }  # fmt: skip


def test_what_libraries_say_is_told(call, cache):
    described = told(call)
    assert (described["problems"], described["notes"]) == ([], [])
    assert described["torch"]["instructions"] == "AVX2"
    assert described["pyvips"]["libvips"] == "8.18.7"
    assert described["device"] == {"default": "cpu", "cuda": [], "mps": False}
    assert described["backend"] == "auto"
    assert described["cache"]["path"] == str(cache)
    assert described["instruction sets"] == list(machine.processor()[1])
    assert "torch                   2.14.1, uses AVX2" in call("doctor").out


def test_gpus_are_named(call, monkeypatch):
    libraries({"torch": {**LIBRARIES["torch"], "gpus": ["H100 [SXM]"], "mps": True}}, monkeypatch)
    assert "cpu by default; cuda: H100 [SXM]; mps: a GPU of Apple" in call("doctor").out


@pytest.mark.parametrize("module", LIBRARIES)
def test_a_missing_library_is_a_problem(call, monkeypatch, module):
    libraries({module: {"problem": "missing"}}, monkeypatch)
    package = next(name for name, of in checkup._MODULES.items() if of == module)
    (problem,) = told(call)["problems"]
    assert re.fullmatch(rf"{package} is missing: pip install '{package}>=[\d.]+'", problem)
    outcome = call("doctor")
    assert outcome.code == 1
    assert f"problem: {problem}" in outcome.out
    assert "nothing is broken" not in outcome.out


def test_a_broken_library_is_a_problem(call, monkeypatch):
    libraries({"onnxruntime": {"problem": "cannot be loaded (no [GLIBC])"}}, monkeypatch)
    described = told(call)
    (problem,) = described["problems"]
    start = (
        "onnxruntime cannot be loaded (no [GLIBC]): pip install --force-reinstall 'onnxruntime>="
    )
    assert problem.startswith(start)
    assert described["backend"] == "torch"


def test_a_library_that_is_too_old_is_a_problem(call, monkeypatch):
    libraries({"cv2": {"version": "4.12.0"}}, monkeypatch)
    (problem,) = told(call)["problems"]
    assert problem.startswith("opencv-python-headless 4.12.0 is installed, heatmap needs 5.0 or")


def test_two_opencvs_are_noted(call, monkeypatch):
    monkeypatch.setattr("heatmap.versions.version", lambda _: "5.0")
    (note,) = told(call)["notes"]
    assert "pip uninstall opencv-python opencv-contrib-python" in note


def test_one_thread_by_the_environment_is_noted(call, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("heatmap.threads.thread_count", lambda: 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    described = told(call)
    assert described["threads"] == {"count": 1, "OMP_NUM_THREADS": "1"}
    assert described["notes"] == [
        "OMP_NUM_THREADS=1 lets one of 3 processors work: unset it for speed"
    ]


def test_little_memory_is_noted(call, monkeypatch):
    monkeypatch.setattr(checkup, "_LITTLE_MEMORY", 10**18)
    (note,) = told(call)["notes"]
    assert "of memory is free" in note


def test_full_disks_are_told(call, monkeypatch):
    room(10**6, monkeypatch)
    described = told(call)
    assert described["problems"] == [
        f"the disk of {tempfile.gettempdir()} is full: free some of it, or set TMPDIR"
    ]
    room(5 * 10**8, monkeypatch)
    described = told(call)
    assert described["problems"] == []
    of_temporary, of_cache = described["notes"]
    assert of_temporary.startswith("500 MB is free on the disk of ")
    assert "HEATMAP_CACHE" in of_cache


def test_a_temporary_folder_that_cannot_be_written_is_a_problem(call, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/proc")
    (problem,) = told(call)["problems"]
    assert re.fullmatch(r"/proc cannot be written \(.+\): set TMPDIR to another folder", problem)


def test_a_cache_of_which_others_can_write_is_not_used(call, cache):
    cache.mkdir()
    cache.chmod(0o777)
    described = told(call)
    assert described["problems"] == []
    assert described["notes"] == [
        f"the cache {cache} is not used: others can write it; set HEATMAP_CACHE to a folder of "
        "your own, or to off"
    ]


def test_a_cache_that_is_off_is_told(call, monkeypatch):
    monkeypatch.setenv("HEATMAP_CACHE", "off")
    described = told(call)
    assert described["cache"] == {"path": None}
    assert described["notes"] == ["nothing is kept for faster starts: unset HEATMAP_CACHE"]


def test_a_cache_that_cannot_be_written_is_noted(call, monkeypatch):
    monkeypatch.setattr(
        checkup, "_not_writable", lambda folder: "is odd" if folder.name == "prepared" else ""
    )
    (note,) = told(call)["notes"]
    assert "is odd, so nothing is kept for faster starts: set HEATMAP_CACHE to a folder" in note


def test_a_file_is_written_to_see_whether_that_works(tmp_path):
    assert checkup._not_writable(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []
    assert checkup._not_writable(Path("/proc")).startswith("cannot be written (")


@pytest.mark.parametrize("part", checkup._PARTS)
def test_a_part_that_fails_does_not_keep_the_others_from_being_told(call, monkeypatch, part):
    def broken(_):
        raise RuntimeError("first [line]\nsecond line")

    monkeypatch.setitem(checkup._PARTS, part, broken)
    outcome = call("doctor")
    assert outcome.code == 0
    assert re.search(rf"^{part} +unknown \(first \[line\]\)", outcome.out, re.MULTILINE)
    assert told(call)[part] == {"problem": "unknown (first [line])"}
    assert len(outcome.out.splitlines()) > 8
