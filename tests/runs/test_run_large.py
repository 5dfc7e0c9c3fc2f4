"""Large photos and grids in a run, its progress, and what an interruption leaves."""

import cv2
import numpy as np
import pytest

import heatmap
from heatmap.errors import GeometryError, HeatmapError, ResultError, Use
from heatmap.grid import collector as collecting
from heatmap.grid import score_grid as grid
from heatmap.grid.skip import Skip
from heatmap.photo import photo_file as streams
from heatmap.rendering.annotated import Annotation
from heatmap.runs import photo_run as running
from heatmap.runs import pictures as drawing
from heatmap.runs.photo_run import planned_bytes, planned_scales
from heatmap.runs.request import Display, Extras, Limits, MultiScale, Request
from tests.support.runs import PHOTO, SEVERAL, Recorder, names, run, told


@pytest.mark.parametrize("placement", [MultiScale(), MultiScale(stride=2), SEVERAL])
def test_a_photo_on_disk_gives_what_one_in_memory_gives(
    tmp_path, scorer, photo, placement, monkeypatch
):
    display = Display(classes=(1,), confirm=0, full=True)
    small = run(photo, scorer, tmp_path / "small", placement=placement, display=display)
    monkeypatch.setattr(streams, "LARGE_PX", 1000)
    monkeypatch.setattr(drawing, "PICTURE_PX", 80)
    done = run(photo, scorer, tmp_path / "large", placement=placement, display=display)
    assert [one.xyxy for one in done.detections] == [one.xyxy for one in small.detections]
    assert isinstance(done.photo, streams.PhotoFile)
    largest = np.abs(small.grid.scores).max()
    np.testing.assert_allclose(done.grid.scores, small.grid.scores, atol=1e-5 * largest, rtol=0)
    assert done.grid.origin.photo_digest == small.grid.origin.photo_digest
    pictures = ["cat.heatmap.jpg", "cat.heatmap.tif"]
    assert told(done)["files"]["pictures"] == pictures
    assert set(pictures) < set(names(tmp_path / "large"))
    pyramid = cv2.imread(str(done.saved.pictures[1]))[:, :, ::-1].astype(int)
    expected = Annotation.of(done.findings, PHOTO.shape[:2], conf=display.conf).paint(PHOTO)
    assert np.abs(pyramid - expected).mean() < 4


@pytest.mark.parametrize("placement", [MultiScale(), SEVERAL])
def test_large_grids_come_out_as_small_ones_do(tmp_path, scorer, photo, placement, monkeypatch):
    extras = Extras(save_grid=True)
    small = run(photo, scorer, tmp_path / "small", placement=placement)
    for module in (grid, collecting, running):
        monkeypatch.setattr(module, "LARGE_GRID_BYTES", 0)
    done = run(photo, scorer, tmp_path / "out", placement=placement, extras=extras)
    assert isinstance(done.grid.scores, np.memmap)
    np.testing.assert_array_equal(done.grid.scores, small.grid.scores)
    assert done.detections == small.detections
    scales = done.grids if len(done.grids) > 1 else ()
    stems = ["cat.grid", *(f"cat.{name}.grid" for name in scales), "cat.maps"]
    expected = [f"{stem}{suffix}" for stem in stems for suffix in (".npz", ".scores.npy")]
    # Nothing temporary is left, though the grids are still in use.
    assert names(tmp_path / "out") == sorted([*expected, "cat.heatmap.jpg", "cat.json"])
    loaded = heatmap.load(done.saved.grid)
    np.testing.assert_array_equal(loaded.scores, small.grid.scores)


def test_the_bytes_on_disk_are_told_before_scoring(tmp_path, scorer, photo, large_grids):
    reporter = Recorder()
    done = run(photo, scorer, tmp_path / "out", placement=SEVERAL, progress=reporter)
    held = (done.grid, *done.grids.values())
    needed = sum(grid.scores.nbytes for grid in held)
    told = ("note", f"the scores will take {needed / 1e9:.1f} GB on disk")
    assert reporter.events[0] == (*told, Use("store_classes", text="{} stores fewer"))
    assert [event[0] for event in reporter.events].count("note") == 1


