"""One photo from start to files: scales, limits, large photos, and what an interruption leaves."""

import json
import shutil
from collections import namedtuple
from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest
import skimage.data
import tifffile
import torch

import heatmap
from heatmap.classes import ClassGroup
from heatmap.errors import ClassError, GeometryError, HeatmapError, ResultError, Use
from heatmap.grid import collector as collecting
from heatmap.grid import score_grid as grid
from heatmap.grid.skip import Skip
from heatmap.localization.scales import auto_scales, fuse_scales
from heatmap.localization.sharpen import sharp_maps, tighten
from heatmap.photo import photo_file as streams
from heatmap.progress import Reporter
from heatmap.rendering import pyramid as pyramids
from heatmap.rendering.overlay import overlay
from heatmap.runs import run as running
from heatmap.runs.request import Display, Limits, MultiScale
from heatmap.runs.run import planned_bytes, run
from heatmap.runs.save import Extras
from tests.support.networks import WINDOW, Classifier, heads, randomise

PHOTO = skimage.data.chelsea()[60:160, 100:220]
SEVERAL = MultiScale(scales=(0.5, 1.0, 2.0))


@pytest.fixture(scope="module")
def scorer():
    torch.manual_seed(0)
    return heatmap.prepare(randomise(Classifier(heads()["fc layers"]), WINDOW), window=WINDOW)


@pytest.fixture
def photo(tmp_path):
    (tmp_path / "photos").mkdir()
    tifffile.imwrite(tmp_path / "photos" / "cat.tif", PHOTO, tile=(64, 64))
    return tmp_path / "photos" / "cat.tif"


@pytest.fixture
def large_grids(monkeypatch):
    for module in (grid, collecting, running):
        monkeypatch.setattr(module, "LARGE_GRID_BYTES", 0)


@dataclass(frozen=True)
class Recorder(Reporter):
    """Keeps what it is told; interrupts at the event of that number."""

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


# Scales.


@pytest.mark.parametrize("how", ["mean", "max"])
def test_several_scales_are_those_scored_alone_fused(tmp_path, scorer, photo, how):
    placement = MultiScale(scales=(1.0, 0.5, 1.0, 2.0), fuse=how)
    done = run(photo, scorer, tmp_path / "out", placement=placement, display=Display(top=1))
    alone = [scorer.score(PHOTO, heatmap.Placement(scale=scale)) for scale in (1.0, 0.5, 2.0)]
    assert list(done.scales) == ["x1", "x0.5", "x2"]
    for one, other in zip(done.scales.values(), alone, strict=True):
        assert_same(one.scores, other.scores)
    fused = fuse_scales(list(done.scales.values()), how)
    np.testing.assert_array_equal(done.grid.scores, fused.scores)
    assert done.grid.geometry == fused.geometry
    assert done.grid.kind == "probabilities"
    assert done.grid.origin.fuse == how
    assert told(done)["scales"] == {name: f"cat.{name}.npz" for name in done.scales}
    for name, one in done.scales.items():
        loaded = heatmap.load(tmp_path / "out" / f"cat.{name}.npz")
        np.testing.assert_array_equal(loaded.scores, one.scores)
    np.testing.assert_array_equal(heatmap.load(done.saved.grid).scores, fused.scores)


def test_objects_are_searched_at_every_scale(tmp_path, scorer, photo):
    done = run(photo, scorer, tmp_path / "out", placement=SEVERAL, display=Display(conf=0.2))
    assert done.detections == heatmap.localize(list(done.scales.values()), conf=0.2)
    assert len({one.scale for one in done.detections}) > 1


def test_auto_is_the_scales_that_the_photo_asks_for(tmp_path, scorer, photo):
    done = run(photo, scorer, tmp_path / "out", placement=MultiScale(scales=None))
    assert list(done.scales) == [f"x{scale:g}" for scale in auto_scales((100, 120), WINDOW)]
    assert len(done.scales) > 1


def test_one_scale_is_not_fused(tmp_path, scorer, photo):
    done = run(photo, scorer, tmp_path / "out", placement=MultiScale(scales=(0.5,)))
    assert_same(done.grid.scores, scorer.score(PHOTO, heatmap.Placement(scale=0.5)).scores)
    assert (done.grid.kind, dict(done.scales)) == ("logits", {})


