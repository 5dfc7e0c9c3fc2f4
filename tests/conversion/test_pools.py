"""Pools as people write them: one axis after the other, by maximum with indices, by einsum."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from heatmap import ConversionError, convert
from heatmap.conversion.check import relative_difference
from heatmap.conversion.graph import operation
from heatmap.conversion.layers import SliceHead
from tests.support.networks import WINDOW, Classifier, Function, crops, randomise

# Each with the operation that it becomes.
POOLS = {
    "mean, mean": (lambda x: x.mean(3).mean(2), "mean"),
    "mean, mean from the end": (lambda x: x.mean(-1).mean(-1), "mean"),
    "mean, mean, rows first": (lambda x: x.mean(2).mean(2), "mean"),
    "mean, mean, axes kept": (lambda x: x.mean(2, True).mean(3, True)[:, :, 0, 0], "mean"),
    "mean, mean, first axis kept": (lambda x: x.mean(2, True).mean(3)[:, :, 0], "mean"),
    "mean, mean, last axis kept": (lambda x: x.mean(3).mean(2, True)[:, :, 0], "mean"),
    "maximum, maximum": (lambda x: x.max(3)[0].max(2)[0], "amax"),
    "maximum, maximum by name": (lambda x: x.max(dim=2).values.max(dim=-1).values, "amax"),
    "amax, amax": (lambda x: x.amax(3).amax(2), "amax"),
    "flattened, mean": (lambda x: x.flatten(2).mean(2), "mean"),
    "flattened, maximum": (lambda x: x.flatten(2).max(2)[0], "amax"),
    "view, maximum": (lambda x: x.view(x.shape[0], x.shape[1], -1).max(-1).values, "amax"),
    "minimum, minimum": (lambda x: (-x).min(3)[0].min(2)[0], "amin"),
    "sum, sum": (lambda x: x.sum(3).sum(2), "sum"),
    "sum, sum, divided": (lambda x: x.sum(-1).sum(-1) / (x.shape[2] * x.shape[3]), "sum"),
    "einsum": (lambda x: torch.einsum("bchw->bc", x), "sum"),
    "einsum, other letters": (lambda x: torch.einsum("n d y x -> n d", x), "sum"),
    "logsumexp": (lambda x: x.logsumexp((2, 3)), "logsumexp"),
    "logsumexp, logsumexp": (lambda x: x.logsumexp(3).logsumexp(2), "logsumexp"),
}
# Those that become a pool that slides; the others run on every slice.
FAST = ("mean", "amax", "logsumexp")


def network(head: nn.Module) -> nn.Module:
    """A padding-free trunk, 7 x 7 positions of 8 channels at one window, and a head."""
    torch.manual_seed(0)
    return randomise(Classifier(head, padding=0), WINDOW)


@pytest.mark.few(6)
@pytest.mark.parametrize("name", POOLS)
def test_pools_slide_however_they_are_written(name):
    pool, kind = POOLS[name]
    module = network(Function(lambda x, f: f["fc"](pool(x)), fc=nn.Linear(8, 5)))
    photos = torch.randn(1, 3, 40, 36, generator=torch.Generator().manual_seed(3))
    converted = convert(module, WINDOW)
    with torch.inference_mode():
        found, expected = converted(photos), crops(module, photos)
    assert converted.sliding == "exact"
    assert expected.std(dim=(2, 3)).max() > 1e-3
    assert relative_difference(found, expected) < 1e-5
    assert isinstance(converted.head, SliceHead) == (kind not in FAST), converted.head
    reductions = ("mean", "sum", "amax", "amin", "max", "min", "logsumexp", "einsum")
    names = [operation(node) for node in converted.plan.traced.nodes]
    assert [each for each in names if each in reductions] == [kind]


@pytest.mark.parametrize("name", ["mean, mean", "maximum, maximum", "einsum"])
def test_a_gate_in_the_trunk_depends_on_the_whole_input(name):
    pool, _ = POOLS[name]
    head = Function(
        lambda x, f: f["fc"]((x * pool(x)[:, :, None, None].sigmoid()).mean((2, 3))),
        fc=nn.Linear(8, 5),
    )
    module = network(head)
    converted = convert(module, WINDOW, statistics="whole")
    assert converted.sliding == "inexact"
    photo = torch.randn(1, 3, WINDOW, WINDOW, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        assert relative_difference(converted(photo)[:, :, 0, 0], module(photo)) < 1e-5


OTHERS = {
    "rows only": lambda x, f: f["fc"]((x * x.mean(2, keepdim=True)).mean((2, 3))),
    "means that are read": lambda x, f: f["fc"](x.mean(3).mean(2) + x.mean(3)[:, :, 0]),
    "two kinds": lambda x, f: f["fc"](x.max(3)[0].mean(2)),
    "where the maximum is": lambda x, f: f["fc"](x.max(3)[1].float().mean(2)),
    "einsum that multiplies": lambda x, f: f["fc"](torch.einsum("bchw,bchw->bc", x, x)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_pool_over_both_axes_is_refused(name):
    module = network(Function(OTHERS[name], fc=nn.Linear(8, 5)))
    with pytest.raises(ConversionError, match="cannot slide"):
        convert(module, WINDOW, statistics="whole")


def test_channels_reduced_one_after_the_other_stay_channels():
    module = network(
        Function(
            lambda x, f: f["fc"](x.unflatten(1, (2, 4)).amax(1).mean((2, 3))), fc=nn.Linear(4, 5)
        )
    )
    photos = torch.randn(1, 3, 40, 36, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        found, expected = convert(module, WINDOW)(photos), crops(module, photos)
    assert relative_difference(found, expected) < 1e-5
