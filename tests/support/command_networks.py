"""Small networks that commands take by name: window 32 px, stride 4 px, five classes."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn


def seeded(*layers: nn.Module) -> nn.Sequential:
    network = nn.Sequential(*layers)
    noise = torch.Generator().manual_seed(3)
    for parameter in network.parameters():
        # Large enough for some windows to be confident of a class.
        parameter.data = 0.2 * torch.randn(parameter.shape, generator=noise)
    return network.eval()


def trunk(padding: int) -> tuple[nn.Module, ...]:
    return (nn.Conv2d(3, 8, 3, 2, padding), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, padding), nn.ReLU())


def padded() -> nn.Module:
    return seeded(*trunk(1), nn.Flatten(), nn.Linear(8 * 8 * 8, 5))


def plain() -> nn.Module:
    """Without padding: sliding equals cropping."""
    return seeded(*trunk(0), nn.Flatten(), nn.Linear(8 * 7 * 7, 5))


def wide() -> nn.Module:
    """With a first fully connected layer of as many outputs as those of AlexNet."""
    last = nn.Sequential(nn.Dropout(), nn.Linear(8 * 6 * 6, 4096), nn.ReLU(), nn.Linear(4096, 5))
    parts = {"features": nn.Conv2d(3, 8, 11, 4), "flatten": nn.Flatten(), "classifier": last}
    return nn.Sequential(OrderedDict(parts)).eval()


def pooled() -> nn.Module:
    """With a global average pool: it has sharp maps."""
    network = seeded(*trunk(1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    # Means differ little: without this one class wins everywhere.
    network[-1].weight.data *= 10
    network[-1].bias.data -= network(torch.full((1, 3, 32, 32), -0.5))[0].detach()
    return network


def pair() -> nn.Module:
    """As :func:`pooled`, with two classes."""
    network = pooled()
    last = network[-1]
    network[-1] = nn.Linear(8, 2)
    network[-1].weight.data, network[-1].bias.data = last.weight.data[:2], last.bias.data[:2]
    return network.eval()


def frozen() -> nn.Module:
    """The first layer cannot be trained."""
    network = padded()
    for parameter in network[0].parameters():
        parameter.requires_grad = False
    return network


class Squeeze(nn.Module):
    """Squeeze-and-excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Conv2d(8, 8, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps * torch.sigmoid(self.gate(maps.mean((2, 3), keepdim=True)))


def squeezing() -> nn.Module:
    """Slides inexactly: it looks at the whole input."""
    after = nn.Conv2d(8, 8, 3, 1, 1)
    return seeded(*trunk(1), Squeeze(), after, nn.Flatten(), nn.Linear(8 * 8 * 8, 5))


class ClassToken(nn.Module):
    """Puts a learnt vector before the positions, and takes what became of it."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.mix = nn.MultiheadAttention(8, 1, batch_first=True)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        tokens = torch.cat(
            [self.token.expand(len(maps), -1, -1), maps.flatten(2).transpose(1, 2)], 1
        )
        return self.mix(tokens, tokens, tokens)[0][:, 0]


def attending() -> nn.Module:
    """Cannot slide: a small vision transformer."""
    return seeded(nn.Conv2d(3, 8, 8, 8), ClassToken(), nn.Linear(8, 5))
