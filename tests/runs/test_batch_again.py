"""The same batch once more: what is new, missing or changed is done, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

from heatmap.runs.batch import BatchSources, plan_batch
from heatmap.runs.request import Display, Extras, Limits, MultiScale, Request
from heatmap.runs.settings import ScorerRecipe
from tests.support.batch_runs import REQUEST, plan, run
from tests.support.batches import MODEL, WINDOW, files, lines, times, write_photo


def test_a_changed_photo_is_done_again_and_no_other(photos, out):
    run(photos, out)
    write_photo(photos / "sub/a.jpg", 17)
    assert plan(photos, out) == {"sub/a.jpg": "photo changed"}
    before = times(out / "photos" / "a.jpg")
    done = run(photos, out)
    assert [task.item.name for task in done.work.todo] == ["sub/a.jpg"]
    assert times(out / "photos" / "a.jpg") == before
    assert plan(photos, out) == {}


def test_a_new_time_alone_changes_nothing(photos, out):
    run(photos, out)
    os.utime(photos / "a.jpg", (1, 1))
    assert plan(photos, out) == {}


DRAWN = {
    "color_range": (0.0, 0.4),
    "alpha": 0.5,
    "colormap": "turbo",
    "legend": False,
    "boxes": False,
    "full": True,
    "per_class": True,
    "areas": True,
}
CHANGED = [
    Request(Display(conf=0.4)),
    replace(REQUEST, placement=MultiScale(border="valid")),
    replace(REQUEST, placement=MultiScale(scales=(0.8, 1.0))),
    replace(REQUEST, limits=Limits(memory=10**8)),
    *(
        replace(REQUEST, extras=extras)
        for extras in (
            Extras(("csv",), save_grid=True),
            Extras(),
            Extras(save_grid=True, save_crops=True),
        )
    ),
    *(
        replace(REQUEST, display=replace(REQUEST.display, **{name: value}))
        for name, value in DRAWN.items()
    ),
]


def test_a_changed_setting_redoes_all(photos, out):
    run(photos, out)
    for changed in CHANGED:
        planned = plan(photos, out, changed)
        assert list(planned.values()) == ["settings changed"] * 4, changed


def test_another_model_redoes_all(photos, out, tmp_path):
    run(photos, out)
    other = ScorerRecipe(MODEL, options={"window": WINDOW, "mean": (0.4, 0.4, 0.4)})
    assert len(plan_batch(BatchSources([photos]), out, other, REQUEST).work.todo) == 4


def test_another_activation_redoes_all(photos, out):
    run(photos, out)
    for activation, again in (("softmax", 0), ("sigmoid", 4)):
        recipe = ScorerRecipe(MODEL, options={"window": WINDOW, "activation": activation})
        assert len(plan_batch(BatchSources([photos]), out, recipe, REQUEST).work.todo) == again


def test_files_of_earlier_settings_go(photos, out):
    run(photos, out, replace(REQUEST, extras=Extras(formats=("csv",), html=True)))
    assert (out / "photos/a.jpg/a.csv").exists()
    (out / "photos/a.jpg/own notes.md").write_text("the user's")
    run(photos, out)
    left = {path.name for path in (out / "photos/a.jpg").iterdir()}
    assert "own notes.md" in left
    assert not left & {"a.csv", "a.html"}


def test_missing_results_are_made_again(photos, out):
    run(photos, out)
    before = files(out / "photos")
    (out / "photos/a.png/a.maps.npz").unlink()
    shutil.rmtree(out / "photos/sub/a.jpg")
    assert plan(photos, out) == {"a.png": "results missing", "sub/a.jpg": "results missing"}
    run(photos, out)
    assert files(out / "photos") == before


def test_memory_and_threads_are_used_again(photos, out, monkeypatch):
    run(photos, out)
    monkeypatch.setattr("heatmap.scoring.device.free_memory", lambda: 12345678)
    monkeypatch.setattr("torch.get_num_threads", lambda: 7)
    assert plan(photos, out) == {}
    assert lines(out)[0]["settings"]["memory"] > 12345678


def test_more_photos_are_done_beside_those_that_are(photos, out):
    run(photos, out)
    write_photo(photos / "c.jpg", 5)
    done = run(photos, out)
    assert [task.item.name for task in done.work.todo] == ["c.jpg"]
    assert (out / "summary.csv").read_text().count("sub/deep/b.tif") >= 1
    assert "c.jpg" in (out / "summary.csv").read_text()


def test_another_photo_of_the_same_name_fails_and_the_others_are_done(photos, out, tmp_path):
    run(photos, out)
    write_photo(tmp_path / "other" / "a.jpg", 9)
    write_photo(tmp_path / "other" / "new.jpg", 10)
    before = files(out / "photos")
    done = run(tmp_path / "other", out)
    (failed,) = done.failed
    assert failed.message.endswith(f"{photos / 'a.jpg'}, another photo than {failed.path}")
    assert [way["parameter"] for way in failed.ways] == ["output", "overwrite"]
    assert before.items() <= files(out / "photos").items()
    assert (out / "photos" / "new.jpg" / "new.json").exists()
    # It is told each time, and the results that are there are still those of the first.
    assert [record.name for record in run(tmp_path / "other", out).failed] == ["a.jpg"]
    assert plan(photos, out) == {}
    assert not run(photos, out).failed


def test_another_photo_of_the_same_name_is_done_on_overwrite(photos, out, tmp_path):
    run(photos, out)
    other = write_photo(tmp_path / "other" / "a.jpg", 9)
    done = run(tmp_path / "other", out, request=replace(REQUEST, overwrite=True))
    assert [(task.item.name, task.why) for task in done.work.todo] == [("a.jpg", "another photo")]
    described = json.loads((out / "photos" / "a.jpg" / "a.json").read_text())
    assert described["photo"]["path"] == str(other)
    assert not done.failed


def test_a_copy_of_a_photo_is_the_same_photo(photos, out, tmp_path):
    run(photos, out)
    shutil.copytree(photos, tmp_path / "copy")
    assert plan(tmp_path / "copy", out) == {}


def test_photos_may_have_been_moved(photos, out, tmp_path):
    run(photos, out)
    photos.rename(tmp_path / "moved")
    assert plan(tmp_path / "moved", out) == {}
