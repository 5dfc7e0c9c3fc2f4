"""The score grid: probabilities, classes, and files."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from heatmap.classes import ClassGroup, ClassList
from heatmap.errors import ClassError, HeatmapError, ResultError
from heatmap.geometry import Placement, plan_grid
from heatmap.grid.origin import Computation, Origin, Weights
from heatmap.grid.outputs import above_chance
from heatmap.grid.read import load
from heatmap.grid.score_grid import ScoreGrid, probabilities_of
from heatmap.grid.upsample import upsample
from heatmap.marks import MARK

NAMES = ("tabby", "Egyptian cat", "lynx", "wall")
ORIGIN = Origin(
    photo="cat.jpg",
    photo_digest="ab12",
    model="vgg16",
    weights=Weights("random", "random (seed 0)", "cd34"),
    engine="slide",
    sliding="exact",
    scales=(0.5, 1.0),
    fuse="mean",
    network_classes=9,
    computation=Computation(dtype="bfloat16", threads=2, parts=3, band_px=64),
    notes=("weights: model. taken off",),
    versions={"torch": "2.14"},
)


def make_grid(scores=None, *, kind="logits", names=NAMES, wnids=("n0", "n1", "n2", "n3")):
    """A grid of 2 x 3 windows over a photo of 256 x 288 px."""
    geometry = plan_grid((256, 288), Placement(border="valid"), window=224, native_stride=32)
    if scores is None:
        scores = np.random.default_rng(0).normal(0, 3, (2, 3, len(names))).astype(np.float32)
    return ScoreGrid(scores, geometry, ClassList(names, wnids), kind, ORIGIN)


def test_probabilities_are_the_softmax_of_each_window():
    grid = make_grid()
    exact = np.exp(grid.scores.astype(float))
    exact /= exact.sum(axis=2, keepdims=True)
    assert grid.probabilities().dtype == np.float32
    np.testing.assert_allclose(grid.probabilities(), exact, rtol=1e-5)
    np.testing.assert_array_equal(probabilities_of(grid.scores, "logits"), grid.probabilities())


def test_large_logits_do_not_overflow():
    scores = np.full((2, 3, 4), -900, np.float32)
    scores[..., 1] = 900
    probabilities = make_grid(scores).probabilities()
    assert (probabilities[..., 1] == 1).all()
    assert (probabilities[..., [0, 2, 3]] == 0).all()


def test_class_maps_of_logits_and_probabilities():
    grid = make_grid()
    expected = above_chance(grid.probabilities()[:, :, 2], grid.chance)
    np.testing.assert_array_equal(grid.class_map("lynx"), expected)
    np.testing.assert_array_equal(grid.class_map("n1", kind="logits"), grid.scores[:, :, 1])
    with pytest.raises(ClassError, match="no class 'dog'"):
        grid.class_map("dog")


def test_the_probability_of_a_group_is_the_sum_of_its_classes():
    grid, cats = make_grid(), ClassGroup("cat", (0, 2))
    expected = above_chance(grid.probabilities()[:, :, [0, 2]].sum(axis=2), 2 * grid.chance)
    np.testing.assert_allclose(grid.class_map(cats), expected, rtol=1e-6)
    maps = grid.class_maps([ClassGroup("wall", (3,)), cats])
    np.testing.assert_array_equal(maps[:, :, 0], grid.class_map("wall"))
    np.testing.assert_array_equal(maps[:, :, 1], grid.class_map(cats))


def test_the_logit_of_a_group_is_that_of_one_class_in_its_place():
    grid = make_grid()
    joined = np.dstack(
        [
            grid.class_map(ClassGroup("cat", (0, 2)), kind="logits"),
            grid.scores[..., 1],
            grid.scores[..., 3],
        ]
    )
    found = probabilities_of(joined, "logits")[:, :, 0]
    expected = grid.class_map(ClassGroup("cat", (0, 2)))
    np.testing.assert_allclose(above_chance(found, 2 * grid.chance), expected, rtol=1e-4)


def test_a_group_has_at_most_probability_1():
    grid = make_grid(np.full((2, 3, 4), 0.4, np.float32), kind="probabilities")
    some = grid.class_map(ClassGroup("some", (0, 1, 2)))
    np.testing.assert_allclose(some, np.ones((2, 3)), rtol=1e-6)


def test_probabilities_are_corrected_for_chance():
    """(p - n/4) / (1 - n/4) of n of four classes, and nothing below chance."""
    scores = np.array([[[0.7, 0.1, 0.1, 0.1], [0.25] * 4, [0.1, 0.4, 0.4, 0.1]]], np.float32)
    made = make_grid(np.repeat(scores, 2, axis=0), kind="probabilities")
    grid = replace(made, origin=replace(made.origin, network_classes=None))
    one, two = grid.class_map(0)[0], grid.class_map(ClassGroup("two", (1, 2)))[0]
    np.testing.assert_allclose(one, [0.6, 0, 0], atol=1e-6)
    np.testing.assert_allclose(two, [0, 0, 0.6], atol=1e-6)
    # All classes together are in every window: nothing is better than chance.
    assert (grid.class_map(ClassGroup("all", (0, 1, 2, 3))) == 0).all()
    np.testing.assert_allclose(grid.best()[1][0], [0.6, 0, 0.2], atol=1e-6)
    # Of four classes of fifty.
    fifty = replace(grid, origin=replace(grid.origin, network_classes=50))
    expected = (np.array([0.7, 0.25, 0.1]) - 0.02) / 0.98
    np.testing.assert_allclose(fifty.class_map(0)[0], expected, atol=1e-5)
    # Of many there is none to correct for.
    many = replace(grid, origin=replace(grid.origin, network_classes=1000))
    np.testing.assert_allclose(many.class_map(0)[0], [0.7, 0.25, 0.1], atol=1e-5)
    # Independent classes have no chance, and values of sharp maps are corrected already.
    independent = replace(grid, kind="independent probabilities")
    np.testing.assert_array_equal(independent.class_map(0)[0], scores[0, :, 0])
    sharp = replace(grid, origin=replace(grid.origin, maps="sharp"))
    np.testing.assert_array_equal(sharp.class_map(0)[0], scores[0, :, 0])


def test_a_grid_of_probabilities_gives_them_as_they_are_and_no_logits():
    given = np.zeros((2, 3, 4), np.float32)
    given[..., 1:3] = 0.7, 0.3
    grid = make_grid(given, kind="probabilities")
    np.testing.assert_array_equal(grid.probabilities(), given)
    with pytest.raises(ResultError, match=r"holds probabilities .* not logits"):
        grid.class_map(0, kind="logits")


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_the_heatmap_is_the_class_upsampled_to_the_photo(kind):
    grid = make_grid()
    heat = grid.heatmap("tabby", kind=kind)
    assert heat.shape == (256, 288)
    np.testing.assert_array_equal(heat, upsample(grid.class_map(0, kind=kind), grid.geometry))


def test_winners_come_by_what_they_won_with_then_by_what_they_reached():
    scores = np.array(
        [
            [[0.6, 0.0, 0.4, 0.0, 0.0], [0.52, 0.0, 0.48, 0.0, 0.0], [0.1, 0.1, 0.0, 0.0, 0.8]],
            [[0.3, 0.0, 0.3, 0.4, 0.0], [0.6, 0.2, 0.2, 0.0, 0.0], [0.5, 0.3, 0.2, 0.0, 0.0]],
        ],
        np.float32,
    )
    grid = make_grid(scores, kind="probabilities", names=(*NAMES, "door"), wnids=())
    # Class 3 won with 0.4; 2 reached 0.48 and 1 only 0.3, but both won nowhere.
    order = [grid.classes.single(index) for index in (4, 0, 3, 2, 1)]
    assert grid.winners(5) == order
    assert grid.winners(2) == order[:2]
    assert grid.winners(9) == order


@pytest.mark.parametrize("names", [NAMES, ("tabby",)])
@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_windows_that_were_not_scored_say_nothing(kind, names):
    scores = np.random.default_rng(1).uniform(0.1, 0.9, (2, 3, len(names))).astype(np.float32)
    whole = make_grid(scores.copy(), kind=kind, names=names, wnids=())
    scores[0, 1] = np.nan
    grid = make_grid(scores, kind=kind, names=names, wnids=())
    assert np.argwhere(~grid.scored).tolist() == [[0, 1]]
    indices, highest = grid.best()
    assert np.argwhere(np.isnan(highest)).tolist() == [[0, 1]]
    np.testing.assert_array_equal(indices[grid.scored], whole.best()[0][grid.scored])
    np.testing.assert_array_equal(highest[grid.scored], whole.best()[1][grid.scored])
    filled = whole.class_map(0, kind=kind)
    filled[0, 1] = 0 if kind == "probabilities" else np.nanmin(scores[:, :, 0])
    np.testing.assert_array_equal(grid.heatmap(0, kind=kind), upsample(filled, grid.geometry))
    assert np.isnan(grid.class_map(0, kind=kind)[0, 1])
    won = whole.best()[1]
    won[0, 1] = 0
    assert grid.winners(1) == [grid.classes.single(whole.best()[0].flat[won.argmax()])]


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_a_grid_of_which_nothing_was_scored_is_flat(kind):
    grid = make_grid(np.full((2, 3, 4), np.nan, np.float32), kind=kind)
    assert not grid.scored.any()
    assert np.isnan(grid.best()[1]).all()
    assert np.isnan(grid.class_maps(grid.classes.find_all([2, 0]))).all()
    assert (grid.heatmap(0, kind=kind) == 0).all()
    assert {group.indices for group in grid.winners(9)} == {(0,), (1,), (2,), (3,)}


def test_scores_of_another_shape_or_kind_are_refused():
    with pytest.raises(ResultError, match=r"\(3, 2, 4\), the geometry and classes say \(2, 3, 4\)"):
        make_grid(np.zeros((3, 2, 4), np.float32))
    with pytest.raises(ResultError, match="scores are 'percent'"):
        make_grid(kind="percent")


def test_scores_are_read_only_and_the_callers_array_is_not():
    given = np.zeros((2, 3, 4), np.float32)
    grid = make_grid(given)
    with pytest.raises(ValueError, match="read-only"):
        grid.scores[0, 0, 0] = 1
    given[0, 0, 0] = 1
    assert given[0, 0, 0] == 1


def test_grids_can_be_compared_and_kept_in_sets():
    grid = make_grid()
    assert grid != make_grid()
    assert len({grid, grid, make_grid()}) == 2


@pytest.mark.parametrize("wnids", [(), ("n0", "n1", "n2", "n3")])
@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_a_saved_grid_comes_back_whole(tmp_path, kind, wnids):
    grid = make_grid(kind=kind, wnids=wnids, names=("tabby", "чат", "", "wall"))
    path = grid.save(tmp_path / "new" / "cat.npz")
    loaded = load(str(path))
    np.testing.assert_array_equal(loaded.scores, grid.scores)
    for part in ("geometry", "classes", "kind", "origin"):
        assert getattr(loaded, part) == getattr(grid, part)


def test_a_saved_grid_needs_no_pickle(tmp_path):
    with np.load(make_grid().save(tmp_path / "cat.npz"), allow_pickle=False) as arrays:
        assert sorted(arrays.files) == ["meta", "scores"]
        assert arrays["scores"].shape == (2, 3, 4)


def test_saving_where_a_file_is_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultError, match=r"file/cat\.npz: cannot be written"):
        make_grid().save(tmp_path / "file" / "cat.npz")


def write_npz(path, meta, scores=None):
    scores = make_grid().scores if scores is None else scores
    np.savez_compressed(path, scores=scores, meta=np.array(json.dumps(meta)))
    return path


@pytest.fixture
def meta(tmp_path):
    """What a good file says of itself."""
    with np.load(make_grid().save(tmp_path / "good.npz")) as arrays:
        return json.loads(str(arrays["meta"]))


def changed(meta, path, value):
    """A copy of ``meta`` with the value at a path such as "geometry.stride_px" replaced."""
    copy = json.loads(json.dumps(meta))
    *parents, last = path.split(".")
    inner = copy
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    return copy


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("format", 9, "grid format 9, this version reads formats 7 and 8: score the photo again"),
        ("format", 1, "grid format 1, this version reads formats 7 and 8: score the photo again"),
        ("kind", "percent", "scores are 'percent'"),
        ("geometry.stride_px", 0, "a side of 0 px"),
        ("geometry.stride_px", "32", "does not fit its format"),
        ("geometry.grid_hw", [3, 2], r"the geometry and classes say \(3, 2, 4\)"),
        ("geometry.photo_hw", [256], "does not fit its format"),
        ("geometry.photo_hw", [256, 3.5], "does not fit its format"),
        ("geometry.border", "mirror", "border is 'mirror'"),
        ("geometry.colour", 1, "geometry has colour"),
        ("geometry", [], "does not fit its format"),
        ("geometry", None, "does not fit its format"),
        ("names", ["a", "b", "c", 4], "4 is no text"),
        ("names", 5, "does not fit its format"),
        ("wnids", ["n1"], "1 wnids for 4 class names"),
        ("origin", {}, "does not fit its format"),
        ("origin.weights", None, "weights is None"),
        ("origin.weights", "random", "weights is 'random'"),
        ("origin.weights.kind", "best", "kind is 'best'"),
        ("origin.weights.digest", None, "digest is None"),
        ("origin.engine", "guess", "engine is 'guess'"),
        ("origin.maps", None, "maps is None"),
        ("origin.scales", "0.5, 1", "scales is '0.5, 1'"),
        ("origin.scales", [0.5, None], r"scales is \[0.5, None\]"),
        ("origin.scales", [float("nan")], r"scales is \[nan\]"),
        ("origin.fuse", "median", "fuse is 'median'"),
        ("origin.network_classes", True, "network_classes is True"),
        ("origin.computation", {}, "computation differs in backend, band_px, batch"),
        ("origin.computation.threads", "2", "threads is '2'"),
        ("origin.notes", "none", "notes is 'none'"),
        ("origin.versions", {"torch": 2}, "versions is {'torch': 2}"),
        ("origin.author", "me", "origin differs in author"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(tmp_path, meta, place, value, message):
    path = write_npz(tmp_path / "cat.npz", changed(meta, place, value))
    with pytest.raises(ResultError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("content", [[], "text", None, 3])
def test_a_description_that_is_no_mapping_is_refused(tmp_path, content):
    with pytest.raises(ResultError, match="grid format None"):
        load(write_npz(tmp_path / "cat.npz", content))


def test_scores_of_another_type_are_refused(tmp_path, meta):
    with pytest.raises(ResultError, match=r"float64 \(2, 3, 4\), expected float32"):
        load(write_npz(tmp_path / "cat.npz", meta, np.zeros((2, 3, 4))))


def test_what_is_no_grid_file_is_refused(tmp_path):
    np.save(tmp_path / "plain.npy", np.zeros(3))
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    (tmp_path / "text.npz").write_text("not a grid")
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps({"scores": 1}))
    np.savez(tmp_path / "objects.npz", scores=np.array([{}]), meta=np.array("{}"))
    for name in ("plain.npy", "text.npz", "empty.npz", "pickle.npz", "objects.npz", "absent.npz"):
        with pytest.raises(ResultError, match=f"{name}: not a score grid that can be read: .+"):
            load(tmp_path / name)
    with pytest.raises(ResultError, match="not a score grid"):
        load(tmp_path)
    with pytest.raises(ResultError, match=r"holds \['a'\], a score grid holds"):
        load(tmp_path / "other.npz")


def test_a_damaged_file_gives_one_clear_error_or_the_same_grid(tmp_path):
    good = make_grid()
    content = good.save(tmp_path / "good.npz").read_bytes()
    damaged = tmp_path / "damaged.npz"
    refusals = []
    for place in range(0, len(content), 3):
        broken = bytearray(content)
        broken[place] ^= 0xFF
        damaged.write_bytes(broken)
        try:
            np.testing.assert_array_equal(load(damaged).scores, good.scores)
        except HeatmapError as error:
            refusals.append(str(error))
    # Without the end of the mark, which stands last, all is there.
    for length in range(0, len(content) - len(MARK), 40):
        damaged.write_bytes(content[:length])
        with pytest.raises(ResultError):
            load(damaged)
    assert len(refusals) > len(content) // 6
    assert all(message.isprintable() for message in refusals)
