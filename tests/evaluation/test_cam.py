"""CAM and Grad-CAM, against their formulas written out."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest
import torch
from torch import nn

from heatmap import GeometryError, ModelError
from heatmap.classes import ClassGroup
from heatmap.evaluation.cam import cam_method
from heatmap.evaluation.metrics import region_box
from heatmap.networks.load import load_classifier
from heatmap.networks.tensors import photo_tensor
from heatmap.photo.photo import Photo
from tests.support.networks import WINDOW, Classifier, Function, heads, randomise

methods = pytest.importorskip("torchcam.methods")

MEANS = ["global pool", "mean", "fixed pool of the whole map", "mean over tokens"]
GROUPS = [ClassGroup("one", (3,)), ClassGroup("several", (0, 4, 1))]


def network(head: str = "global pool") -> nn.Module:
    torch.manual_seed(0)
    return randomise(Classifier(heads()[head]), WINDOW)


def photo(height: int = 60, width: int = 84) -> Photo:
    noise = np.random.default_rng(0).normal(size=(height, width, 3)).cumsum(0).cumsum(1)
    low, high = noise.min(), noise.max()
    return Photo(((noise - low) / (high - low) * 255).astype(np.uint8))


def feature_map(classifier, pixels: np.ndarray) -> torch.Tensor:
    with torch.no_grad():
        return classifier.module.trunk(photo_tensor(pixels, classifier.preprocessing))[0]


def linear_of(module: nn.Module) -> nn.Linear:
    (linear,) = (part for part in module.modules() if isinstance(part, nn.Linear))
    return linear


def stretched(cells: torch.Tensor, hw: tuple[int, int]) -> np.ndarray:
    """Bilinear, by another library than the one under test."""
    return nn.functional.interpolate(cells[None, None], hw, mode="bilinear")[0, 0].numpy()


@pytest.mark.parametrize("head", ["global pool", "mean"])
def test_cam_is_the_map_weighted_by_the_linear_layer(head):
    classifier, shown = load_classifier(network(head), window=WINDOW), photo()
    maps = feature_map(classifier, shown.pixels)
    weights = linear_of(classifier.module).weight.detach()
    every = torch.einsum("kc,chw->khw", weights, maps)
    single, several = cam_method(classifier, "cam")(shown, GROUPS)
    np.testing.assert_allclose(single.heat, stretched(every[3], shown.hw), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        scores = classifier.module(photo_tensor(shown.pixels, classifier.preprocessing))[0]
    shares = scores.softmax(0)[[0, 4, 1]]
    mean = torch.einsum("k,khw->hw", shares / shares.sum(), every[[0, 4, 1]])
    np.testing.assert_allclose(several.heat, stretched(mean, shown.hw), rtol=1e-4, atol=1e-5)
    assert single.heat.std() > 1e-2


@pytest.mark.parametrize("head", ["global pool", "pool, LayerNorm, linear", "softmax"])
def test_grad_cam_is_the_map_weighted_by_gradients(head):
    size = (WINDOW, WINDOW) if head == "softmax" else (60, 84)
    classifier, shown = load_classifier(network(head), window=WINDOW), photo(*size)
    answers = cam_method(classifier, "gradcam")(shown, GROUPS)
    for group, answer in zip(GROUPS, answers, strict=True):
        maps = feature_map(classifier, shown.pixels).requires_grad_()
        members = classifier.module.head(maps[None])[0, list(group.indices)]
        score = members.sum() if head == "softmax" else members.logsumexp(0)
        (gradient,) = torch.autograd.grad(score, maps)
        cells = (gradient.mean((1, 2), keepdim=True) * maps).sum(0).relu().detach()
        np.testing.assert_allclose(answer.heat, stretched(cells, shown.hw), rtol=1e-3, atol=1e-6)
    assert any(answer.heat.std() > 0 for answer in answers)


@pytest.mark.parametrize("kind", ["cam", "gradcam"])
def test_the_map_of_a_group_of_independent_classes_is_that_of_the_most_probable(kind):
    classifier, shown = load_classifier(network(), window=WINDOW, activation="sigmoid"), photo()
    with torch.no_grad():
        scores = classifier.module(photo_tensor(shown.pixels, classifier.preprocessing))[0]
    indices = GROUPS[1].indices
    best = max(indices, key=lambda index: scores[index].item())
    alone = ClassGroup("best", (best,))
    method = cam_method(classifier, kind)
    several, single = method(shown, [GROUPS[1], alone])
    np.testing.assert_array_equal(several.heat, single.heat)


@pytest.mark.parametrize("kind", ["cam", "gradcam"])
def test_the_box_lies_around_the_largest_region_above_a_fifth(kind):
    classifier = load_classifier(network(), window=WINDOW)
    for answer in cam_method(classifier, kind)(photo(), GROUPS):
        assert answer.boxes_xyxy == (region_box(answer.heat, 0.2),)
        assert answer.scores == (answer.heat.max(),)


def test_a_flat_map_has_no_box():
    module = network()
    nn.init.zeros_(linear_of(module).weight)
    answer, _ = cam_method(load_classifier(module, window=WINDOW), "gradcam")(photo(), GROUPS)
    assert (answer.heat.max(), answer.boxes_xyxy, answer.scores) == (0, (), ())


@pytest.mark.parametrize("kind", ["cam", "gradcam"])
def test_at_another_scale_the_network_sees_the_resized_photo(kind):
    classifier, shown = load_classifier(network(), window=WINDOW), photo()
    larger = np.concatenate(list(shown.strips(scaled_hw=(90, 126))))
    expected = cam_method(classifier, kind)(Photo(larger), GROUPS)
    found = cam_method(classifier, kind, 1.5)(shown, GROUPS)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.heat.shape == (60, 84)
        # One map, stretched over photos of two sizes.
        resized = stretched(torch.from_numpy(theirs.heat), (60, 84))
        assert np.abs(ours.heat - resized).max() < 0.1 * np.ptp(resized)


@pytest.mark.parametrize("kind", ["cam", "gradcam"])
def test_the_network_is_left_as_it_was(kind):
    module = network()
    module.requires_grad_(False)
    before = {name: values.clone() for name, values in module.state_dict().items()}
    classifier = load_classifier(module, window=WINDOW)
    first = cam_method(classifier, kind)(photo(), GROUPS)
    second = cam_method(classifier, kind)(photo(), GROUPS)
    assert all(np.array_equal(a.heat, b.heat) for a, b in zip(first, second, strict=True))
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    assert not module.training
    assert all(values.grad is None for values in module.parameters())
    assert all(torch.equal(before[name], values) for name, values in module.state_dict().items())
    assert torch.is_grad_enabled()


def test_gradients_are_recorded_from_the_last_map_on_only():
    """They are the same as those of the whole network, of which nothing else is kept."""
    module, shown = network(), photo()
    classifier = load_classifier(module, window=WINDOW)
    kept = []
    first = module.trunk[0]
    handle = first.register_forward_hook(lambda _, __, output: kept.append(output.requires_grad))
    ours, _ = cam_method(classifier, "gradcam")(shown, GROUPS)
    assert kept
    assert not any(kept)
    with methods.GradCAM(module, "trunk.4") as cam:
        scores = module(photo_tensor(shown.pixels, classifier.preprocessing))
        theirs = cam(3, scores, normalized=False)[0][0]
    handle.remove()
    assert kept[-1]
    np.testing.assert_allclose(ours.heat, stretched(theirs, shown.hw), rtol=1e-3, atol=1e-7)


def test_a_next_layer_that_writes_over_the_map_does_no_harm():
    head = Function(
        lambda x, f: f["fc"](nn.functional.relu(x, inplace=True).mean((2, 3))), fc=nn.Linear(8, 5)
    )
    torch.manual_seed(0)
    module, shown = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), head), photo()
    classifier = load_classifier(module, window=WINDOW)
    ours, _ = cam_method(classifier, "gradcam")(shown, GROUPS)
    with methods.GradCAM(module, "0") as cam:
        scores = module(photo_tensor(shown.pixels, classifier.preprocessing))
        theirs = cam(3, scores, normalized=False)[0][0]
    np.testing.assert_allclose(ours.heat, stretched(theirs, shown.hw), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["cam", "gradcam"])
def test_the_photo_is_resized_to_whole_strides(kind):
    module, seen = network(), []
    module.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape[2:])))
    classifier = load_classifier(module, window=WINDOW)
    asked = []
    for scale, size in [(1.0, (61, 83)), (2.0, (29, 31)), (0.1, (17, 17))]:
        cam_method(classifier, kind, scale)(photo(*size), GROUPS)
        asked.append(seen[-1])
    assert asked == [(60, 84), (56, 64), (4, 4)]


@pytest.mark.parametrize("head", MEANS)
def test_heads_that_average_a_map_have_a_cam(head):
    method = cam_method(load_classifier(network(head), window=WINDOW), "cam")
    assert len(method(photo(WINDOW, WINDOW), GROUPS)) == 2


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("fc layers", "has 2 linear layers: compare with Grad-CAM"),
        ("convolution, then pool", "has 0 linear layers"),
        ("flatten", "are not: compare with Grad-CAM"),
        ("global max pool", "are not: compare with Grad-CAM"),
        ("pool, LayerNorm, linear", "are not"),
        ("BatchNorm1d", "are not"),
        ("scale and shift", "are not"),
    ],
)
def test_heads_that_do_not_are_refused(head, message):
    with pytest.raises(ModelError, match=message):
        cam_method(load_classifier(network(head), window=WINDOW), "cam")


def test_a_network_that_takes_one_size_only_is_told():
    method = cam_method(load_classifier(network("flatten"), window=WINDOW), "gradcam")
    with pytest.raises(ModelError, match="no Grad-CAM of Classifier: mat1 and mat2"):
        method(photo(), GROUPS)


def test_a_network_without_a_map_is_told():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * WINDOW * WINDOW, 5))
    for kind in ("cam", "gradcam"):
        with pytest.raises(ModelError, match="CAM of Sequential: specify"):
            cam_method(load_classifier(flat, window=WINDOW), kind)


def test_scales_that_make_no_sense_are_refused():
    method = cam_method(load_classifier(network(), window=WINDOW), "cam", -1)
    with pytest.raises(GeometryError, match="scale is -1"):
        method(photo(), GROUPS)


def test_without_torchcam_the_error_says_what_to_install(monkeypatch):
    classifier = load_classifier(network(), window=WINDOW)
    monkeypatch.setitem(sys.modules, "torchcam", None)
    monkeypatch.setitem(sys.modules, "torchcam.methods", None)
    for kind in ("cam", "gradcam"):
        with pytest.raises(ModelError, match=r"^CAM needs torchcam: pip install torchcam$"):
            cam_method(classifier, kind)


def test_nothing_is_logged(caplog):
    with caplog.at_level(logging.DEBUG):
        cam_method(load_classifier(network(), window=WINDOW), "cam")(photo(), GROUPS)
    assert caplog.records == []
    assert logging.getLogger("torchcam").level == logging.NOTSET
