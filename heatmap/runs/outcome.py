"""What a run found out about one photo, from which all of its files are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

from ..grid.score_grid import ScoreGrid, noted
from ..localization.areas import Areas
from ..localization.detection import Detection
from ..localization.findings import Findings
from ..localization.formats.coco import CocoImage
from ..localization.scales import Windows
from ..photo.reduced import OpenPhoto
from .request import Request


@dataclass(frozen=True, eq=False, repr=False)
class Outcome:
    """What a run found out about one photo.

    Attributes:
        photo: the photo, upright, or the region that was looked at.
        findings: what is on it: detections, or guesses where there are none, and their maps, to
            the digits that files have.
        windows: the scores of its windows at each scale.
        areas: which class wins where, if that was asked for.
        added_notes: what is to be noted of the photo and of the search, beside the network's notes.
        own_notes: those of them that are of this photo in particular.
        request: what was asked for, by which it is drawn and saved.
        image: what the photo is in COCO files.
        read: files that were read for it beside the photo, which are never replaced.
    """

    photo: OpenPhoto
    findings: Findings
    windows: Windows
    request: Request
    image: CocoImage
    areas: Areas | None = None
    added_notes: tuple[str, ...] = ()
    own_notes: tuple[str, ...] = ()
    read: tuple[str | Path, ...] = ()

    @property
    def detections(self) -> tuple[Detection, ...]:
        """Objects, most confident first; boxes in px of the whole photo."""
        return self.findings.detections

    @property
    def maps(self) -> ScoreGrid:
        """The maps of what was found or asked for: probabilities 0..1, (N, M, classes)."""
        return self.findings.maps

    @cached_property
    def grid(self) -> ScoreGrid:
        """Scores of its windows, float32 (N, M, K); fused where there are several scales."""
        return noted(self.windows.grid, self.added_notes)

    @property
    def grids(self) -> Mapping[str, ScoreGrid]:
        """The grid of each scale by its name ("x0.5")."""
        return self.windows.scales

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of the photo, the network and the search."""
        return (*self.photo.notes, *self.maps.origin.notes)

    def with_notes(self, notes: tuple[str, ...]) -> Self:
        """The same with more notes on this photo."""
        findings = replace(self.findings, maps=noted(self.findings.maps, notes))
        added, own = (*self.added_notes, *notes), (*self.own_notes, *notes)
        return replace(self, findings=findings, added_notes=added, own_notes=own)
