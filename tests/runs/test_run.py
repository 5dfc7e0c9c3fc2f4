"""One photo from start to files: scales, position maps, classes stored, windows skipped."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tifffile
import torch

import heatmap
from heatmap.errors import ClassError, ResultError
from heatmap.grid.skip import Skip
from heatmap.localization.auto_scales import PHOTO as FITTED
from heatmap.localization.auto_scales import ScaleRule, sizes_looked_for
from heatmap.localization.detection import as_stored
from heatmap.localization.merge import merge
from heatmap.localization.scales import fuse_scales
from heatmap.localization.sharpen import sharp_maps, tighten
from heatmap.marks import Mark
from heatmap.rendering.overlay import encode_image, overlay
from heatmap.runs import photo_run as running
from heatmap.runs.request import Display, Extras, Limits, MultiScale
from tests.support.networks import WINDOW, Classifier, heads, randomise
from tests.support.runs import PHOTO, SEVERAL, Recorder, assert_same, run, told

ONE = MultiScale(scales=(1.0,))


@pytest.mark.parametrize("how", ["mean", "max"])
def test_several_scales_are_those_scored_alone_fused(tmp_path, scorer, photo, how):
    placement = MultiScale(scales=(1.0, 0.5, 1.0, 2.0), fuse=how)
    done = run(photo, scorer, tmp_path / "out", placement=placement, extras=Extras(save_grid=True))
    alone = [scorer.score(PHOTO, heatmap.Placement(scale=scale)) for scale in (1.0, 0.5, 2.0)]
    assert list(done.grids) == ["x1", "x0.5", "x2"]
    for one, other in zip(done.grids.values(), alone, strict=True):
        assert_same(one.scores, other.scores)
    fused = fuse_scales(list(done.grids.values()), how)
    np.testing.assert_array_equal(done.grid.scores, fused.scores)
    assert done.grid.geometry == fused.geometry
    assert done.grid.kind == "probabilities"
    assert done.grid.origin.fuse == how
    files = told(done)["files"]
    assert files["scales"] == {name: f"cat.{name}.grid.npz" for name in done.grids}
    for name, one in done.grids.items():
        loaded = heatmap.load(tmp_path / "out" / f"cat.{name}.grid.npz")
        np.testing.assert_array_equal(loaded.scores, one.scores)
    np.testing.assert_array_equal(heatmap.load(done.saved.grid).scores, fused.scores)


def test_objects_are_searched_at_every_scale(tmp_path, scorer, photo):
    display = Display(conf=0.03, confirm=0)
    done = run(photo, scorer, tmp_path / "out", placement=SEVERAL, display=display)
    found = merge(heatmap.localize(list(done.grids.values()), conf=0.03))
    assert done.detections == tuple(map(as_stored, found))
    assert len({one.scale for one in done.detections}) > 1


@pytest.mark.parametrize("classes", [(), (1,)])
def test_photo_is_the_scales_that_the_photo_asks_for(tmp_path, scorer, photo, classes):
    placement, display = MultiScale(scales="photo"), Display(classes=classes)
    done = run(photo, scorer, tmp_path / "out", placement=placement, display=display)
    scales = FITTED.scales((100, 120), WINDOW, named=bool(classes))
    assert list(done.grids) == [f"x{scale:g}" for scale in scales]
    assert len(done.grids) == (4 if classes else 3)


def test_auto_is_what_the_network_learned_from(tmp_path, scorer, photo):
    assert scorer.facts.scale_rule.learned == "native"
    done = run(photo, scorer, tmp_path / "out")
    assert list(done.grids) == ["x1"]
    assert any("is not known" in note for note in done.grid.origin.notes)
    small = replace(scorer.facts, scale_rule=ScaleRule("sizes", (16.0, 64.0)))
    done = run(
        photo,
        replace(scorer, facts=small),
        tmp_path / "out",
    )
    assert list(done.grids) == ["x0.5", "x2"]
    assert not any("is not known" in note for note in done.grid.origin.notes)


def test_a_result_says_which_sizes_were_looked_for(tmp_path, scorer, photo):
    done = run(photo, scorer, tmp_path / "out", placement=SEVERAL)
    (note,) = [note for note in done.grid.origin.notes if "looked for" in note]
    low, high = sizes_looked_for(SEVERAL.scales, (100, 120), WINDOW)
    assert f"about {low} to {high} px" in note
    assert note in told(done)["origin"]["notes"]


def test_finer_scales_are_announced_before_they_start(tmp_path, scorer, photo):
    reporter = Recorder()
    placement = MultiScale(scales="photo", resolution="finer")
    done = run(photo, scorer, tmp_path / "out", placement=placement, progress=reporter)
    finer = list(done.grids.values())[-2:]
    windows = sum(one.scores.shape[0] * one.scores.shape[1] for one in finer)
    notes = [index for index, event in enumerate(reporter.events) if event[0] == "note"]
    (said,) = notes
    assert f"{windows:,} windows at finer scales will take about " in str(reporter.events[said])
    stages = [index for index, event in enumerate(reporter.events) if event[0] == "stage"]
    # Three scales before it; two finer ones, and the drawing, behind it.
    assert sum(index < said for index in stages) == 3
    assert sum(index > said for index in stages) == 3


@pytest.mark.parametrize(("slow_s", "notes"), [(0, 1), (math.inf, 0)])
def test_finer_scales_are_announced_if_they_take_long(
    tmp_path, scorer, photo, monkeypatch, slow_s, notes
):
    monkeypatch.setattr(running, "SLOW_S", slow_s)
    reporter = Recorder()
    done = run(photo, scorer, tmp_path / "out", placement=SEVERAL, progress=reporter)
    told = [event[1] for event in reporter.events if event[0] == "note"]
    assert len(told) == notes
    if notes:
        finer = [math.prod(grid.geometry.grid_hw) for grid in list(done.grids.values())[1:]]
        assert told[0].startswith(f"{sum(finer):,} windows at finer scales will take about ")


def test_one_scale_is_not_fused(tmp_path, scorer, photo):
    done = run(photo, scorer, tmp_path / "out", placement=MultiScale(scales=(0.5,)))
    assert_same(done.grid.scores, scorer.score(PHOTO, heatmap.Placement(scale=0.5)).scores)
    assert (done.grid.kind, list(done.grids)) == ("logits", ["x0.5"])


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


@pytest.mark.parametrize("placement", [ONE, replace(ONE, stride=2), SEVERAL])
def test_boxes_and_pictures_are_drawn_from_sharp_maps(tmp_path, averaging, photo, placement):
    display = Display(classes=(3, 1), conf=0.2, confirm=0, per_class=True)
    extras = Extras(("tiff",))
    done = run(
        photo, averaging, tmp_path / "out", placement=placement, display=display, extras=extras
    )
    groups = averaging.classifier.classes.find_all([3, 1])
    scored = [
        averaging.score_positions(PHOTO, heatmap.Placement(scale=scale, stride=placement.stride))
        for scale in placement.scales
    ]
    expected, maps = sharp_maps(scored, groups), done.findings.maps
    assert maps.origin.is_sharp
    assert maps.classes.names == ("class 3", "class 1")
    # As files have them: float16.
    np.testing.assert_allclose(maps.scores, expected.scores, rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(heatmap.load(done.saved.maps).scores, maps.scores)
    windows = heatmap.localize(list(done.grids.values()) or done.grid, groups, conf=0.2)
    assert done.detections == tuple(map(as_stored, tighten(windows, expected, groups)))
    assert any(one.xyxy != one.window_xyxy for one in done.detections)
    mark = Mark.of(photo, digest=done.photo.digest).text
    for place, group in enumerate(groups):
        boxes = [one.xyxy for one in done.detections if one.group == group]
        picture = overlay(PHOTO, maps, group.indices[0], boxes_xyxy=boxes)
        assert done.saved.per_class[group].read_bytes() == encode_image(picture, ".jpg", mark=mark)
        heat = tifffile.imread(done.saved.exports["tiff"][place])
        np.testing.assert_allclose(heat, maps.heatmap(group.indices[0]), atol=1e-6)


def test_there_are_maps_of_what_was_found(tmp_path, averaging, photo):
    done = run(photo, averaging, tmp_path / "out", display=Display(conf=0.05))
    found = dict.fromkeys(one.name for one in done.detections)
    assert len(found) > 1
    assert done.findings.maps.classes.names == tuple(found)
    assert [one["class"] for one in told(done)["maps"]] == list(found)


def test_where_nothing_is_sure_enough_the_best_are_guesses(tmp_path, averaging, photo):
    sure = run(photo, averaging, tmp_path / "sure", display=Display(conf=0.05))
    done = run(photo, averaging, tmp_path / "out", display=Display(conf=1.0))
    assert done.detections == ()
    assert done.findings.guesses == sure.detections[:3]
    assert done.findings.groups == tuple(dict.fromkeys(one.group for one in sure.detections[:3]))
    assert [one["confidence"] for one in told(done)["guesses"]] == [
        one.confidence for one in done.findings.guesses
    ]
    assert told(done)["detections"] == []
    assert sure.findings.guesses == ()


def test_what_is_kept_or_skipped_in_part_has_maps_of_windows(tmp_path, averaging, scorer, photo):
    mask = np.full_like(PHOTO, 255)
    cases = [(averaging, Limits(store_classes=(1,))), (averaging, Limits(skip=Skip(mask=mask)))]
    for number, (network, limits) in enumerate([*cases, (scorer, Limits())]):
        done = run(photo, network, tmp_path / str(number), limits=limits)
        maps = done.findings.maps
        assert not maps.origin.is_sharp
        expected = done.grid.class_maps(done.findings.groups)
        np.testing.assert_array_equal(maps.scores, expected.astype(np.float16))
        # They are corrected for chance once.
        np.testing.assert_array_equal(maps.class_map(maps.classes.single(0)), maps.scores[:, :, 0])
        assert all(one.xyxy == one.window_xyxy for one in done.detections)


def test_kept_classes_are_asked_for_by_their_own_names_and_indices(tmp_path, scorer, photo):
    limits = Limits(store_classes=("class 4", 1))
    done = run(
        photo, scorer, tmp_path / "out", limits=limits, display=Display(classes=(4, "class 1"))
    )
    whole = scorer.score(PHOTO)
    assert done.grid.classes.names == ("class 4", "class 1")
    assert_same(done.grid.scores, whole.probabilities()[:, :, [4, 1]])
    assert [one["class"] for one in told(done)["maps"]] == ["class 4", "class 1"]
    expected = whole.class_maps(whole.classes.find_all([4, 1]))
    np.testing.assert_allclose(done.findings.maps.scores, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("keep", "wanted", "message"),
    [
        (
            (1,),
            ("class 4",),
            r"is requested but not stored: add store_classes=\[4\]",
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
            progress=reporter,
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
        limits=Limits(skip=Skip(background=True)),
        placement=SEVERAL,
    )
    assert done.detections == ()
    assert np.isnan(done.grid.scores).all()
    assert told(done)["not_scored"] == told(done)["windows"] > 0


@pytest.mark.parametrize("wrong", [{"alpha": 1.5}, {"color_range": (0.5, 0.2)}])
def test_colours_that_cannot_be_are_refused_at_once(wrong):
    with pytest.raises(ResultError, match=r"alpha is 1\.5|colours from 0\.5 to 0\.2"):
        Display(**wrong)


def test_of_a_photo_of_one_pixel_nothing_smaller_is_offered(scorer):
    result = heatmap.run(np.zeros((1, 1, 3), np.uint8), scorer)
    assert "looked for things of about 1 px" in result.notes
