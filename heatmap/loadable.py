"""Which libraries can be loaded, tried in a process of its own, which a broken one may crash.

That process runs this module with the names of libraries, and prints a line of JSON for each.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from .errors import reason_of

# Seconds for all of them; from a slow disk torch takes a minute.
_PATIENCE_S = 180

Facts = dict[str, Any]


def loaded_facts(modules: Sequence[str]) -> dict[str, Facts]:
    """What each library says of itself once it is loaded, or as "problem" why it cannot be.

    Args:
        modules: names as in ``import``.
    """
    facts: dict[str, Facts] = {}
    # After a crash once more, for those behind the one that crashed.
    while left := [name for name in modules if name not in facts]:
        command = [sys.executable, "-P", "-m", __name__, *left]
        try:
            ended = subprocess.run(
                command, capture_output=True, timeout=_PATIENCE_S, check=False, encoding="utf-8"
            )
            printed, how = ended.stdout, _how(ended.returncode)
        except subprocess.TimeoutExpired as expired:
            raw = expired.stdout or b""
            printed = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
            how = f"is not loaded after {_PATIENCE_S} s"
        told = _told(printed)
        facts |= told
        unknown = [name for name in left if name not in told]
        if unknown:
            facts[unknown[0]] = {"problem": how}
    return {name: facts[name] for name in modules}


def _told(printed: str) -> dict[str, Facts]:
    """The facts in the lines that a process printed; libraries may print others."""
    told: dict[str, Facts] = {}
    for line in printed.splitlines():
        try:
            held = json.loads(line)
        except ValueError:
            continue
        if isinstance(held, dict) and isinstance(held.get("module"), str):
            told[held.pop("module")] = held
    return told


def _how(code: int) -> str:
    """How a process ended that should have gone on."""
    if code >= 0:
        return f"ends the process with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"crashes the process ({name})"


def _of_torch(torch: Any) -> Facts:
    gpus = []
    if torch.cuda.is_available():
        gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "gpus": gpus,
        "mps": bool(torch.backends.mps.is_available()),
    }


_MORE: dict[str, Callable[[Any], Facts]] = {
    "torch": _of_torch,
    "onnxruntime": lambda onnxruntime: {"providers": onnxruntime.get_available_providers()},
    "pyvips": lambda pyvips: {
        "libvips": ".".join(str(pyvips.version(part)) for part in range(3)),
    },
}


def _facts(name: str) -> Facts:
    try:
        module = import_module(name)
        return {"version": getattr(module, "__version__", None), **_MORE.get(name, _none)(module)}
    # It may raise anything, and what is not to be loaded exits.
    except (Exception, SystemExit) as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == name
        return {"problem": "missing" if missing else f"cannot be loaded ({reason_of(error)})"}


def _none(_: Any) -> Facts:
    return {}


if __name__ == "__main__":
    for each in sys.argv[1:]:
        print(json.dumps({"module": each, **_facts(each)}, default=str), flush=True)
