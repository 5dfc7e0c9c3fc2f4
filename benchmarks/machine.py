"""What a benchmark prints first: the machine and the versions; and how it measures."""

from __future__ import annotations

import platform
import resource
import sys
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TypeVar

import torch

from heatmap.versions import installed_versions, package_versions

# What the benchmarks compare with, as on the package index.
PEERS = ("onnxruntime", "openvino", "monai", "sahi", "torchcam")
# Fast ways are measured more often than asked for, at most so many times.
MOST_ROUNDS = 30
# Before each: ONNX Runtime with default options spins after a run in case there is more to do.
PAUSE_S = 0.05

Name = TypeVar("Name", bound=Hashable)


def print_machine() -> None:
    """Two lines: processor, instruction set and threads; versions of packages."""
    name = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        name = next((line.split(": ")[1] for line in lines if line.startswith("model name")), name)
    print(f"{name}, {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads")
    versions = package_versions() | installed_versions(PEERS)
    print(", ".join(f"{package} {number}" for package, number in versions.items()))


def peak_bytes() -> int:
    """The most memory that this process has had, since its start or :func:`forget_peak`."""
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        # Not ru_maxrss, which begins with what the parent had.
        return 1024 * int(fields["VmHWM"].split()[0])
    # macOS counts bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def forget_peak() -> None:
    """Let :func:`peak_bytes` begin anew, where the system can."""
    references = Path("/proc/self/clear_refs")
    if references.exists():
        references.write_text("5")


def in_turn(
    ways: dict[Name, Callable[[], object]], rounds: int = 3, *, budget_s: float = 0
) -> dict[Name, float]:
    """Seconds of each way: the best of several rounds, taken in turn, with a pause between
    them, after one that does not count.

    There are more than ``rounds`` rounds if that many fit into ``budget_s`` seconds.
    """
    best = dict.fromkeys(ways, float("inf"))
    started = time.perf_counter()
    _round(ways)
    within = budget_s / (time.perf_counter() - started)
    for turn in range(max(rounds, min(MOST_ROUNDS, int(within)))):
        for name, seconds in _round(ways).items():
            best[name] = min(best[name], seconds)
            print(f"round {turn + 1}: {name}: {seconds:.3f} s", file=sys.stderr)
    return best


def _round(ways: dict[Name, Callable[[], object]]) -> dict[Name, float]:
    seconds = {}
    for name, way in ways.items():
        time.sleep(PAUSE_S)
        started = time.perf_counter()
        way()
        seconds[name] = time.perf_counter() - started
    return seconds
