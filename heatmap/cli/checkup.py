"""What `heatmap doctor` looks at. Each part is looked at by itself, and may fail by itself."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import reason_of

# What is imported, by what is installed.
_MODULES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "timm": "timm",
    "onnxruntime": "onnxruntime",
    "numpy": "numpy",
    "opencv-python-headless": "cv2",
    "pyvips": "pyvips",
    "scikit-image": "skimage",
}
# With less on its disk a folder is full, with less than the second it soon is.
_FULL, _LITTLE = 10 * 10**6, 10**9
# With less free memory than this, most networks are too large.
_LITTLE_MEMORY = 10**9


@dataclass
class Checkup:
    """What was found.

    Attributes:
        lines: what is printed of each part, by its heading.
        facts: the same as JSON data.
        problems: what is broken, so that commands fail, and what to do.
        notes: what makes them slower or fail later, and what to do.
    """

    lines: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def found(self, heading: str, line: str, fact: Any) -> None:
        """Keep what was found of a part."""
        self.lines[heading], self.facts[heading] = line, fact


def checkup() -> Checkup:
    """Look at everything. Nothing is raised: what cannot be found out is said instead."""
    done = Checkup()
    for heading, look in _PARTS.items():
        try:
            look(done)
        # Whatever is broken here, the rest is told.
        except Exception as error:
            reason = f"unknown ({reason_of(error)})"
            done.found(heading, reason, {"problem": reason})
    return done


def _system(done: Checkup) -> None:
    from ..versions import report_versions

    versions = report_versions()
    own = next(iter(versions))
    done.found(own, versions[own], versions[own])
    python = versions["Python"]
    done.found("Python", f"{python}, {sys.executable}", python)
    done.found("platform", versions["platform"], versions["platform"])


def _processor(done: Checkup) -> None:
    from ..prepared.machine import processor

    model, sets = processor()
    count = os.cpu_count()
    name = model or platform.machine()
    done.found("processor", f"{name}, {count} logical", {"name": name, "logical": count})
    shown = " ".join(sets) or "not told by this system"
    done.found("instruction sets", shown, list(sets))


def _libraries(done: Checkup) -> None:
    from ..installed import is_older, least_versions
    from ..loadable import loaded_facts
    from ..versions import OTHER_OPENCVS, installed_versions

    least = least_versions()
    packages = installed_versions(_MODULES)
    facts = loaded_facts(list(_MODULES.values()))
    for package, module in _MODULES.items():
        told = facts[module]
        version = str(told.get("version") or packages.get(package) or "")
        needed = least.get(package, "0")
        if problem := told.get("problem"):
            missing = problem == "missing"
            said = "is missing" if missing else problem
            how = "" if missing else "--force-reinstall "
            done.problems.append(f"{package} {said}: pip install {how}'{package}>={needed}'")
            version = problem
        elif is_older(version, needed):
            done.problems.append(
                f"{package} {version} is installed, heatmap needs {needed} or newer: "
                f"pip install '{package}>={needed}'"
            )
        done.found(package, f"{version}{_with(told)}", {**told, "package": packages.get(package)})
    if others := [*installed_versions(OTHER_OPENCVS)]:
        done.notes.append(
            f"{', '.join(others)} and opencv-python-headless replace each other's files: "
            f"pip uninstall {' '.join(others)} opencv-python-headless, then "
            "pip install opencv-python-headless"
        )


def _with(told: dict[str, Any]) -> str:
    """What else a library says of itself: what of the processor and of libraries it uses."""
    said = []
    if libvips := told.get("libvips"):
        said.append(f"libvips {libvips}")
    if instructions := told.get("instructions"):
        said.append(f"uses {instructions}")
    if providers := told.get("providers"):
        said.append(", ".join(name.removesuffix("ExecutionProvider") for name in providers))
    return "".join(f", {each}" for each in said)


def _threads(done: Checkup) -> None:
    from ..threads import thread_count

    count, given = thread_count(), os.environ.get("OMP_NUM_THREADS")
    said = f" (OMP_NUM_THREADS={given})" if given is not None else ""
    done.found("threads", f"{count}{said}", {"count": count, "OMP_NUM_THREADS": given})
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if given is not None and count == 1 and (cores or 1) > 1:
        done.notes.append(
            f"OMP_NUM_THREADS={given} lets one of {cores} processors work: unset it for speed"
        )


def _device(done: Checkup) -> None:
    torch = done.facts.get("torch", {})
    gpus, mps = torch.get("gpus", []), bool(torch.get("mps"))
    others = [f"cuda: {', '.join(gpus)}"] * bool(gpus) + ["mps: a GPU of Apple"] * mps
    shown = "; ".join(others) or "no GPU that torch can use"
    done.found("device", f"cpu by default; {shown}", {"default": "cpu", "cuda": gpus, "mps": mps})


def _backend(done: Checkup) -> None:
    if done.facts.get("onnxruntime", {}).get("problem"):
        done.found("backend", "torch: ONNX Runtime cannot be used", "torch")
        return
    line = "auto: ONNX Runtime where a network is kept for it and faster, or torch"
    done.found("backend", line, "auto")


def _memory(done: Checkup) -> None:
    import psutil

    from ..control_group import group_memory
    from ..memory import available_memory

    free, total, group = available_memory(), int(psutil.virtual_memory().total), group_memory()
    limit = "" if group is None else f"; the container allows {_size(group.limit)}"
    done.found(
        "memory",
        f"{_size(free)} free of {_size(total)}{limit}",
        {"free": free, "total": total, "container_limit": None if group is None else group.limit},
    )
    if free < _LITTLE_MEMORY:
        done.notes.append(
            f"{_size(free)} of memory is free, large networks need more: end other programs"
        )


def _temporary(done: Checkup) -> None:
    # Where there is no folder to write to, this raises.
    try:
        folder = Path(tempfile.gettempdir())
    except OSError as error:
        done.found("temporary folder", "none", {"problem": reason_of(error)})
        done.problems.append(f"no temporary folder ({reason_of(error)}): set TMPDIR to one")
        return
    problem = _not_writable(folder)
    free = shutil.disk_usage(folder).free
    line = f"{folder}, {_size(free)} free"
    done.found("temporary folder", line, {"path": str(folder), "free": free})
    if problem:
        done.problems.append(f"{folder} {problem}: set TMPDIR to another folder")
    elif free < _FULL:
        done.problems.append(f"the disk of {folder} is full: free some of it, or set TMPDIR")
    elif free < _LITTLE:
        done.notes.append(
            f"{_size(free)} is free on the disk of {folder}, large photos need more: free some of "
            "it, or set TMPDIR to a folder on another disk"
        )


def _cache(done: Checkup) -> None:
    from ..cache_folder import OFF, VARIABLE
    from ..prepared.store import Store

    store = Store()
    if store.folder is None:
        line = "not used" if store.note else f"off ({VARIABLE}={OFF})"
        done.found("cache", line, {"path": None})
        reason = store.note or f"nothing is kept for faster starts: unset {VARIABLE}"
        done.notes.append(reason)
        return
    home = store.folder.parent
    kept = [network.size for network in store.networks()]
    free = shutil.disk_usage(home).free
    done.found(
        "cache",
        f"{home}, networks: {len(kept)}, {_size(sum(kept))}; {_size(free)} free",
        {"path": str(home), "networks": len(kept), "bytes": sum(kept), "free": free},
    )
    if problem := _not_writable(store.folder):
        done.notes.append(
            f"the cache {home} {problem}, so nothing is kept for faster starts: set {VARIABLE} to "
            "a folder of your own"
        )
    elif free < _LITTLE:
        done.notes.append(
            f"{_size(free)} is free on the disk of the cache {home}: free some of it, or set "
            f"{VARIABLE} to a folder on another disk"
        )


def _not_writable(folder: Path) -> str:
    """Why no file can be written to a folder, or ""."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0")
            file.flush()
    except OSError as error:
        return f"cannot be written ({reason_of(error)})"
    return ""


def _size(count: int) -> str:
    """A number of bytes as people read it."""
    return f"{count / 1e9:.1f} GB" if count >= 10**9 else f"{count / 1e6:.0f} MB"


# In the order of the list; "device" and "backend" read what was found of libraries.
_PARTS: dict[str, Callable[[Checkup], None]] = {
    "system": _system,
    "processor": _processor,
    "threads": _threads,
    "libraries": _libraries,
    "device": _device,
    "backend": _backend,
    "memory": _memory,
    "temporary folder": _temporary,
    "cache": _cache,
}
