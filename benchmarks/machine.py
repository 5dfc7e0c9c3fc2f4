"""What a benchmark prints first: the machine and the versions; and how it measures."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch

from heatmap.versions import package_versions


def print_machine() -> None:
    """Processor, threads and package versions."""
    name = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        name = next((line.split(": ")[1] for line in lines if line.startswith("model name")), name)
    versions = ", ".join(f"{package} {version}" for package, version in package_versions().items())
    print(f"{name}, {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads")
    print(versions)


def in_turn(ways: dict[str, Callable[[], object]], rounds: int = 3) -> dict[str, float]:
    """Seconds of each way: the best of several rounds, taken in turn, after one unmeasured."""
    best = dict.fromkeys(ways, float("inf"))
    for turn in range(rounds + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if turn:
                best[name] = min(best[name], time.perf_counter() - started)
    return best
