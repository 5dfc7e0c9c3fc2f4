"""Heatmaps and class activation maps side by side, on photos whose objects are known."""

from __future__ import annotations

import sys
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import heatmap
from heatmap import GeometryError, ModelError, PhotoError, ResultError, localize
from heatmap.classes import ClassGroup
from heatmap.evaluation import evaluate_photos as evaluating
from heatmap.evaluation.evaluate import evaluate
from heatmap.evaluation.evaluate_photos import CAM_SCALES, heatmap_method, unnamed_findings
from heatmap.evaluation.metrics import Answer, evaluate_methods
from heatmap.evaluation.pairs import LeftOut, PairedPhoto, Pairing, PhotoClassPair, match_labels
from heatmap.geometry import Box, Placement
from heatmap.localization.auto_scales import PHOTO
from heatmap.localization.detect import Search
from heatmap.localization.scales import fuse_scales
from heatmap.localization.sharpen import sharp_maps, tighten
from heatmap.photo.photo import Photo, read_photo
from heatmap.runs.request import Display, MultiScale
from heatmap.scoring import scorer as scoring
from tests.support.local_networks import EVEN, excitation, network
from tests.support.networks import WINDOW, Classifier, heads, randomise
from tests.support.scoring import photo

COLOURS = {"red": (230, 30, 30), "green": (30, 230, 30), "blue": (30, 30, 230)}
# Two photos of 88 x 120 px, and a rectangle of each colour: left, top, right, bottom.
RECTANGLES = {
    "a.png": {"red": (8, 12, 40, 44), "blue": (76, 48, 108, 76)},
    "b.png": {"green": (64, 20, 100, 52)},
}


def colours_seen() -> nn.Module:
    """A network that says by how much a colour is above the others, in positions of 4 px."""
    trunk = nn.Conv2d(3, 4, 4, stride=4)
    with torch.no_grad():
        weight = torch.full((4, 3), -1.0)
        weight[range(3), range(3)] = 2.0
        weight[3] = 0
        trunk.weight.copy_((weight / 16)[:, :, None, None].expand_as(trunk.weight))
        trunk.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 1.0]))
        linear = nn.Linear(4, 4)
        linear.weight.copy_(3 * torch.eye(4))
        linear.bias.zero_()
    return nn.Sequential(trunk, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear).eval()


@pytest.fixture(scope="module")
def scorer():
    return heatmap.prepare(
        colours_seen(),
        window=WINDOW,
        class_names=[*COLOURS, "grey"],
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
    )


def test_a_network_that_looks_at_its_whole_input_is_evaluated_as_it_slides(folder):
    module = network(excitation(), window=EVEN)
    options = {"window": EVEN, "class_names": [*COLOURS, "grey", "black"], "cam": False}
    boxes = folder / "boxes.csv"
    local = evaluate(folder, boxes, module, statistics="local", **options)
    assert any("statistics of" in note and "approximate" in note for note in local.network_notes)
    cropped = evaluate(folder, boxes, module, **options)
    assert any("crop by crop" in note for note in cropped.network_notes)


@pytest.fixture
def folder(tmp_path):
    lines = ["file,label,xmin,ymin,xmax,ymax"]
    for name, rectangles in RECTANGLES.items():
        pixels = np.full((88, 120, 3), 128, np.uint8)
        for colour, (left, top, right, bottom) in rectangles.items():
            pixels[top:bottom, left:right] = COLOURS[colour]
            lines.append(f"{name},{colour},{left},{top},{right},{bottom}")
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "boxes.csv").write_text("\n".join(lines))
    return tmp_path


@cache
def random_scorer(head: str) -> heatmap.Scorer:
    torch.manual_seed(0)
    return heatmap.prepare(randomise(Classifier(heads()[head]), WINDOW), window=WINDOW)


def groups_of(scorer: heatmap.Scorer) -> list[ClassGroup]:
    return [scorer.classifier.classes.single(1), ClassGroup("several", (0, 4))]