# Sharp maps.


@pytest.fixture(scope="module")
def averaging():
    """A network whose windows are averages over positions."""
    torch.manual_seed(0)
    module = randomise(Classifier(heads()["global pool"]), WINDOW)
    linear = module.head[2]
    # Means differ little: without this one class wins everywhere.
    linear.weight.data *= 30
    usual = heatmap.prepare(module, window=WINDOW).score(PHOTO).scores.mean((0, 1))
    linear.bias.data -= torch.from_numpy(usual)
    return heatmap.prepare(module, window=WINDOW)


@pytest.mark.parametrize("placement", [MultiScale(), MultiScale(stride=2), SEVERAL])
def test_boxes_and_overlays_are_drawn_from_sharp_maps(tmp_path, averaging, photo, placement):
    display = Display(classes=(3, 1), conf=0.2)
    extras = Extras(("tiff",))
    done = run(
        photo, averaging, tmp_path / "out", placement=placement, display=display, extras=extras
    )
    groups = averaging.classifier.classes.find_all([3, 1])
    scored = [
        averaging.score_positions(PHOTO, heatmap.Placement(scale=scale, stride=placement.stride))
        for scale in placement.scales
    ]
    expected = sharp_maps(scored, groups)
    assert done.sharp.classes.names == ("class 3", "class 1")
    assert_same(done.sharp.scores, expected.scores)
    np.testing.assert_array_equal(heatmap.load(done.saved.sharp).scores, done.sharp.scores)
    assert told(done)["sharp"] == done.saved.sharp.name == "cat.sharp.npz"
    windows = heatmap.localize(list(done.scales.values()) or done.grid, groups, conf=0.2)
    assert done.detections == tighten(windows, done.sharp, groups)
    assert any(one.xyxy != one.window_xyxy for one in done.detections)
    for place, group in enumerate(groups):
        boxes = [one.xyxy for one in done.detections if one.group == group]
        drawn = cv2.imread(str(done.saved.overlays[group]))[:, :, ::-1]
        picture = overlay(PHOTO, done.sharp, place, boxes_xyxy=boxes)
        np.testing.assert_array_equal(drawn, picture)
        heat = tifffile.imread(done.saved.exports["tiff"][place])
        np.testing.assert_allclose(heat, done.sharp.heatmap(place), atol=1e-6)


def test_sharp_maps_are_of_what_is_drawn_and_what_is_found(tmp_path, averaging, photo):
    done = run(photo, averaging, tmp_path / "out", display=Display(top=1, conf=0.05))
    (drawn,) = done.saved.overlays
    found = dict.fromkeys(one.name for one in done.detections)
    assert len(found) > 1
    assert done.sharp.classes.names == tuple(dict.fromkeys([drawn.name, *found]))


def test_what_is_kept_or_skipped_in_part_has_no_sharp_maps(tmp_path, averaging, scorer, photo):
    mask = np.full_like(PHOTO, 255)
    cases = [(averaging, Limits(store_classes=(1,))), (averaging, Limits(skip=Skip(mask=mask)))]
    for number, (network, limits) in enumerate([*cases, (scorer, Limits())]):
        done = run(photo, network, tmp_path / str(number), limits=limits)
        assert (done.sharp, done.saved.sharp) == (None, None)
        assert "sharp" not in told(done)
        assert not [name for name in names(tmp_path / str(number)) if "sharp" in name]
        assert all(one.xyxy == one.window_xyxy for one in done.detections)


# What is kept and skipped.


