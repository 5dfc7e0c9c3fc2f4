"""The layer table: known figures of VGG16 and ResNet18, and what the sizes mean."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

import heatmap
from heatmap import GeometryError, load_classifier, summary
from heatmap.conversion.shapes import peak_bytes, shapes_at
from heatmap.conversion.trace import trace
from tests.support.local_networks import EVEN, excitation, network
from tests.support.networks import WINDOW, heads, slice_heads, small_classifier
from tests.support.scoring import padded


@pytest.fixture(scope="module")
def vgg16():
    return summary(load_classifier("vgg16", weights="random"), photo_size=(400, 400))


@pytest.mark.slow
def test_vgg16_at_400_has_a_6_x_6_grid_and_known_totals(vgg16):
    assert vgg16.grid_hw == (6, 6)
    assert vgg16.parameters == vgg16.trainable == 138_357_544
    assert vgg16.unused == 0
    assert vgg16.native_stride_px == 32


@pytest.mark.slow
def test_vgg16_shows_fc6_as_a_7_x_7_convolution(vgg16):
    fc6, fc7, fc8 = (row for row in vgg16.rows if row.path.startswith("classifier") and row.detail)
    assert (fc6.kind, fc6.detail) == ("Conv2d", "7 x 7, 512 to 4096")
    assert (fc6.parameters, fc6.shape, fc6.field_px) == (102_764_544, (4096, 6, 6), 404)
    assert (fc7.detail, fc7.parameters) == ("1 x 1, 4096 to 4096", 16_781_312)
    assert (fc8.detail, fc8.shape) == ("1 x 1, 4096 to 1000", (1000, 6, 6))


@pytest.mark.slow
def test_vgg16_trunk_rows_have_the_shapes_of_the_network(vgg16):
    with torch.device("meta"):
        kinds = [type(layer).__name__ for layer in torchvision.models.vgg16().features]
    trunk = [row for row in vgg16.rows if row.path.startswith("features")]
    assert [row.kind for row in trunk] == kinds
    assert trunk[-1].shape == (512, 12, 12)
    assert (trunk[-1].stride_px, trunk[-1].field_px) == (32, 212)


@pytest.mark.slow
def test_resnet18_counts_every_parameter_once_and_keeps_batch_norm_rows():
    found = summary(load_classifier("resnet18", weights="random"))
    assert found.parameters == sum(row.parameters for row in found.rows) == 11_689_512
    assert sum(row.kind == "BatchNorm2d" for row in found.rows) == 20


def test_layers_that_no_output_passes_are_counted_as_unused():
    module = copy.deepcopy(padded("fc layers"))
    module.auxiliary = nn.Linear(7, 3)
    table = summary(load_classifier(module, window=WINDOW))
    assert table.unused == 7 * 3 + 3
    assert table.parameters - table.unused == sum(row.parameters for row in table.rows)


@pytest.mark.slow
def test_auxiliary_heads_are_counted_as_unused():
    module = torchvision.models.googlenet(aux_logits=True, init_weights=False).eval()
    found = summary(load_classifier(module, window=224))
    auxiliary = [*module.aux1.parameters(), *module.aux2.parameters()]
    assert found.unused == sum(parameter.numel() for parameter in auxiliary) > 0
    assert found.parameters - found.unused == sum(row.parameters for row in found.rows)


@pytest.mark.slow
def test_standardised_weights_keep_their_count():
    found = summary(load_classifier("timm/nf_resnet26", weights="random"))
    convolutions = [row for row in found.rows if row.kind == "Conv2d"]
    assert all(row.parameters == row.trainable > 0 for row in convolutions)
    assert found.unused == 0


def test_frozen_layers_are_not_trainable():
    module = copy.deepcopy(padded("fc layers"))
    for parameter in module.trunk.parameters():
        parameter.requires_grad_(False)
    found = summary(load_classifier(module, window=WINDOW))
    frozen = sum(p.numel() for p in module.trunk.parameters())
    assert found.parameters - found.trainable == frozen
    assert {
        row.trainable > 0 for row in found.rows if row.path.startswith("trunk.") and row.parameters
    } == {False}
    assert all(row.trainable == row.parameters for row in found.rows if row.path.startswith("head"))


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["pool, LayerNorm, linear", "BatchNorm1d", "softmax"])
def test_parameters_of_every_head_are_counted(name):
    found = summary(
        load_classifier(small_classifier(heads()[name]), window=WINDOW), photo_size=(40, 48)
    )
    assert found.unused == 0
    assert found.grid_hw == (5, 3)
    assert found.rows[-1].shape[-2:] == (5, 3)


def test_a_head_that_runs_slice_by_slice_shows_its_layers_on_one_slice():
    found = summary(
        load_classifier(small_classifier(slice_heads()["LayerNorm on positions"]), window=WINDOW)
    )
    assert [(row.kind, row.detail, row.shape) for row in found.rows[-2:]] == [
        ("LayerNorm", "on each 8 x 8", (512,)),
        ("Linear", "on each 8 x 8", (5,)),
    ]
    assert [row.parameters for row in found.rows[-2:]] == [2 * 512, 5 * 512 + 5]
    assert sum(row.parameters for row in found.rows) == found.parameters
    assert found.unused == 0


def test_sizes_are_bytes_of_float32():
    module = padded("fc layers")
    side = WINDOW + 12
    table = summary(load_classifier(module, window=WINDOW), photo_size=(side, side))
    assert table.input_bytes == 4 * 3 * side * side
    assert table.parameter_bytes == 4 * sum(weights.numel() for weights in module.parameters())
    assert table.activation_bytes == sum(4 * torch.Size(row.shape).numel() for row in table.rows)


@pytest.mark.slow
def test_sizes_of_vgg16_are_bytes_of_float32(vgg16):
    assert vgg16.input_bytes == 4 * 3 * 384 * 384
    assert vgg16.parameter_bytes == 4 * 138_357_544
    assert vgg16.activation_bytes == sum(4 * torch.Size(row.shape).numel() for row in vgg16.rows)


def test_peak_counts_what_is_alive_and_not_what_is_gone():
    chain = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 8, 1), nn.Conv2d(8, 2, 1), nn.Flatten()
    )
    body = trace(nn.Sequential(chain, nn.Linear(2 * 8 * 8, 2)).eval(), 8).body
    shapes = shapes_at(body, (1, 3, 8, 8))
    # Widest moment: 4 channels read while 8 are written; the input stays with its owner.
    assert peak_bytes(body, shapes) == 4 * 8 * 8 * (4 + 8)


def test_layers_that_look_at_their_whole_input_are_shown_with_the_statistics_asked_for():
    module = network(excitation(), window=EVEN)
    whole, local = (
        summary(module, window=EVEN, statistics=statistics, photo_size=(2 * EVEN, EVEN))
        for statistics in (None, "local")
    )
    # A pooled value for the photo, and one for each position of the map of stride 4.
    down = [
        next(row for row in found.rows if row.path.endswith("down")) for found in (whole, local)
    ]
    assert [row.shape for row in down] == [(4, 1, 1), (4, EVEN // 4, 2 * EVEN // 4)]
    with pytest.raises(GeometryError, match="statistics is 'near'"):
        summary(module, window=EVEN, statistics="near")


def test_photo_smaller_than_the_window_is_refused():
    with pytest.raises(GeometryError, match="photo is 300 x 100 px, the window is 224 px"):
        summary(load_classifier("resnet18", weights="random"), photo_size=(300, 100))


@pytest.mark.slow
def test_vgg16_scores_400_px_photos_on_6_x_6_windows_with_an_exact_head():
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    scorer = heatmap.prepare("vgg16", weights="random", engine="slide")
    report = heatmap.verify(noise, scorer, windows=4, scales=1.0, border="valid")
    assert report.worst.grid.scores.shape == (6, 6, 1000)
    assert report.head.slices == 36
    assert report.head.relative < 1e-5
