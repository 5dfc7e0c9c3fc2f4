"""Verification: what it measures, what it says, and that it can fail."""

from __future__ import annotations

import json

import numpy as np
import pytest

from heatmap import ConversionError, GeometryError, draw_report, load_classifier, verify
from heatmap.evaluation.verify_report import describe_report
from tests.support.networks import INEXACT, REFUSED, WINDOW, Classifier
from tests.support.scoring import padded, padding_free, photo, prepare


@pytest.fixture(scope="module")
def padded_scorer():
    return prepare(padded())


def test_padding_free_network_slides_as_it_crops():
    report = verify(photo(60, 83), prepare(padding_free()))
    assert report.passed
    assert report.head.relative < 1e-5
    assert report.everywhere.windows == report.grid.scores[:, :, 0].size
    assert report.everywhere.relative < 1e-5
    assert report.everywhere.top1 == 1
    assert report.conclusion.startswith("Sliding equals cropping")


def test_padded_network_differs_and_is_never_called_equivalent(padded_scorer):
    report = verify(photo(60, 83), padded_scorer)
    assert report.passed
    assert report.head.relative < 1e-5
    assert report.everywhere.relative > 1e-3
    assert "2 layers pad" in report.conclusion
    assert "equal" not in report.conclusion
    assert "equivalent" not in report.conclusion


def test_figures_are_those_of_a_plain_comparison(padded_scorer):
    report = verify(photo(60, 83), padded_scorer)
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


def test_grid_of_edges_only_has_no_inner_windows(padded_scorer):
    report = verify(photo(40, 60), padded_scorer, border="cover", scale=0.8)
    assert report.grid.geometry.grid_hw[0] == 1
    assert report.inner is None
    assert report.edge.windows == report.everywhere.windows


def test_sample_is_crossed_out_elsewhere_and_time_is_extrapolated(padded_scorer):
    report = verify(photo(60, 83), padded_scorer, windows=10)
    total = report.grid.scores[:, :, 0].size
    known = ~np.isnan(report.cropped).any(axis=2)
    assert known.sum() == report.everywhere.windows == report.timing.crop_windows == 10
    assert report.timing.extrapolated
    per_window = report.timing.crop_measured_s / 10
    assert report.timing.crop_s == pytest.approx(per_window * total)
    assert report.timing.ratio == pytest.approx(report.timing.crop_s / report.timing.slide_s)
    whole = verify(photo(60, 83), padded_scorer, windows=total)
    assert not whole.timing.extrapolated
    assert np.allclose(whole.cropped[known], report.cropped[known], atol=1e-5)


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


def test_report_is_plain_data_and_a_picture(padded_scorer):
    report = verify(photo(60, 83), padded_scorer, windows=10)
    described = json.loads(json.dumps(describe_report(report)))
    assert described["passed"] is True
    assert described["sliding_against_cropping"]["everywhere"]["windows"] == 10
    picture = draw_report(photo(60, 83), report)
    assert picture.dtype == np.uint8
    assert picture.shape[1] > 3 * 83


def test_what_cannot_be_verified_is_refused():
    with pytest.raises(GeometryError, match="at least 1"):
        verify(photo(60, 83), prepare(padded()), windows=0)
    attention = Classifier(REFUSED["attention"][0]).eval()
    with pytest.raises(ConversionError, match="attention"):
        verify(photo(60, 83), load_classifier(attention, window=WINDOW))
