"""What a notebook shows of objects: the figures of the command line, as HTML that holds all."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html import unescape

import cv2
import numpy as np
import pytest
import torch

import heatmap
from heatmap.classes import ClassGroup
from heatmap.localization.detection import NotFound
from heatmap.notebook import MOST_BYTES, PICTURE_PX, Picture, notebook_html
from heatmap.photo.photo_file import PhotoFile
from heatmap.text_table import TextTable
from tests.support.batches import MODEL, WINDOW
from tests.support.pages import (
    NAMES,
    REGION,
    Elements,
    find,
    findings_of,
    make_file,
    make_grid,
    make_photo,
    origin,
)
from tests.support.reports import HOSTILE, make_report
from tests.support.trainings import make_trained, tables_of

CUP, BOLD = (ClassGroup(name, (NAMES.index(name),)) for name in ("cup", "<b>bold</b>"))


def check_harmless(html: str) -> None:
    """Without scripts, without handlers, without anything from elsewhere, without colours."""
    parsed = Elements(html)
    assert parsed.closed
    kinds = {kind for kind, _ in parsed.found}
    assert kinds <= {*"div style p img table thead tbody tr th td".split()}
    for kind, attributes in parsed.found:
        assert not [name for name in attributes if name.startswith("on")]
        source = attributes.get("src", "")
        assert source.startswith(("data:image/png;", "data:image/jpeg;")) == (kind == "img")
    (style,) = re.findall(r"<style>(.*?)</style>", html)
    assert not re.search(r"url|import|color|background", style)


def picture_of(html: str) -> np.ndarray:
    """The only picture, BGR uint8, which is no larger than notebooks should hold."""
    (content,) = re.findall(r'src="data:image/\w+;base64,([^"]+)"', html)
    data = base64.b64decode(content)
    assert len(data) <= MOST_BYTES
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def told(html: str) -> str:
    """The text, without what stands in tables."""
    return unescape(" ".join(re.findall(r"<p>(.*?)</p>", html)))


@pytest.fixture(scope="module")
def result():
    """Of a photo of 420 x 300 px; made up, but for what the network says."""
    done = heatmap.run(make_photo("dir/<i>cat</i>.png"), MODEL, window=WINDOW, backend="torch")
    grid = make_grid()
    findings = findings_of(grid, [find(grid, CUP), find(grid, BOLD)], [CUP, BOLD])
    missing = NotFound(ClassGroup("<u>zebra</u>", (3,)), 0.13, (412, 230))
    return replace(done, findings=replace(findings, named=True, not_found=(missing,)))


class TestParts:
    def test_text_is_escaped_wherever_it_stands(self):
        table = TextTable((HOSTILE, "n"), ((HOSTILE, "1"),), numbers=(1,))
        picture = Picture.of(np.zeros((2, 2, 3), np.uint8), "png", f'"{HOSTILE}')
        html = notebook_html(HOSTILE, table, picture)
        check_harmless(html)
        assert told(html) == HOSTILE
        assert tables_of(html) == [[[HOSTILE, "n"], [HOSTILE, "1"]]]

    def test_a_path_that_is_not_utf8_can_be_sent_to_a_browser(self):
        assert "caf?" in notebook_html("caf\udce9").encode().decode()

    @pytest.mark.parametrize("kind", ["png", "jpeg"])
    def test_a_picture_shrinks_until_it_is_small_enough(self, kind):
        noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
        picture = Picture.of(noise, kind)
        assert len(picture.content) <= MOST_BYTES < len(cv2.imencode(".png", noise)[1])
        height, width = picture.hw
        assert width / height == pytest.approx(4 / 3, rel=0.01)
        assert cv2.imdecode(np.frombuffer(picture.content, np.uint8), 1).shape[:2] == picture.hw


class TestResult:
    def test_it_shows_the_picture_the_table_and_what_was_not_found(self, result):
        html = result._repr_html_()
        check_harmless(html)
        assert picture_of(html).shape[1] == 420
        ((headings, *rows),) = tables_of(html)
        assert headings == ["class", "confidence", "where", "area", "box, px"]
        assert [row[:2] for row in rows] == [
            [each.name, f"{round(100 * each.confidence)} %"] for each in result.detections
        ]
        assert repr(result) in told(html)
        assert "<u>zebra</u>: not found; best 13 % at 412, 230 (threshold 35 %)" in told(html)

    def test_a_picture_is_the_same_as_png(self, result):
        png = cv2.imdecode(np.frombuffer(result._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
        assert png.shape == picture_of(result._repr_html_()).shape
        assert np.array_equal(png[..., ::-1], result.overlay())

    def test_of_a_larger_photo_it_is_smaller(self, result, tmp_path):
        photo = make_file(tmp_path / "wide.tif", (1500, 2100))
        html = replace(result, photo=photo)._repr_html_()
        assert picture_of(html).shape[1] == PICTURE_PX

    def test_without_detections_the_guesses_are_called_so(self, result):
        guesses = replace(result.findings, detections=(), guesses=result.detections)
        html = replace(result, findings=guesses)._repr_html_()
        assert "Nothing detected; the best guesses, all below 0.35:" in told(html)
        assert len(tables_of(html)[0]) == 3
        nothing = replace(result, findings=replace(guesses, guesses=()))._repr_html_()
        assert "Nothing detected." in told(nothing)
        assert tables_of(nothing) == []

    def test_a_photo_that_has_vanished_is_told_of(self, result, tmp_path):
        path = tmp_path / "gone.jpg"
        heatmap.write_image(path, make_photo().pixels)
        photo = PhotoFile(path)
        path.unlink()
        gone = replace(result, photo=photo)
        html = gone._repr_html_()
        assert "There is no picture: " in told(html)
        assert "gone.jpg" in told(html)
        assert tables_of(html) == tables_of(result._repr_html_())
        assert gone._repr_png_() is None


class TestGrid:
    def test_it_shows_its_strongest_classes_and_where_they_are_highest(self):
        grid = make_grid()
        html = grid._repr_html_()
        check_harmless(html)
        assert repr(grid) in told(html)
        ((headings, *rows),) = tables_of(html)
        assert headings == ["class", "highest probability", "at, px"]
        assert [row[0] for row in rows] == [group.name for group in grid.winners(5)]
        best = grid.winners(1)[0]
        cells = grid.class_map(best)
        row, column = np.unravel_index(cells.argmax(), cells.shape)
        across, down = grid.geometry.centre_xy(row, column)
        assert rows[0] == [best.name, f"{cells.max():.3f}", f"{across:.0f}, {down:.0f}"]

    def test_places_are_in_px_of_the_whole_photo(self):
        of_region = make_grid(origin=origin(region=REGION))
        for (*_, here), (*_, there) in zip(
            tables_of(make_grid()._repr_html_())[0][1:],
            tables_of(of_region._repr_html_())[0][1:],
            strict=True,
        ):
            moved = np.array(here.split(", "), int) + REGION.at
            assert np.array_equal(np.array(there.split(", "), int), moved)

    def test_the_heat_is_a_square_a_window_brightest_where_it_is_highest(self):
        missing = np.zeros(make_grid().geometry.grid_hw, bool)
        missing[0, 0] = True
        grid = make_grid(missing=missing)
        picture = picture_of(grid._repr_html_()).astype(int)
        cells = grid.class_map(grid.winners(1)[0])
        side = picture.shape[0] // len(cells)
        assert picture.shape[:2] == (cells.shape[0] * side, cells.shape[1] * side)
        centres = picture[side // 2 :: side, side // 2 :: side].sum(axis=2)
        assert centres[0, 0] == 3 * 128
        assert centres.flat[np.nan_to_num(cells).argmax()] == centres.max()
        png = cv2.imdecode(np.frombuffer(grid._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
        assert np.array_equal(png, picture)

    def test_one_without_a_scored_window_is_shown_too(self):
        grid = make_grid()
        empty = replace(grid, scores=np.full_like(grid.scores, np.nan))
        assert tables_of(empty._repr_html_())[0][1][1] == "0.000"

    def test_scores_on_disk_are_not_read(self, monkeypatch):
        monkeypatch.setattr("heatmap.grid.score_grid.LARGE_GRID_BYTES", 0)
        monkeypatch.setattr("heatmap.grid.score_grid.ScoreGrid.winners", None)
        grid = make_grid()
        assert repr(grid) in told(grid._repr_html_())
        assert grid._repr_png_() is None


def test_findings_show_their_table(result):
    html = result.findings._repr_html_()
    check_harmless(html)
    assert tables_of(html) == tables_of(result._repr_html_())
    assert "(threshold" not in told(html)


def test_a_training_shows_its_outcome_and_figures(tmp_path):
    trained = make_trained(tmp_path)
    html = trained._repr_html_()
    check_harmless(html)
    assert repr(trained) == "Trained net.safetensors: epoch 8 of 12, 90.0 % right in validation"
    assert "epoch 8 of 12 is kept: its validation loss" in told(html)
    assert str(trained.page) in told(html)
    epochs, classes, confusions = tables_of(html)
    assert [row[0] for row in epochs] == ["epoch", "8", "12"]
    assert [row[0] for row in classes[1:]] == [HOSTILE, "class 1", "class 2"]
    assert confusions[0] == ["class", "examples", "share", "taken for"]


def test_an_evaluation_shows_the_tables_that_the_command_prints():
    report = make_report()
    html = report._repr_html_()
    check_harmless(html)
    assert repr(report) == "EvaluationReport 2 photos, 3 (photo, class) pairs, 4 objects"
    methods, labels, unnamed = tables_of(html)
    assert methods[1][:3] == ["heatmap", "1", "50.0"]
    assert [row[0] for row in labels[1:]] == ["label 0", "label 1", "label 2"]
    assert unnamed[-1][0] == "of large objects"


@pytest.fixture(scope="module")
def report():
    scorer = heatmap.prepare(MODEL, window=WINDOW, backend="torch")
    return heatmap.verify(make_photo(hw=(60, 70)), scorer)


def test_a_verification_shows_its_scales_and_conclusion(report):
    html = report._repr_html_()
    check_harmless(html)
    verdict = f"difference {report.difference:.1e}, passed"
    assert repr(report) == f"VerifyReport {report.windows} windows at 1 scale: {verdict}"
    assert report.conclusion in told(html)
    ((headings, row),) = tables_of(html)
    assert dict(zip(headings, row, strict=True))["relative"] == f"{report.difference:.1e}"


def test_a_summary_shows_every_layer_and_the_totals():
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(400, 2)
    )
    classifier = heatmap.load_classifier(network, window=12)
    summary = heatmap.summary(classifier)
    html = summary._repr_html_()
    check_harmless(html)
    assert repr(summary) == (
        f"Summary {classifier.name}: {len(summary.rows)} layers, 914 parameters, window 12 px"
    )
    ((headings, *rows),) = tables_of(html)
    assert headings[-1] == "receptive field"
    assert [row[0] for row in rows] == [row.path for row in summary.rows]
    assert "parameters 914: 914 trainable, 0 fixed" in told(html)
