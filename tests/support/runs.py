"""A photo, runs at several scales, and their progress events."""

import json
from dataclasses import dataclass, field

import numpy as np
import skimage.data

from heatmap.progress import Reporter
from heatmap.runs.request import MultiScale

PHOTO = skimage.data.chelsea()[60:160, 100:220]
SEVERAL = MultiScale(scales=(0.5, 1.0, 2.0))


@dataclass(frozen=True)
class Recorder(Reporter):
    """Records events; interrupts at the event of that number."""

    interrupt_at: int = -1
    events: list = field(default_factory=list)

    def _keep(self, *event):
        self.events.append(event)
        if len(self.events) == self.interrupt_at:
            raise KeyboardInterrupt

    def stage(self, what):
        self._keep("stage", what)

    def advance(self, done, total):
        self._keep("advance", done, total)

    def note(self, message, *ways):
        self._keep("note", message, *ways)


def names(folder):
    return sorted(path.name for path in folder.rglob("*"))


def assert_same(scores, expected):
    """Equal but for rounding: the first pass of a network can differ from the next ones."""
    largest = np.nanmax(np.abs(expected))
    np.testing.assert_allclose(scores, expected, atol=1e-5 * largest, rtol=0)


def told(done):
    return json.loads(done.saved.description.read_text("utf-8"))
