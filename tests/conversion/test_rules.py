"""What slides, what is refused, and why: networks that once gave wrong scores or a traceback."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from heatmap import ConversionError, convert, load_classifier, prepare, verify
from heatmap.conversion.check import relative_difference
from heatmap.conversion.layers import SliceHead
from tests.support.networks import WINDOW, Classifier, Function, crops, randomise

STRIDE = 4
FLAT = 8 * 7 * 7


def unpadded(head: nn.Module) -> nn.Module:
    """A padding-free trunk (7 x 7 positions of 8 channels at one window) and a head."""
    torch.manual_seed(0)
    return randomise(Classifier(head, padding=0), WINDOW)


def pools(maps):
    return maps.mean((2, 3)), maps.amax((2, 3))


def halves(maps):
    return maps.view(-1, 2, 4, 7, 7)


SLIDES = {
    "rows and columns swapped, pooled": (
        lambda x, f: f["fc"](x.transpose(2, 3).mean((2, 3))),
        {"fc": nn.Linear(8, 5)},
    ),
    "rows and columns swapped, flattened": (
        lambda x, f: f["fc"](x.transpose(2, 3).flatten(1)),
        {"fc": nn.Linear(FLAT, 5)},
    ),
    "all axes turned around": (
        lambda x, f: f["fc"](x.permute(0, 3, 2, 1).flatten(1)),
        {"fc": nn.Linear(FLAT, 5)},
    ),
    "channels in groups at the end of the trunk": (
        lambda x, f: f["fc"](halves(x).flatten(1)),
        {"fc": nn.Linear(FLAT, 5)},
    ),
    "channels in reverse": (
        lambda x, f: f["fc"](x.flip(1).flatten(1)),
        {"fc": nn.Linear(FLAT, 5)},
    ),
    "average plus maximum": (
        lambda x, f: f["fc"](sum(pools(x))),
        {"fc": nn.Linear(8, 5)},
    ),
    "one gate for all channels": (
        lambda x, f: f["fc"](x.mean((2, 3)) * f["gate"](x.mean((2, 3)))),
        {"fc": nn.Linear(8, 5), "gate": nn.Linear(8, 1)},
    ),
    "outer product": (
        lambda x, f: f["fc"]((pools(x)[0][:, None] * pools(x)[1][:, :, None]).flatten(1)),
        {"fc": nn.Linear(64, 5)},
    ),
    "mean over channels too": (
        lambda x, f: f["fc"](x.mean((2, 3)) * x.mean((1, 2, 3))[:, None]),
        {"fc": nn.Linear(8, 5)},
    ),
    "mean over the channels of a cell": (
        lambda x, f: f["fc"](
            (x.mean((2, 3), True) - x.mean((2, 3), True).mean(1, True)).flatten(1)
        ),
        {"fc": nn.Linear(8, 5)},
    ),
    "channels shuffled in one branch": (
        lambda x, f: f["fc"](
            torch.cat([pools(halves(x).transpose(1, 2).reshape(x.shape))[0], pools(x)[1]], 1)
        ),
        {"fc": nn.Linear(16, 5)},
    ),
    "BatchNorm1d over one channel": (
        lambda x, f: f["fc"](f["norm"](x.mean((2, 3))[:, None]).flatten(1)),
        {"fc": nn.Linear(8, 5), "norm": nn.BatchNorm1d(1)},
    ),
    "convolution over the whole map, squeezed": (
        lambda x, f: f["conv"](x).squeeze(-1).squeeze(-1),
        {"conv": nn.Conv2d(8, 5, 7)},
    ),
}


@pytest.mark.few(4)
@pytest.mark.parametrize("name", SLIDES)
def test_sliding_without_padding_equals_the_original_on_crops(name):
    function, layers = SLIDES[name]
    module = unpadded(Function(function, **layers))
    photos = torch.randn(
        2, 3, WINDOW + 3 * STRIDE, WINDOW + STRIDE, generator=torch.Generator().manual_seed(3)
    )
    network = convert(module, WINDOW)
    with torch.inference_mode():
        found, expected = network(photos), crops(module, photos)
    assert network.sliding == "exact"
    assert not network.padded
    assert expected.std(dim=(2, 3)).max() > 1e-3, "cells must differ or nothing is compared"
    assert found.shape == expected.shape == (2, 5, 4, 2)
    assert relative_difference(found, expected) < 1e-5


def pooled(function, **layers: nn.Module) -> Function:
    """Something done to the map, then mean and a linear layer."""
    return Function(lambda x, f: f["fc"](function(x, f).mean((2, 3))), fc=nn.Linear(8, 5), **layers)


def overwritten_view(x, f):
    base = x * 1.0
    view = base.view(1, 8, 49)
    base.relu_()
    return view.view(1, 8, 7, 7)


def overwritten_sibling(x, f):
    base = x * 1.0
    first, second = base.view(1, 8, 49), base.view(1, 2, 196)
    first.relu_()
    return second.reshape(1, 8, 7, 7)


REFUSED = {
    "view of a tensor that is overwritten": (pooled(overwritten_view), "used again"),
    "two views, one overwritten": (pooled(overwritten_sibling), "used again"),
    "BatchNorm without statistics": (
        pooled(lambda x, f: f["norm"](x), norm=nn.BatchNorm2d(8, track_running_stats=False)),
        "no running statistics",
    ),
    "mean over the batch": (pooled(lambda x, f: x - 2 * x.mean(0, True)), "depend on each other"),
    "norm over everything": (pooled(lambda x, f: x / x.norm()), "depend on each other"),
    "batch squeezed away": (pooled(lambda x, f: x.squeeze(0)[None]), "drops the batch axis"),
    "enlarged at the end": (
        pooled(lambda x, f: functional.interpolate(x, scale_factor=2)),
        "stride is 4 px, enlarged to 2 px",
    ),
    "coarser branch enlarged": (
        pooled(
            lambda x, f: (
                x[:, :, :6, :6]
                + functional.interpolate(functional.max_pool2d(x[:, :, :6, :6], 2), scale_factor=2)
            )
        ),
        "stride is 8 px, enlarged to 4 px",
    ),
    "gate from a flattened map": (
        pooled(lambda x, f: x * f["gate"](x.flatten(1))[:, :, None, None], gate=nn.Linear(FLAT, 8)),
        "flattens a map that is used again",
    ),
    "gate from a convolution over the whole map": (
        pooled(lambda x, f: x * f["gate"](x), gate=nn.Conv2d(8, 8, 7)),
        "fixed positions",
    ),
    "LayerNorm over one size of map": (
        pooled(lambda x, f: functional.layer_norm(x, (8, 7, 7))),
        "one size of the map",
    ),
    "batch of one only": (
        Function(lambda x, f: f["fc"](x.reshape(-1))[None], fc=nn.Linear(FLAT, 5)),
        "does not run on 36 x 36 px",
    ),
}


@pytest.mark.few(4)
@pytest.mark.parametrize("name", REFUSED)
def test_what_would_slide_wrongly_is_refused_in_one_line(name):
    head, reason = REFUSED[name]
    with pytest.raises(ConversionError, match=reason) as caught:
        convert(Classifier(head, padding=0).eval(), WINDOW, statistics="whole")
    assert "\n" not in str(caught.value)


def test_one_part_of_a_split_may_be_overwritten_and_another_read():
    def halved(x, f):
        first, second = (x * 1.0).split(4, 1)
        first.relu_()
        return torch.cat([first, second], 1)

    module = unpadded(pooled(halved))
    photos = torch.randn(1, 3, WINDOW, WINDOW, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        found = convert(module, WINDOW)(photos)
        assert relative_difference(found[:, :, 0, 0], module(photos)) < 1e-5


def test_flatten_behind_a_softmax_slides():
    head = nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 5, 1), nn.Softmax(dim=1), nn.Flatten(), nn.Dropout()
    )
    assert not isinstance(convert(unpadded(head), WINDOW).head, SliceHead)


def scorer_of(head: nn.Module):
    return prepare(load_classifier(unpadded(head), window=WINDOW, class_names=list("abcde")))


def test_verify_slides_with_a_scorer_that_would_crop():
    scorer = scorer_of(pooled(lambda x, f: x * x.mean((2, 3), True)))
    assert scorer.engine == "crop"
    report = verify(np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8), scorer)
    assert report.worst.grid.origin.engine == "slide"
    assert report.head.holds


def test_verify_refuses_a_scorer_that_cannot_slide():
    scorer = scorer_of(pooled(lambda x, f: x.roll(1, 2)))
    with pytest.raises(ConversionError, match="roll"):
        verify(np.zeros((48, 48, 3), np.uint8), scorer)
