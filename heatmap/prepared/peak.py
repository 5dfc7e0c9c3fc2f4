"""The memory that ONNX Runtime takes for a photo: measured in a process of its own.

Nothing of ONNX Runtime says it before, and in a process that did other things before nobody can
measure it after: memory that was freed earlier is used again.

    python -P -m heatmap.prepared.peak NETWORK OUTPUT PHOTOS HEIGHT WIDTH
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ..errors import ModelError
from ..threads import thread_count

# Photos, height, width.
Shape: TypeAlias = tuple[int, ...]

# What is measured varies by a fifth from run to run, with how freed blocks happen to fit, and
# VGG16's grows a fifth faster than its pixels (benchmarks/memory.py).
_MARGIN = 1.6
# Bytes of a pixel at least, as three bytes and as three float32: small networks find room in what
# was freed before, so that nothing is measured.
_LEAST_PER_PX = 15


@dataclass(frozen=True)
class Peak:
    """Bytes that a run takes beyond the loaded network: ``fixed`` + ``per_px`` * pixels.

    >>> Peak(10**6, 400).bytes((1, 1000, 1000))
    401000000
    """

    fixed: int
    per_px: float

    def bytes(self, shape: Shape) -> int:
        """Bytes for some photos of one height and width, px."""
        return round(self.fixed + self.per_px * math.prod(shape))

    @classmethod
    def through(cls, measured: Sequence[tuple[Shape, int]]) -> Peak:
        """The line through two measurements, of few and of more pixels, with a margin on top.

        Of networks that take one shape only there is one measurement.
        """
        if len(measured) == 1:
            return cls(round(_MARGIN * measured[0][1]), 0.0)
        (few, low), (more, high) = ((math.prod(shape), peak) for shape, peak in measured)
        # A share of the larger one at least, which is the surer one.
        per_px = max((high - low) / (more - few), high / more / 2, _LEAST_PER_PX)
        fixed = max(0.0, high - per_px * more)
        return cls(round(_MARGIN * fixed), _MARGIN * per_px)


def measured_peak(network: Path, output: str, shapes: Sequence[Shape]) -> Peak:
    """What runs take beyond the loaded network, each in a process of its own.

    Args:
        network: the ONNX file, whose input (B, C, H, W) may be uint8 or float32.
        output: the output that is computed.
        shapes: the shapes of two inputs, without channels, of which the second has more pixels;
            or of one.

    Raises:
        ModelError: a process does not end as it should.
    """
    return Peak.through([(shape, _in_a_process(network, output, shape)) for shape in shapes])


def _in_a_process(network: Path, output: str, shape: Shape) -> int:
    # -P: nothing is imported from the working folder, which may be anybody's.
    command = [sys.executable, "-P", "-m", __name__, str(network), output, *map(str, shape)]
    # Where this package is not installed, it is where this process found it.
    home = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH", ""))))
    ended = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False
    )
    try:
        return int(ended.stdout)
    except ValueError as error:
        said = ended.stderr.strip().splitlines() or ["it said nothing"]
        raise ModelError(f"its memory cannot be measured: {said[-1]}") from error


def _measure(network: Path, output: str, shape: Shape) -> int:
    from ..memory import give_back, kept_memory
    from .session import Session

    session = Session(network, thread_count())
    session.load()
    # What loading left would be used again.
    give_back()
    _forget_highest()
    before = _resident()
    with kept_memory():
        session.compute(session.example(shape), [output])
    return max(0, _highest() - before)


def _forget_highest() -> None:
    """Count the most bytes from now on, where the system can: loading takes more than it leaves."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _resident() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


def _highest() -> int:
    """The most bytes that this process had in memory."""
    # Not what getrusage says, which on Linux includes the process that started this one.
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import psutil

    # Only Windows has it, which has no module `resource`.
    if (peak := getattr(psutil.Process().memory_info(), "peak_wset", None)) is not None:
        return int(peak)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    print(_measure(Path(sys.argv[1]), sys.argv[2], (*map(int, sys.argv[3:6]),)))
