"""Adapted networks: a trained trunk with a head of another kind on its feature map.

All layers are convolutions, so the module accepts photos of any size from its window up. There
are three heads (Adaptation.head):

    fc    one n x n convolution over the whole feature map of a window, as fc6 of VGG
          made convolutional (Long, Shelhamer and Darrell, CVPR 2015)
    pool  the feature map averaged to the size that the trained layers expect
    spp   spatial pyramid pooling (He, Zhang, Ren and Sun, arXiv 1406.4729)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn
from torch.fx.traceback import preserve_node_meta

from ..conversion.cut import cut_to_windows
from ..conversion.graph import read_attribute
from ..errors import GeometryError, ModelError

HeadKind = Literal["fc", "pool", "spp"]
HEADS: tuple[HeadKind, ...] = ("fc", "pool", "spp")
LEVELS = (4, 2, 1)


@dataclass(frozen=True)
class Adaptation:
    """How a network was adapted: what is needed to build it again, besides its weights.

    Attributes:
        head: "fc", "pool" or "spp"; see above.
        window_px: side of its window, px.
        trained_window_px: side of the original's window, px.
        map_side: side of the feature map at one window, in positions.
        levels: sides of the grids that ``spp`` pools to; otherwise empty.
        average: whether ``fc`` averages the scores of all windows of a larger photo; otherwise
            such photos are refused.
        softmax: whether it ends in a softmax, so that scores are probabilities.
        freeze: "trunk", "none", or the number of fixed layers, counted from the photo.
    """

    head: HeadKind
    window_px: int
    trained_window_px: int
    map_side: int
    levels: tuple[int, ...] = ()
    average: bool = True
    softmax: bool = False
    freeze: str | int = "trunk"


class SpatialPyramidPool(nn.Module):
    """Maxima over grids of l x l bins for each level l: (B, C, h, w) -> (B, C * sum l^2, 1, 1).

    The bins grow with the feature map, so that any size gives one vector (He et al., section 2.2).
    """

    def __init__(self, levels: Iterable[int]) -> None:
        super().__init__()
        self.levels = tuple(levels)

    def forward(self, maps: Tensor) -> Tensor:
        bins = [nn.functional.adaptive_max_pool2d(maps, level).flatten(1) for level in self.levels]
        return torch.cat(bins, dim=1)[:, :, None, None]


class Elementwise(nn.Module):
    """An activation of the trained network, as its recorded ATen operation."""

    def __init__(self, function: Any, rest: tuple[Any, ...], named: dict[str, Any]) -> None:
        super().__init__()
        self.function = function
        self.rest = rest
        self.named = named

    def forward(self, values: Tensor) -> Tensor:
        return self.function(values, *self.rest, **self.named)  # type: ignore[no-any-return]


class Adapted(nn.Module):
    """A trunk and a head: float32 photos (B, 3, H, W) -> scores (B, K).

    H and W may be anything from the window up, if the head allows it (:class:`Adaptation`).
    BatchNorm layers of the trunk keep their statistics even in training.
    """

    def __init__(
        self, trunk: fx.GraphModule, stride_px: int, head: nn.Sequential, adaptation: Adaptation
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.stride_px = stride_px
        self.head = head
        self.adaptation = adaptation
        self.average = (
            nn.AdaptiveAvgPool2d(1) if adaptation.head == "fc" and adaptation.average else None
        )
        self.softmax = nn.Softmax(dim=1) if adaptation.softmax else None

    def features(self, photos: Tensor) -> Tensor:
        """Photos (B, 3, H, W) -> feature map (B, C, h, w)."""
        if self.adaptation.head == "fc":
            photos = self._whole_windows(photos)
        if not torch.compiler.is_exporting():
            return self.trunk(photos)  # type: ignore[no-any-return]
        # Node by node, so that a recording keeps the names of the layers.
        with preserve_node_meta():
            return fx.Interpreter(self.trunk).run(photos)  # type: ignore[no-any-return]

    def score_grid(self, photos: Tensor) -> Tensor:
        """Photos (B, 3, H, W) -> logits (B, K, N, M); N = M = 1 for ``pool`` and ``spp``.

        Raises:
            GeometryError: the feature map is smaller than that of one window.
        """
        return self._grid(self.features(photos))

    def logits(self, features: Tensor) -> Tensor:
        """Feature map (B, C, h, w) -> logits (B, K), averaged over the grid.

        Raises:
            GeometryError: as :meth:`score_grid`, or more than one window without ``average``.
        """
        grid = self._grid(features)
        if self.average is not None:
            return self.average(grid).flatten(1)  # type: ignore[no-any-return]
        if grid.shape[2:] != (1, 1):
            raise GeometryError(
                f"photo holds {grid.shape[2] * grid.shape[3]} windows: give one, adapt the "
                "network with average, or slide it (heatmap.convert, heatmap.score)"
            )
        return grid.flatten(1)

    def forward(self, photos: Tensor) -> Tensor:
        scores = self.logits(self.features(photos))
        return scores if self.softmax is None else self.softmax(scores)

    def _whole_windows(self, photos: Tensor) -> Tensor:
        """Cut to whole windows; with padding, the rest would give extra cells."""
        window, stride = self.adaptation.window_px, self.stride_px
        if all((side - window) % stride == 0 for side in photos.shape[2:]):
            # Avoids recording a cut that does nothing.
            return photos
        return cut_to_windows(photos, window, stride)

    def _grid(self, features: Tensor) -> Tensor:
        height, width = features.shape[2:]
        least = self.adaptation.map_side if self.adaptation.head == "fc" else 1
        if min(height, width) < least:
            raise GeometryError(
                f"photo gives a feature map of {width} x {height} positions, the head needs "
                f"{least} x {least}: give at least one window"
            )
        return self.head(features)  # type: ignore[no-any-return]

    def split(self) -> tuple[nn.Module | None, nn.Module]:
        """Split into a frozen part, which takes photos (B, 3, H, W), and a trainable part.

        The frozen part is None if the trunk is trainable; the trainable part is then the network
        up to its logits (B, K).
        """
        if any(parameter.requires_grad for parameter in self.trunk.parameters()):
            return None, _Logits(self)
        parts = list(self.head)
        fixed = 0
        while fixed < len(parts) and _is_fixed(parts[fixed]):
            fixed += 1
        return nn.Sequential(self.trunk, *parts[:fixed]), nn.Sequential(
            *parts[fixed:], nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )

    def layers(self) -> Iterator[tuple[nn.Parameter, ...]]:
        """The parameters of each layer that has any, in order from the photo."""
        seen: set[str] = set()
        # In the order of computation, which may differ from that of the modules.
        for node in self.trunk.graph.nodes:
            sources = [source for source in node.all_input_nodes if source.op == "get_attr"]
            paths = [str(source.target) for source in sources]
            tensors = [read_attribute(self.trunk, path) for path in paths if path not in seen]
            own = tuple(tensor for tensor in tensors if isinstance(tensor, nn.Parameter))
            seen.update(paths)
            if own:
                yield own
        yield from self._head_layers()

    def _head_layers(self) -> Iterator[tuple[nn.Parameter, ...]]:
        for part in self.head.modules():
            own = tuple(part.parameters(recurse=False))
            if own:
                yield own

    def freeze(self) -> None:
        """Fix the layers that the adaptation says, and make all others trainable.

        Raises:
            ModelError: there are not so many layers.
        """
        freeze, layers = self.adaptation.freeze, list(self.layers())
        fixed = 0
        if freeze == "trunk":
            fixed = len(layers) - len(list(self._head_layers()))
        elif freeze != "none":
            fixed = int(freeze)
        if not 0 <= fixed <= len(layers):
            raise ModelError(
                f"{fixed} layers cannot be frozen: the network has {len(layers)} with parameters"
            )
        for number, tensors in enumerate(layers):
            for tensor in tensors:
                tensor.requires_grad_(number >= fixed)


class _Logits(nn.Module):
    """An adapted network without its softmax."""

    def __init__(self, network: Adapted) -> None:
        super().__init__()
        self.network = network

    def forward(self, photos: Tensor) -> Tensor:
        return self.network.logits(self.network.features(photos))


def _is_fixed(part: nn.Module) -> bool:
    """Whether training does not change what a layer computes."""
    learns = any(parameter.requires_grad for parameter in part.parameters())
    return not learns and not isinstance(part, nn.Dropout)