def test_planned_bytes_are_of_the_classes_kept_and_of_large_grids_only(scorer, monkeypatch):
    sizes = {
        scale: scorer.score(PHOTO, heatmap.Placement(scale=scale)).scores.nbytes
        for scale in (0.5, 1.0, 2.0)
    }

    def planned(placement=SEVERAL, **limits):
        request = Request(placement=placement, limits=Limits(**limits))
        scales = planned_scales((100, 120), scorer, request)
        return planned_bytes((100, 120), scorer, request, scales)

    assert planned() == 0
    monkeypatch.setattr(running, "LARGE_GRID_BYTES", sizes[1.0])
    assert planned() == 2 * sizes[2.0]
    monkeypatch.setattr(running, "LARGE_GRID_BYTES", 0)
    assert planned() == sum(sizes.values()) + sizes[2.0]
    assert planned(MultiScale()) == sizes[1.0]
    assert planned(MultiScale(), store_classes=(3, "class 3", 0)) == sizes[1.0] * 2 / 5
    with pytest.raises(GeometryError, match="stride is 3 px"):
        planned(MultiScale(stride=3))


def test_a_disk_without_room_for_all_scales_is_refused_before_scoring(
    tmp_path, scorer, photo, large_grids, free_disk
):
    request = Request(placement=SEVERAL)
    scales = planned_scales((100, 120), scorer, request)
    needed = planned_bytes((100, 120), scorer, request, scales)
    free_disk(needed - 1)
    reporter = Recorder()
    with pytest.raises(ResultError, match="the scores take"):
        run(photo, scorer, tmp_path / "out", placement=SEVERAL, progress=reporter)
    assert reporter.events == []


def test_each_scale_is_named_and_counted_from_its_beginning(tmp_path, scorer, photo):
    reporter = Recorder()
    done = run(
        *(photo, scorer, tmp_path / "out"),
        placement=SEVERAL,
        limits=Limits(memory=3_000_000),
        progress=reporter,
    )
    said = [event[1] for event in reporter.events if event[0] == "stage"]
    assert said == [
        *(f"scoring cat.tif at scale {scale}" for scale in ("0.5", "1", "2")),
        "drawing and saving cat.tif",
    ]
    starts = [at for at, event in enumerate(reporter.events) if event[0] == "stage"]
    for start, end, one in zip(starts, starts[1:], done.grids.values(), strict=False):
        counts = [event[1] for event in reporter.events[start + 1 : end]]
        totals = {event[2] for event in reporter.events[start + 1 : end]}
        windows = one.geometry.grid_hw[0] * one.geometry.grid_hw[1]
        assert totals == {windows}
        assert counts == sorted(set(counts))
        assert counts[-1] == windows
    assert len(reporter.events) > len(said) + 3


def test_a_single_scale_needs_no_name(tmp_path, scorer, photo):
    reporter = Recorder()
    run(photo, scorer, tmp_path / "out", progress=reporter)
    assert reporter.events[0] == ("stage", "scoring cat.tif")


@pytest.mark.parametrize("kind", ["large photo", "large grid", "both", "neither"])
def test_an_interruption_at_any_moment_leaves_nothing(tmp_path, scorer, photo, monkeypatch, kind):
    if kind in ("large grid", "both"):
        for module in (grid, collecting, running):
            monkeypatch.setattr(module, "LARGE_GRID_BYTES", 0)
    if kind in ("large photo", "both"):
        monkeypatch.setattr(streams, "LARGE_PX", 1000)
    (tmp_path / "out").mkdir()
    before, moment = names(tmp_path), 1
    while True:
        try:
            reporter = Recorder(interrupt_at=moment)
            run(photo, scorer, tmp_path / "out", placement=SEVERAL, progress=reporter)
            break
        except KeyboardInterrupt:
            assert names(tmp_path) == before
        moment += 1
    assert moment > 6


@pytest.mark.parametrize("failing", ["pictures.encode_image", "earlier.json.dumps"])
def test_a_failure_while_saving_leaves_nothing(
    tmp_path, scorer, photo, large_grids, monkeypatch, failing
):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"heatmap.runs.{failing}", interrupted)
    (tmp_path / "out").mkdir()
    with pytest.raises(KeyboardInterrupt):
        run(photo, scorer, tmp_path / "out", placement=SEVERAL)
    assert names(tmp_path / "out") == []


def test_errors_of_the_photo_or_the_mask_leave_nothing(tmp_path, scorer, photo, large_grids):
    (tmp_path / "out").mkdir()
    for skip in (Skip(mask=tmp_path / "nowhere.png"), Skip(mask=np.zeros((9, 9, 3), np.uint8))):
        with pytest.raises(HeatmapError):
            run(photo, scorer, tmp_path / "out", limits=Limits(skip=skip))
    assert names(tmp_path / "out") == []
