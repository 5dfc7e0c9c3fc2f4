"""Fully connected layers as convolutions: three ways to compute them, one result."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from heatmap.conversion import layers
from heatmap.conversion.check import relative_difference
from heatmap.conversion.kernels import prepared as preparing
from heatmap.conversion.kernels import winograd
from heatmap.conversion.kernels.winograd import convolve, matrices, transform_weights
from heatmap.conversion.layers import MeanOfWindow, SlidingLinear


def layer(channels: int = 6, classes: int = 5, n: int = 7) -> SlidingLinear:
    noise = torch.Generator().manual_seed(0)
    weight = torch.randn(classes, channels, n, n, generator=noise)
    return SlidingLinear.from_weights(weight, torch.randn(classes, generator=noise)).eval()


def prepared(layer: SlidingLinear) -> bool:
    """Whether a layer has prepared its weights."""
    return layer._prepared is not None and layer._prepared.made


@pytest.fixture
def eager(monkeypatch):
    """Winograd's form from the first output on."""
    monkeypatch.setattr(layers, "PREPARED_OUTPUTS", 1)
    monkeypatch.setattr(preparing, "PAYS_FROM", 0)


@settings(max_examples=40)
@given(
    n=st.integers(1, 7),
    batch=st.integers(1, 3),
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    channels=st.integers(1, 8),
    seed=st.integers(0, 99),
)
def test_winograd_is_the_direct_convolution(n, batch, rows, columns, channels, seed):
    noise = torch.Generator().manual_seed(seed)
    maps = torch.randn(batch, channels, rows + n - 1, columns + n - 1, generator=noise)
    weight = torch.randn(4, channels, n, n, generator=noise)
    bias = torch.randn(4, generator=noise)
    exact = functional.conv2d(maps.double(), weight.double(), bias.double())
    found = convolve(maps.double(), transform_weights(weight.double()), bias.double())
    assert found.shape == exact.shape
    assert relative_difference(found, exact) < 1e-10


@settings(max_examples=40)
@given(
    dilation=st.integers(1, 4),
    padding_hw=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    side=st.integers(9, 15),
    seed=st.integers(0, 99),
)
def test_padding_and_dilation_are_those_of_conv2d(dilation, padding_hw, side, seed):
    noise = torch.Generator().manual_seed(seed)
    maps = torch.randn(2, 3, side, side + 2, generator=noise).double()
    weight = torch.randn(4, 3, 3, 3, generator=noise).double()
    bias = torch.randn(4, generator=noise).double()
    expected = functional.conv2d(maps, weight, bias, padding=padding_hw, dilation=dilation)
    found = convolve(maps, transform_weights(weight), bias, padding_hw, dilation)
    assert found.shape == expected.shape
    assert relative_difference(found, expected) < 1e-10


@pytest.mark.parametrize("tiles", [1, 7, 16, 10**6])
def test_tiles_in_groups_give_the_same_as_all_at_once(tiles, monkeypatch):
    monkeypatch.setattr(winograd, "_TILES", tiles)
    noise = torch.Generator().manual_seed(2)
    maps = torch.randn(3, 4, 17, 15, generator=noise).double()
    weight = torch.randn(5, 4, 7, 7, generator=noise).double()
    found = convolve(maps, transform_weights(weight), None)
    assert relative_difference(found, functional.conv2d(maps, weight)) < 1e-10


def test_winograd_holds_a_few_tiles_at_once(monkeypatch):
    monkeypatch.setattr(winograd, "_TILES", 64)
    counts = []
    products = winograd._products

    def counted(tiles, transformed):
        counts.append(tiles.shape[2:5].numel())
        return products(tiles, transformed)

    monkeypatch.setattr(winograd, "_products", counted)
    convolve(torch.randn(4, 2, 26, 26), transform_weights(torch.randn(3, 2, 7, 7)), None)
    # 4 maps of 10 x 10 tiles, in groups of whole rows that are equally high.
    assert counts == [50] * 8
    counts.clear()
    convolve(torch.randn(9, 2, 10, 10), transform_weights(torch.randn(3, 2, 7, 7)), None)
    # Small maps go together: 2 x 2 tiles each.
    assert counts == [36]


def test_winograd_in_float32_rounds_little_at_the_size_of_fc6():
    noise = torch.Generator().manual_seed(1)
    maps = torch.randn(1, 512, 20, 19, generator=noise).relu()
    weight = torch.randn(32, 512, 7, 7, generator=noise) * 0.01
    exact = functional.conv2d(maps.double(), weight.double())
    assert relative_difference(convolve(maps, transform_weights(weight), None), exact) < 1e-5


def test_the_matrices_of_f_2_3_give_a_correlation():
    at, g, bt = matrices(3)
    kernel, values = torch.tensor([1.0, 2, 4]).double(), torch.tensor([3.0, 5, 7, 11]).double()
    found = at @ ((g @ kernel) * (bt @ values))
    assert torch.allclose(found, torch.tensor([3 + 10 + 28.0, 5 + 14 + 44.0]).double())


def test_all_three_ways_agree(eager, monkeypatch):
    made, maps = layer(), torch.randn(2, 6, 12, 15)
    with torch.inference_mode():
        winograd = made(maps)
        assert prepared(made)
        monkeypatch.setattr(layers, "PREPARED_OUTPUTS", 10**9)
        product = made(maps)
        monkeypatch.setattr(layers, "MATRIX_PRODUCT_OUTPUTS", 0)
        direct = made(maps)
    assert not torch.equal(winograd, direct)
    assert relative_difference(winograd, direct) < 1e-5
    assert relative_difference(product, direct) < 1e-5