def assert_found(answer: Answer, expected: list[tuple[Box, float]]) -> None:
    """The same boxes and scores, to what two passes differ by."""
    boxes, scores = zip(*expected, strict=True)
    np.testing.assert_allclose(answer.boxes_xyxy, boxes, atol=1e-3)
    np.testing.assert_allclose(answer.scores, scores, rtol=1e-5)


# Nothing is confirmed: the answers are those of sharp maps and windows alone.
UNCONFIRMED = Search(confirm=0)


def at(*scales: float, fuse: str = "mean") -> MultiScale:
    return MultiScale(scales=scales, fuse=fuse)


@pytest.mark.parametrize("scales", ["auto", "photo", (1.0,), (0.5, 1.0, 2.0)])
def test_heatmaps_point_at_what_is_there(scorer, folder, scales):
    seen = []
    report = evaluate(
        folder,
        folder / "boxes.csv",
        scorer,
        scales=scales,
        cam=False,
        progress=lambda *done: seen.append(done),
    )
    found = report.named
    assert list(found.methods) == ["heatmap"]
    assert (found.photos, found.pairs, found.left_out.labels) == (2, 3, {})
    assert seen == [(1, 2), (2, 2)]
    assert report.unnamed.objects == 3
    for one in report.photos:
        objects = {(each.label, each.xyxy) for each in one.objects}
        assert objects == set(RECTANGLES[one.file].items())
    assert report.unnamed.average_precision["pointing"].value == 1
    for figures in found.methods.values():
        assert figures.total.all.pointing == 1
        assert [one.detected for one in figures.total.all.boxes[:2]] == [1, 1]
        assert set(figures.labels) == set(COLOURS)


def test_the_figures_of_photos_are_those_of_what_a_run_finds(scorer, folder):
    report = evaluate(folder, folder / "boxes.csv", scorer, cam=False)
    assert [one.file for one in report.photos] == ["a.png", "b.png"]
    for one in report.photos:
        opened = read_photo(folder / one.file)
        run = unnamed_findings(opened, scorer, MultiScale(), Display().search)
        assert [(each.name, each.confidence, each.xyxy) for each in one.detections] == [
            (each.name, each.confidence, each.xyxy) for each in run.detections
        ]
    counts = report.unnamed.counts
    assert counts.hits == sum(one.count("hit") for one in report.photos) > 0
    assert counts.others == sum(one.count("other") for one in report.photos)


def test_photos_that_cannot_be_used_are_left_out_of_all_figures_and_listed(scorer, folder):
    whole = evaluate(folder, folder / "boxes.csv", scorer, scales=1.0, cam=False)
    boxes = folder / "boxes.csv"
    more = [
        *("gone.png,red,1,1,9,9", "half.png,blue,1,1,9,9", "outside.png,red,1,1,99,999"),
        *("bad.png,red,1,1,9,9", "bad.png,red,9,1,1,9", "bad.png,red,1,x,9,9"),
        # Of no class, so that no heatmap is made.
        f"{'n' * 300}.png,cow,1,1,9,9",
        "later.png,red,1,1,9,9",
    ]
    boxes.write_text("\n".join([boxes.read_text(), *more]))
    png = (folder / "a.png").read_bytes()
    for name in ("outside.png", "bad.png"):
        (folder / name).write_bytes(png)
    # Cut short: the header of both is whole.
    for name in ("half.png", "later.png"):
        (folder / name).write_bytes(png[:-40])
    report = evaluate(folder, boxes, scorer, scales=1.0, cam=False)
    reasons = {each.file: each.reason for each in report.named.left_out.broken}
    parts = {
        "gone.png": f"{folder}/gone.png: no such file",
        "half.png": f"{folder}/half.png: is cut short",
        "outside.png": f"{boxes}: outside.png: box of 'red' (1, 1, 99, 999) reaches outside",
        "bad.png": f"{boxes}: line 9: box of 'red' is -8 px wide and 8 px high: neither may be "
        f"negative; {boxes}: line 10: 'ymin' is 'x', expected a finite number",
        f"{'n' * 300}.png": f"{folder}/{'n' * 300}.png: cannot be opened: File name too long",
        "later.png": f"{folder}/later.png: is cut short",
    }
    assert reasons.keys() == parts.keys()
    assert all(reasons[name].startswith(part) for name, part in parts.items())
    # The figures are those of the others alone.
    assert report.unnamed == whole.unnamed
    assert report.photos == whole.photos
    assert report.named.methods == whole.named.methods
    assert (report.named.photos, report.named.pairs) == (whole.named.photos, whole.named.pairs)


