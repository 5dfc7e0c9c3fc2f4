"""Files of a model that are replaced while it is in use, as by a training that goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

import heatmap
from heatmap import ModelError, Placement
from heatmap.prepared.store import Store
from heatmap.scoring.preparation import Preparation
from heatmap.threads import thread_count
from tests.support.paths import ROOT
from tests.support.scoring import photo

PHOTO = photo(50, 60)


@pytest.fixture
def checkpoint(kept_checkpoint, tmp_path, monkeypatch) -> str:
    """A checkpoint that is kept for ONNX Runtime, in a cache of this test."""
    shutil.copytree(os.environ["HEATMAP_CACHE"], tmp_path / "cache")
    monkeypatch.setenv("HEATMAP_CACHE", str(tmp_path / "cache"))
    return kept_checkpoint


def train_on(checkpoint: str) -> None:
    """Write a checkpoint again, with other weights."""
    classifier = heatmap.load_classifier(checkpoint)
    last = [*classifier.module.parameters()][-1]
    last.data += 1.0
    heatmap.save_checkpoint(classifier, checkpoint, overwrite=True)


def backend_of(scorer: heatmap.Scorer, **options: object) -> str:
    return scorer.score(PHOTO, **options).origin.computation.backend


def test_new_file_does_not_lead_to_what_was_loaded_of_the_old_one(checkpoint, monkeypatch):
    kept = heatmap.prepare(checkpoint).prepared_at(32)

    def write(_: Preparation, path: Path):
        path.write_bytes(kept.file.read_bytes())
        return replace(kept, file=path, digest="")

    monkeypatch.setattr(Preparation, "write", write)
    scorer = heatmap.prepare(checkpoint, window=72)
    assert (backend_of(scorer), scorer.unprepared) == ("torch", [None])
    train_on(checkpoint)
    assert scorer.unprepared == []
    scorer.forms.prepare(None)
    again = heatmap.prepare(checkpoint, window=72)
    assert (backend_of(again), again.unprepared) == ("torch", [None])


@pytest.mark.slow
def test_other_stride_is_not_taken_of_the_new_file(checkpoint):
    scorer = heatmap.prepare(checkpoint)
    assert backend_of(scorer) == "onnx"
    key = scorer.prepared_at(32).file.parent.name
    train_on(checkpoint)
    other = heatmap.prepare(checkpoint)
    assert backend_of(other) == "torch"
    # As if the new file's network had been prepared at this stride.
    Store().leads_to(other.forms._typed(16), key)
    assert other.forms._kept(16) is not None
    for forms in (scorer.forms, scorer.forms.insisting()):
        assert forms._kept(16) is None


def test_torch_refuses_weights_that_are_not_those_of_the_kept_network(checkpoint):
    scorer = heatmap.prepare(checkpoint)
    before = scorer.score(PHOTO)
    train_on(checkpoint)
    assert np.array_equal(scorer.score(PHOTO).scores, before.scores)
    with pytest.raises(ModelError, match="were replaced since it was prepared: prepare it again"):
        scorer.score(PHOTO, Placement(stride=16))


@pytest.mark.slow
def test_exported_file_is_not_loaded_again_once_it_was_replaced(small_onnx, shared_cache, tmp_path):
    path = tmp_path / "own.onnx"
    shutil.copy(small_onnx.program.path, path)
    network = heatmap.prepare(path).forms.at(None)
    side = network.facts.preprocessing.window_px
    pixels = photo(side, side)
    before = network.scores(pixels, thread_count())
    np.testing.assert_allclose(network.scores(pixels, 7), before, atol=1e-4)
    model = onnx.load(path)
    model.producer_name = "another"
    onnx.save(model, path)
    np.testing.assert_allclose(network.scores(pixels, 7), before, atol=1e-4)
    with pytest.raises(ModelError, match="was replaced since it was prepared: prepare it again"):
        network.scores(pixels, 5)


@pytest.mark.slow
def test_networks_that_were_added_to_timm_are_recorded_each_time(checkpoint):
    """A checkpoint may be of one of them, whose code is not seen from outside."""
    code = """
import timm, sys
from timm.models import register_model
import heatmap
from heatmap.networks.model_names import are_added
before = are_added()
@register_model
def own_network(pretrained=False, **options):
    return timm.create_model("resnet18", **options)
scorer = heatmap.prepare(sys.argv[1])
print(before, are_added(), scorer.in_torch._held is not None, scorer.prepared_at(32).digest)
"""
    kept = heatmap.prepare(checkpoint).prepared_at(32)
    ended = subprocess.run(
        [sys.executable, "-c", code, checkpoint],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ended.stdout.split() == ["False", "True", "True", kept.digest]