def test_weights_are_transformed_when_that_has_paid(monkeypatch):
    monkeypatch.setattr(layers, "PREPARED_OUTPUTS", 10)
    monkeypatch.setattr(preparing, "PAYS_FROM", 100)
    made, maps = layer(), torch.randn(1, 6, 14, 14)
    with torch.inference_mode():
        made(maps)
        assert not prepared(made)
        made(maps)
        assert prepared(made)
        kept = made._prepared.form(made.weight, maps, 64)
        made(maps)
        assert made._prepared.form(made.weight, maps, 64) is kept
        # Few outputs stay a matrix product.
        few = torch.randn(1, 6, 8, 8)
        assert torch.equal(made(few), made._matrix_product(few, 7, 7))


def test_changed_weights_give_no_stale_scores(eager):
    made, maps = layer(), torch.randn(1, 6, 12, 12)
    with torch.no_grad():
        before = made(maps)
        made.weight.mul_(2)
        bias = made.bias[:, None, None]
        assert relative_difference(made(maps) - bias, 2 * (before - bias)) < 1e-5
        made.weight = torch.nn.Parameter(made.weight * 2)
        assert relative_difference(made(maps) - bias, 4 * (before - bias)) < 1e-5


def test_replaced_weights_are_noticed_where_the_old_ones_lay(eager):
    made, maps = layer(channels=32, classes=64), torch.randn(1, 32, 12, 12)
    with torch.no_grad():
        for _ in range(6):
            made(maps)
            # Freed and taken again, memory often has the same address.
            for _ in range(2):
                made.weight = torch.nn.Parameter(torch.randn(64, 32, 7, 7))
            direct = functional.conv2d(maps, made.weight, made.bias)
            assert relative_difference(made(maps), direct) < 1e-5


@pytest.mark.parametrize("place", [np.s_[:], np.s_[3], np.s_[:, 2]])
def test_writes_past_the_version_are_noticed(eager, place):
    made, maps = layer(), torch.randn(1, 6, 12, 12)
    with torch.no_grad():
        made(maps)
        made.weight.data[place] *= 2
        direct = functional.conv2d(maps, made.weight, made.bias)
        assert relative_difference(made(maps), direct) < 1e-5


def test_a_write_away_from_the_centres_is_noticed(eager):
    made, maps = layer(), torch.randn(1, 6, 12, 12)
    with torch.no_grad():
        made(maps)
        made.weight[:, 0, 0, 0] += 3
        direct = functional.conv2d(maps, made.weight, made.bias)
        assert relative_difference(made(maps), direct) < 1e-5


def test_new_weights_that_differ_away_from_the_centres_are_noticed(eager):
    made, maps = layer(), torch.randn(1, 6, 12, 12)
    corner = torch.zeros(7, 7)
    corner[0, 0] = 1
    with torch.no_grad():
        for _ in range(3):
            made(maps)
            for _ in range(2):
                made.weight = torch.nn.Parameter(made.weight + corner)
            direct = functional.conv2d(maps, made.weight, made.bias)
            assert relative_difference(made(maps), direct) < 1e-5


@pytest.mark.parametrize("kind", ["fake", "meta"])
def test_shapes_alone_take_the_plain_way(eager, kind):
    maps = torch.randn(1, 6, 12, 12)
    if kind == "fake":
        made, maps = layer(), FakeTensorMode(allow_non_fake_inputs=True).from_tensor(maps)
    else:
        made, maps = layer().to("meta"), maps.to("meta")
    with torch.no_grad():
        assert made(maps).shape == (1, 5, 6, 6)
    assert not prepared(made)


def test_weights_that_keep_no_version_are_never_transformed(eager):
    with torch.inference_mode():
        made = layer()
        made(torch.randn(1, 6, 12, 12))
    assert not prepared(made)


@pytest.mark.parametrize(("n", "m"), [(2, 2), (5, 3), (8, 8)])
def test_kernels_without_a_winograd_form_take_the_plain_way(eager, n, m):
    made = SlidingLinear.from_weights(torch.randn(5, 6, n, m), None)
    maps = torch.randn(1, 6, 12, 12)
    with torch.no_grad():
        direct = functional.conv2d(maps, made.weight)
        assert relative_difference(made(maps), direct) < 1e-5
    assert not prepared(made)


def test_gradients_and_other_numbers_take_the_plain_way(eager):
    made, maps = layer(), torch.randn(1, 6, 12, 12)
    made.weight.requires_grad_()
    made(maps).sum().backward()
    assert made.weight.grad is not None
    assert not prepared(made)
    with torch.no_grad():
        assert made.double()(maps.double()).dtype == torch.float64
    assert not prepared(made)


def test_copies_and_files_hold_the_weights_only(eager):
    made, maps = layer(), torch.randn(1, 6, 12, 12)
    with torch.no_grad():
        scores = made(maps)
        assert set(made.state_dict()) == {"weight", "bias"}
        for again in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
            assert not prepared(again)
            assert relative_difference(again(maps), scores) < 1e-6


def test_an_export_holds_a_plain_convolution(eager):
    exported = torch.export.export(layer(), (torch.randn(1, 6, 12, 12),))
    assert "conv2d" in exported.graph_module.code


@settings(max_examples=15)
@given(map_hw=st.tuples(st.integers(1, 5), st.integers(1, 5)), seed=st.integers(0, 99))
def test_a_mean_down_and_across_is_that_of_the_window(map_hw, seed):
    maps = torch.randn(2, 3, 6, 7, generator=torch.Generator().manual_seed(seed))
    expected = maps.unfold(2, map_hw[0], 1).unfold(3, map_hw[1], 1).double().mean((-2, -1))
    means = MeanOfWindow(map_hw)(maps)
    assert means.shape == expected.shape
    # n + m additions of at most n + m values each, and two divisions.
    assert abs(means - expected).max() <= sum(map_hw) * 2**-23 * abs(maps).max()
