"""Memory kept between bands: pages come once, and go at the end."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own: the settings are the whole process's, and what lies on the heap
# of one that has run other tests is anybody's guess.
COUNT_FAULTS = """
import resource, sys
from contextlib import nullcontext
import psutil, torch
from heatmap.allocation import kept_memory

MB = 2**20

def fill(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.empty(64 * MB, dtype=torch.uint8).fill_(1)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize()

def resident():
    return psutil.Process().memory_info().rss

fill(2)
start = resident()
usual = fill(8)
with kept_memory():
    # glibc does not find a block of the same size at first.
    fill(16)
    with kept_memory():
        inside = fill(8)
    still = fill(8)
    held = resident() - start
left = resident() - start
after = fill(8)
print(*(value // MB for value in (usual, inside, still, held, left, after)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_pages_are_cleared_once_and_given_back():
    answer = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
    ).stdout
    usual, inside, still, held, left, after = map(int, answer.split())
    assert usual > 300, "nothing to gain: mended in the C library?"
    assert inside < 64
    assert still < 64
    assert held > 32
    assert left < 32
    # As it was before.
    assert after > 300


def test_the_block_ends_with_an_error(monkeypatch):
    from heatmap import allocation

    seen = []
    monkeypatch.setattr(allocation, "_set", lambda options: seen.append(options))
    monkeypatch.setattr(allocation, "_give_back", lambda: seen.append("back"))
    with pytest.raises(KeyError), allocation.kept_memory():
        raise KeyError
    assert seen == [allocation._KEEP, allocation._USUAL, "back"]


def test_other_c_libraries_are_left_alone(monkeypatch):
    from heatmap import allocation

    monkeypatch.setattr(allocation, "_glibc", lambda: None)
    with allocation.kept_memory():
        pass
    assert allocation._holders == 0
