"""VGG16 at 400 px, as docs/how-it-works/fc-to-conv.md describes it."""

from __future__ import annotations

import pytest
import torch

import heatmap
from heatmap import adapt, load_classifier
from tests.support.networks import scenes

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


@pytest.mark.slow
def test_vgg16_at_400_has_the_known_table_and_totals(vgg16_at_400):
    found = heatmap.summary(vgg16_at_400)
    assert [(row.kind, row.shape, row.parameters) for row in found.rows] == VGG16_AT_400
    assert (found.trainable, found.parameters - found.trainable) == (318_787_587, 14_714_688)
    assert found.parameters == 333_502_275
    assert [row.trainable for row in found.rows[:31]] == [0] * 31
    assert found.rows[30].path == "features.30"
    assert found.rows[31].detail == "12 x 12, 512 to 4096"


@pytest.mark.slow
def test_vgg16_at_400_gives_a_larger_photo_a_grid_and_its_mean(vgg16_at_400):
    photo = scenes(1, 777, 777, seed=2)
    with torch.inference_mode():
        grid = vgg16_at_400.module.score_grid(photo)
        vector = vgg16_at_400.module(photo)
    # (777 - 400) // 32 + 1
    assert grid.shape == (1, 3, 12, 12)
    assert torch.allclose(vector, grid.mean(dim=(2, 3)).softmax(1), atol=1e-6)
    assert grid.std() > 0


@pytest.mark.slow
@pytest.mark.parametrize(("head", "parameters"), [("pool", 134_272_835), ("spp", 75_552_579)])
def test_vgg16_with_pools_gives_one_vector_for_any_size(vgg16, head, parameters):
    found = adapt(vgg16, window=400, num_classes=3, head=head)
    assert sum(one.numel() for one in found.module.parameters()) == parameters
    with torch.inference_mode():
        for side in (400, 401, 777):
            assert found.module(scenes(1, side, side, seed=3)).shape == (1, 3)
    kept = torch.equal(found.module.head[1].weight.flatten(1), vgg16.module.classifier[0].weight)
    assert kept == (head == "pool")
