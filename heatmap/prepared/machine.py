"""What of a machine decides which backend is the faster one."""

from __future__ import annotations

import hashlib
import os
import platform
from functools import cache
from pathlib import Path

# Instruction sets that kernels are written for, as Linux names them.
_SETS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd", "sve")


@cache
def machine() -> str:
    """The kind of machine this is, in 16 hex digits: processor, instruction sets, and how many."""
    model, sets = processor()
    said = f"{platform.system()} {platform.machine()} {model} {' '.join(sets)} {os.cpu_count()}"
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def processor() -> tuple[str, tuple[str, ...]]:
    """The name of the processor, and which of its instruction sets kernels are written for.

    Systems other than Linux do not tell the sets.
    """
    model, has = platform.processor(), set[str]()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        pairs = (line.partition(":") for line in cpuinfo.read_text("utf-8", "replace").splitlines())
        lines = {name.strip(): value.strip() for name, _, value in pairs}
        model = lines.get("model name", model)
        has = set(lines.get("flags", lines.get("Features", "")).split())
    return model, tuple(name for name in _SETS if name in has)
