"""`FullyConvolutional`: the result of a conversion."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from torch import Tensor, fx, nn

from ..choices import Sliding, Statistics
from ..errors import GeometryError
from ..geometry import whole_windows
from .around import WindowAround
from .cut import cut_to_windows
from .graph import arguments, operation, pair, read_attribute
from .kernels.prepared import PreparedWeights, winograd_pays
from .layers import SlidingLinear
from .one_pass import one_pass_form
from .phases import PhasedHead, shift_and_stitch
from .plan import Plan
from .shapes import peak_bytes, shapes_at

# Two or three scales of a photo at two strides, and a few things of each.
_REMEMBERED = 64

T = TypeVar("T")


class FullyConvolutional(nn.Module):
    """A classifier that slides: photos (B, C, H, W) -> scores (B, K, N, M).

    Cell (i, j) scores the window whose top-left pixel is (i, j) * ``stride_px``.
    H and W are at least ``window_px``, N = (H - window_px) // stride_px + 1 and
    M = (W - window_px) // stride_px + 1; the rest at the right and bottom after the last whole
    window is ignored. Photos must be preprocessed as for the classifier, in the dtype and on the
    device of its weights. :func:`heatmap.convert` makes one.

    >>> from torch import nn
    >>> from heatmap import convert
    >>> pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    >>> network = convert(nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), *pooled), window=32)
    >>> network.native_stride_px, network.classes, network.sliding
    (4, 5, 'exact')

    Attributes:
        trunk: photo -> feature map (B, C, h, w), for any H and W; a recorded graph.
        head: feature map -> scores.
        map_hw: (n, m), rows and columns of feature map positions in a window.
        positions: whether each cell is one position of the feature map, not n x m of them.
        around: what the trunk gives behind the feature map, of the window around each position;
            with it the scores are (B, 2 K, N, M), those of the windows around the positions behind
            those of the positions. None where it gives the feature map alone.
        stitched: whether a finer stride needs a pass for every shift of the photo, because
            the trunk cannot be made denser by dilation.
        window_px: side of the window that each cell scores.
        native_stride_px: native stride of the original, px.
        stride_px: distance between windows, px; a divisor of the native stride.
        receptive_field_px: receptive field of one position of the feature map, px.
        channels: number of channels of the photos, C: 3, or 1 in grey.
        classes: number of classes, K.
        sliding: "exact", or "inexact" if the trunk depends on the whole input.
        whole_input: (layer, reason) for each layer that makes sliding inexact.
        statistics: over what these layers take their statistics: "local", a window around each
            position, or "whole", the whole photo; None without such layers.
        padded: names of layers that pad; without any, sliding equals cropping.
        plan: the plan of the conversion.
        one_pass: why photos are scored in one pass and not in bands; "" if they are in bands.
    """

    def __init__(
        self,
        plan: Plan,
        trunk: fx.GraphModule,
        head: nn.Module,
        stride_px: int,
        *,
        positions: bool = False,
        around: WindowAround | None = None,
        stitched: bool = False,
    ) -> None:
        super().__init__()
        k = plan.native_stride_px // stride_px
        self.plan = plan
        self.trunk = trunk
        self.positions = positions
        self.around = around
        self.map_hw = (1, 1) if positions else plan.map_hw
        phased = k > 1 and not stitched and not positions
        self.head = PhasedHead(head, k, plan.map_hw) if phased else head
        # A position has a window of its own: what is left without the other positions.
        others = (plan.map_hw[0] - self.map_hw[0]) * plan.native_stride_px
        self.window_px = plan.traced.window_px - others
        self.native_stride_px = plan.native_stride_px
        self.stride_px = stride_px
        self.stitched = stitched
        self.receptive_field_px = plan.receptive_field_px
        self.channels = plan.traced.channels
        self.classes = plan.traced.classes
        self.sliding: Sliding = plan.sliding
        self.whole_input = plan.whole_input
        self.statistics: Statistics | None = plan.statistics
        self.padded = plan.padded
        self.one_pass = ""
        self._prepared: dict[fx.Node, PreparedWeights] | None = None
        # In a tuple, so that its parameters, which are the trunk's, are not counted again.
        self._fast_trunk: tuple[fx.GraphModule] | None = None
        self._bytes_per_px: float | None = None
        self._memory: dict[Hashable, Any] = {}

    def __getstate__(self) -> dict[str, object]:
        """Leave out caches that refer to nodes of this trunk."""
        return {**vars(self), "_memory": {}, "_prepared": None, "_fast_trunk": None}

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> FullyConvolutional:
        """Let go of the fast trunk, whose parameters may be replaced, as by ``to("cuda")``."""
        self._fast_trunk = None
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    @property
    def window_receptive_field_px(self) -> int:
        """Receptive field of one cell, px, which is larger than the window."""
        side = max(self.map_hw if self.around is None else self.plan.map_hw)
        # A window around a position, at an edge of the photo, begins or ends with it.
        sides = 1 if self.around is None else 2
        return self.receptive_field_px + sides * (side - 1) * self.native_stride_px

    def forward(self, photos: Tensor) -> Tensor:
        """Scores (B, K, N, M) of photos (B, C, H, W).

        Raises:
            GeometryError: the photos are smaller than the window.
        """
        photos = self.whole_windows(photos)
        if self.stitched:
            window, native = self.window_px, self.native_stride_px
            return shift_and_stitch(self._one_pass, photos, window, native, self.stride_px)
        return self._one_pass(photos)

    def _one_pass(self, photos: Tensor) -> Tensor:
        stride = self.native_stride_px if self.stitched else self.stride_px
        rows, columns = (
            whole_windows(length, self.window_px, stride) for length in photos.shape[-2:]
        )
        whole = cut_to_windows(photos, self.window_px, stride)
        # A denser feature map may extend beyond the last window.
        return self.head(self.trunk(whole))[..., :rows, :columns]  # type: ignore[no-any-return]

    def whole_windows(self, photos: Tensor) -> Tensor:
        """Cut photos (B, C, H, W) to window + k * stride px.

        With padding, the rest would give extra cells.

        Raises:
            GeometryError: the photo is smaller than the window.
        """
        height, width = photos.shape[-2:]
        window = self.window_px
        if height < window or width < window:
            raise GeometryError(f"input is {width} x {height} px, the window is {window} px")
        return cut_to_windows(photos, window, self.stride_px)

    @property
    def prepared(self) -> dict[fx.Node, PreparedWeights]:
        """Prepared weights of the trunk's convolutions that are faster with them, by node."""
        if self._prepared is None:
            self._prepared = prepared_weights(self.trunk)
        return self._prepared

    @property
    def fast_trunk(self) -> fx.GraphModule:
        """The trunk with the kernels that are fastest in torch, for whole photos."""
        if self._fast_trunk is None:
            self._fast_trunk = (one_pass_form(self.trunk, self.prepared),)
        return self._fast_trunk[0]

    def steady(self) -> FullyConvolutional:
        """Make this network prepare its weights at the next call; returns the network.

        By default it prepares them once that pays off, so that the scores of the first photos can
        differ from later ones in the last bits.
        """
        for weights in self.prepared.values():
            weights.at_once()
        for layer in self.head.modules():
            if isinstance(layer, SlidingLinear):
                layer.prepared.at_once()
        return self

    def shapes(self, height: int, width: int) -> dict[fx.Node, tuple[int, ...]]:
        """Shapes of all tensors of the trunk for a photo of this height and width, px.

        Computing them takes 0.1 s, and the scales of photos from one camera always have the same
        sizes, so those of the latest are remembered.
        """
        shape = (1, self.channels, height, width)
        return self.remembered((height, width), lambda: shapes_at(self.trunk, shape))

    def remembered(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gave for this key, if that was one of the latest; for plans of photos."""
        # A local reference, since other threads may ask for other keys meanwhile.
        memory = self._memory
        found: T = memory[key] if key in memory else make()
        others = {other: kept for other, kept in memory.items() if other != key}
        self._memory = dict([*others.items(), (key, found)][-_REMEMBERED:])
        return found

    def peak_bytes(self, height: int, width: int) -> int:
        """Estimated peak of bytes in one pass over a photo of this height and width, px.

        Activations of the trunk, scaled by area from one window, and the input; weights are not
        counted.
        """
        if self._bytes_per_px is None:
            side = self.window_px
            shapes = shapes_at(self.trunk, (1, self.channels, side, side))
            self._bytes_per_px = peak_bytes(self.trunk, shapes) / side**2
        return round(height * width * (self._bytes_per_px + 2 * 3))


def prepared_weights(trunk: fx.GraphModule) -> dict[fx.Node, PreparedWeights]:
    """What holds the prepared weights of each convolution that is faster by Winograd's form."""
    return {
        node: PreparedWeights()
        for node in trunk.graph.nodes
        if operation(node) == "conv2d" and _may_go_by_winograd(node, trunk)
    }


def _may_go_by_winograd(node: fx.Node, trunk: fx.GraphModule) -> bool:
    """Whether a convolution has stride 1, no groups, one dilation, and weights that pay."""
    given = arguments(node)
    down, across = pair(given["dilation"])
    plain = {*pair(given["stride"]), given["groups"]} == {1} and down == across
    return plain and winograd_pays(read_attribute(trunk, str(given["weight"].target)))
