"""Networks with another window, other classes and another head."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import heatmap
from heatmap import ConversionError, GeometryError, ModelError, adapt, load_classifier
from heatmap.conversion.check import relative_difference
from heatmap.conversion.layers import SliceHead, SlidingLinear
from tests.support.networks import Classifier as Network
from tests.support.networks import Trunk, heads, randomise, scenes

# VGG16 at 400 px with three classes, as the first user of this package printed it.
VGG16_AT_400 = [
    ("Conv2d", (64, 400, 400), 1_792),
    ("ReLU", (64, 400, 400), 0),
    ("Conv2d", (64, 400, 400), 36_928),
    ("ReLU", (64, 400, 400), 0),
    ("MaxPool2d", (64, 200, 200), 0),
    ("Conv2d", (128, 200, 200), 73_856),
    ("ReLU", (128, 200, 200), 0),
    ("Conv2d", (128, 200, 200), 147_584),
    ("ReLU", (128, 200, 200), 0),
    ("MaxPool2d", (128, 100, 100), 0),
    ("Conv2d", (256, 100, 100), 295_168),
    ("ReLU", (256, 100, 100), 0),
    ("Conv2d", (256, 100, 100), 590_080),
    ("ReLU", (256, 100, 100), 0),
    ("Conv2d", (256, 100, 100), 590_080),
    ("ReLU", (256, 100, 100), 0),
    ("MaxPool2d", (256, 50, 50), 0),
    ("Conv2d", (512, 50, 50), 1_180_160),
    ("ReLU", (512, 50, 50), 0),
    ("Conv2d", (512, 50, 50), 2_359_808),
    ("ReLU", (512, 50, 50), 0),
    ("Conv2d", (512, 50, 50), 2_359_808),
    ("ReLU", (512, 50, 50), 0),
    ("MaxPool2d", (512, 25, 25), 0),
    ("Conv2d", (512, 25, 25), 2_359_808),
    ("ReLU", (512, 25, 25), 0),
    ("Conv2d", (512, 25, 25), 2_359_808),
    ("ReLU", (512, 25, 25), 0),
    ("Conv2d", (512, 25, 25), 2_359_808),
    ("ReLU", (512, 25, 25), 0),
    ("MaxPool2d", (512, 12, 12), 0),
    ("Conv2d", (4096, 1, 1), 301_993_984),
    ("ReLU", (4096, 1, 1), 0),
    ("Dropout", (4096, 1, 1), 0),
    ("Conv2d", (4096, 1, 1), 16_781_312),
    ("ReLU", (4096, 1, 1), 0),
    ("Dropout", (4096, 1, 1), 0),
    ("Conv2d", (3, 1, 1), 12_291),
    ("AdaptiveAvgPool2d", (3, 1, 1), 0),
    ("Softmax", (3, 1, 1), 0),
]


@pytest.fixture(scope="module")
def vgg16():
    return load_classifier("vgg16", weights="random")


@pytest.fixture(scope="module")
def vgg16_at_400(vgg16):
    return adapt(vgg16, window=400, class_names=["brick", "grass", "gravel"], softmax=True)


@pytest.fixture
def averaging():
    """A network that averages over its map, as ResNet does: window 32, stride 4, map 8 x 8."""
    module = randomise(Network(heads()["global pool"]), 32)
    return load_classifier(module, window=32)


@pytest.fixture
def flattening():
    """One that flattens its map, as VGG does, with a hidden layer; without padding, map 7 x 7."""
    head = nn.Sequential(
        nn.Flatten(), nn.Linear(8 * 7 * 7, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 5)
    )
    return load_classifier(randomise(Network(head, padding=0), 31), window=31)


def test_vgg16_at_400_has_the_known_table_and_totals(vgg16_at_400):
    found = heatmap.summary(vgg16_at_400)
    assert [(row.kind, row.shape, row.parameters) for row in found.rows] == VGG16_AT_400
    assert (found.trainable, found.parameters - found.trainable) == (318_787_587, 14_714_688)
    assert found.parameters == 333_502_275
    assert [row.trainable for row in found.rows[:31]] == [0] * 31
    assert found.rows[30].path == "features.30"
    assert found.rows[31].detail == "12 x 12, 512 to 4096"


def test_vgg16_at_400_gives_a_larger_photo_a_grid_and_its_mean(vgg16_at_400):
    photo = scenes(1, 777, 777, seed=2)
    with torch.inference_mode():
        grid = vgg16_at_400.module.score_grid(photo)
        vector = vgg16_at_400.module(photo)
    # (777 - 400) // 32 + 1
    assert grid.shape == (1, 3, 12, 12)
    assert torch.allclose(vector, grid.mean(dim=(2, 3)).softmax(1), atol=1e-6)
    assert grid.std() > 0


@pytest.mark.parametrize(("head", "parameters"), [("pool", 134_272_835), ("spp", 75_552_579)])
def test_vgg16_with_pools_gives_one_vector_for_any_size(vgg16, head, parameters):
    found = adapt(vgg16, window=400, num_classes=3, head=head)
    assert sum(one.numel() for one in found.module.parameters()) == parameters
    with torch.inference_mode():
        for side in (400, 401, 777):
            assert found.module(scenes(1, side, side, seed=3)).shape == (1, 3)
    kept = torch.equal(found.module.head[1].weight.flatten(1), vgg16.module.classifier[0].weight)
    assert kept == (head == "pool")


def test_averaging_changes_nothing_at_one_window(flattening):
    average = adapt(flattening, window=47, num_classes=3).module
    plain = adapt(flattening, window=47, num_classes=3, average=False).module
    window = scenes(2, 47, 47, seed=1)
    assert torch.equal(average(window), plain(window))
    with pytest.raises(GeometryError, match="3 x 1 windows"):
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
    assert network.outputs == "probabilities"
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


@pytest.mark.parametrize(
    ("head", "lost"),
    [
        ("global max pool", "a maximum over positions"),
        ("softmax", "softmax behind its last layer"),
        ("convolution, then pool", "relu behind its last layer"),
    ],
)
def test_classes_are_not_kept_where_the_head_cannot_be(head, lost):
    original = load_classifier(randomise(Network(heads()[head]), 32), window=32)
    with pytest.raises(ModelError, match=lost):
        adapt(original)
    assert adapt(original, num_classes=2).classes.names == ("class 0", "class 1")


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
        ("resnet18", "fc"),
        ("squeezenet1_1", "pool"),
        ("squeezenet1_1", "spp"),
        ("mobilenet_v3_small", "pool"),
        ("timm/test_convnext", "fc"),
        ("timm/test_convnext", "spp"),
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


def test_layers_keep_their_names_in_tables_and_checkpoints():
    found = adapt(load_classifier("resnet18", weights="random"), num_classes=2)
    assert "trunk.layer1.0.conv1.weight" in found.module.state_dict()
    assert "layer4.1.conv2" in [row.path for row in heatmap.summary(found).rows]


def test_an_adapted_network_is_scored_as_any_other(flattening):
    found = adapt(flattening, window=47, class_names=["a", "b", "c"])
    photo = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    slid = heatmap.prepare(found, engine="slide").score(photo)
    cropped = heatmap.prepare(found, engine="crop").score(photo)
    assert slid.scores.shape == cropped.scores.shape
    assert np.abs(slid.scores - cropped.scores).max() < 1e-5 * np.abs(cropped.scores).max()


class Flat(nn.Module):
    """No trunk at all."""

    def forward(self, photo):
        return photo.flatten(1)[:, :4]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"head": "cone"}, "head is 'cone': choose one of fc, pool, spp"),
        ({"head": "spp", "levels": (9, 1)}, "levels are 9, 1: give grids of 1 to 7 bins"),
        ({"head": "spp", "levels": ()}, "levels are none"),
        ({"num_classes": 0}, "num_classes is 0: give 1 or more"),
        ({"class_names": ["a", "b", "a"]}, "class name 'a' is given twice"),
        ({"freeze": "most"}, "freeze is 'most': give trunk, none, or how many"),
        ({"freeze": 6}, "6 layers cannot be frozen: the network has 5"),
        ({"fc6": "old"}, "fc6 is 'old': choose one of reinitialised, resampled"),
        ({"window": 3}, "a window of 3 px is too small"),
        ({"window": 100_000}, "window is 100000 px: give 8192 px or less"),
        ({"window": -1}, "window is -1"),
        ({"class_names": "nowhere.txt"}, "nowhere.txt: class names cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_refused(flattening, options, said):
    with pytest.raises(ModelError, match=said):
        adapt(flattening, **options)


def test_networks_without_a_usable_head_are_refused(flattening):
    gated = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.GLU(), nn.Linear(4, 5))
    with pytest.raises(ModelError, match="no convolutional form"):
        adapt(load_classifier(Network(gated).eval(), window=32), num_classes=2)
    bare = nn.Sequential(Trunk(), nn.AdaptiveMaxPool2d(1), nn.Flatten()).eval()
    with pytest.raises(ModelError, match="no layer with weights"):
        adapt(load_classifier(bare, window=32), num_classes=2)
    with pytest.raises(ConversionError, match="there is no trunk"):
        adapt(load_classifier(Flat(), window=8), num_classes=2)
    with pytest.raises(ModelError, match="is adapted already: adapt the original"):
        adapt(adapt(flattening, num_classes=2), num_classes=3)


def test_a_photo_below_the_window_is_one_line(flattening):
    with pytest.raises(GeometryError, match="map of 7 x 7 positions, the head needs 11 x 11"):
        adapt(flattening, window=47, num_classes=2).module(scenes(1, 31, 31, seed=0))


def test_a_damaged_description_is_refused(tmp_path, averaging):
    found = replace(adapt("squeezenet1_1", weights="random", num_classes=2), name="net")
    path = heatmap.save_checkpoint(found, tmp_path / "net.safetensors")
    described = json.loads(path.with_suffix(".json").read_text())
    for broken in ({"head": "fc"}, {**described["adaptation"], "levels": 3}, "fc"):
        path.with_suffix(".json").write_text(json.dumps({**described, "adaptation": broken}))
        with pytest.raises(ModelError, match="description does not fit"):
            load_classifier(path)
