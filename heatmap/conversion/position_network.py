"""The network that scores single positions of the feature map instead of windows."""

from __future__ import annotations

import torch
from torch import fx
from torch.nn import functional

from .check import REFUSED_FROM, relative_difference
from .fuse import fuse
from .heads import NoPool, convert_head
from .network import FullyConvolutional


def position_network(network: FullyConvolutional) -> FullyConvolutional | None:
    """The same network without its average pool, or None where that means nothing.

    (B, 3, H, W) -> (B, K, N + n - 1, M + n - 1) where the network itself gives (B, K, N, M);
    both share the trunk. Its window is what is left of n positions: mostly one native stride.

    None where the head has no such pool, or something behind it is not linear: whether it
    is, a photo of noise tells.
    """
    if network.outputs != "logits" or network.stitched:
        return None
    try:
        head = convert_head(network.plan, pooled=False)
    except NoPool:
        return None
    if isinstance(head, fx.GraphModule):
        fuse(head)
    made = FullyConvolutional(
        network.plan, network.trunk, head, network.stride_px, positions=True
    ).eval()
    return made if _averages(made, network) else None


def _averages(made: FullyConvolutional, network: FullyConvolutional) -> bool:
    """Whether means of its scores are the network's own."""
    side = network.window_px + network.native_stride_px
    noise = torch.Generator(device="cpu").manual_seed(0)
    tensor = next(network.parameters(), torch.empty(0))
    photo = torch.randn(1, 3, side, side, generator=noise).to(tensor)
    with torch.inference_mode():
        k = network.native_stride_px // network.stride_px
        means = functional.avg_pool2d(made(photo)[..., ::k, ::k], network.map_hw, 1)
        return relative_difference(means, network(photo)[..., ::k, ::k]) < REFUSED_FROM
