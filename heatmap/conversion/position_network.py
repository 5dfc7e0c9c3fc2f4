"""A converted network that scores single positions of the feature map instead of windows."""

from __future__ import annotations

import torch
from torch import Tensor, fx
from torch.nn import functional

from ..strides import middle_windows
from .around import WindowAround
from .check import REFUSED_FROM, relative_difference
from .fuse import fuse
from .graph import shape
from .heads import NoPool, convert_head
from .network import FullyConvolutional
from .position_head import position_head


def position_network(network: FullyConvolutional) -> FullyConvolutional:
    """The same network for single positions, of which the scores of a window are the mean.

    Where ``network`` averages n x n positions and is linear from there on, a window's scores are
    the mean of the scores of its positions (class activation maps: Zhou et al., "Learning Deep
    Features for Discriminative Localization", CVPR 2016, section 2), and these say more precisely
    where a class is. Where it pools otherwise, or is not linear, positions are scored as parts of
    the window around them (:mod:`position_head`): ``around`` is then set, and scores of windows
    come along.

    Returns:
        (B, 3, H, W) -> (B, K, N + n - 1, M + n - 1) where ``network`` gives (B, K, N, M), or 2 K
        with ``around``. Its window is the original one less (n - 1) native strides.

    Raises:
        NoPool: there is none, or noise gives other means; the error says why. Also if the network
            is ``stitched``.
    """
    if network.stitched:
        raise NoPool("this stride takes a pass for every shift of the photo")
    try:
        head = convert_head(network.plan, pooled=False)
    except NoPool:
        return _around(network)
    unpooled = _form(network, network.trunk, head)
    photo = _noise(network, network.window_px + network.native_stride_px)
    with torch.inference_mode():
        k = network.native_stride_px // network.stride_px
        _compare(_means(unpooled(photo), network), network(photo)[..., ::k, ::k])
    return unpooled


def _around(network: FullyConvolutional) -> FullyConvolutional:
    """The network that scores positions as parts of the window around them."""
    plan = network.plan
    head, kinds = position_head(plan)
    channels = shape(plan.feature)[plan.letters.index("c")]
    k = network.native_stride_px // network.stride_px
    around = WindowAround(kinds, channels, plan.map_hw, k)
    trunk = around.after(network.trunk)
    form = _form(network, trunk, head, around)
    core = _form(network, trunk, position_head(plan, ended=False)[0], around)
    photo = _noise(network, network.window_px + network.native_stride_px)
    with torch.inference_mode():
        given = form(photo)
        around_each = given.chunk(2, 1)[1]
        height, width = around_each.shape[2:]
        rows, columns = middle_windows((height, width), plan.map_hw, k)
        _compare(around_each[:, :, rows, columns], network(photo))
        # On one window the window around every position is that one.
        window = core(photo[..., : network.window_px, : network.window_px])
        own, around_each = window.chunk(2, 1)
        _compare(_means(own, network), around_each[..., :1, :1])
    return form


def _form(
    network: FullyConvolutional,
    trunk: fx.GraphModule,
    head: torch.nn.Module,
    around: WindowAround | None = None,
) -> FullyConvolutional:
    if isinstance(head, fx.GraphModule):
        fuse(head)
    form = FullyConvolutional(
        network.plan, trunk, head, network.stride_px, positions=True, around=around
    ).eval()
    form.one_pass = network.one_pass
    return form


def _noise(network: FullyConvolutional, side: int) -> Tensor:
    noise = torch.Generator(device="cpu").manual_seed(0)
    weights = next(network.parameters(), torch.empty(0))
    return torch.randn(1, network.channels, side, side, generator=noise).to(weights)


def _means(positions: Tensor, network: FullyConvolutional) -> Tensor:
    """The means over the positions of the windows of the native grid."""
    k = network.native_stride_px // network.stride_px
    return functional.avg_pool2d(positions[..., ::k, ::k], network.map_hw, 1)


def _compare(found: Tensor, windows: Tensor) -> None:
    """Refuse positions whose means are not the scores of windows."""
    difference = relative_difference(found, windows)
    if not difference < REFUSED_FROM:
        raise NoPool(f"means of the scores of positions differ by {difference:.1e}")
