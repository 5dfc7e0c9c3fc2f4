"""A photo, runs at several scales, and their progress events."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tifffile

from heatmap.errors import ResultError
from heatmap.progress import Reporter
from heatmap.runs.photo_run import run_photo
from heatmap.runs.request import NO_EXTRAS, Display, Limits, MultiScale, Request
from tests.support.batches import files

PHOTO = skimage.data.chelsea()[60:160, 100:220]
SEVERAL = MultiScale(scales=(0.5, 1.0, 2.0))
EVERY_CLASS = Display(conf=0.05, per_class=True)
# What a run without extras writes.
PLAIN = ["cat.heatmap.jpg", "cat.json", "cat.maps.npz"]


def run(
    photo,
    scorer,
    folder,
    *,
    display=Display(),
    placement=MultiScale(),
    limits=Limits(),
    extras=NO_EXTRAS,
    overwrite=False,
    progress=False,
):
    """The saved result of a photo."""
    request = Request(display, placement, limits, extras, overwrite)
    return run_photo(photo, scorer, request, folder=folder, progress=progress)


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


def another(path: Path) -> Path:
    """A photo of other pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, PHOTO[::-1])
    return path


def refused(photo, scorer, out, reason, **options) -> ResultError:
    """What a run says that is refused before scoring, and leaves everything as it was."""
    before, reporter = files(out), Recorder()
    with pytest.raises(ResultError, match=reason) as caught:
        run(photo, scorer, out, progress=reporter, **options)
    assert reporter.events == []
    assert files(out) == before
    assert not list(out.glob(".heatmap-*"))
    return caught.value