def test_a_photo_that_cannot_be_scored_without_a_class_is_in_no_figure(scorer, folder, monkeypatch):
    found = evaluating.unnamed_detections

    def failing(photo, *settings):
        if photo.path.endswith("a.png"):
            raise GeometryError("too large for the memory")
        return found(photo, *settings)

    monkeypatch.setattr(evaluating, "unnamed_detections", failing)
    report = evaluate(folder, folder / "boxes.csv", scorer, scales=1.0, cam=False)
    assert [each.file for each in report.named.left_out.broken] == ["a.png"]
    assert (report.named.photos, report.unnamed.objects) == (1, 1)


def test_with_no_photo_left_the_reasons_are_told(scorer, folder):
    for name in RECTANGLES:
        (folder / name).unlink()
    with pytest.raises(PhotoError, match=r"none of 2 photos can be used: .*a\.png: no such file; "):
        evaluate(folder, folder / "boxes.csv", scorer, cam=False)


def test_a_mapping_says_what_labels_mean(scorer, folder):
    mapping = folder / "mapping.json"
    mapping.write_text('{"red": ["blue"], "blue": ["red", "grey"], "green": []}')
    found = evaluate(
        folder, folder / "boxes.csv", scorer, scales=1.0, labels=mapping, cam=False
    ).named
    assert found.left_out.labels == {"green": 1}
    assert (found.photos, found.pairs) == (1, 2)
    # Red is looked for where blue is.
    assert found.methods["heatmap"].labels["red"].all.pointing == 0


def test_what_cannot_be_paired_is_refused(scorer, folder):
    (folder / "other.csv").write_text("file,label,xmin,ymin,xmax,ymax\na.png,cow,1,1,9,9")
    with pytest.raises(ResultError, match="none of its 1 labels"):
        evaluate(folder, folder / "other.csv", scorer, cam=False)
    with pytest.raises(ResultError, match="cannot be read"):
        evaluate(folder, folder / "none.csv", scorer, cam=False)


def test_with_torchcam_maps_of_the_network_are_compared(scorer, folder):
    pytest.importorskip("torchcam.methods")
    found = evaluate(folder, folder / "boxes.csv", scorer, scales=1.0).named
    listed = [
        *["heatmap", "CAM, scale 1", "CAM, scale 2", "CAM, scale 3"],
        *["Grad-CAM, scale 1", "Grad-CAM, scale 2", "Grad-CAM, scale 3"],
    ]
    assert CAM_SCALES == (1, 2, 3)
    assert list(found.methods) == listed
    for name in listed:
        assert found.methods[name].total.all.pairs == 3
    assert found.methods["CAM, scale 1"].total.all.pointing == 1


def test_without_torchcam_the_comparison_says_so_and_needs_none_without_cam(
    scorer, folder, monkeypatch
):
    monkeypatch.setitem(sys.modules, "torchcam", None)
    monkeypatch.setitem(sys.modules, "torchcam.methods", None)
    with pytest.raises(ModelError, match="CAM needs torchcam"):
        evaluate(folder, folder / "boxes.csv", scorer)
    assert evaluate(folder, folder / "boxes.csv", scorer, cam=False).named.pairs == 3