def test_kept_classes_are_asked_for_by_their_own_names_and_indices(tmp_path, scorer, photo):
    limits = Limits(store_classes=("class 4", 1))
    done = run(
        photo, scorer, tmp_path / "out", limits=limits, display=Display(classes=(4, "class 1"))
    )
    whole = scorer.score(PHOTO)
    assert done.grid.classes.names == ("class 4", "class 1")
    assert_same(done.grid.scores, whole.class_maps(whole.classes.find_all([4, 1])))
    assert [one["class"] for one in told(done)["overlays"]] == ["class 4", "class 1"]
    boxes = [one.xyxy for one in done.detections if one.name == "class 4"]
    expected = overlay(PHOTO, whole, 4, boxes_xyxy=boxes)
    drawn = cv2.imread(str(done.saved.overlays[ClassGroup("class 4", (0,))]))[:, :, ::-1]
    np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize(
    ("keep", "wanted", "message"),
    [
        (
            (1,),
            ("class 4",),
            r"is asked for and not stored: add store_classes=\[4\]",
        ),
        (("nothing",), (), "no class 'nothing'"),
        (None, (9,), "class index 9 is too large"),
    ],
)
def test_classes_that_cannot_be_are_refused_before_the_photo_is_scored(
    tmp_path, scorer, photo, keep, wanted, message
):
    reporter = Recorder()
    with pytest.raises(ClassError, match=message):
        run(
            *(photo, scorer, tmp_path / "out"),
            limits=Limits(store_classes=keep),
            display=Display(classes=wanted),
            reporter=reporter,
        )
    assert reporter.events == []
    assert not (tmp_path / "out").exists()


def test_what_a_mask_leaves_out_is_counted_and_not_scored(tmp_path, scorer, photo):
    mask = np.zeros_like(PHOTO)
    mask[64:, 64:] = 255
    done = run(photo, scorer, tmp_path / "out", limits=Limits(skip=Skip(mask=mask)))
    whole, scored = scorer.score(PHOTO), done.grid.scored
    np.testing.assert_array_equal(scored, Skip(mask=mask).wanted(done.photo, whole.geometry))
    assert 0 < scored.sum() < scored.size
    largest = np.abs(whole.scores).max()
    np.testing.assert_allclose(
        done.grid.scores[scored], whole.scores[scored], atol=1e-5 * largest, rtol=0
    )
    assert told(done)["not_scored"] == (~scored).sum()
    assert told(done)["windows"] == scored.size
    assert all(scored[one.cell] for one in done.detections)


@pytest.mark.parametrize("engine", ["slide", "crop"])
def test_a_photo_of_which_all_is_skipped_is_a_result_too(tmp_path, engine):
    torch.manual_seed(0)
    module = randomise(Classifier(heads()["flatten"]), WINDOW)
    scorer = heatmap.prepare(module, window=WINDOW, engine=engine)
    cv2.imwrite(str(tmp_path / "flat.png"), np.full((100, 120, 3), 200, np.uint8))
    done = run(
        *(tmp_path / "flat.png", scorer, tmp_path / "out"),
        limits=Limits(skip=Skip(flat=True)),
        placement=SEVERAL,
    )
    assert done.detections == ()
    assert np.isnan(done.grid.scores).all()
    assert told(done)["not_scored"] == told(done)["windows"] > 0


# Large photos and grids.


@pytest.mark.parametrize("placement", [MultiScale(), MultiScale(stride=2), SEVERAL])
def test_a_photo_on_disk_gives_what_one_in_memory_gives(
    tmp_path, scorer, photo, placement, monkeypatch
):
    small = run(
        photo, scorer, tmp_path / "small", placement=placement, display=Display(classes=(1,))
    )
    monkeypatch.setattr(streams, "LARGE_PX", 1000)
    monkeypatch.setattr(pyramids, "PREVIEW_PX", 80)
    done = run(
        photo, scorer, tmp_path / "large", placement=placement, display=Display(classes=(1,))
    )
    assert isinstance(done.photo, streams.PhotoFile)
    largest = np.abs(small.grid.scores).max()
    np.testing.assert_allclose(done.grid.scores, small.grid.scores, atol=1e-5 * largest, rtol=0)
    assert done.grid.origin.photo_digest == small.grid.origin.photo_digest
    assert told(done)["overlays"] == [
        {
            "class": "class 1",
            "indices": [1],
            "file": "cat.class-1.tif",
            "preview": "cat.class-1.preview.png",
        }
    ]
    assert {"cat.class-1.tif", "cat.class-1.preview.png"} < set(names(tmp_path / "large"))
    group = ClassGroup("class 1", (1,))
    pyramid = cv2.imread(str(done.saved.overlays[group]))[:, :, ::-1].astype(int)
    expected = overlay(PHOTO, small.grid, 1, legend=False)
    assert np.abs(pyramid - expected).mean() < 4
    assert cv2.imread(str(done.saved.previews[group])).shape[1] >= 80


