"""Verification: what it measures, what it says, and that it can fail."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from heatmap import (
    ClassError,
    ConversionError,
    GeometryError,
    PhotoError,
    ResultError,
    draw_report,
    load_classifier,
    verify,
)
from heatmap.evaluation.verify_photos import VerifySummary, describe_summary, summarise
from heatmap.evaluation.verify_report import describe_report
from heatmap.localization.auto_scales import PHOTO
from tests.support.networks import INEXACT, REFUSED, WINDOW, Classifier
from tests.support.runs import Recorder
from tests.support.scoring import padded, padding_free, photo, prepare


@pytest.fixture(scope="module")
def padded_scorer():
    return prepare(padded())


def test_padding_free_network_slides_as_it_crops():
    report = verify(photo(60, 83), prepare(padding_free()), scales=(0.8, 1.0))
    assert report.passed
    assert [scale.scale for scale in report.scales] == [0.8, 1.0]
    for scale in report.scales:
        assert scale.head.relative < 1e-5
        assert scale.everywhere.windows == scale.grid.scores[:, :, 0].size
        assert scale.everywhere.relative < 1e-5
        assert scale.everywhere.top1 == 1
    assert report.conclusion.startswith("Sliding equals cropping")


def test_padded_network_differs_and_is_never_called_equivalent(padded_scorer):
    report = verify(photo(60, 83), padded_scorer)
    assert report.passed
    assert report.head.relative < 1e-5
    assert report.difference > 1e-3
    assert "2 layers pad" in report.conclusion
    assert "equal" not in report.conclusion
    assert "equivalent" not in report.conclusion


def test_a_photo_in_memory_is_drawn_by_the_name_photo(padded_scorer, tmp_path):
    report = verify(photo(40, 60), padded_scorer, output=tmp_path, windows=3)
    assert report.picture == tmp_path / "photo.verify.jpg"
    assert [path.name for path in tmp_path.iterdir()] == ["photo.verify.jpg"]
    report.picture.write_bytes(b"a stranger's")
    told = Recorder()
    with pytest.raises(ResultError, match="was not written by this tool"):
        verify(photo(40, 60), padded_scorer, output=tmp_path, progress=told)
    with pytest.raises(ClassError, match="elephant"):
        verify(photo(40, 60), padded_scorer, classes="elephant", progress=told)
    assert told.events == []


def test_figures_are_those_of_a_plain_comparison(padded_scorer):
    (report,) = verify(photo(60, 83), padded_scorer).scales
    slid, cropped = report.grid.scores.astype(float), report.cropped.astype(float)
    difference = np.abs(slid - cropped)
    seen = report.everywhere
    assert seen.largest == pytest.approx(difference.max())
    assert seen.mean == pytest.approx(difference.mean())
    assert seen.relative == pytest.approx(difference.max() / np.abs(cropped).max())
    assert seen.correlation == pytest.approx(np.corrcoef(slid.ravel(), cropped.ravel())[0, 1])
    assert seen.top1 == pytest.approx((slid.argmax(2) == cropped.argmax(2)).mean())
    inner = difference[1:-1, 1:-1]
    assert report.inner.largest == pytest.approx(inner.max())
    assert report.inner.windows + report.edge.windows == seen.windows
    assert max(report.inner.largest, report.edge.largest) == seen.largest


def test_the_scales_are_those_of_a_run(padded_scorer):
    fitted = replace(padded_scorer, facts=replace(padded_scorer.facts, scale_rule=PHOTO))
    pixels = photo(60, 83)
    expected = PHOTO.scales((60, 83), WINDOW)
    assert len(expected) > 1
    report = verify(pixels, fitted, windows=5)
    assert [scale.scale for scale in report.scales] == list(expected)
    for scale in report.scales:
        alone = verify(pixels, padded_scorer, windows=5, scales=(scale.scale,))
        assert scale.everywhere == alone.scales[0].everywhere


def test_of_several_scales_the_worst_counts_and_all_windows_do(padded_scorer):
    report = verify(photo(60, 83), padded_scorer, scales=(0.7, 1.0, 1.3))
    seen = [scale.everywhere for scale in report.scales]
    assert report.difference == max(one.relative for one in seen)
    assert report.worst.everywhere.relative == report.difference
    assert report.windows == sum(one.windows for one in seen)
    same = sum(one.top1 * one.windows for one in seen)
    assert report.top1 == pytest.approx(same / report.windows)
    assert report.head.slices == sum(scale.head.slices for scale in report.scales)
    assert f"({report.difference:.1%} of the largest)" in report.conclusion


def test_grid_of_edges_only_has_no_inner_windows(padded_scorer):
    (report,) = verify(photo(40, 60), padded_scorer, scales=(0.8,)).scales
    assert report.grid.geometry.grid_hw[0] == 1
    assert report.inner is None
    assert report.edge.windows == report.everywhere.windows


def test_sample_is_crossed_out_elsewhere_and_time_is_extrapolated(padded_scorer):
    (report,) = verify(photo(60, 83), padded_scorer, windows=10).scales
    total = report.grid.scores[:, :, 0].size
    known = ~np.isnan(report.cropped).any(axis=2)
    assert known.sum() == report.everywhere.windows == report.timing.crop_windows == 10
    assert report.timing.extrapolated
    per_window = report.timing.crop_measured_s / 10
    assert report.timing.crop_s == pytest.approx(per_window * total)
    assert report.timing.ratio == pytest.approx(report.timing.crop_s / report.timing.slide_s)
    (whole,) = verify(photo(60, 83), padded_scorer, windows=total).scales
    assert not whole.timing.extrapolated
    assert np.allclose(whole.cropped[known], report.cropped[known], atol=1e-5)


def test_windows_are_counted_as_they_slide_and_as_they_are_cropped(padded_scorer):
    told = Recorder()
    verify(photo(60, 83), padded_scorer, windows=10, scales=(0.8, 1.0), progress=told)
    stages = [event[1] for event in told.events if event[0] == "stage"]
    assert stages == [
        f"{way} over photo at scale {scale}"
        for scale in (0.8, 1)
        for way in ("sliding", "cropping")
    ]
    assert told.events.count(("advance", 10, 10)) == 2


def test_wrong_head_fails(monkeypatch):
    scorer = prepare(padded())
    forward = scorer.network.head.forward
    monkeypatch.setattr(scorer.network.head, "forward", lambda maps: forward(maps) * 1.001)
    report = verify(photo(60, 83), scorer)
    assert not report.passed
    assert not report.head.holds
    assert "do not use this conversion" in report.conclusion


def test_padding_free_network_that_does_not_slide_as_it_crops_fails(monkeypatch):
    scorer = prepare(padding_free())
    monkeypatch.setattr("heatmap.evaluation.verify_report.ROUNDING_TOLERANCE", 1e-12)
    monkeypatch.setattr("heatmap.evaluation.verify_report.HeadCheck.holds", True)
    report = verify(photo(60, 83), scorer)
    assert not report.passed
    assert "should equal cropping" in report.conclusion


def test_inexact_network_says_which_layer():
    module = INEXACT["squeeze-and-excitation"].eval()
    report = verify(photo(40, 48), prepare(module, engine="slide"))
    assert "looks at the whole photo" in report.conclusion


def test_local_statistics_are_measured_and_called_an_approximation():
    module = INEXACT["squeeze-and-excitation"].eval()
    report = verify(photo(40, 48), prepare(module, statistics="local"))
    assert report.conclusion.startswith("Sliding approximates cropping: 1 layer takes statistics")
    assert report.passed
    assert describe_report(report)["statistics"] == "local"


def test_report_is_plain_data_and_a_picture(padded_scorer):
    report = verify(photo(60, 83), padded_scorer, windows=10)
    described = json.loads(json.dumps(describe_report(report)))
    assert described["passed"] is True
    assert described["scales"][0]["sliding_against_cropping"]["everywhere"]["windows"] == 10
    picture = draw_report(photo(60, 83), report)
    assert picture.dtype == np.uint8
    assert picture.shape[1] > 3 * 83


def test_what_cannot_be_verified_is_refused():
    with pytest.raises(GeometryError, match="at least 1"):
        verify(photo(60, 83), prepare(padded()), windows=0)
    attention = Classifier(REFUSED["attention"][0]).eval()
    with pytest.raises(ConversionError, match="attention"):
        verify(photo(60, 83), load_classifier(attention, window=WINDOW))


# Several photos.


def test_a_summary_counts_all_and_names_the_worst(padded_scorer):
    reports = {
        f"{side}.png": verify(photo(40, side), padded_scorer, scales=(1.0, 1.2))
        for side in (40, 60, 83)
    }
    summary = summarise(reports.items())
    assert (summary.photos, summary.passed) == (3, True)
    assert summary.windows == sum(report.windows for report in reports.values())
    worst = max(reports, key=lambda name: reports[name].difference)
    assert (summary.photo, summary.scale) == (worst, reports[worst].worst.scale)
    assert summary.difference == reports[worst].difference
    assert summary.head == max(report.head.relative for report in reports.values())
    same = sum(report.top1 * report.windows for report in reports.values())
    assert summary.top1 == pytest.approx(same / summary.windows)
    assert not summary.exceeds(None)
    assert not summary.exceeds(summary.difference)
    assert summary.exceeds(summary.difference * 0.99)
    assert json.loads(json.dumps(describe_summary(summary)))["passed"] is True


def test_a_summary_passes_only_where_every_photo_was_compared_and_is_right(
    padded_scorer, monkeypatch
):
    report = verify(photo(40, 60), padded_scorer)
    failed = summarise([("a.png", report), ("b.png", PhotoError("b.png: is empty"))])
    assert not failed.passed
    assert failed.failed == {"b.png": "b.png: is empty"}
    assert failed.photos == 1
    assert not VerifySummary().passed
    monkeypatch.setattr("heatmap.evaluation.verify_report.HeadCheck.holds", False)
    wrong = summarise([("a.png", report)])
    assert not wrong.passed
    assert wrong.wrong == {"a.png": report.conclusion}