@pytest.mark.parametrize("scales", [(1.0,), (0.7, 2.0), "photo"])
def test_with_positions_the_answers_are_sharp_maps_and_tight_boxes(scales):
    scorer, shown = random_scorer("global pool"), Photo(photo(60, 83))
    groups = groups_of(scorer)
    answers = heatmap_method(scorer, MultiScale(scales=scales), UNCONFIRMED)(shown, groups)
    taken = PHOTO.scales((60, 83), WINDOW, named=True) if scales == "photo" else scales
    positions = [scorer.score_positions(shown, Placement(scale=scale)) for scale in taken]
    maps = sharp_maps(positions, groups)
    for place, (group, answer) in enumerate(zip(groups, answers, strict=True)):
        np.testing.assert_allclose(
            answer.heat, maps.heatmap(maps.classes.single(place)), rtol=1e-5, atol=1e-6
        )
        windows = [one.windows for one in positions]
        found = tighten(localize(windows, [group], conf=0, max_det=5), maps, groups)
        assert_found(answer, [(one.xyxy, one.confidence) for one in found])
        assert answer.scores == tuple(sorted(answer.scores, reverse=True))


@pytest.mark.parametrize("fuse", ["mean", "max"])
@pytest.mark.parametrize("head", ["flatten", "softmax"])
def test_without_positions_the_answers_are_those_of_windows(head, fuse):
    scorer, shown = random_scorer(head), Photo(photo(60, 83))
    groups, scales = groups_of(scorer), (1.0, 1.5)
    grids = [scorer.score(shown, Placement(scale=scale)) for scale in scales]
    answers = heatmap_method(scorer, at(*scales, fuse=fuse), UNCONFIRMED)(shown, groups)
    fused = fuse_scales(grids, fuse)
    for group, answer in zip(groups, answers, strict=True):
        np.testing.assert_allclose(answer.heat, fused.heatmap(group), rtol=1e-5, atol=1e-6)
        found = localize(grids, [group], conf=0, max_det=5)
        assert_found(answer, [(one.window_xyxy, one.confidence) for one in found])


def test_one_scale_without_positions_takes_them_from_all(monkeypatch):
    scorer, shown = random_scorer("global pool"), Photo(photo(60, 83))
    groups, scales = groups_of(scorer), (1.0, 2.0)
    larger = scorer.score_positions(shown, Placement(scale=2.0)).positions.scores.nbytes
    monkeypatch.setattr(scoring, "LARGE_GRID_BYTES", larger - 1)
    assert scorer.score_positions(shown) is not None
    assert scorer.score_positions(shown, Placement(scale=2.0)) is None
    fused = fuse_scales([scorer.score(shown, Placement(scale=scale)) for scale in scales])
    answers = heatmap_method(scorer, at(*scales))(shown, groups)
    for group, answer in zip(groups, answers, strict=True):
        np.testing.assert_allclose(answer.heat, fused.heatmap(group), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("head", ["global pool", "flatten"])
@pytest.mark.parametrize("hw", [(60, 83), (9, 20), (32, 32), (1, 1)])
def test_answers_fit_what_an_evaluation_asks(tmp_path, head, hw):
    scorer = random_scorer(head)
    path = tmp_path / "photo.png"
    Image.fromarray(photo(*hw) if min(hw) > 1 else np.zeros((*hw, 3), np.uint8)).save(path)
    groups = match_labels(["class 1", "class 3"], scorer.classifier.classes)
    whole = ((0.0, 0.0, float(hw[1]), float(hw[0])),)
    pairs = tuple(
        PhotoClassPair(label, group, whole, False, False) for label, group in groups.items()
    )
    pairing = Pairing((PairedPhoto(path, pairs),), LeftOut({}, 0, 0, 0))
    methods = {
        str(scales): heatmap_method(scorer, MultiScale(scales=scales))
        for scales in [(1.0,), "photo"]
    }
    found = evaluate_methods(pairing, methods)
    assert [one.total.all.pointing for one in found.methods.values()] == [1, 1]
    answers = heatmap_method(scorer)(Photo(np.zeros((*hw, 3), np.uint8)), list(groups.values()))
    for answer in answers:
        assert (answer.heat.shape, answer.heat.dtype) == (hw, np.float32)
        assert 0 <= answer.heat.min() <= answer.heat.max() <= 1
        # Without a threshold each class is found at least once.
        assert len(answer.boxes_xyxy) == len(answer.scores) >= 1
