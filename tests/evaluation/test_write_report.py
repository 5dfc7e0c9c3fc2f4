"""The files of an evaluation: drawn, whole by themselves, written together."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import heatmap
from heatmap import ResultError
from heatmap.evaluation import write_report as writing
from heatmap.evaluation.evaluate import evaluate
from heatmap.evaluation.photo_figures import PhotoFigures
from heatmap.evaluation.write_report import describe_evaluation, write_report
from heatmap.marks import MARK
from heatmap.runs.request import Display, MultiScale, Request
from tests.support.batches import copy_tree
from tests.support.networks import WINDOW, Classifier, heads, randomise
from tests.support.reports import HOSTILE, make_page, make_report
from tests.support.scoring import photo

# Every photo has detections of random weights.
REQUEST = Request(Display(conf=0.05), MultiScale(scales=(1.0,)))


@pytest.fixture(scope="module")
def scorer():
    torch.manual_seed(0)
    return heatmap.prepare(randomise(Classifier(heads()["global pool"]), WINDOW), window=WINDOW)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three photos, one of them large, and boxes of two classes."""
    written = tmp_path_factory.mktemp("photos")
    sizes = {"a.png": (60, 83), "b.png": (70, 50), "large.png": (60, 700)}
    rows = ["file,label,xmin,ymin,xmax,ymax"]
    for name, hw in sizes.items():
        Image.fromarray(photo(*hw)).save(written / name)
        rows += [f"{name},class 1,5,5,40,40", f"{name},class 3,10,12,50,48"]
    (written / "boxes.csv").write_text("\n".join(rows))
    return written


@pytest.fixture(scope="module")
def report(scorer, photos):
    return evaluate(photos, photos / "boxes.csv", scorer, conf=0.05, scales=1.0, cam=False)


@pytest.fixture
def folder(photos, tmp_path):
    return copy_tree(photos, tmp_path / "photos")


def write(folder, report, scorer, **options):
    return write_report(folder / "out", report, folder, scorer, REQUEST, **options)


def pictures_of(page: str) -> list[np.ndarray]:
    contents = re.findall(
        r'src="data:image/jpeg;base64,([^"]+)" width="(\d+)" height="(\d+)"', page
    )
    decoded = []
    for content, width, height in contents:
        encoded = np.frombuffer(base64.b64decode(content), np.uint8)
        decoded.append(cv2.imdecode(encoded, cv2.IMREAD_COLOR))
        assert decoded[-1].shape[:2] == (int(height), int(width))
    return decoded


def test_each_photo_is_drawn_once_at_most_640_px_a_side(scorer, folder, report):
    seen = []
    paths = write(folder, report, scorer, progress=lambda *done: seen.append(done))
    assert [path.name for path in paths] == ["evaluation.html", "evaluation.json"]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    page = paths[0].read_text("utf-8")
    names = re.findall(r"<h4>([^<]+)", page)
    assert sorted(names) == ["a.png", "b.png", "large.png"]
    widths = dict(zip(names, (one.shape[1] for one in pictures_of(page)), strict=True))
    assert widths == {"a.png": 83 * 4, "b.png": 50 * 5, "large.png": 640}
    told = json.loads(paths[1].read_text())
    assert told.pop("generator").startswith(MARK)
    assert told == json.loads(json.dumps(describe_evaluation(report)))
    again = write(folder, report, scorer)
    assert again[0].read_text("utf-8") == page


def test_either_both_files_are_written_or_none(scorer, folder, report):
    (folder / "out" / "evaluation.json").mkdir(parents=True)
    with pytest.raises(ResultError, match=r"evaluation\.json: .*directory"):
        write(folder, report, scorer)
    assert [path.name for path in (folder / "out").iterdir()] == ["evaluation.json"]


def test_a_photo_that_is_gone_by_then_does_not_lose_the_report(scorer, folder, report):
    (folder / "a.png").unlink()
    page = write(folder, report, scorer)[0].read_text("utf-8")
    assert page.count("The photo cannot be read any more.") == 1
    assert len(pictures_of(page)) == 2


def test_no_more_photos_are_scored_again_than_are_shown(scorer, folder, report, monkeypatch):
    scored, found = [], writing.unnamed_findings

    def counted(opened, *settings):
        scored.append(opened.path)
        return found(opened, *settings)

    monkeypatch.setattr(writing, "unnamed_findings", counted)
    monkeypatch.setattr(writing, "MOST_PHOTOS", 1)
    unrated = PhotoFigures.of("not there.png", (), ())
    write(folder, replace(report, photos=(*report.photos, unrated)), scorer)
    assert len(scored) == len(set(scored)) == 2


def test_the_page_allows_nothing_but_its_style_and_pictures():
    page = make_page(make_report()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("style-src").startswith("'sha256-")
    assert rules == {
        **dict.fromkeys(("default-src", "base-uri", "form-action", "script-src"), "'none'"),
        "img-src": "data:",
    }
    assert HOSTILE not in page
    assert "<script" not in page
    assert "style=" not in page
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)
