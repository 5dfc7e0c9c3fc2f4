"""Batches on Ray: the grids of the serial runner, whatever becomes of the workers."""

from __future__ import annotations

import builtins
import os
import signal
import sys
from dataclasses import replace

import cv2
import numpy as np
import psutil
import pytest

import heatmap
from heatmap.errors import ModelError
from heatmap.grid.skip import Skip
from heatmap.photo.reading import Reading
from heatmap.runs import ray_runner as clusters
from heatmap.runs.batch import BatchSources, run_batch
from heatmap.runs.batch_reporter import BatchReporter
from heatmap.runs.photo_run import run_photo
from heatmap.runs.ray_runner import RayRunner
from heatmap.runs.request import Display, Extras, Limits, Request
from heatmap.runs.settings import ScorerRecipe
from tests.support.batches import MODEL, WINDOW, broken, files, lines, write_photo
from tests.support.paths import ROOT

RECIPE = ScorerRecipe(MODEL, options={"window": WINDOW})
IN_TORCH, IN_ONNX = ({"window": WINDOW, "backend": backend} for backend in ("torch", "onnx"))
REQUEST = Request(Display(conf=0.5))


@pytest.fixture(scope="module")
def ray():
    """Two workers' worth of Ray for all tests; its processes find the tests' own modules."""
    ray = pytest.importorskip("ray")
    paths = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "in"
    for number in range(12):
        write_photo(folder / f"{number % 3}" / f"{number}.png", number)
    return folder


def run(photos, out, request=REQUEST, **options):
    return run_batch(
        BatchSources([photos]),
        out,
        RECIPE,
        request,
        threads=1,
        runner=RayRunner(count=2),
        **options,
    )


def test_two_workers_give_the_files_of_the_serial_runner(ray, photos, tmp_path):
    broken(photos / "broken")
    serial = run_batch(BatchSources([photos]), tmp_path / "serial", RECIPE, REQUEST, threads=1)
    done = run(photos, tmp_path / "ray")
    assert [record.state for record in done.records] == [one.state for one in serial.records]
    assert len(done.failed) == 20
    found, expected = files(tmp_path / "ray"), files(tmp_path / "serial")
    # Its lines come in the order of being done, and hold times and the memory that was free.
    del found["manifest.jsonl"], expected["manifest.jsonl"]
    maps = [name for name in expected if name.endswith(".npz")]
    assert len(maps) == 12
    assert {name: found[name] for name in maps} == {name: expected[name] for name in maps}
    assert found == expected


@pytest.mark.slow
def test_workers_score_with_what_was_prepared_here_and_without_torch(
    ray, photos, tmp_path, monkeypatch
):
    class Telling(clusters._RayWorker):
        def do(self, task):
            done = super().do(task)
            loaded = " ".join(sys.modules)
            (tmp_path / f"{task.item.name.replace('/', '-')}.modules").write_text(loaded)
            return done

    monkeypatch.setattr(clusters, "_RayWorker", Telling)
    recipe = ScorerRecipe(MODEL, options=IN_ONNX)
    sources, runner = BatchSources([photos]), RayRunner(count=2)
    serial = run_batch(sources, tmp_path / "serial", recipe, REQUEST, threads=1)
    done = run_batch(sources, tmp_path / "ray", recipe, REQUEST, threads=1, runner=runner)
    assert (serial.failed, done.failed) == ((), ())
    told = list(tmp_path.glob("*.modules"))
    assert len(told) == 12
    for path in told:
        loaded = set(path.read_text().split())
        assert "onnxruntime" in loaded
        assert not {"torch", "torchvision", "timm"} & loaded
    assert files(tmp_path / "ray/photos") == files(tmp_path / "serial/photos")


@pytest.mark.slow
def test_a_batch_goes_on_with_another_runner(ray, photos, tmp_path):
    run(photos, tmp_path / "out")
    again = run_batch(BatchSources([photos]), tmp_path / "out", RECIPE, REQUEST, threads=1)
    assert again.work.todo == ()


