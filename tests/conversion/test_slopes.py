"""Derivatives of activations, against torch's own gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from heatmap.conversion.around import FirstOrder
from heatmap.conversion.graph import operation
from heatmap.conversion.slopes import _SLOPES, slope_of

MODULES = [
    *(nn.ReLU(), nn.ReLU6(), nn.Hardtanh(-2, 1.5), nn.Hardsigmoid(), nn.LeakyReLU(0.2)),
    *(nn.Hardswish(), nn.SiLU(), nn.GELU(), nn.GELU("tanh"), nn.Sigmoid(), nn.Tanh()),
]


class Power(nn.Module):
    def __init__(self, square: bool) -> None:
        super().__init__()
        self.square = square

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.square() if self.square else x.pow(3)


@pytest.mark.parametrize("module", [*MODULES, Power(True), Power(False)], ids=repr)
def test_slopes_are_torchs_gradients(module):
    values = torch.linspace(-5, 7, 97, dtype=torch.float64)
    recorded = torch.export.export(module, (values,)).graph
    (node,) = (n for n in recorded.nodes if n.op == "call_function")
    assert operation(node) in _SLOPES
    values.requires_grad_()
    (expected,) = torch.autograd.grad(module(values).sum(), values)
    found = slope_of(node)(values.detach())
    torch.testing.assert_close(found.to(expected), expected, rtol=1e-6, atol=1e-6)


def test_a_root_of_nothing_is_nothing():
    """Where its slope is infinite."""
    layer = FirstOrder(lambda values: 0.5 * values**-0.5)
    maps, around = torch.tensor([[0.0, 0.0, 2.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    assert layer(maps, around, around.sqrt()).tolist() == [[0.0, 0.0, 1.5]]
