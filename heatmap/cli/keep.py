"""Keep a network prepared for the next start, after the work is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import HeatmapError, reason_of
from .console import ProgressLine, progress_line

if TYPE_CHECKING:
    from ..scoring.scorer import Scorer


def keep_network(scorer: Scorer) -> None:
    """Prepare what torch scored for ONNX Runtime; says so, as it takes about as long as loading.

    The results are written by now: whatever happens here changes no exit code.
    """
    try:
        if not _is_left(scorer):
            return
        with progress_line("preparing the network") as line:
            # Also where nobody sees the line: the command ends later than it seems to.
            line.note(
                f"this run is done; preparing {scorer.facts.name} once, so that later ones start "
                "faster (up to a minute; Ctrl-C skips it)"
            )
            _keep(scorer, line)
    except KeyboardInterrupt:
        return


def _keep(scorer: Scorer, line: ProgressLine) -> None:
    try:
        scorer.keep()
    # torch raises anything.
    except Exception as error:
        reason = error.message if isinstance(error, HeatmapError) else reason_of(error)
        line.note(f"not prepared for faster starts: {reason}")
    except KeyboardInterrupt:
        line.note("skipped; the next run will prepare it")


def _is_left(scorer: Scorer) -> bool:
    """Whether there is anything to prepare; networks made by code are recorded for that."""
    try:
        return bool(scorer.unprepared)
    # Preparing will say what it is.
    except Exception:
        return True
