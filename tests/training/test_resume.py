"""Going on with a training where it was stopped, and what lies on disk until then."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from safetensors import safe_open

from heatmap import ModelError, PhotoError, ResultError
from tests.support.batches import files
from tests.support.training import (
    COLOURS,
    SHORT,
    Records,
    StopsAfter,
    content,
    trained,
)

THREE = replace(SHORT, epochs=3)


@pytest.mark.parametrize("freeze", ["trunk", pytest.param("none", marks=pytest.mark.slow)])
def test_interrupting_and_resuming_gives_the_same_checkpoint(photos, freeze, once):
    whole = content(once.path if freeze == "trunk" else trained(photos, freeze=freeze).path)
    with pytest.raises(KeyboardInterrupt):
        trained(photos, "cut.safetensors", freeze=freeze, progress=StopsAfter(2))
    told = Records()
    trained(photos, "cut.safetensors", freeze=freeze, resume=True, progress=told)
    assert content("cut.safetensors") == whole
    assert told.went_on == 2
    assert [number for number, _ in told.epochs] == [3, 4, 5]
    # The views of the first start serve the second.
    assert told.views == 0


def unfinished(photos, **given):
    with pytest.raises(KeyboardInterrupt):
        trained(photos, progress=StopsAfter(2), **given)


def test_an_unfinished_training_is_neither_lost_nor_mixed_up(photos):
    unfinished(photos, schedule=THREE)
    with pytest.raises(ModelError, match=r"net.training holds a training .*: continue with resume"):
        trained(photos)
    for other in ({"schedule": replace(THREE, rate=0.02)}, {"schedule": THREE, "freeze": "none"}):
        with pytest.raises(ModelError, match="started with other photos, network or settings"):
            trained(photos, resume=True, **other)
    photo = photos / "red" / "3.png"
    kept = photo.read_bytes()
    cv2.imwrite(str(photo), np.zeros((30, 30, 3), np.uint8))
    with pytest.raises(ModelError, match="started with other photos"):
        trained(photos, resume=True, schedule=THREE)
    photo.write_bytes(kept)
    assert len(trained(photos, resume=True, schedule=THREE).history) == 3
    # With nothing to go on from it begins.
    assert len(trained(photos, resume=True, schedule=THREE).history) == 3


@pytest.mark.parametrize(
    "settings",
    [
        *(pytest.param(each, marks=pytest.mark.slow) for each in (None, "{}")),
        '{"digest": "somebody\'s"}',
    ],
)
def test_files_of_somebody_else_by_these_names_are_no_training(photos, tmp_path, settings):
    """Settings are written first and removed last, so that a training always has some."""
    unfinished(photos, schedule=replace(SHORT, seed=5))
    folder = tmp_path / "net.training"
    if settings is None:
        (folder / "settings.json").unlink()
    else:
        (folder / "settings.json").write_text(settings)
    before = files(folder)
    for resume in (False, True):
        with pytest.raises(ResultError, match=r"net\.training: holds .*, which does not belong"):
            trained(photos, resume=resume)
    assert files(folder) == before


def test_photos_are_never_taken_for_a_training(photos, tmp_path):
    photos.rename(tmp_path / "net.training")
    with pytest.raises(
        ResultError, match=r"net.training: holds .*, which does not belong to a training"
    ):
        trained(tmp_path / "net.training")
    assert len(list((tmp_path / "net.training").rglob("*.png"))) == 30


def test_a_file_of_boxes_is_never_taken_for_a_description(photos, tmp_path):
    (tmp_path / "net.json").write_text("[]")
    with pytest.raises(ResultError, match=r"net.json: exists, and was not written by this tool"):
        trained(photos)
    assert (tmp_path / "net.json").read_text() == "[]"


def test_a_broken_photo_stops_before_anything_is_to_go_on_from(photos, tmp_path):
    photo = photos / "red" / "3.png"
    kept = photo.read_bytes()
    photo.write_bytes(b"no photo")
    with pytest.raises(PhotoError, match=r"red/3.png"):
        trained(photos)
    photo.write_bytes(kept)
    assert len(trained(photos, schedule=THREE).history) == 3


def test_a_damaged_state_is_refused(photos, tmp_path):
    unfinished(photos)
    state = tmp_path / "net.training" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"cannot be resumed from: .* remove it to start again"):
        trained(photos, resume=True)


def test_the_state_is_replaced_whole(photos, tmp_path, monkeypatch):
    """An epoch whose state cannot be written leaves the earlier one as it was."""
    unfinished(photos)
    state = tmp_path / "net.training" / "state.safetensors"
    before = state.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("heatmap.training.fit.save_file", full)
        with pytest.raises(ResultError, match="No space left on device"):
            trained(photos, resume=True)
    assert state.read_bytes() == before
    with safe_open(state, framework="pt") as opened:
        assert len(json.loads(opened.metadata()["fit"])["history"]) == 2


def test_views_that_do_not_fit_on_the_disk_are_refused_beforehand(photos, tmp_path, free_disk):
    free_disk(1000)
    with pytest.raises(ResultError, match=r"90 views take .* GB.* use fewer views"):
        trained(photos)
    assert not (tmp_path / "net.training" / "views.npy").exists()


def test_training_may_lie_among_the_photos(photos, monkeypatch):
    monkeypatch.chdir(photos)
    unfinished(".", schedule=THREE)
    done = trained(".", resume=True, schedule=THREE)
    assert done.classifier.classes.names == tuple(COLOURS)
    assert "trained on photos" in done.classifier.weights
    assert len(trained(".", schedule=THREE).history) == 3
