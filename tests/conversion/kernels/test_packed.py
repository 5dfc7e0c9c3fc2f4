"""Products with packed weights: the plain product, to rounding."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.conversion.check import relative_difference
from heatmap.conversion.kernels import packed as packing
from heatmap.conversion.kernels.packed import CHANNELS, PackedWeights, can_pack


@settings(max_examples=40)
@given(
    rows=st.integers(1, 300),
    channels=st.sampled_from([1, 3, 1023, 1024, 1025, 2600]),
    classes=st.sampled_from([1, 7, 64]),
    with_bias=st.booleans(),
)
def test_a_packed_product_is_the_plain_one(rows, channels, classes, with_bias):
    noise = torch.Generator().manual_seed(rows)
    values = torch.randn(rows, channels, generator=noise)
    weight = torch.randn(classes, channels, generator=noise)
    bias = torch.randn(classes, generator=noise) if with_bias else None
    exact = torch.nn.functional.linear(
        values.double(), weight.double(), None if bias is None else bias.double()
    )
    with torch.inference_mode():
        made = PackedWeights.of(weight)
        found = made.product(values, bias)
    assert made.packed == can_pack(weight)
    assert relative_difference(found, exact) < 2e-6


@pytest.mark.parametrize("chain", [256, 600])
def test_more_is_added_to_a_product(chain):
    values, weight, bias = torch.randn(9, 600), torch.randn(8, 600), torch.randn(8)
    plus = torch.randn(9, 8)
    before = plus.clone()
    with torch.inference_mode():
        found = PackedWeights.of(weight, chain).product(values, bias, plus)
    assert relative_difference(found, values @ weight.T + bias + plus) < 2e-6
    assert torch.equal(plus, before)


def test_rows_need_not_lie_close():
    values, weight = torch.randn(2, 40, 600)[0, ::2], torch.randn(8, 600)
    with torch.inference_mode():
        found = PackedWeights.of(weight).product(values)
    assert relative_difference(found, values @ weight.T) < 2e-6


def rounding(sums: torch.Tensor, exact: torch.Tensor) -> float:
    """Root of the mean squared error."""
    return (sums.double() - exact).square().mean().sqrt().item()


def chained(values: torch.Tensor, weight: torch.Tensor, channels: int) -> torch.Tensor:
    """Products in float32, so many channels at a time added one after the other, then these."""
    sums = []
    for rows, columns in zip(values.split(channels, 1), weight.split(channels, 1), strict=True):
        chain = torch.zeros(len(values), len(weight))
        for row, column in zip(rows.T, columns.T, strict=True):
            chain += row[:, None] * column
        sums.append(chain)
    return torch.stack(sums).cumsum(0)[-1]


def test_sums_round_no_more_than_chains_of_channels():
    """Why CHANNELS is no larger: an error grows with its chain, by about the root of 4 here.

    Whatever order a processor adds in, plain chains are the worst of them, on any machine.
    """
    noise = torch.Generator().manual_seed(0)
    values = torch.randn(208, 4 * CHANNELS, generator=noise)
    weight = torch.randn(64, 4 * CHANNELS, generator=noise)
    exact = values.double() @ weight.double().T
    with torch.inference_mode():
        product = PackedWeights.of(weight).product(values)
    chains = rounding(chained(values, weight, CHANNELS), exact)
    # 13,312 errors tell their mean square to a few percent.
    assert rounding(product, exact) < 1.1 * chains
    assert rounding(chained(values, weight, 4 * CHANNELS), exact) > 1.5 * chains


def test_without_onednn_products_are_torchs(monkeypatch):
    monkeypatch.setattr(packing, "can_pack", lambda weight: False)
    values, weight, bias = torch.randn(9, 600), torch.randn(8, 600), torch.randn(8)
    made = PackedWeights.of(weight)
    assert not made.packed
    assert torch.equal(made.product(values, bias), torch.nn.functional.linear(values, weight, bias))


def test_other_numbers_are_not_packed():
    weight = torch.randn(8, 600).double()
    made = PackedWeights.of(weight)
    assert not made.packed
    assert made.product(weight).dtype == torch.float64
