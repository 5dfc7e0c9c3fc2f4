"""A converted network that scores single positions of the feature map instead of windows."""

from __future__ import annotations

import torch
from torch import fx
from torch.nn import functional

from .check import REFUSED_FROM, relative_difference
from .fuse import fuse
from .heads import NoPool, convert_head
from .network import FullyConvolutional


def position_network(network: FullyConvolutional) -> FullyConvolutional | None:
    """The same network without its average pool, or None if that is not meaningful.

    Where ``network`` averages n x n positions, a window's scores are the mean of the scores of
    its positions (class activation maps: Zhou et al., "Learning Deep Features for Discriminative
    Localization", CVPR 2016, section 2), and these say more precisely where a class is.

    Returns:
        (B, 3, H, W) -> (B, K, N + n - 1, M + n - 1) where ``network`` gives (B, K, N, M); both
        share the trunk. Its window is the original one less (n - 1) native strides. None if the
        head has no such pool or is not linear after it (also tested on noise), or if the network
        is ``stitched``.
    """
    if network.stitched:
        return None
    try:
        head = convert_head(network.plan, pooled=False)
    except NoPool:
        return None
    if isinstance(head, fx.GraphModule):
        fuse(head)
    unpooled = FullyConvolutional(
        network.plan, network.trunk, head, network.stride_px, positions=True
    ).eval()
    unpooled.one_pass = network.one_pass
    return unpooled if _means_agree(unpooled, network) else None


def _means_agree(unpooled: FullyConvolutional, network: FullyConvolutional) -> bool:
    """Whether the means of the positions' scores equal the network's scores of windows."""
    side = network.window_px + network.native_stride_px
    noise = torch.Generator(device="cpu").manual_seed(0)
    weights = next(network.parameters(), torch.empty(0))
    photo = torch.randn(1, network.channels, side, side, generator=noise).to(weights)
    with torch.inference_mode():
        k = network.native_stride_px // network.stride_px
        means = functional.avg_pool2d(unpooled(photo)[..., ::k, ::k], network.map_hw, 1)
        return relative_difference(means, network(photo)[..., ::k, ::k]) < REFUSED_FROM
