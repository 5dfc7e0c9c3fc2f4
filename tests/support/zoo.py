"""Networks of torchvision and timm for tests, with random weights."""

from __future__ import annotations

import timm
import torch
import torchvision
from torch import nn


def build(name: str) -> tuple[nn.Module, int]:
    """A network with random weights, and its window."""
    torch.manual_seed(0)
    if name.startswith("timm/"):
        module = timm.create_model(name.removeprefix("timm/"), pretrained=False)
        return module, module.default_cfg["input_size"][-1]
    extra = {"aux_logits": False} if name in ("googlenet", "inception_v3") else {}
    module = getattr(torchvision.models, name)(weights=None, **extra)
    return module, 299 if name == "inception_v3" else 224
