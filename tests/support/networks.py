"""Networks for tests: small ones with every kind of head, and weights that make outputs differ."""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

from heatmap import FullyConvolutional, convert


def scenes(batch: int, height: int, width: int, seed: int) -> torch.Tensor:
    """Photos (B, 3, H, W) that differ in what they show: broad random shapes under noise.

    Noise alone looks the same to a network that pools over all of it.
    """
    noise = torch.Generator().manual_seed(seed)
    shapes = torch.randn(batch, 3, 4, 4, generator=noise)
    broad = nn.functional.interpolate(shapes, (height, width), mode="bicubic")
    return broad + 0.3 * torch.randn(batch, 3, height, width, generator=noise)


def randomise(module: nn.Module, window: int) -> nn.Module:
    """Give a network weights and statistics under which outputs depend on inputs.

    Fresh networks hardly do: zero-initialised branches, layer scales of 1e-6,
    statistics of another distribution. Constant vectors are drawn anew (biases
    above zero: with most ReLUs shut, a deep network multiplies rounding until the
    original itself, in another memory format, is 1e-5 away), then BatchNorm
    statistics are taken from made-up scenes.
    """
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            values = parameter.flatten()
            is_vector = 1 < values.numel() == max(parameter.shape)
            if is_vector and torch.equal(values, values[:1].expand_as(values)):
                shift = 0.0 if name.endswith("bias") else 0.5
                parameter.copy_(torch.rand(parameter.shape, generator=noise) + shift)
        norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
        if norms:
            module.train()
            module(scenes(4, window, window, seed=1))
    return module.eval()


def crops(module: nn.Module, photos: torch.Tensor, stride: int = 4) -> torch.Tensor:
    """The original on every window of every photo, one at a time: (B, K, N, M)."""
    rows, columns = ((side - WINDOW) // stride + 1 for side in photos.shape[2:])
    scores = [
        module(photos[b : b + 1, :, i * stride :, j * stride :][..., :WINDOW, :WINDOW])
        for b in range(len(photos))
        for i in range(rows)
        for j in range(columns)
    ]
    return torch.cat(scores).view(len(photos), rows, columns, -1).permute(0, 3, 1, 2)


class Trunk(nn.Sequential):
    """Two convolutions of stride 2 each: native stride 4. ``padding`` 0 makes it padding-free."""

    def __init__(self, channels: int = 8, padding: int = 1) -> None:
        super().__init__(
            nn.Conv2d(3, channels, 3, stride=2, padding=padding),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, stride=2, padding=padding),
            nn.ReLU(),
        )


class Classifier(nn.Module):
    """A trunk and a head given as a function of the feature map."""

    def __init__(self, head: nn.Module, padding: int = 1) -> None:
        super().__init__()
        self.trunk = Trunk(padding=padding)
        self.head = head

    def forward(self, photo: torch.Tensor) -> torch.Tensor:
        return self.head(self.trunk(photo))


class Function(nn.Module):
    """A head written as a lambda over its layers."""

    def __init__(self, function, **layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.layers = nn.ModuleDict(layers)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.function(maps, self.layers)


# Window 32 px and native stride 4 give a feature map of 8 x 8 with 8 channels.
WINDOW = 32


def heads() -> dict[str, nn.Module]:
    """Every kind of head that the converter knows, each for maps (B, 8, 8, 8)."""
    flat = 8 * 8 * 8
    return {
        "flatten": nn.Sequential(nn.Flatten(), nn.Linear(flat, 5)),
        "fc layers": nn.Sequential(
            nn.Flatten(), nn.Linear(flat, 16), nn.ReLU(True), nn.Dropout(), nn.Linear(16, 5)
        ),
        "view": Function(lambda x, f: f["fc"](x.view(x.size(0), -1)), fc=nn.Linear(flat, 5)),
        "reshape by number": Function(
            lambda x, f: f["fc"](x.reshape(-1, flat)), fc=nn.Linear(flat, 5)
        ),
        "permute before flatten": Function(
            lambda x, f: f["fc"](x.permute(0, 2, 3, 1).flatten(1)), fc=nn.Linear(flat, 5)
        ),
        "adaptive pool to its own size": nn.Sequential(
            nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(flat, 5)
        ),
        "global pool": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)),
        "global max pool": nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, 5)),
        "fixed pool of the whole map": nn.Sequential(
            nn.AvgPool2d(8), nn.Flatten(), nn.Linear(8, 5)
        ),
        "mean": Function(lambda x, f: f["fc"](x.mean([2, 3])), fc=nn.Linear(8, 5)),
        "mean over tokens": Function(
            lambda x, f: f["fc"](x.flatten(2).mean(-1)), fc=nn.Linear(8, 5)
        ),
        "average and maximum": Function(
            lambda x, f: f["fc"](torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)),
            fc=nn.Linear(16, 5),
        ),
        "pool, LayerNorm, linear": Function(
            lambda x, f: f["fc"](f["norm"](x.mean([2, 3]))),
            norm=nn.LayerNorm(8),
            fc=nn.Linear(8, 5),
        ),
        "BatchNorm1d": nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(8), nn.Linear(8, 5)
        ),
        "pooled convolutions": nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(8, 12, 1),
            nn.Hardswish(),
            nn.Flatten(),
            nn.Linear(12, 5),
        ),
        "convolution, then pool": nn.Sequential(
            nn.Dropout(), nn.Conv2d(8, 5, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        ),
        "scale and shift": Function(
            lambda x, f: f["fc"](x.mean([2, 3])) * 3.0 + 1.0, fc=nn.Linear(8, 5)
        ),
        "no bias": nn.Sequential(nn.Flatten(), nn.Linear(flat, 5, bias=False)),
        "softmax": nn.Sequential(nn.Flatten(), nn.Linear(flat, 5), nn.Softmax(dim=1)),
    }


