"""`heatmap.batch`: what it takes, and what it refuses before anything is written."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

import heatmap
from heatmap.errors import GeometryError, ModelError, PhotoError, ResultError


def told(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "heatmap"]


def test_a_scorer_and_a_classifier_run_photos_alike_and_notes_are_told_once(
    photos, out, scorer, caplog
):
    caplog.set_level(logging.WARNING, "heatmap")
    noted = replace(scorer.classifier, notes=("averaged weights were taken",))
    by_classifier = heatmap.batch(photos / "a.jpg", noted, output=out / "classifier")
    assert told(caplog).count("averaged weights were taken") == 1
    caplog.clear()
    prepared = heatmap.prepare(noted)
    by_scorer = heatmap.batch([photos / "a.jpg"], prepared, output=out / "scorer")
    assert told(caplog).count("averaged weights were taken") == 1
    (one,), (other,) = by_classifier, by_scorer
    assert one.detections == other.detections
    assert one.maps.read_bytes() == other.maps.read_bytes()


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"runner": "ray"}, ModelError, "Classifier is in this process: give workers its name"),
        ({"runner": "spark"}, ResultError, "runner is 'spark': choose one of local, ray"),
        (
            {"workers": 2},
            ResultError,
            "there are no workers without Ray: add runner='ray' or leave out workers",
        ),
        ({"region": (0, 0, 9, 9)}, GeometryError, "a region is of one photo: leave out region"),
        ({"every": 0}, ResultError, "every is 0 seconds: give more than 0"),
        (
            {"output": "one.png"},
            ResultError,
            "one.png: is one picture, and there may be several photos: give a folder as output",
        ),
        ({"window": 20}, ModelError, "window: the scorer is prepared already"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    photos, out, scorer, given, kind, message
):
    with pytest.raises(kind) as raised:
        heatmap.batch(photos, scorer, **{"output": out, **given})
    assert message in str(raised.value)
    assert not out.exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((40, 40, 3), np.uint8), "a batch is of files, not of a ndarray: heatmap.run "),
        ([], "no photos: give photos, folders, globs or lists"),
    ],
)
def test_what_is_no_file_is_refused(out, scorer, given, message):
    with pytest.raises(PhotoError, match=message):
        heatmap.batch(given, scorer, output=out)
