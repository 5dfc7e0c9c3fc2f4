"""Networks with another window, other classes and another head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import heatmap
from heatmap import GeometryError, adapt, load_classifier
from heatmap.conversion.check import relative_difference
from heatmap.conversion.layers import SliceHead, SlidingLinear
from tests.support.networks import Classifier as Network
from tests.support.networks import heads, randomise, scenes


def test_an_adapted_network_has_the_known_table_and_totals(flattening):
    """In small what test_adapt_vgg16.py says of VGG16 at 400 px."""
    adapted = adapt(flattening, window=47, class_names=["a", "b", "c"], softmax=True)
    table = heatmap.summary(adapted)
    behind_trunk = [(row.kind, row.shape, row.parameters) for row in table.rows][-6:]
    assert behind_trunk == [
        ("Conv2d", (16, 1, 1), 11 * 11 * 8 * 16 + 16),
        ("ReLU", (16, 1, 1), 0),
        ("Dropout", (16, 1, 1), 0),
        ("Conv2d", (3, 1, 1), 16 * 3 + 3),
        ("AdaptiveAvgPool2d", (3, 1, 1), 0),
        ("Softmax", (3, 1, 1), 0),
    ]
    trainable = 11 * 11 * 8 * 16 + 16 + 16 * 3 + 3
    trunk = sum(tensor.numel() for tensor in flattening.module.trunk.parameters())
    assert (table.trainable, table.parameters - table.trainable) == (trainable, trunk)
    assert [row.trainable for row in table.rows[:-6]] == [0] * (len(table.rows) - 6)
    assert table.rows[-6].detail == "11 x 11, 8 to 16"


def test_a_larger_photo_gets_a_grid_and_its_mean(flattening):
    module = adapt(flattening, window=47, num_classes=3, softmax=True).module
    photo = scenes(1, 47 + 12, 47 + 8, seed=2)
    with torch.inference_mode():
        grid, vector = module.score_grid(photo), module(photo)
    assert grid.shape == (1, 3, 4, 3)
    assert torch.allclose(vector, grid.mean(dim=(2, 3)).softmax(1), atol=1e-6)
    assert grid.std() > 0


@pytest.mark.parametrize("head", ["pool", "spp"])
def test_pools_give_one_vector_for_any_size(flattening, head):
    adapted = adapt(flattening, window=47, num_classes=3, head=head)
    with torch.inference_mode():
        for side in (47, 48, 90):
            assert adapted.module(scenes(1, side, side, seed=3)).shape == (1, 3)
    weight = adapted.module.head[1].weight.flatten(1)
    assert torch.equal(weight, flattening.module.head[1].weight) == (head == "pool")


def test_averaging_changes_nothing_at_one_window(flattening):
    average = adapt(flattening, window=47, num_classes=3).module
    plain = adapt(flattening, window=47, num_classes=3, average=False).module
    window = scenes(2, 47, 47, seed=1)
    assert torch.equal(average(window), plain(window))
    with pytest.raises(GeometryError, match="photo holds 3 windows"):
        plain(scenes(1, 55, 50, seed=1))
    assert average(scenes(1, 55, 50, seed=1)).shape == (1, 3)


def test_fc_is_a_convolution_over_the_whole_map_and_slides_as_one(flattening):
    found = adapt(flattening, window=47, num_classes=3)
    assert found.adaptation.map_side == 11
    assert found.module.head[0].kernel_size == (11, 11)
    network = heatmap.convert(found.module, 47)
    first = next(part for part in network.head.modules() if isinstance(part, SlidingLinear))
    assert first.kernel_size == (11, 11)
    photo = scenes(1, 47 + 8, 47 + 12, seed=4)
    with torch.inference_mode():
        slid, whole = network(photo), found.module.score_grid(photo)
        crops = [
            found.module(photo[:, :, y : y + 47, x : x + 47]) for y in (0, 4, 8) for x in (0, 4)
        ]
    assert relative_difference(slid, whole) < 1e-5
    # Without padding sliding is cropping.
    assert relative_difference(slid[0, :, :, :2].flatten(1).T, torch.cat(crops)) < 1e-5


@pytest.mark.few(3)
@pytest.mark.parametrize("head", ["fc", "pool", "spp"])
@pytest.mark.parametrize("kind", ["averaging", "flattening"])
def test_every_head_slides_exactly(request, kind, head):
    found = adapt(
        request.getfixturevalue(kind),
        window=47,
        num_classes=3,
        head=head,
        levels=(3, 1),
        softmax=True,
    )
    network = heatmap.convert(found.module, 47)
    assert found.outputs == "probabilities"
    photo = scenes(1, 47, 47, seed=5)
    with torch.inference_mode():
        expected = found.module(photo)
        assert relative_difference(network(photo)[:, :, 0, 0], expected) < 1e-5
        assert relative_difference(expected, found.module(-photo)) > 1e-3
    assert isinstance(network.head, SliceHead) == (
        head == "spp" or (kind == "flattening" and head == "pool")
    )


def test_a_head_of_its_own_kind_is_the_default(averaging, flattening):
    assert adapt(averaging, num_classes=3).adaptation.head == "pool"
    assert adapt(flattening, num_classes=3).adaptation.head == "fc"


def test_an_averaging_network_keeps_its_sharp_maps(averaging):
    scorer = heatmap.prepare(adapt(averaging, window=47, num_classes=3))
    assert scorer.positions_at(4) is not None


def test_what_has_its_shape_still_keeps_its_weights(flattening):
    first, last = flattening.module.head[1], flattening.module.head[4]
    same = adapt(flattening).module
    assert torch.equal(same.head[0].weight.flatten(1), first.weight)
    assert torch.equal(same.head[3].weight.flatten(1), last.weight)
    photo = scenes(2, 31, 31, seed=6)
    assert relative_difference(same(photo), flattening.module(photo)) < 1e-5
    others = adapt(flattening, num_classes=5).module
    assert torch.equal(others.head[0].weight.flatten(1), first.weight)
    assert not torch.equal(others.head[3].weight.flatten(1), last.weight)
    assert adapt(flattening).classes == flattening.classes


@pytest.mark.few(1)
@pytest.mark.parametrize("window", [31, 47, 23])
def test_resampled_weights_give_what_a_pool_before_the_trained_ones_gives(flattening, window):
    resampled = adapt(flattening, window=window, fc6="resampled")
    pooled = adapt(flattening, window=window, head="pool")
    photo = scenes(2, window, window, seed=8)
    expected = pooled.module(photo)
    assert relative_difference(resampled.module(photo), expected) < 1e-5
    assert relative_difference(expected[:1], expected[1:]) > 1e-3
    side = resampled.adaptation.map_side
    said = f"{side} x {side} x 8 x 16 resampled from 7 x 7"
    assert (said in resampled.weights) == (window != 31)
    assert ("re-initialised" in adapt(flattening, window=window).weights) == (window != 31)


def test_a_last_layer_without_a_bias_gets_zeros():
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5, bias=False))
    original = load_classifier(randomise(Network(head), 32), window=32)
    photo = scenes(2, 32, 32, seed=9)
    kept = adapt(original).module
    assert relative_difference(kept(photo), original.module(photo)) < 1e-5


@pytest.mark.slow
def test_layers_are_counted_as_they_are_computed():
    """Also where weights are worked out from others, and stand elsewhere."""
    found = adapt(load_classifier("timm/nf_resnet26", weights="random"), num_classes=2, freeze=1)
    first, second, *_ = found.module.layers()
    assert sum(one.numel() for one in first) == 64 * 3 * 7 * 7 + 64
    assert sum(not one.requires_grad for one in found.module.parameters()) == len(first)
    assert all(one.requires_grad for one in second)


def test_reinitialised_weights_keep_the_size_of_what_passes(averaging):
    """He et al.: variance 1 / fan-in where classes follow, 2 / fan-in before a ReLU."""
    wide = load_classifier(
        Network(
            nn.Sequential(nn.Flatten(), nn.Linear(512, 400), nn.ReLU(), nn.Linear(400, 300))
        ).eval(),
        window=32,
    )
    made = adapt(wide, window=48, num_classes=300).module.head
    assert made[0].weight.std().item() == pytest.approx((2 / (12 * 12 * 8)) ** 0.5, rel=0.02)
    assert made[2].weight.std().item() == pytest.approx((1 / 400) ** 0.5, rel=0.02)
    assert not made[0].bias.any()
    assert not made[2].bias.any()


def test_the_seed_decides_what_is_drawn_and_nothing_else_is(averaging):
    before = torch.random.get_rng_state()
    one, same, other = (adapt(averaging, num_classes=3, seed=seed) for seed in (1, 1, 2))
    assert one.weights_digest == same.weights_digest != other.weights_digest
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("freeze", "fixed"), [("trunk", 3), ("none", 0), (0, 0), ("2", 2), (4, 4), (5, 5)]
)
def test_freezing_fixes_whole_layers_from_the_photo_on(flattening, freeze, fixed):
    module = adapt(flattening, num_classes=3, freeze=freeze).module
    layers = [{one.requires_grad for one in layer} for layer in module.layers()]
    assert layers == [{False}] * fixed + [{True}] * (5 - fixed)


def test_the_original_shares_no_memory_with_what_was_made(averaging):
    averaging = replace(averaging, module=Network(heads()["BatchNorm1d"]).eval())
    found = adapt(averaging, num_classes=3, freeze="none")
    before = [one.clone() for one in averaging.module.state_dict().values()]
    with torch.no_grad():
        for one in found.module.parameters():
            one.add_(1)
    after = averaging.module.state_dict().values()
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("name", "head"),
    [
        pytest.param("resnet18", "fc", marks=pytest.mark.slow),
        pytest.param("squeezenet1_1", "pool", marks=pytest.mark.slow),
        ("squeezenet1_1", "spp"),
        pytest.param("mobilenet_v3_small", "pool", marks=pytest.mark.slow),
        pytest.param("timm/test_convnext", "fc", marks=pytest.mark.slow),
        pytest.param("timm/test_convnext", "spp", marks=pytest.mark.slow),
    ],
)
def test_known_networks_adapt_and_come_back_from_a_checkpoint(tmp_path, name, head):
    original = load_classifier(name, weights="random")
    found = adapt(original, window=160, class_names=["a", "b"], head=head, freeze=3)
    path = heatmap.save_checkpoint(found, tmp_path / "net.safetensors")
    again = load_classifier(path)
    photo = scenes(1, 160, 160, seed=7)
    assert torch.allclose(again.module(photo), found.module(photo), atol=1e-6)
    assert again.weights_digest == found.weights_digest
    assert again.adaptation == found.adaptation
    assert again.preprocessing.window_px == 160
    assert again.classes.names == ("a", "b")
    wants = [one.requires_grad for one in again.module.parameters()]
    assert wants == [one.requires_grad for one in found.module.parameters()]
    assert set(wants) == {True, False}


@pytest.mark.slow
def test_layers_keep_their_names_in_tables_and_checkpoints():
    adapted = adapt(load_classifier("timm/resnet10t", weights="random"), num_classes=2)
    assert "trunk.layer1.0.conv1.weight" in adapted.module.state_dict()
    assert "layer4.0.conv2" in [row.path for row in heatmap.summary(adapted).rows]


def test_an_adapted_network_is_scored_as_any_other(flattening):
    found = adapt(flattening, window=47, class_names=["a", "b", "c"])
    photo = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    slid = heatmap.prepare(found, engine="slide").score(photo)
    cropped = heatmap.prepare(found, engine="crop").score(photo)
    assert slid.scores.shape == cropped.scores.shape
    assert np.abs(slid.scores - cropped.scores).max() < 1e-5 * np.abs(cropped.scores).max()
