"""Conversion of small networks: every kind of head, what is kept, what is refused."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from heatmap import ConversionError, GeometryError, InexactError, convert
from heatmap.conversion.check import SliceReference, relative_difference
from heatmap.conversion.layers import MATRIX_PRODUCT_OUTPUTS, SliceHead, SlidingLinear
from heatmap.conversion.plan import plan_conversion
from heatmap.conversion.trace import trace
from tests.support.networks import (
    INEXACT,
    REFUSED,
    WINDOW,
    Classifier,
    Trunk,
    converted,
    heads,
    randomise,
    slice_heads,
    small_classifier,
)

STRIDE = 4


def photo(height: int, width: int, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(2))


def by_slices(module: nn.Module, photos: torch.Tensor) -> torch.Tensor:
    """Claim 1's right-hand side: original head on slices of the original trunk's map."""
    reference = SliceReference(plan_conversion(trace(module, WINDOW)))
    with torch.inference_mode():
        maps = reference.features(photos)
        n, m = reference.plan.map_hw
        rows, columns = maps.shape[2] - n + 1, maps.shape[3] - m + 1
        cells = [reference.score(maps, r, c) for r in range(rows) for c in range(columns)]
    return torch.stack(cells, dim=2).reshape(photos.shape[0], -1, rows, columns)


@pytest.mark.few(5)
@pytest.mark.parametrize("name", heads())
def test_head_slides_as_convolutions_and_equals_the_original_on_slices(name):
    module, network = converted(name)
    assert not isinstance(network.head, SliceHead)
    photos = photo(WINDOW + 3 * STRIDE, WINDOW + 2 * STRIDE)
    with torch.inference_mode():
        found = network(photos)
    assert found.shape == (1, 5, 4, 3)
    assert found.std(dim=(2, 3)).max() > 1e-3, "cells must differ or the comparison says nothing"
    assert relative_difference(found, by_slices(module, photos)) < 1e-5


@pytest.mark.few(3)
@pytest.mark.parametrize("name", slice_heads())
def test_head_without_a_convolutional_form_runs_slice_by_slice(name):
    module, network = converted(name)
    assert isinstance(network.head, SliceHead)
    photos = photo(WINDOW + 3 * STRIDE, WINDOW + 2 * STRIDE, batch=2)
    with torch.inference_mode():
        found = network(photos)
    expected = torch.cat([by_slices(module, photos[i : i + 1]) for i in range(2)])
    assert found.std(dim=(2, 3)).max() > 1e-3
    assert relative_difference(found, expected) < 1e-5


def test_slice_head_gives_the_same_in_small_portions(monkeypatch):
    _, network = converted("gated")
    photos = photo(WINDOW + 6 * STRIDE, WINDOW + 2 * STRIDE, batch=2)
    with torch.inference_mode():
        whole = network(photos)
        monkeypatch.setattr("heatmap.conversion.layers.SLICE_VALUES", 1)
        portions = network(photos)
    assert relative_difference(portions, whole) < 1e-6


@pytest.mark.parametrize("name", [*heads(), *slice_heads()])
def test_one_window_gives_what_the_module_gives(name):
    module, network = converted(name)
    photos = photo(WINDOW, WINDOW, batch=3)
    with torch.inference_mode():
        expected = module(photos)
        found = network(photos)
    assert (expected[0] - expected[1]).abs().max() > 1e-3
    assert relative_difference(found[:, :, 0, 0], expected) < 1e-5


def test_without_padding_sliding_equals_cropping_everywhere():
    module = small_classifier(nn.Sequential(nn.Flatten(), nn.Linear(8 * 7 * 7, 5)), padding=0)
    network = convert(module, WINDOW)
    assert network.padded == ()
    photos = photo(WINDOW + 5 * STRIDE, WINDOW + 7 * STRIDE)
    with torch.inference_mode():
        slid = network(photos)
        crops = torch.stack(
            [
                photos[0, :, y : y + WINDOW, x : x + WINDOW]
                for y in range(0, 5 * STRIDE + 1, STRIDE)
                for x in range(0, 7 * STRIDE + 1, STRIDE)
            ]
        )
        cropped = module(crops).T.reshape(1, 5, 6, 8)
    assert relative_difference(slid, cropped) < 1e-5


def test_padding_is_noticed_and_makes_sliding_differ_from_cropping():
    module = small_classifier(nn.Sequential(nn.Flatten(), nn.Linear(8 * 8 * 8, 5)), padding=1)
    network = convert(module, WINDOW)
    assert network.padded == ("trunk.0", "trunk.3")
    photos = photo(WINDOW + 2 * STRIDE, WINDOW + 2 * STRIDE)
    with torch.inference_mode():
        crop = module(photos[:, :, STRIDE : STRIDE + WINDOW, STRIDE : STRIDE + WINDOW])
        assert relative_difference(network(photos)[:, :, 1, 1], crop) > 1e-3


def test_overhanging_ceil_mode_pool_counts_as_padding():
    trunk = [nn.Conv2d(3, 4, 3, stride=2), nn.MaxPool2d(2, 2, ceil_mode=True), nn.ReLU()]
    module = nn.Sequential(*trunk, nn.Flatten(), nn.Linear(4 * 8 * 8, 5)).eval()
    assert convert(module, WINDOW).padded == ("1",)


@pytest.mark.parametrize("extra", range(STRIDE))
def test_what_is_left_over_behind_the_last_window_makes_no_cells(extra):
    _, network = converted("global pool")
    photos = photo(WINDOW + STRIDE + extra, WINDOW + extra)
    with torch.inference_mode():
        assert network(photos).shape == (1, 5, 2, 1)
        whole = network(photos[:, :, : WINDOW + STRIDE, :WINDOW])
        assert torch.equal(network(photos), whole)


def test_input_smaller_than_the_window_is_refused_with_both_numbers():
    _, network = converted("flatten")
    with pytest.raises(GeometryError, match="40 x 31 px, the window is 32 px"):
        network(photo(31, 40))


def test_module_is_left_as_it_was():
    module = small_classifier(heads()["fc layers"])
    module.train()
    before = copy.deepcopy(module.state_dict())
    addresses = {name: p.data_ptr() for name, p in module.named_parameters()}
    with torch.inference_mode():
        convert(module, WINDOW)(photo(WINDOW, WINDOW))
    assert all(part.training for part in module.modules())
    assert {name: p.data_ptr() for name, p in module.named_parameters()} == addresses
    after = module.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_batch_norm_is_folded_and_can_be_kept():
    module = small_classifier(heads()["flatten"])

    def norms(network):
        return [n for n in network.trunk.graph.nodes if "batch_norm" in str(n.target)]

    fused, plain = convert(module, WINDOW), convert(module, WINDOW, fuse=False)
    assert norms(fused) == []
    assert len(norms(plain)) == 1
    photos = photo(WINDOW + STRIDE, WINDOW)
    with torch.inference_mode():
        assert relative_difference(fused(photos), plain(photos)) < 1e-5


def test_in_place_layers_do_not_reach_past_their_place():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3, stride=2), nn.Linear(4, 5)

        def forward(self, x):
            y = self.conv(x)
            z = nn.functional.relu_(y)
            return self.fc((y + z + y.mul(2)).mean((2, 3)))

    module = randomise(Residual(), WINDOW)
    with torch.inference_mode():
        found = convert(module, WINDOW)(photo(WINDOW, WINDOW))[:, :, 0, 0]
        assert relative_difference(found, module(photo(WINDOW, WINDOW))) < 1e-6


def test_channels_first_or_last_trunk_and_shuffled_channels():
    class Shuffled(nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk, self.mix = Trunk(), nn.Linear(8, 8)
            self.fc = nn.Linear(8 * 8 * 8, 5)

        def forward(self, x):
            x = self.trunk(x)
            b, c, h, w = x.shape
            x = x.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)
            x = x + self.mix(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            return self.fc(x.permute(0, 2, 3, 1).flatten(1))

    module = randomise(Shuffled(), WINDOW)
    photos = photo(WINDOW + STRIDE, WINDOW + 2 * STRIDE, batch=2)
    with torch.inference_mode():
        found = convert(module, WINDOW)(photos)
    expected = torch.cat([by_slices(module, photos[i : i + 1]) for i in range(2)])
    assert relative_difference(found, expected) < 1e-5


@pytest.mark.few(1)
@pytest.mark.parametrize("name", INEXACT)
def test_inexact_network_is_named_and_converted_on_demand_only(name):
    module = INEXACT[name].eval()
    with pytest.raises(InexactError, match="over the whole input"):
        convert(module, WINDOW)
    network = convert(module, WINDOW, statistics="whole")
    assert network.sliding == "inexact"
    with torch.inference_mode():
        found = network(photo(WINDOW, WINDOW))[:, :, 0, 0]
        assert relative_difference(found, module(photo(WINDOW, WINDOW))) < 1e-5


@pytest.mark.parametrize("name", REFUSED)
def test_network_that_mixes_fixed_positions_is_refused_by_name(name):
    head, reason = REFUSED[name]
    with pytest.raises(ConversionError, match=reason) as caught:
        convert(Classifier(head).eval(), WINDOW, statistics="whole")
    assert "\n" not in str(caught.value)


def test_what_is_no_classifier_is_refused():
    with pytest.raises(ConversionError, match=r"gives \(1, 4, 30, 30\) for one window"):
        convert(nn.Conv2d(3, 4, 3).eval(), WINDOW)
    with pytest.raises(ConversionError, match="does not take a window of 32 px"):
        convert(nn.Sequential(nn.Flatten(), nn.Linear(7, 5)).eval(), WINDOW)
    with pytest.raises(ConversionError, match="flattens the photo itself"):
        convert(nn.Sequential(nn.Flatten(), nn.Linear(3 * WINDOW**2, 5)).eval(), WINDOW)


def test_stride_that_does_not_divide_the_native_one_is_refused():
    with pytest.raises(GeometryError, match=r"stride is 3 px, .* 4, 2, 1"):
        convert(small_classifier(heads()["flatten"]), WINDOW, stride=3)
    assert convert(small_classifier(heads()["flatten"]), WINDOW, stride=4).stride_px == 4


def test_wrong_conversion_does_not_pass_the_check(monkeypatch):
    def broken(cls, weight, bias):
        return made(weight.flip(3), bias)

    made = SlidingLinear.from_weights
    monkeypatch.setattr(SlidingLinear, "from_weights", classmethod(broken))
    with pytest.raises(ConversionError, match="differs from the original"):
        convert(small_classifier(heads()["flatten"]), WINDOW)


def test_recording_that_is_not_the_module_does_not_pass_the_check(monkeypatch):
    """Slices come from the same recording; one window is compared with the module itself."""
    recorded = small_classifier(heads()["flatten"])
    other = copy.deepcopy(recorded)
    with torch.no_grad():
        other.head[1].bias.add_(1)
    monkeypatch.setattr(
        "heatmap.conversion.convert.trace", lambda _, *window: trace(recorded, *window)
    )
    with pytest.raises(ConversionError, match="differs from the original by"):
        convert(other, WINDOW)


@pytest.mark.parametrize("kernel", [1, 7])
@pytest.mark.parametrize("side", [7, 12, 40])
def test_matrix_product_equals_convolution(kernel, side):
    torch.manual_seed(0)
    layer = SlidingLinear.from_weights(torch.randn(9, 16, kernel, kernel), torch.randn(9))
    maps = torch.randn(2, 16, side, side)
    with torch.inference_mode():
        product = layer._matrix_product(maps, kernel, kernel)
        expected = nn.functional.conv2d(maps, layer.weight, layer.bias)
        assert relative_difference(product, expected) < 1e-5
        assert relative_difference(layer(maps), expected) < 1e-5


def test_many_outputs_go_the_way_of_the_convolution(monkeypatch):
    layer = SlidingLinear.from_weights(torch.randn(2, 4, 3, 3), None)
    monkeypatch.setattr(SlidingLinear, "_matrix_product", lambda *_: pytest.fail("matrix product"))
    side = int(MATRIX_PRODUCT_OUTPUTS**0.5) + 4
    assert layer(torch.randn(1, 4, side, side)).shape == (1, 2, side - 2, side - 2)


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("head", "stride", "fuse"),
    [
        ("fc layers", 2, True),
        ("pool, LayerNorm, linear", 2, True),
        ("BatchNorm1d on positions", 2, True),
        ("BatchNorm1d", 4, False),
    ],
)
def test_module_made_in_inference_mode_is_converted(head, stride, fuse):
    """Its tensors cannot be changed or saved for gradients; those of the conversion can."""
    plain = small_classifier({**heads(), **slice_heads()}[head])
    with torch.inference_mode():
        module = copy.deepcopy(plain)
    assert all(tensor.is_inference() for tensor in module.state_dict().values())
    network = convert(module, WINDOW, stride, fuse=fuse)
    photos = photo(WINDOW + STRIDE, WINDOW)
    assert torch.equal(network(photos), convert(plain, WINDOW, stride, fuse=fuse)(photos))
    assert not any(tensor.is_inference() for tensor in network.state_dict().values())


@pytest.mark.parametrize("kernel", [3, 4])
def test_padding_same_is_written_out_in_numbers(kernel):
    same = nn.Conv2d(3, 8, kernel, padding="same", dilation=(1, 3))
    pooled = nn.Sequential(nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(8 * 8 * 8, 5))
    module = randomise(nn.Sequential(same, *pooled), WINDOW)
    network = convert(module, WINDOW)
    photos = photo(WINDOW, WINDOW)
    with torch.inference_mode():
        assert relative_difference(network(photos)[:, :, 0, 0], module(photos)) < 1e-5
    assert network.padded
