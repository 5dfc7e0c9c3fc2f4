"""The memory that ONNX Runtime takes for a photo: measured in a process of its own.

Nothing of ONNX Runtime says it before, and in a process that did other things before nobody can
measure it after: memory that was freed earlier is used again.

    python -m heatmap.prepared.peak NETWORK OUTPUT HEIGHT WIDTH
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelError, reason_of

# What was measured varies by a fifth from run to run, with how freed blocks happen to fit.
_MARGIN = 1.3


@dataclass(frozen=True)
class Peak:
    """Bytes that a run takes beyond the loaded network: ``fixed`` + ``per_px`` * pixels.

    >>> Peak(10**6, 400).bytes((1000, 1000))
    401000000
    """

    fixed: int
    per_px: float

    def bytes(self, photo_hw: tuple[int, int]) -> int:
        """Bytes for a photo of this height and width, px."""
        return round(self.fixed + self.per_px * photo_hw[0] * photo_hw[1])

    @classmethod
    def through(cls, measured: Sequence[tuple[tuple[int, int], int]]) -> Peak:
        """The line through two measurements, (height, width) and bytes, with a margin on top."""
        (small_hw, low), (large_hw, high) = measured
        small_px, large_px = small_hw[0] * small_hw[1], large_hw[0] * large_hw[1]
        # Through the larger one at least, which is the surer one.
        per_px = max((high - low) / (large_px - small_px), high / large_px / 2)
        fixed = max(0.0, high - per_px * large_px)
        return cls(round(_MARGIN * fixed), _MARGIN * per_px)


def measured_peak(network: Path, output: str, photo_hw: tuple[int, int]) -> int:
    """Bytes that a first run on one photo takes beyond the loaded network.

    Raises:
        ModelError: the process does not end as it should.
    """
    command = [sys.executable, "-m", __spec__.name, str(network), output, *map(str, photo_hw)]
    # Where this package is not installed, it is where this process found it.
    home = str(Path(__file__).parents[2])
    ended = subprocess.run(command, capture_output=True, text=True, cwd=home, check=False)
    try:
        return int(ended.stdout)
    except ValueError as error:
        raise ModelError(
            f"its memory cannot be measured: {reason_of(ended.stderr or 'no answer')}"
        ) from error


def _measure(network: Path, output: str, photo_hw: tuple[int, int]) -> int:
    import numpy as np

    from ..memory import kept_memory
    from .session import Session

    session = Session(network, 1)
    session.load()
    before = _resident()
    with kept_memory():
        session.run(np.zeros((1, *photo_hw, 3), np.uint8), [output])
    return _highest() - before


def _resident() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


def _highest() -> int:
    """The most bytes that this process ever had in memory."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    print(_measure(Path(sys.argv[1]), sys.argv[2], (int(sys.argv[3]), int(sys.argv[4]))))
