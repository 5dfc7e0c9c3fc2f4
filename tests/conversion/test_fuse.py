"""Which operations overwrite their input: all whose input nothing else reads, and no others."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from heatmap import convert
from heatmap.conversion.check import relative_difference
from heatmap.conversion.graph import operation
from tests.support.networks import randomise

WINDOW = 32


class Step(nn.Module):
    """A convolution, what is done with its map, and a head."""

    def __init__(self, step: Callable[[Tensor, nn.ModuleDict], Tensor]) -> None:
        super().__init__()
        self.step = step
        self.layers = nn.ModuleDict(
            {
                "first": nn.Conv2d(3, 4, 3, stride=4, padding=1),
                "second": nn.Conv2d(4, 4, 3, padding=1),
                "mix": nn.Linear(4, 4),
                "fc": nn.Linear(4, 5),
            }
        )
        self.scale = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, photo: Tensor) -> Tensor:
        return self.layers["fc"](self.step(photo, self.layers).mean((2, 3)))


def residual(photo: Tensor, at: nn.ModuleDict) -> Tensor:
    maps = at["first"](photo)
    return (maps + at["second"](maps)).relu()


def scaled_residual(photo: Tensor, at: nn.ModuleDict) -> Tensor:
    maps = at["first"](photo)
    mixed = functional.gelu(at["mix"](maps.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
    return maps + torch.ones(4, 1, 1) * 2 * mixed


def twice(photo: Tensor, at: nn.ModuleDict) -> Tensor:
    maps = at["first"](photo)
    return maps * maps


def read_later(photo: Tensor, at: nn.ModuleDict) -> Tensor:
    maps = at["first"](photo)
    return torch.cat([maps.relu(), at["second"](maps)], 1)[:, 2:6]


def read_through_a_view(photo: Tensor, at: nn.ModuleDict) -> Tensor:
    maps = at["first"](photo)
    last = maps.permute(0, 2, 3, 1)
    return at["mix"](last).permute(0, 3, 1, 2) + maps.permute(0, 1, 2, 3).relu()


def part_of_it(photo: Tensor, at: nn.ModuleDict) -> Tensor:
    left, right = at["first"](photo).chunk(2, 1)
    return torch.cat([left.relu(), right * left], 1)


def of_the_photo(photo: Tensor, at: nn.ModuleDict) -> Tensor:
    return at["first"](photo.relu()) - at["first"](photo * 2)


STEPS = {
    residual: ["add_", "relu_"],
    scaled_residual: ["gelu_", "mul_", "add_"],
    twice: ["mul"],
    read_later: ["relu"],
    read_through_a_view: ["relu", "add_"],
    part_of_it: ["relu", "mul"],
    of_the_photo: ["relu", "mul", "sub_"],
}
OVERWRITABLE = {"add", "gelu", "mul", "relu", "sub"}


@pytest.mark.few(3)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_only_what_dies_is_overwritten(step):
    module = randomise(Step(step), WINDOW)
    fused, plain = convert(module, WINDOW), convert(module, WINDOW, fuse=False)
    names = [operation(node) for node in fused.trunk.graph.nodes]
    assert [name for name in names if name.removesuffix("_") in OVERWRITABLE] == STEPS[step]
    photo = torch.randn(1, 3, WINDOW, WINDOW, generator=torch.Generator().manual_seed(0))
    kept = photo.clone()
    with torch.inference_mode():
        assert relative_difference(fused(photo), plain(photo)) < 1e-6
    assert torch.equal(photo, kept)
