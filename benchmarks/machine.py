"""What a benchmark prints first: the machine and the versions; and how it measures."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch

from heatmap.versions import package_versions

PEERS = ("monai", "sahi", "torchcam")


def print_machine(packages: tuple[str, ...] = ()) -> None:
    """Two lines: processor and threads; versions of packages, these ones included."""
    name = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        name = next((line.split(": ")[1] for line in lines if line.startswith("model name")), name)
    versions = package_versions() | {package: version(package) for package in packages}
    print(f"{name}, {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads")
    print(", ".join(f"{package} {number}" for package, number in versions.items()))


def in_turn(ways: dict[str, Callable[[], object]], rounds: int = 3) -> dict[str, float]:
    """Seconds of each way: the best of several rounds, taken in turn, after one unmeasured."""
    best = dict.fromkeys(ways, float("inf"))
    for turn in range(rounds + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds = time.perf_counter() - started
            print(f"round {turn}: {name}: {seconds:.2f} s", file=sys.stderr)
            if turn:
                best[name] = min(best[name], seconds)
    return best