@pytest.mark.parametrize("placement", [MultiScale(), SEVERAL])
def test_large_grids_come_out_as_small_ones_do(tmp_path, scorer, photo, placement, monkeypatch):
    small = run(photo, scorer, tmp_path / "small", placement=placement)
    for module in (grid, collecting, running):
        monkeypatch.setattr(module, "LARGE_GRID_BYTES", 0)
    done = run(photo, scorer, tmp_path / "out", placement=placement)
    assert isinstance(done.grid.scores, np.memmap)
    np.testing.assert_array_equal(done.grid.scores, small.grid.scores)
    assert done.detections == small.detections
    stems = ["cat", *(f"cat.{name}" for name in done.scales)]
    expected = [f"{stem}{suffix}" for stem in stems for suffix in (".npz", ".scores.npy")]
    pictures = [path.name for path in done.saved.overlays.values()]
    # Nothing temporary is left, though the grids are still in use.
    assert names(tmp_path / "out") == sorted([*expected, *pictures, "cat.json"])
    loaded = heatmap.load(done.saved.grid)
    np.testing.assert_array_equal(loaded.scores, small.grid.scores)


def test_the_bytes_on_disk_are_told_before_scoring(tmp_path, scorer, photo, large_grids):
    reporter = Recorder()
    done = run(photo, scorer, tmp_path / "out", placement=SEVERAL, reporter=reporter)
    held = (done.grid, *done.scales.values())
    needed = sum(grid.scores.nbytes for grid in held)
    told = ("note", f"the scores will take {needed / 1e9:.1f} GB on disk")
    assert reporter.events[0] == (*told, Use("store_classes", text="{} keeps fewer"))
    assert [event[0] for event in reporter.events].count("note") == 1


def test_planned_bytes_are_of_the_classes_kept_and_of_large_grids_only(scorer, monkeypatch):
    sizes = {
        scale: scorer.score(PHOTO, heatmap.Placement(scale=scale)).scores.nbytes
        for scale in (0.5, 1.0, 2.0)
    }

    def planned(placement=SEVERAL, **limits):
        return planned_bytes((100, 120), scorer, placement, Limits(**limits))

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
    tmp_path, scorer, photo, large_grids, monkeypatch
):
    needed = planned_bytes((100, 120), scorer, SEVERAL, Limits())
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, needed - 1))
    reporter = Recorder()
    with pytest.raises(ResultError, match="the scores take"):
        run(photo, scorer, tmp_path / "out", placement=SEVERAL, reporter=reporter)
    assert reporter.events == []


# Progress and interruption.


def test_each_scale_is_named_and_counted_from_its_beginning(tmp_path, scorer, photo):
    reporter = Recorder()
    done = run(
        *(photo, scorer, tmp_path / "out"),
        placement=SEVERAL,
        limits=Limits(memory=3_000_000),
        reporter=reporter,
    )
    said = [event[1] for event in reporter.events if event[0] == "stage"]
    assert said == [
        *(f"scoring cat.tif at scale {scale}" for scale in ("0.5", "1", "2")),
        "drawing and saving cat.tif",
    ]
    starts = [at for at, event in enumerate(reporter.events) if event[0] == "stage"]
    for start, end, one in zip(starts, starts[1:], done.scales.values(), strict=False):
        counts = [event[1] for event in reporter.events[start + 1 : end]]
        totals = {event[2] for event in reporter.events[start + 1 : end]}
        windows = one.geometry.grid_hw[0] * one.geometry.grid_hw[1]
        assert totals == {windows}
        assert counts == sorted(set(counts))
        assert counts[-1] == windows
    assert len(reporter.events) > len(said) + 3


def test_a_single_scale_needs_no_name(tmp_path, scorer, photo):
    reporter = Recorder()
    run(photo, scorer, tmp_path / "out", reporter=reporter)
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
            run(photo, scorer, tmp_path / "out", placement=SEVERAL, reporter=reporter)
            break
        except KeyboardInterrupt:
            assert names(tmp_path) == before
        moment += 1
    assert moment > 6


@pytest.mark.parametrize("failing", ["encode_image", "json.dumps"])
def test_a_failure_while_saving_leaves_nothing(
    tmp_path, scorer, photo, large_grids, monkeypatch, failing
):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"heatmap.runs.save.{failing}", interrupted)
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