def workers():
    """The processes that do photos."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [""])[0].startswith("ray::_RayWorker")
    ]


@pytest.mark.slow
def test_the_work_of_a_worker_that_is_killed_is_done_by_others(ray, photos, tmp_path):
    for number in range(12, 60):
        write_photo(photos / f"{number}.png", number)

    class Killer(BatchReporter):
        seen = killed = 0

        def photo(self, record):
            self.seen += 1
            if self.seen == 3:
                victim, *_ = workers()
                victim.send_signal(signal.SIGKILL)
                self.killed += 1

    killer = Killer()
    done = run(photos, tmp_path / "ray", progress=killer)
    assert killer.killed == 1
    assert [record.state for record in done.records] == ["done"] * 60
    run_alone = run_batch(BatchSources([photos]), tmp_path / "serial", RECIPE, REQUEST, threads=1)
    assert run_alone.failed == ()
    found, expected = files(tmp_path / "ray/photos"), files(tmp_path / "serial/photos")
    assert found == expected


@pytest.mark.slow
def test_a_photo_that_kills_every_worker_is_recorded(ray, photos, tmp_path, monkeypatch):
    class Deadly(clusters._RayWorker):
        def do(self, task):
            if task.item.name == "0/0.png":
                os.kill(os.getpid(), signal.SIGKILL)
            return super().do(task)

    monkeypatch.setattr(clusters, "_RayWorker", Deadly)
    done = run(photos, tmp_path / "out")
    assert [record.name for record in done.failed] == ["0/0.png"]
    assert "its worker was lost" in done.failed[0].message
    assert sum(record.state == "done" for record in done.records) == 11


def test_a_large_photo_is_spread_by_tile(ray, tmp_path, monkeypatch):
    path = write_photo(tmp_path / "in" / "large.tif", 2)
    monkeypatch.setattr(clusters, "TILED_PX", 100)
    request = replace(REQUEST, extras=Extras(save_grid=True))
    done = run(tmp_path / "in", tmp_path / "ray", request=request)
    assert done.failed == ()
    alone = run_photo(path, RECIPE.prepare(), REQUEST, folder=tmp_path / "alone")
    found = heatmap.load(tmp_path / "ray/photos/large.tif/large.grid.npz")
    assert found.origin.computation.tiles == 4
    largest = np.abs(alone.grid.scores).max()
    np.testing.assert_allclose(found.scores, alone.grid.scores, rtol=0, atol=1e-5 * largest)


@pytest.mark.slow
@pytest.mark.parametrize("keep", [None, ("class 1", "class 3")])
def test_tiles_keep_to_what_is_asked(ray, tmp_path, monkeypatch, keep):
    write_photo(tmp_path / "in" / "large.png", 4)
    mask = tmp_path / "mask.png"
    shown = np.zeros((140, 100, 3), np.uint8)
    shown[:60] = 255
    cv2.imwrite(str(mask), shown)
    limits = Limits(store_classes=keep, skip=Skip(mask=mask))
    request = replace(REQUEST, limits=limits, extras=Extras(save_grid=True))
    serial = run_batch(
        BatchSources([tmp_path / "in"]), tmp_path / "serial", RECIPE, request, threads=1
    )
    assert serial.failed == ()
    monkeypatch.setattr(clusters, "TILED_PX", 100)
    assert run(tmp_path / "in", tmp_path / "ray", request=request).failed == ()
    one, other = (
        heatmap.load(tmp_path / where / "photos/large.png/large.grid.npz").scores
        for where in ("serial", "ray")
    )
    assert np.isnan(one).any()
    np.testing.assert_allclose(other, one, rtol=0, atol=1e-5 * np.nanmax(np.abs(one)))


@pytest.mark.slow
def test_a_damaged_large_photo_is_recorded(ray, tmp_path, monkeypatch):
    path = write_photo(tmp_path / "in" / "large.png", 2)
    path.write_bytes(path.read_bytes()[:-600])
    monkeypatch.setattr(clusters, "TILED_PX", 100)
    (record,) = run(tmp_path / "in", tmp_path / "out").records
    assert (record.state, record.notes) == ("done", ("damaged, partly made up",))
    refusing = replace(REQUEST, limits=Limits(reading=Reading(damaged="refuse")))
    (record,) = run(tmp_path / "in", tmp_path / "out", refusing).failed
    assert "large.png" in record.message
    assert "cut short" in record.message


def test_a_worker_with_other_weights_is_refused(ray, photos, tmp_path):
    class Elsewhere(ScorerRecipe):
        def prepare(self):
            if os.getpid() == here:
                return super().prepare()
            raise ModelError("no such file")

    here = os.getpid()
    with pytest.raises(ModelError, match="a worker cannot begin: no such file"):
        run_batch(
            BatchSources([photos]), tmp_path / "out",
            Elsewhere(MODEL, options=IN_TORCH), REQUEST, runner=RayRunner(count=1),
        )  # fmt: skip


def test_without_ray_the_way_out_is_named(monkeypatch, photos, tmp_path):
    real = builtins.__import__

    def missing(name, *given, **named):
        if name.partition(".")[0] == "ray":
            raise ImportError(name)
        return real(name, *given, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ModelError, match=r"Ray is not installed: pip install ray"):
        run(photos, tmp_path / "out")


@pytest.mark.slow
def test_lines_of_the_manifest_are_whole(ray, photos, tmp_path):
    run(photos, tmp_path / "out")
    # Settings, 12 photos, and the batch's own files.
    assert len(lines(tmp_path / "out")) == 14
