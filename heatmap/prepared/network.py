"""A network prepared for ONNX Runtime: what is known of it, and the file that computes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from .facts import (
    NetworkFacts,
    SlidingFacts,
    described_facts,
    described_sliding,
    read_facts,
    read_sliding,
)
from .peak import Peak
from .session import FEATURES, POSITIONS, SCORES, Session

Floats = npt.NDArray[np.float32]
# "slide" takes photos of any size, "crop" single windows.
Form = Literal["slide", "crop"]


@dataclass(frozen=True, eq=False)
class PreparedNetwork:
    """A network as ONNX Runtime runs it.

    Attributes:
        facts: what is known of the network.
        slides: how it slides.
        form: whether it takes photos of any size, or single windows.
        stride_px: distance between the windows of a photo, px; None for single windows.
        peak: the memory that a photo takes.
        digest: SHA-256 of the file, 64 hex digits.
        file: the ONNX file, or its content.
    """

    facts: NetworkFacts
    slides: SlidingFacts
    form: Form
    stride_px: int | None
    peak: Peak
    digest: str
    file: Path | bytes = field(repr=False)
    _sessions: dict[int, Session] = field(default_factory=dict, init=False, repr=False)

    def scores(self, photo: npt.NDArray[np.uint8], threads: int) -> Floats:
        """Scores (N, M, K) of the windows of an extended photo, RGB uint8 (H, W, 3).

        Raises:
            ModelError: ONNX Runtime cannot run it.
        """
        scores: Floats = self._run(photo[None], SCORES, threads)[0]
        return scores

    def positions(self, photo: npt.NDArray[np.uint8], threads: int) -> Floats:
        """Scores (N', M', K) of the single positions of an extended photo, where it has them."""
        scores: Floats = self._run(photo[None], POSITIONS, threads)[0]
        return scores

    def timed(self, pixels: npt.NDArray[np.uint8], threads: int) -> None:
        """Run it as scoring photos (B, H, W, 3) does, for its time."""
        self._run(pixels, POSITIONS if self.slides.map_hw else SCORES, threads)

    def crops(
        self, windows: npt.NDArray[np.uint8], threads: int, *, features: bool = False
    ) -> tuple[Floats, Floats | None]:
        """Scores (B, K) of single windows, RGB uint8 (B, window, window, 3).

        With ``features`` also their feature maps (B, C, n, m), which it has with box regression.
        """
        outputs = (SCORES, FEATURES) if features else (SCORES,)
        given = self._session(threads).run(windows, outputs)
        return given[SCORES].reshape(len(windows), -1), given.get(FEATURES)

    def _run(self, photos: npt.NDArray[np.uint8], output: str, threads: int) -> Floats:
        return self._session(threads).run(photos, (output,))[output]

    @property
    def is_there(self) -> bool:
        """Whether it is loaded, or its file is still there to be loaded."""
        return bool(self._sessions) or not isinstance(self.file, Path) or self.file.exists()

    def _session(self, threads: int) -> Session:
        """The network loaded once for all that score with it at this number of threads."""
        if (session := self._sessions.get(threads)) is not None:
            return session
        if isinstance(self.file, Path) and self._sessions and not self.file.exists():
            # With other threads rather than not at all.
            return next(iter(self._sessions.values()))
        return self._sessions.setdefault(threads, self._new_session(threads))

    def _new_session(self, threads: int) -> Session:
        return Session(self.file, threads)


def described(network: PreparedNetwork) -> dict[str, Any]:
    """All but the file as JSON data; :func:`read_described` reads it back."""
    return {
        "facts": described_facts(network.facts),
        "sliding": described_sliding(network.slides),
        "form": network.form,
        "stride_px": network.stride_px,
        "peak": {"fixed": network.peak.fixed, "per_px": network.peak.per_px},
        "digest": network.digest,
    }


def read_described(data: Mapping[str, Any], file: Path | bytes) -> PreparedNetwork:
    """The network of :func:`described`, and its file.

    Raises:
        KeyError, TypeError, ValueError, HeatmapError: it is none.
    """
    if data["form"] not in get_args(Form):
        raise ValueError(f"form is {data['form']!r}")
    stride = data["stride_px"]
    return PreparedNetwork(
        read_facts(data["facts"]),
        read_sliding(data["sliding"]),
        data["form"],
        None if stride is None else int(stride),
        Peak(int(data["peak"]["fixed"]), float(data["peak"]["per_px"])),
        str(data["digest"]),
        file,
    )