def slice_heads() -> dict[str, nn.Module]:
    """Heads without a convolutional form: they run slice by slice, and stay exact."""
    flat = 8 * 8 * 8
    return {
        "BatchNorm1d on positions": nn.Sequential(
            nn.Flatten(), nn.BatchNorm1d(flat), nn.Linear(flat, 5)
        ),
        "LayerNorm on positions": nn.Sequential(
            nn.Flatten(), nn.LayerNorm(flat), nn.Linear(flat, 5)
        ),
        "adaptive pool to another size": nn.Sequential(
            nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(72, 5)
        ),
        "convolution on a pooled map": nn.Sequential(
            nn.AdaptiveAvgPool2d(3), nn.Conv2d(8, 6, 3, padding=1), nn.Flatten(), nn.Linear(54, 5)
        ),
        "gated": Function(
            lambda x, f: f["fc"](nn.functional.glu(x.mean([2, 3]), dim=1)), fc=nn.Linear(4, 5)
        ),
        "cosine": Function(
            lambda x, f: nn.functional.normalize(f["fc"](x.mean([2, 3])), dim=1), fc=nn.Linear(8, 5)
        ),
    }


def small_classifier(head: nn.Module, padding: int = 1) -> nn.Module:
    """A classifier of window 32 px and stride 4 with weights under which its outputs differ."""
    torch.manual_seed(0)
    return randomise(Classifier(head, padding), WINDOW)


@cache
def converted(head: str) -> tuple[nn.Module, FullyConvolutional]:
    """A small classifier with a head of that name, and its conversion; leave both as they are."""
    module = small_classifier({**heads(), **slice_heads()}[head])
    return module, convert(module, WINDOW)


class Excited(nn.Module):
    """Squeeze-and-excitation in the trunk."""

    def __init__(self):
        super().__init__()
        self.trunk, self.squeeze, self.fc = Trunk(), nn.Conv2d(8, 8, 1), nn.Linear(8, 5)

    def forward(self, x):
        x = self.trunk(x)
        x = x * torch.sigmoid(self.squeeze(x.mean((2, 3), keepdim=True)))
        return self.fc(x.mean((2, 3)))


# Networks whose trunk looks at the whole input.
INEXACT = {
    "squeeze-and-excitation": Excited(),
    "GroupNorm": nn.Sequential(
        nn.Conv2d(3, 8, 3, 2),
        nn.GroupNorm(2, 8),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    ),
    "InstanceNorm": nn.Sequential(
        nn.Conv2d(3, 8, 3, 2),
        nn.InstanceNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 15 * 15, 5),
    ),
}


def attention(x, f):
    tokens = x.flatten(2).transpose(1, 2)
    return f["fc"](nn.functional.scaled_dot_product_attention(tokens, tokens, tokens).mean(1))


# Heads that mix fixed positions, with what the error says of them.
REFUSED = {
    "attention": (Function(attention, fc=nn.Linear(8, 5)), "attention"),
    "mixer": (
        Function(
            lambda x, f: f["fc"](f["mix"](x.flatten(2)).mean(-1)),
            mix=nn.Linear(64, 9),
            fc=nn.Linear(8, 5),
        ),
        r"layers.mix \(linear\): it mixes fixed positions",
    ),
    "position embedding": (
        Function(
            lambda x, f: f["fc"]((x + torch.arange(64.0).view(8, 8)).mean((2, 3))),
            fc=nn.Linear(8, 5),
        ),
        "fixed positions",
    ),
    "class token": (
        Function(
            lambda x, f: f["fc"](torch.cat([torch.zeros(1, 8, 1), x.flatten(2)], 2)[:, :, 0]),
            fc=nn.Linear(8, 5),
        ),
        "class token",
    ),
    "roll": (Function(lambda x, f: f["fc"](x.roll(1, 2).mean((2, 3))), fc=nn.Linear(8, 5)), "roll"),
    "pool along one direction": (
        Function(
            lambda x, f: f["fc"]((x * x.mean(2, keepdim=True)).mean((2, 3))), fc=nn.Linear(8, 5)
        ),
        "one direction",
    ),
}


def varied(module):
    """The module with weights under which outputs depend on inputs, which is checked."""
    noise = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        first, second = randomise(module, 64)(noise)
    assert not torch.allclose(first, second, rtol=1e-2)
    return module


def scores_of(module):
    """What a network gives of one noisy photo of 64 x 64 px."""
    with torch.no_grad():
        return module(torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
