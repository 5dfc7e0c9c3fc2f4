"""What cannot be adapted, and why, in one line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from torch import nn

import heatmap
from heatmap import ConversionError, GeometryError, ModelError, adapt, load_classifier
from tests.support.networks import Classifier as Network
from tests.support.networks import Trunk, heads, randomise, scenes


class Flat(nn.Module):
    """No trunk at all."""

    def forward(self, photo):
        return photo.flatten(1)[:, :4]


@pytest.mark.few(4)
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"head": "cone"}, "head is 'cone': choose one of fc, pool, spp"),
        ({"head": "spp", "levels": (9, 1)}, "levels are 9, 1: give grids of 1 to 7 bins"),
        ({"head": "spp", "levels": ()}, "levels are none"),
        ({"num_classes": 0}, "num_classes is 0: give 1 or more"),
        ({"class_names": ["a", "b", "a"]}, "class name 'a' is given twice"),
        ({"class_names": []}, "class_names is empty"),
        ({"num_classes": 3, "class_names": ["a", "b"]}, "num_classes is 3, 2 class names"),
        ({"freeze": "most"}, "freeze is 'most': give trunk, none, or a number"),
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


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("head", "lost"),
    [
        ("global max pool", "a maximum over positions"),
        ("softmax", "softmax after its last layer"),
        ("convolution, then pool", "relu after its last layer"),
    ],
)
def test_classes_are_not_kept_where_the_head_cannot_be(head, lost):
    original = load_classifier(randomise(Network(heads()[head]), 32), window=32)
    with pytest.raises(ModelError, match=lost):
        adapt(original)
    assert adapt(original, num_classes=2).classes.names == ("class 0", "class 1")
