"""Box regression fitted: the ridge, the boxes it learns from, and what training makes of it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from sklearn.linear_model import Ridge

import heatmap
from heatmap import ModelError, load_classifier, train
from heatmap.classes import ClassList
from heatmap.geometry import iou
from heatmap.localization.box_regression import BoxRegression
from heatmap.localization.confirm import widened
from heatmap.networks.state_dict import digest_of_weights
from heatmap.networks.tensors import photo_tensor
from heatmap.photo.photo import read_photo
from heatmap.runs.request import Display
from heatmap.training import box_fit
from heatmap.training.box_fit import boxes_near, fit_boxes, fitted, fractions_of, ridge
from heatmap.training.examples import boxed_examples
from tests.support.runs import run
from tests.support.training import NETWORK, SHORT, boxed_squares, content, trained


@pytest.mark.parametrize("shape", [(30, 80), (60, 12), (1, 5)])
def test_the_ridge_is_that_of_the_primal_form(shape):
    """Solved in its features, as least squares with a row for each of them."""
    noise = np.random.default_rng(sum(shape))
    features = noise.normal(3, 2, shape).astype(np.float32)
    targets = noise.normal(size=(shape[0], 2))
    weights, biases = ridge(features, targets)
    around = features.astype(np.float64) - features.astype(np.float64).mean(0)
    shrink = 3 * (around**2).sum(1).mean() or 1.0
    rows = np.vstack([around, np.sqrt(shrink) * np.eye(shape[1])])
    wanted = np.vstack([targets - targets.mean(0), np.zeros((shape[1], 2))])
    primal = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    np.testing.assert_allclose(weights, primal.T, atol=1e-9)
    theirs = Ridge(alpha=shrink).fit(features.astype(np.float64), targets)
    np.testing.assert_allclose(features @ weights.T + biases, theirs.predict(features), atol=1e-6)


def test_edges_learn_from_their_own_axis():
    """Left and right from columns, top and bottom from rows."""
    noise = np.random.default_rng(0)
    profiles = noise.normal(size=(40, 2, 6)).astype(np.float32)
    fractions = noise.normal(size=(40, 4))
    got = fitted(profiles, fractions)
    assert (got.weights.shape, got.weights.dtype, got.examples) == ((4, 6), np.float32, 40)
    for edge in range(4):
        weights, biases = ridge(profiles[:, edge % 2], fractions[:, [edge]])
        np.testing.assert_allclose(got.weights[edge], weights[0], atol=1e-6)
        np.testing.assert_allclose(got.biases[edge], biases[0], atol=1e-6)


@given(
    corners=st.tuples(*[st.floats(0, 1)] * 4),
    hw=st.tuples(st.integers(8, 3000), st.integers(8, 3000)),
    count=st.integers(1, 40),
    seed=st.integers(0, 9),
)
def test_boxes_near_overlap_and_lie_in_the_photo(corners, hw, count, seed):
    xs, ys = sorted(corners[:2]), sorted(corners[2:])
    box = (xs[0] * hw[1], ys[0] * hw[0], xs[1] * hw[1] + 1, ys[1] * hw[0] + 1)
    box = (*np.minimum(box, (*hw[::-1], *hw[::-1])).tolist(),)
    if box[2] - box[0] < 0.5 or box[3] - box[1] < 0.5:
        return
    near = boxes_near(box, hw, count, np.random.default_rng(seed))
    assert len(near) <= count
    assert len(near) >= count / 2
    for one in near:
        assert iou(one, box) > 0.25
        assert 0 <= one[0] < one[2] <= hw[1]
        assert 0 <= one[1] < one[3] <= hw[0]
    assert near == boxes_near(box, hw, count, np.random.default_rng(seed))


@given(drawn=st.tuples(*[st.floats(0, 200)] * 4))
def test_what_is_learnt_is_what_refining_undoes(drawn):
    xs, ys = sorted(drawn[:2]), sorted(drawn[2:])
    box = (xs[0], ys[0], xs[1] + 1, ys[1] + 1)
    crop = (20.0, 30.0, 120.0, 80.0)
    (edges,) = fractions_of(np.array([box]), np.array([crop]))
    regression = BoxRegression(np.zeros((4, 2), np.float32), edges.astype(np.float32), 1)
    (back,) = regression.refined(np.zeros((1, 2, 2), np.float32), [crop], (300, 300))
    np.testing.assert_allclose(back, box, atol=1e-3)


# Red and blue squares on grey.


@pytest.fixture(scope="module")
def squares(tmp_path_factory) -> Path:
    return boxed_squares(tmp_path_factory.mktemp("squares"))


@pytest.fixture(scope="module")
def scorer():
    return heatmap.prepare(NETWORK, window=20)


@pytest.fixture(scope="module")
def examples(squares):
    return boxed_examples(squares.parent, squares)


@pytest.fixture(scope="module")
def regression(scorer, examples):
    return fit_boxes(scorer, examples)


def test_boxes_get_better(scorer, examples, regression):
    assert 200 < regression.examples <= box_fit.MOST_OF_ONE * 12
    asking = replace(scorer, facts=replace(scorer.facts, box_regression=regression))
    overlaps = []
    for one in examples.training:
        if one.box is None:
            continue
        photo = read_photo(examples.folder / one.photo)
        near = boxes_near(one.box, photo.hw, 10, np.random.default_rng(99))
        crops = [widened(box, photo.hw) for box in near]
        group = asking.classifier.classes.single(0)
        better = asking.ask_crops(photo, crops, [group] * len(crops)).boxes
        overlaps += [
            (iou(one.box, before), iou(one.box, after))
            for before, after in zip(near, better, strict=True)
        ]
    before, after = np.mean(overlaps, axis=0)
    assert after > before + 0.1


def test_asking_gives_the_same_probabilities_and_the_boxes_of_the_feature_maps(
    scorer, examples, regression
):
    asking = replace(scorer, facts=replace(scorer.facts, box_regression=regression))
    photo = read_photo(examples.folder / "0.png")
    crops, groups = (
        [(5.0, 5.0, 45.0, 40.0), (60.0, 20.0, 80.0, 40.0)],
        [scorer.classifier.classes.single(index) for index in (0, 1)],
    )
    answers = asking.ask_crops(photo, crops, groups)
    assert answers.probabilities == scorer.crop_probabilities(photo, crops, groups)
    assert scorer.ask_crops(photo, crops, groups).boxes is None
    # The second crop is one window, so nothing is resized: through the original's own layers.
    original = scorer.classifier
    pixels = np.ascontiguousarray(photo.pixels[20:40, 60:80])
    features = original.module[:5](photo_tensor(pixels, original.preprocessing)).detach().numpy()
    columns, rows = features.mean(2).reshape(-1), features.mean(3).reshape(-1)
    for edge, values in enumerate((columns, rows, columns, rows)):
        share = values @ regression.weights[edge] + regression.biases[edge]
        wanted = np.clip((60, 20)[edge % 2] + 20 * share, 0, (120, 80)[edge % 2])
        assert answers.boxes[1][edge] == pytest.approx(wanted, abs=1e-2)
    assert asking.crops(photo).refines
    assert not scorer.crops(photo).refines
    assert asking.ask_crops(photo, [], []).boxes == []


def test_the_seed_decides_and_the_number_is_limited(scorer, examples, regression, monkeypatch):
    same, other = (fit_boxes(scorer, examples, seed=seed) for seed in (0, 1))
    assert regression.digest == same.digest != other.digest
    monkeypatch.setattr(box_fit, "MOST_CROPS", 5)
    assert fit_boxes(scorer, examples).examples == 5


def test_networks_that_cannot_slide_and_photos_without_boxes_have_none(scorer, examples):
    assert fit_boxes(replace(scorer, engine="crop"), examples) is None
    none = [replace(one, box=None) for one in examples.training]
    assert fit_boxes(scorer, replace(examples, training=tuple(none), validation=())) is None


# What training makes of it.


@pytest.fixture(scope="module")
def done(squares, tmp_path_factory):
    return trained(
        squares.parent, tmp_path_factory.mktemp("done") / "net.safetensors", boxes=squares
    )


def test_training_with_boxes_keeps_the_regression_in_the_checkpoint(done, squares, tmp_path):
    made = done.classifier.box_regression
    assert made.examples > 200
    found = load_classifier(done.path, architecture=NETWORK)
    assert found.box_regression.digest == made.digest
    assert found.box_regression.examples == made.examples
    assert heatmap.prepare(found).refines
    assert not heatmap.prepare(found, engine="crop").refines
    again = trained(squares.parent, tmp_path / "net.safetensors", boxes=squares)
    assert content(again.path) == content(done.path)


def test_it_goes_where_photos_are_prepared_in_another_way(done):
    named = {"architecture": NETWORK}
    assert load_classifier(done.path, mean=(0.4, 0.4, 0.4), **named).box_regression is None
    assert load_classifier(done.path, activation="sigmoid", **named).box_regression is not None


def test_training_further_without_boxes_has_none(done, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in done.classifier.classes.names:
        (tmp_path / "folders" / name).mkdir(parents=True)
        for number in range(2):
            pixels = np.full((30, 30, 3), 50 * number, np.uint8)
            heatmap.write_image(tmp_path / "folders" / name / f"{number}.png", pixels)
    # Folders are in alphabetical order.
    names = ClassList(tuple(sorted(done.classifier.classes.names)))
    renamed = replace(done.classifier, classes=names)
    schedule = asdict(replace(SHORT, epochs=1))
    more = train(tmp_path / "folders", "more.safetensors", renamed, **schedule)
    assert more.classifier.box_regression is None
    assert "box_regression" not in json.loads(Path("more.json").read_text())


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda state: state.pop("box_regression.biases"), "box_regression.biases"),
        (lambda state: state["box_regression.weights"].fill_(np.nan), "not all finite"),
    ],
)
def test_a_regression_that_is_none_is_told_in_one_line(done, tmp_path, damage, told):
    state = load_file(done.path)
    damage(state)
    damaged = tmp_path / "damaged.safetensors"
    save_file(state, damaged)
    description = json.loads(done.path.with_suffix(".json").read_text())
    described = {**description, "weights_digest": digest_of_weights(state)}
    damaged.with_suffix(".json").write_text(json.dumps(described))
    with pytest.raises(ModelError, match=f"does not fit format 2: .*{told}"):
        load_classifier(damaged, architecture=NETWORK)


@pytest.mark.parametrize(("confirm", "notes"), [(100, 1), (0, 0)])
def test_a_run_says_that_boxes_were_refined(done, squares, tmp_path, confirm, notes):
    scorer = heatmap.prepare(done.classifier)
    display = Display(conf=0.05, confirm=confirm)
    ran = run(squares.parent / "0.png", scorer, tmp_path / "out", display=display)
    told = json.loads(ran.saved.description.read_text())["origin"]["notes"]
    examples = done.classifier.box_regression.examples
    said = f"boxes were refined by what {examples} examples taught"
    assert told.count(said) == notes
