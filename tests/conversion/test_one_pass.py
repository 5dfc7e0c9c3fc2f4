"""The form of a trunk for one pass over a photo gives the bits of the trunk, with fewer copies."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from heatmap import convert
from heatmap.conversion.graph import operation
from tests.support.networks import randomise, scenes

WINDOW = 48


class Padded(nn.Module):
    """Uneven padding before depthwise convolutions, and before one whose maps are mixed."""

    def __init__(self, sides: tuple[int, ...], value: float, groups: int) -> None:
        super().__init__()
        self.sides, self.value = sides, value
        self.first = nn.Conv2d(3, 6, 1)
        self.second = nn.Conv2d(6, 6, 3, stride=2, padding=(0, 1), groups=groups)
        self.fc = nn.Linear(6, 5)

    def forward(self, photo: Tensor) -> Tensor:
        maps = functional.pad(self.first(photo).relu(), self.sides, value=self.value)
        return self.fc(self.second(maps).mean((2, 3)))


CASES = {
    "right and below": ((0, 1, 0, 1), 0.0, 6, True),
    "left and above": ((2, 1, 3, 1), 0.0, 6, True),
    "left and right": ((0, 2), 0.0, 6, True),
    "cropped": ((0, 1, -1, 1), 0.0, 6, False),
    "ones": ((0, 1, 0, 1), 1.0, 6, False),
    "mixed channels": ((0, 1, 0, 1), 0.0, 1, False),
}


@pytest.mark.parametrize("name", CASES)
def test_uneven_zeros_before_depthwise_convolutions_are_merged(name):
    sides, value, groups, merged = CASES[name]
    network = convert(randomise(Padded(sides, value, groups), WINDOW), WINDOW)
    photo = scenes(1, WINDOW + 8, WINDOW + 6, seed=0).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected, found = network.trunk(photo), network.fast_trunk(photo)
    pads = [node for node in network.fast_trunk.graph.nodes if "pad" in operation(node)]
    assert len(pads) == (0 if merged else 1)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_the_form_follows_the_weights():
    network = convert(randomise(Padded((0, 1, 0, 1), 0.0, 6), WINDOW), WINDOW)
    photo = scenes(1, WINDOW, WINDOW, seed=0)
    count = len(list(network.parameters()))
    with torch.inference_mode():
        before = network.fast_trunk(photo)
    other = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in other.trunk.parameters():
            parameter.mul_(2)
    with torch.inference_mode():
        assert torch.equal(network.fast_trunk(photo), before)
        torch.testing.assert_close(other.fast_trunk(photo), other.trunk(photo))
        assert not torch.equal(other.fast_trunk(photo), before)
        found = other.double().fast_trunk(photo.double())
        torch.testing.assert_close(found, other.trunk(photo.double()))
    assert found.dtype == torch.float64
    assert all(parameter.is_meta for parameter in other.to("meta").fast_trunk.parameters())
    assert len(list(network.parameters())) == count
