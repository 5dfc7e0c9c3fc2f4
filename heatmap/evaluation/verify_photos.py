"""Verify sliding against cropping on many photos, with one summary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..errors import HeatmapError
from .verify_report import VerifyReport


@dataclass(frozen=True)
class VerifySummary:
    """What :func:`heatmap.verify` gives of a folder of photos.

    Attributes:
        photos: number of photos compared.
        windows: number of windows compared, of all photos and scales.
        head: largest difference of the converted head from the original one / largest score; None
            if no head was checked, as of an exported network.
        difference: largest difference of sliding from cropping / largest score of a crop.
        photo, scale: where that is.
        top1: share of windows, 0..1, with the same most probable class.
        wrong: photos on which the conversion is wrong, by name, with the conclusion.
        failed: photos that could not be compared, by name, with the reason.
    """

    photos: int = 0
    windows: int = 0
    head: float | None = None
    difference: float = 0.0
    photo: str = ""
    scale: float = 1.0
    top1: float = 0.0
    wrong: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether all photos were compared and the conversion is right on each."""
        return self.photos > 0 and not self.wrong and not self.failed

    def exceeds(self, max_difference: float | None) -> bool:
        """Whether sliding differs from cropping by more than this; never, if it is None."""
        return max_difference is not None and not self.difference <= max_difference


def summarise(outcomes: Iterable[tuple[str, VerifyReport | HeatmapError]]) -> VerifySummary:
    """The summary of reports as they come, without keeping them.

    Args:
        outcomes: for each photo its name, and its report or why there is none.
    """
    summary = VerifySummary()
    for name, outcome in outcomes:
        summary = _with(summary, name, outcome)
    return summary


def _with(summary: VerifySummary, name: str, outcome: VerifyReport | HeatmapError) -> VerifySummary:
    if isinstance(outcome, HeatmapError):
        return replace(summary, failed={**summary.failed, name: str(outcome)})
    windows = summary.windows + outcome.windows
    heads = [summary.head, outcome.head.relative if outcome.head else None]
    same = summary.top1 * summary.windows + outcome.top1 * outcome.windows
    more = replace(
        summary,
        photos=summary.photos + 1,
        windows=windows,
        head=max((head for head in heads if head is not None), default=None),
        top1=same / windows,
    )
    if not summary.photos or outcome.difference > summary.difference:
        scale = outcome.worst.scale
        more = replace(more, difference=outcome.difference, photo=name, scale=scale)
    return more if outcome.passed else replace(more, wrong={**more.wrong, name: outcome.conclusion})


def describe_summary(summary: VerifySummary) -> dict[str, Any]:
    """A summary, for JSON."""
    return {"passed": summary.passed, **asdict(summary)}
