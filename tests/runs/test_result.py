"""Results in Python: what they hold, and what they write."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

import heatmap
from heatmap.errors import ClassError, ModelError, ResultError
from heatmap.localization.findings import window_maps
from heatmap.rendering.overlay import encode_image
from heatmap.runs.result import Result
from tests.support.batches import MODEL, WINDOW, files
from tests.support.networks import WINDOW as NETWORK_WINDOW
from tests.support.networks import heads, small_classifier
from tests.support.runs import PHOTO, Recorder

OPTIONS = {"conf": 0.05, "scales": (0.5, 1.0), "confirm": 4}
EXTRAS = {"formats": ("csv", "geojson"), "html": True, "save_grid": True, "per_class": True}


@pytest.fixture
def result(photo, scorer) -> Result:
    return heatmap.run(photo, scorer, **OPTIONS)


def test_nothing_is_written_before_it_is_saved(tmp_path, result):
    assert files(tmp_path).keys() == {"photos/cat.tif"}
    assert result.saved is None


def test_it_saves_what_a_run_writes_to_the_byte(tmp_path, photo, scorer):
    written = heatmap.run(photo, scorer, output=tmp_path / "out", **OPTIONS, **EXTRAS)

    saved = written.save(tmp_path / "again")

    assert files(tmp_path / "again") == files(tmp_path / "out")
    assert [path.name for path in saved.written] == [path.name for path in written.saved.written]


def test_it_is_a_sequence_of_its_detections(result):
    assert len(result) == len(result.detections) > 0
    assert list(result) == list(result.detections)
    assert result[0] is result.detections[0]


def test_a_result_without_detections_is_true(photo, scorer):
    nothing = heatmap.run(photo, scorer, conf=1)
    assert len(nothing) == 0
    assert nothing


def test_it_shows_itself_in_one_line(result, photo, scorer):
    first = result.detections[0]
    assert repr(result).startswith(f"Result cat.tif, 120 x 100 px: {first.name} ")
    assert "\n" not in repr(result)
    assert len(repr(result)) < 150
    assert repr(heatmap.run(photo, scorer, conf=1)).endswith(": nothing")


def test_its_overlay_is_the_picture_that_it_saves(tmp_path, result):
    saved = result.save(tmp_path / "out")
    again = cv2.imdecode(np.frombuffer(encode_image(result.overlay(), ".jpg"), np.uint8), 1)

    np.testing.assert_array_equal(again, cv2.imread(str(saved.pictures[0])))
    assert len(result.overlay(legend=False)) < len(result.overlay())


def test_an_index_is_that_in_the_network(tmp_path, photo, scorer):
    options = {"conf": 0.05, "scales": (1.0,), "confirm": 0}
    names = scorer.facts.classes.names
    every = heatmap.run(photo, scorer, classes=[3, 1], **options)
    few = heatmap.run(photo, scorer, classes=[3], store_classes=[1, 3], save_grid=True, **options)
    heat = every.maps.heatmap(3)
    saved = few.save(tmp_path)

    assert heat.shape == PHOTO.shape[:2]
    assert heat.dtype == np.float32
    for again in (every.maps.heatmap(names[3]), every.heatmap(3), few.maps.heatmap(3)):
        np.testing.assert_allclose(again, heat, atol=1e-3)
    np.testing.assert_array_equal(few.grid.heatmap(1), few.grid.heatmap(names[1]))
    np.testing.assert_array_equal(heatmap.load(saved.maps).heatmap(3), few.heatmap(3))
    np.testing.assert_array_equal(heatmap.load(saved.grid).heatmap(1), few.grid.heatmap(1))
    with pytest.raises(ClassError, match=rf"index 0 is not among the 1 here: {names[3]} \(3\)"):
        few.maps.heatmap(0)
    with pytest.raises(ClassError, match="index 4 is not among the 2 here"):
        few.heatmap(4)


def test_render_takes_an_index_in_the_network(tmp_path, photo, scorer):
    options = {"store_classes": [1, 3], "scales": (1.0,), "confirm": 0, "per_class": True}
    heatmap.run(photo, scorer, classes=[3, 1], output=tmp_path / "out", **options)

    drawn = heatmap.render(tmp_path / "out", tmp_path / "one", classes=3, per_class=True)

    assert [path.name for path in drawn] == ["cat.heatmap.jpg", "cat.class-3.jpg"]


def test_a_class_without_a_map_has_the_heat_of_its_windows(photo, scorer):
    one = heatmap.run(photo, scorer, classes=[3], scales=(1.0,), confirm=0)

    expected = window_maps(one.grid, [one.grid.classes.find(1)]).heatmap(1)
    np.testing.assert_allclose(one.heatmap(1), expected, atol=1e-3)
    np.testing.assert_array_equal(one.heatmap(one.findings.groups[0]), one.maps.heatmap(3))


def test_one_class_is_drawn_as_its_file(tmp_path, photo, scorer):
    found = heatmap.run(photo, scorer, classes=[3, 1], per_class=True, **OPTIONS)
    paths = found.save(tmp_path).per_class.values()

    for path, wanted in zip(paths, (3, 1), strict=True):
        drawn = encode_image(found.overlay(wanted), ".jpg")
        np.testing.assert_array_equal(
            cv2.imdecode(np.frombuffer(drawn, np.uint8), 1), cv2.imread(str(path))
        )
    assert found.overlay(3, legend=False).shape == PHOTO.shape
    assert found.overlay(0, legend=False).shape == PHOTO.shape


def test_render_draws_the_same_from_the_files(tmp_path, result):
    saved = result.save(tmp_path / "out")
    (drawn,) = heatmap.render(tmp_path / "out", tmp_path / "again")

    assert drawn.read_bytes() == saved.pictures[0].read_bytes()
    assert heatmap.saved_results(tmp_path / "out")[0].findings().detections == result.detections


def test_it_goes_to_other_libraries_as_its_files_do(tmp_path, photo, scorer):
    result = heatmap.run(photo, scorer, **OPTIONS, formats=("geojson", "csv"))
    saved = result.save(tmp_path)

    assert result.to_geojson() == json.loads(saved.exports["geojson"][0].read_text("utf-8"))
    boxes = [list(each.xyxy) for each in result]
    np.testing.assert_allclose(result.to_torchvision()["boxes"], boxes, rtol=1e-6)
    assert len(result.to_coco()["annotations"]) == len(result)
    assert list(result.to_dataframe()["confidence"]) == [each.confidence for each in result]
    np.testing.assert_allclose(result.to_supervision().xyxy, boxes, rtol=1e-6)


def test_it_writes_its_page_and_spares_a_strangers(tmp_path, result):
    page = result.page(tmp_path / "pages" / "cat.html")
    assert page == tmp_path / "pages" / "cat.html"
    assert result.page(page) == page

    page.write_text("mine")
    with pytest.raises(ResultError, match=r"cat\.html"):
        result.page(page)
    assert page.read_text() == "mine"


def test_maps_and_grids(result):
    assert result.maps is result.findings.maps
    assert list(result.grids) == ["x0.5", "x1"]
    assert result.grid.scores.shape[:2] == result.grids["x1"].scores.shape[:2]
    assert any("looked for things" in note for note in result.notes)


def test_why_maps_are_of_windows_is_noted(result):
    (note,) = (note for note in result.notes if note.startswith("maps are of windows: "))
    assert note.endswith("tells the positions of a window apart")
    module = small_classifier(heads()["global pool"])
    positions = heatmap.run(PHOTO, module, window=NETWORK_WINDOW, scales=1, confirm=0)
    assert not any(note.startswith("maps are of") for note in positions.notes)


def in_memory(photo):
    return {
        "path": str(photo),
        "bytes": photo.read_bytes(),
        "array": heatmap.read_photo(photo).pixels,
        "photo": heatmap.read_photo(photo),
    }


@pytest.mark.parametrize("kind", ["path", "bytes", "array", "photo"])
def test_photos_in_memory_give_what_their_file_gives(photo, scorer, result, kind, tmp_path):
    given = heatmap.run(in_memory(photo)[kind], scorer, **OPTIONS)

    assert given.detections == result.detections
    np.testing.assert_array_equal(given.maps.scores, result.maps.scores)
    stem = "photo" if kind in ("bytes", "array") else "cat"
    assert given.save(tmp_path / kind).description.name == f"{stem}.json"
    assert given.save(tmp_path / kind, stem="other").description.name == "other.json"


def test_a_region_of_an_array_is_that_of_its_file(photo, scorer):
    region = (10, 5, 90, 80)
    of_file, of_array, of_bytes = (
        heatmap.run(each, scorer, region=region, **OPTIONS)
        for each in (photo, PHOTO, photo.read_bytes())
    )

    assert of_file.detections == of_array.detections == of_bytes.detections
    assert of_array.photo.whole_hw == (100, 120)


def test_a_run_counts_windows_and_logs_its_stages(photo, caplog, capfd):
    caplog.set_level("INFO")
    seen = []
    heatmap.run(photo, MODEL, window=WINDOW, progress=lambda *done: seen.append(done), **OPTIONS)
    # Once for each scale.
    assert len([done for done, total in seen if done == total]) == len(OPTIONS["scales"])
    stages = [record.getMessage() for record in caplog.records if record.name == "heatmap"]
    assert stages == [
        f"loading {MODEL}",
        f"scoring {photo.name} at scale 0.5",
        f"scoring {photo.name} at scale 1",
    ]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("several", [list, tuple, iter])
def test_several_photos_give_results_in_order_when_asked(photo, scorer, several):
    recorder = Recorder()
    results = heatmap.run(
        several([photo, PHOTO[::-1], photo]), scorer, progress=recorder, **OPTIONS
    )
    assert recorder.events == []

    first = next(results)
    scored = len(recorder.events)
    assert scored > 0
    second, third = results
    assert first.detections == third.detections != second.detections
    assert len(recorder.events) == 3 * scored


def test_one_class_may_be_given_by_itself(photo, scorer):
    alone, listed = (
        heatmap.run(photo, scorer, classes=classes, scales=scales, conf=0.05)
        for classes, scales in ((2, 1), ([2], [1.0]))
    )
    assert alone.detections == listed.detections
    assert [group.indices for group in alone.findings.groups] == [(2,)]


def test_none_is_as_not_given(photo, scorer, result):
    given = heatmap.run(photo, scorer, **OPTIONS, max_det=None, alpha=None, weights=None)
    assert given.detections == result.detections


def test_an_unknown_option_is_refused_with_what_may_be_meant(photo, scorer):
    with pytest.raises(TypeError, match=r"run\(\) .* 'clases': did you mean 'classes'\?"):
        heatmap.run(photo, scorer, clases=["cat"])


def test_a_scorer_has_its_model_already(photo, scorer):
    with pytest.raises(ModelError, match=r"weights, window: the scorer is prepared already"):
        heatmap.run(photo, scorer, weights="random", window=32)


def test_what_cannot_be_written_is_refused_before_scoring(tmp_path, photo, scorer):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cat.json").write_text("mine")
    recorder = Recorder()

    with pytest.raises(ResultError, match=r"cat\.json"):
        heatmap.run(photo, scorer, output=tmp_path / "out", progress=recorder)

    assert recorder.events == []
    assert (tmp_path / "out" / "cat.json").read_text() == "mine"
    assert files(tmp_path / "out").keys() == {"cat.json"}


def test_its_overlay_is_drawn_otherwise_as_a_run_that_asks_for_it(photo, scorer, result):
    look = {"legend": False, "boxes": False, "alpha": 0.9, "colormap": "jet"}
    asked = heatmap.run(photo, scorer, **OPTIONS, **look, color_range=(0, 0.8))

    given = result.overlay(**look, color_range=(0, 0.8))
    np.testing.assert_array_equal(given, asked.overlay())
    plain = result.overlay()
    for name, value in look.items():
        assert not np.array_equal(result.overlay(**{name: value}), plain), name
    with pytest.raises(ResultError, match="no colormap 'heat'"):
        result.overlay(colormap="heat")


def test_its_dict_is_its_json_without_files(tmp_path, result):
    told = result.to_dict()
    saved = result.save(tmp_path)

    assert told["files"] is None
    written = json.loads(saved.description.read_bytes())
    assert written.pop("files")
    assert json.loads(json.dumps(told)) == {**written, "files": None}
