"""Small networks with and without layers that look at their whole input, and how they are trained.

Each is made of the blocks of a published network, as timm has them, with few channels, a window of
64 px, a stride of 16 px and padding. Those of one family differ only in what they are named after.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from digits import CLASSES, Digits, digits
from timm.layers import GroupNormAct, LayerNorm2d
from timm.models._efficientnet_builder import decode_arch_def
from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg
from timm.models.convnext import ConvNeXtStage
from timm.models.efficientnet import EfficientNet
from torch import Tensor, nn

TRAINING_WINDOWS = 6000
VALIDATION_WINDOWS = 2000
BATCH = 32
RATE = 4e-3


@dataclass(frozen=True)
class Kind:
    """A small network; ``beside`` is what it is compared with, the same without such layers.

    All are trained alike, but for the number of epochs where one learns more slowly.
    """

    name: str
    made: Callable[[], nn.Module]
    beside: str = ""
    epochs: int = 4


def resnet(attention: str | None = None, norm: Callable[..., nn.Module] | str = "batchnorm"):
    """Basic blocks (K. He et al., CVPR 2016)."""
    blocks = tuple(ByoBlockCfg("basic", d=1, c=c, s=2) for c in (24, 48, 96))
    kwargs = {"rd_ratio": 0.25} if attention else {}
    config = ByoModelCfg(
        blocks,
        stem_pool="",
        stem_chs=16,
        attn_layer=attention,
        attn_kwargs=kwargs,
        norm_layer=norm,
        zero_init_last=False,
    )
    return ByobNet(config, num_classes=len(CLASSES), output_stride=16)


def mobile(squeeze: str = "") -> nn.Module:
    """Inverted residuals, as in EfficientNet (M. Tan and Q. Le, ICML 2019)."""
    first = [[f"ds_r1_k3_s1_e1_c16{squeeze}"]]
    blocks = [*first, *([f"ir_r1_k3_s2_e4_c{c}{squeeze}"] for c in (24, 40, 80))]
    return EfficientNet(
        decode_arch_def(blocks), len(CLASSES), num_features=160, stem_size=16, act_layer=nn.SiLU
    )


def convnext(*, grn: bool = False) -> nn.Module:
    """Blocks of ConvNeXt, and V2 with GRN (S. Woo et al., CVPR 2023)."""
    stage = partial(ConvNeXtStage, use_grn=grn, ls_init_value=None, norm_layer=LayerNorm2d)
    return nn.Sequential(
        nn.Conv2d(3, 24, 4, stride=4),
        LayerNorm2d(24),
        stage(24, 24, stride=1, depth=1),
        stage(24, 48, stride=2, depth=1),
        stage(48, 96, stride=2, depth=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.LayerNorm(96),
        nn.Linear(96, len(CLASSES)),
    )


KINDS = (
    Kind("ResNet", resnet),
    Kind("ResNet with SE", partial(resnet, "se"), "ResNet"),
    Kind(
        "ResNet with GroupNorm",
        partial(resnet, norm=partial(GroupNormAct, num_groups=8)),
        "ResNet",
        6,
    ),
    Kind("MobileNet", mobile),
    Kind("MobileNet with SE", partial(mobile, "_se0.25"), "MobileNet"),
    Kind("ConvNeXt", convnext),
    Kind("ConvNeXt with GRN", partial(convnext, grn=True), "ConvNeXt"),
)


def as_input(windows: np.ndarray) -> Tensor:
    """uint8 (B, 64, 64, 3) -> float32 (B, 3, 64, 64), as the scorer normalises."""
    return torch.from_numpy(windows).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def train(kind: Kind, seed: int, *, epochs: int | None = None, windows: int = TRAINING_WINDOWS):
    """A network of a kind, trained from random weights."""
    torch.manual_seed(seed)
    random, split = np.random.default_rng(seed), digits("training")
    module, epochs = kind.made().train(), epochs or kind.epochs
    rates = {"lr": RATE, "weight_decay": 0.02}
    optimizer = torch.optim.AdamW(module.parameters(), **rates)
    steps = epochs * (windows // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for epoch in range(epochs):
        losses = _epoch(module, split, windows, random, optimizer, schedule)
        print(f"{kind.name}, epoch {epoch + 1}: loss {losses:.3f}", file=sys.stderr)
    return module.eval()


def _epoch(module, split: Digits, windows: int, random, optimizer, schedule) -> float:
    """Train on fresh windows; gives their mean loss."""
    shown, labels = split.windows(windows, random)
    losses = []
    for start in range(0, windows - BATCH + 1, BATCH):
        scores = module(as_input(shown[start : start + BATCH]))
        loss = nn.functional.cross_entropy(scores, torch.from_numpy(labels[start : start + BATCH]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return float(np.mean(losses))


@torch.inference_mode()
def accuracy(module: nn.Module, count: int = VALIDATION_WINDOWS) -> float:
    """The share, 0..1, of windows of the validation split that are named right."""
    windows, labels = digits("validation").windows(count, np.random.default_rng(1))
    named = [module(as_input(part)).argmax(1) for part in np.array_split(windows, 10)]
    return float((torch.cat(named).numpy() == labels).mean())
