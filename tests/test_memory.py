"""Memory kept between bands: pages come once, and go at the end."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

# In a process of its own: the settings are the whole process's, and what lies on the heap
# of one that has run other tests is anybody's guess. Memory is asked for as torch does, which
# takes seconds to load.
COUNT_FAULTS = """
import ctypes, resource
import psutil
from heatmap.memory import kept_memory

MB = 2**20
libc = ctypes.CDLL(None)

def take(size):
    place = ctypes.c_void_p()
    assert libc.posix_memalign(ctypes.byref(place), ctypes.c_size_t(64), ctypes.c_size_t(size)) == 0
    ctypes.memset(place, 1, size)
    libc.free(place)

def fill(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        take(64 * MB)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize()

def resident():
    return psutil.Process().memory_info().rss

fill(2)
start = resident()
usual = fill(4)
with kept_memory():
    # glibc does not find a block of the same size at first.
    fill(8)
    with kept_memory():
        inside = fill(4)
    still = fill(4)
    take(1024 * MB)
    held = resident() - start
left = resident() - start
after = fill(4)
with kept_memory():
    again = fill(4)
print(*(value // MB for value in (usual, inside, still, held, left, after, again)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_pages_are_cleared_once_and_those_of_large_photos_given_back():
    answer = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    ).stdout
    usual, inside, still, held, left, after, again = map(int, answer.split())
    # How much is cleared at a time is for the system to say.
    assert inside < usual / 2
    assert still < usual / 2
    assert held > 900
    assert left < 512
    assert again <= after


GROW = (
    COUNT_FAULTS.split("def fill")[0]
    + """
from heatmap.memory import bounded_growth

def grown():
    taken = psutil.Process().memory_info()
    return (taken.rss - taken.shared - start) // MB

taken = psutil.Process().memory_info()
start = taken.rss - taken.shared
with kept_memory():
    within, beyond = bounded_growth(2000 * MB), bounded_growth(500 * MB)
    take(1024 * MB)
    print(grown())
    within()
    print(grown())
    beyond()
    print(grown())
"""
)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_a_pass_keeps_no_more_than_it_may_take():
    answer = subprocess.run(
        [sys.executable, "-c", GROW], check=True, capture_output=True, text=True, cwd=ROOT
    ).stdout
    taken, within, beyond = map(int, answer.split())
    assert taken > 900
    assert within > 900
    assert beyond < 200


def test_the_block_ends_with_an_error(monkeypatch):
    from heatmap import memory

    seen = []
    monkeypatch.setattr(memory, "_set", lambda options: seen.append(options))
    with pytest.raises(KeyError), memory.kept_memory():
        raise KeyError
    assert seen == [memory._KEEP, memory._USUAL]


def test_other_c_libraries_are_left_alone(monkeypatch):
    from heatmap import memory

    monkeypatch.setattr(memory, "_glibc", lambda: None)
    with memory.kept_memory():
        pass
    assert memory._keeping.holders == 0
