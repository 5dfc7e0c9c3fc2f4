"""The outputs of real architectures are recognised, with and without something behind them.

One network of each kind at a small window always; with `-m slow` all of torchvision's CNN
classifiers, and some of timm's families.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from torch import nn

import heatmap
from heatmap import Scorer
from heatmap.networks.model_names import library_names
from tests.support.networks import randomise
from tests.support.scoring import photo
from tests.support.zoo import build

# Small windows, for speed; those that are too small for a network, or that it cannot have.
WINDOW = 64
WINDOWS = {
    "alexnet": 96,
    "inception_v3": 139,
    "timm/inception_v4": 139,
    "timm/nasnetalarge": 139,
    "timm/legacy_xception": 96,
    "timm/test_vit": 160,
    "timm/swin_tiny_patch4_window7_224": 224,
}
ENDS = {
    "logits": nn.Identity(),
    "probabilities": nn.Softmax(1),
    "independent probabilities": nn.Sigmoid(),
}
NO_CNN = ("vit_", "swin_", "maxvit_")
TORCHVISION = [name for name in library_names().torchvision if not name.startswith(NO_CNN)]
TIMM = (
    "convnextv2_atto cspresnet50 densenet121 dla34 dpn48b ese_vovnet19b_dw fasternet_t0 "
    "ghostnet_100 hrnet_w18_small inception_v4 legacy_xception mobilenetv4_conv_small "
    "nasnetalarge nf_resnet26 poolformer_s12 regnety_002 repvgg_a0 res2net50_26w_4s "
    "resnest14d resnetv2_50x1_bit rexnet_100 skresnet18 starnet_s1 "
    "swin_tiny_patch4_window7_224 test_convnext tf_efficientnet_lite0 test_vit"
).split()
ALWAYS = ("squeezenet1_1",)


def engines(module: nn.Module, window: int) -> list[Scorer]:
    """A scorer that crops, and one that slides where that is possible."""
    cropping = heatmap.prepare(module, window=window, engine="crop")
    if cropping.sliding == "refused":
        return [cropping]
    return [cropping, replace(cropping, engine="slide")]


def probable(logits: np.ndarray, kind: str) -> np.ndarray:
    if kind == "independent probabilities":
        return 1 / (1 + np.exp(-logits.astype(float)))
    powers = np.exp(logits.astype(float) - logits.max(axis=2, keepdims=True))
    return powers / powers.sum(axis=2, keepdims=True)


def check(name: str) -> None:
    window = WINDOWS.get(name, WINDOW)
    module, _ = build(name)
    randomise(module, window)
    pixels = photo(window, window + 32)
    logits: dict[str, np.ndarray] = {}
    for kind, end in ENDS.items():
        for scorer in engines(nn.Sequential(module, end).eval(), window):
            assert scorer.classifier.outputs == kind
            grid = scorer.score(pixels)
            assert grid.kind == kind
            plain = logits.setdefault(scorer.engine, grid.scores)
            np.testing.assert_allclose(grid.probabilities(), probable(plain, kind), atol=1e-4)


def test_a_network_without_training_gives_logits():
    """Of which some vanish on their way through the layers."""
    module, _ = build("mnasnet0_5")
    assert heatmap.load_classifier(module, window=WINDOW).outputs == "logits"


@pytest.mark.slow
@pytest.mark.parametrize("name", ALWAYS)
def test_network_of_every_kind_is_understood(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCHVISION)
def test_every_torchvision_cnn_is_understood(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [f"timm/{name}" for name in TIMM])
def test_many_of_timm_are_understood(name):
    check(name)
