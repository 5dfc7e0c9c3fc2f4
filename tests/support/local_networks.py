"""Small networks with every kind of layer that looks at its whole input."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.support.networks import Trunk, randomise

# Gives maps of 8 x 8 and, after a second stride of 2, of 4 x 4; of odd sizes: 9 x 9 and 5 x 5.
EVEN, ODD = 32, 36


class Layer(nn.Module):
    """A layer given as a function of the map and of layers of its own."""

    def __init__(self, function: Callable[..., Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.layers = nn.ModuleDict(layers)
        self.scale = nn.Parameter(torch.rand(8) + 0.5)

    def forward(self, maps: Tensor) -> Tensor:
        return self.function(maps, self.layers, self.scale)


def gated(maps: Tensor, gate: Tensor) -> Tensor:
    """A map times a gate, which differs so much between photos that a wrong one shows."""
    return maps * (8 * (gate - gate.mean(1, keepdim=True))).sigmoid()


def excitation() -> Layer:
    """Squeeze-and-excitation as torchvision has it."""
    return Layer(
        lambda x, at, _: gated(x, at["up"](at["down"](at["pool"](x)).relu())),
        pool=nn.AdaptiveAvgPool2d(1),
        down=nn.Conv2d(8, 4, 1),
        up=nn.Conv2d(4, 8, 1),
    )


def excitation_by_linear() -> Layer:
    """The same by linear layers, as most published code has it."""

    def function(x: Tensor, at: nn.ModuleDict, _: Tensor) -> Tensor:
        batch, channels, _, _ = x.shape
        pooled = functional.adaptive_avg_pool2d(x, 1).view(batch, channels)
        gate = at["up"](at["down"](pooled).relu()).view(batch, channels, 1, 1)
        return gated(x, gate.expand_as(x))

    return Layer(function, down=nn.Linear(8, 4), up=nn.Linear(4, 8))


def between_channels() -> Layer:
    """ECA: a convolution over the channels of pooled values."""

    def function(x: Tensor, at: nn.ModuleDict, _: Tensor) -> Tensor:
        pooled = x.mean((2, 3)).view(x.shape[0], 1, -1)
        return gated(x, at["mix"](pooled).view(x.shape[0], -1, 1, 1))

    return Layer(function, mix=nn.Conv1d(1, 1, 3, padding=1))


def both_pools() -> Layer:
    """CBAM's channel attention: mean and largest value through the same layers."""

    def function(x: Tensor, at: nn.ModuleDict, _: Tensor) -> Tensor:
        pools = functional.adaptive_avg_pool2d(x, 1), functional.adaptive_max_pool2d(x, 1)
        return gated(x, sum(at["up"](at["down"](pooled).relu()) for pooled in pools))

    return Layer(function, down=nn.Conv2d(8, 4, 1), up=nn.Conv2d(4, 8, 1))


def split_attention() -> Layer:
    """ResNeSt's: two halves of the channels, weighed by a softmax between them."""

    def function(x: Tensor, at: nn.ModuleDict, _: Tensor) -> Tensor:
        batch, channels, rows, columns = x.shape
        halves = x.reshape(batch, 2, channels // 2, rows, columns)
        pooled = halves.sum(1).mean((2, 3), keepdim=True)
        weights = at["up"](at["norm"](at["down"](pooled)).relu())
        weights = (4 * weights.view(batch, 1, 2, -1).transpose(1, 2)).softmax(1)
        weights = weights.reshape(batch, 2, channels // 2, 1, 1)
        both = (halves * weights).sum(1)
        return torch.cat([both, both.relu()], 1)

    return Layer(function, down=nn.Conv2d(4, 4, 1), norm=nn.BatchNorm2d(4), up=nn.Conv2d(4, 8, 1))


def response_normalisation() -> Layer:
    """GRN as ConvNeXt V2 has it, channels last: a norm over positions, then a mean of it."""

    def function(x: Tensor, _: nn.ModuleDict, scale: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        norm = x.norm(p=2, dim=(1, 2), keepdim=True)
        response = norm / (norm.mean(dim=-1, keepdim=True) + 1e-6)
        return (x + torch.addcmul(scale, scale, x * response)).permute(0, 3, 1, 2)

    return Layer(function)


def groups() -> nn.Module:
    return nn.Sequential(nn.GroupNorm(2, 8), nn.ReLU())


def instances() -> nn.Module:
    # The mean of a normalised map alone would be the same for every photo.
    return nn.Sequential(nn.InstanceNorm2d(8, affine=True), nn.ReLU())


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "squeeze and excitation": excitation,
    "excitation by linear": excitation_by_linear,
    "between channels": between_channels,
    "both pools": both_pools,
    "split attention": split_attention,
    "response normalisation": response_normalisation,
    "groups": groups,
    "instances": instances,
}


def network(*layers: nn.Module, window: int = EVEN, padding: int = 1) -> nn.Module:
    """A trunk of native stride 8 with these layers at stride 4 and at stride 8."""
    torch.manual_seed(0)
    coarser = nn.Sequential(nn.Conv2d(8, 8, 3, stride=2, padding=padding), nn.ReLU())
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    half = len(layers) // 2 or 1
    trunk = nn.Sequential(Trunk(padding=padding), *layers[:half], coarser, *layers[half:])
    return randomise(nn.Sequential(trunk, *head), window)
