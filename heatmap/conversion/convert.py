"""Any classifier as a fully convolutional network."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, fx, nn

from ..errors import ConversionError, GeometryError, InexactError
from .dilation import NotByDilation, check_stride, densify
from .fuse import fuse as fuse_graph
from .heads import convert_head
from .kernels.prepared import PreparedWeights, prepared_weights
from .layers import SlidingLinear
from .phases import PhasedHead, shift_and_stitch
from .plan import Plan, Sliding, plan_conversion
from .shapes import peak_bytes, shapes_at
from .subgraphs import head_of, result_of, trunk_of
from .trace import IDENTITIES, VIEWS, in_eval_mode, operation, trace

# Largest relative difference between the converted head and the original one on
# slices that counts as rounding; it is of the order 1e-6 in float32.
TOLERANCE = 1e-5
# A conversion is refused only past this: in float32 some deep networks with random weights
# are 5e-4 away from themselves in float64; a wrong conversion is off by far more.
REFUSED_FROM = 1e-3


class FullyConvolutional(nn.Module):
    """A classifier that slides: photos (B, 3, H, W) -> scores (B, K, N, M).

    Cell (i, j) scores the window whose top-left pixel is (i, j) * ``stride_px``.
    H and W may be anything from ``window_px`` up; what is left over at the right
    and bottom behind the last whole window is not seen.

    Attributes:
        trunk, head: photo -> feature map (B, C, h, w) -> scores.
        positions: whether each cell is one position of the feature map, not n x n of them.
        stitched: whether a finer stride takes a pass for every shift, because the
            trunk cannot be made denser by dilation.
        window_px, native_stride_px, stride_px: see the words in ARCHITECTURE.md.
        classes: K.
        sliding: "exact", or "inexact" where the trunk looks at the whole input.
        whole_input: (layer, reason) for each layer that makes it inexact.
        padded: layers with padding; without any, sliding equals cropping.
        plan: how it was converted; :class:`SliceReference` is made from it.
        outputs: what the scores are: "logits", or "probabilities" after a
            softmax or sigmoid at the end.
    """

    def __init__(
        self,
        plan: Plan,
        trunk: fx.GraphModule,
        head: nn.Module,
        stride_px: int,
        *,
        positions: bool = False,
        stitched: bool = False,
    ) -> None:
        super().__init__()
        k = plan.native_stride_px // stride_px
        self.plan = plan
        self.trunk = trunk
        self.positions = positions
        self.map_hw = (1, 1) if positions else plan.map_hw
        phased = k > 1 and not stitched and not positions
        self.head = PhasedHead(head, k, plan.map_hw) if phased else head
        # Of a position's own share of the window, which lies around its centre.
        beyond = (plan.map_hw[0] - self.map_hw[0]) * plan.native_stride_px
        self.window_px = plan.traced.window_px - beyond
        self.native_stride_px = plan.native_stride_px
        self.stride_px = stride_px
        self.stitched = stitched
        self.field_px = plan.field_px
        self.classes = plan.traced.classes
        self.sliding: Sliding = plan.sliding
        self.whole_input = plan.whole_input
        self.padded = plan.padded
        self._prepared: dict[fx.Node, PreparedWeights] | None = None
        self._bytes_per_px: float | None = None
        self._shapes: tuple[tuple[int, int], dict[fx.Node, tuple[int, ...]]] | None = None
        self.outputs: Literal["logits", "probabilities"] = (
            "probabilities" if _last_operation(plan) in ("softmax", "sigmoid") else "logits"
        )

    def __getstate__(self) -> dict[str, object]:
        """Without what belongs to the nodes of this very trunk, and can be had again."""
        return {**vars(self), "_shapes": None, "_prepared": None}

    @property
    def window_field_px(self) -> int:
        """How much of the photo one cell sees, padding aside, px: more than the window."""
        return self.field_px + (max(self.map_hw) - 1) * self.native_stride_px

    def forward(self, photos: Tensor) -> Tensor:
        photos = self.whole_windows(photos)
        if self.stitched:
            window, native = self.window_px, self.native_stride_px
            return shift_and_stitch(self._one_pass, photos, window, native, self.stride_px)
        return self._one_pass(photos)

    def _one_pass(self, photos: Tensor) -> Tensor:
        stride = self.native_stride_px if self.stitched else self.stride_px
        height, width = photos.shape[-2:]
        rows, columns = (height - self.window_px) // stride, (width - self.window_px) // stride
        whole = photos[..., : self.window_px + rows * stride, : self.window_px + columns * stride]
        # A denser map may go on past the last window.
        return self.head(self.trunk(whole))[..., : rows + 1, : columns + 1]  # type: ignore[no-any-return]

    def whole_windows(self, photos: Tensor) -> Tensor:
        """The part of (B, 3, H, W) that windows tile: window + k * stride px.

        Networks with padding would give extra cells for the rest.

        Raises:
            GeometryError: the photo is smaller than the window.
        """
        height, width = photos.shape[-2:]
        window, stride = self.window_px, self.stride_px
        if height < window or width < window:
            raise GeometryError(f"input is {height} x {width} px, the window is {window} px")
        rows, columns = (height - window) // stride, (width - window) // stride
        return photos[..., : window + rows * stride, : window + columns * stride]

    @property
    def prepared(self) -> dict[fx.Node, PreparedWeights]:
        """The weights of convolutions of the trunk that are faster in another form."""
        if self._prepared is None:
            self._prepared = prepared_weights(self.trunk)
        return self._prepared

    def steady(self) -> FullyConvolutional:
        """The same network, whose faster forms are made at once.

        Otherwise they are once they pay, and the first photos get other last bits than the
        later ones.
        """
        for weights in self.prepared.values():
            weights.at_once()
        for layer in self.head.modules():
            if isinstance(layer, SlidingLinear):
                layer.prepared.at_once()
        return self

    def shapes(self, height: int, width: int) -> dict[fx.Node, tuple[int, ...]]:
        """Shape of every tensor of the trunk for a photo of height x width px.

        Kept for the next photo of that size: working them out takes 0.1 s.
        """
        # By a name of its own: another thread may ask for another size meanwhile.
        known = self._shapes
        if known is None or known[0] != (height, width):
            known = ((height, width), shapes_at(self.trunk, (1, 3, height, width)))
            self._shapes = known
        return known[1]

    def peak_bytes(self, height: int, width: int) -> int:
        """Estimate of the bytes alive at once in one pass over height x width px.

        Activations of the trunk at one window, which grow with the area, and
        twice the input (uint8 to float32); the weights are not counted.
        """
        if self._bytes_per_px is None:
            side = self.window_px
            shapes = shapes_at(self.trunk, (1, 3, side, side))
            self._bytes_per_px = peak_bytes(self.trunk, shapes) / side**2
        return round(height * width * (self._bytes_per_px + 2 * 3))


def convert(
    module: nn.Module,
    window: int = 224,
    stride: int | None = None,
    *,
    allow_inexact: bool = False,
    fuse: bool = True,
) -> FullyConvolutional:
    """Make a classifier fully convolutional; the module itself is left as it was.

    The head becomes convolutions over the trunk's feature map and equals the
    original head on every slice of it (checked here on a 2 x 2 grid, and on one
    window against the module itself).

    Args:
        module: float32 (B, 3, window, window) -> (B, K), in eval or training mode
            (converted as in eval mode).
        window: side of the classifier's input, px.
        stride: distance between windows, px: a divisor of the network's own (None).
            Finer ones are made by dilation; every k-th cell equals the native grid.
        allow_inexact: convert also a network whose scores depend on the whole
            input (squeeze-and-excitation, GroupNorm, GRN in the trunk).
        fuse: fold BatchNorm into convolutions and lay weights out for speed;
            without it every layer stands as in the original (``summary``).

    Raises:
        ConversionError: the network cannot slide; names the layer and the reason.
        InexactError: it can, but only inexactly.
        GeometryError: a stride that the network does not have.
    """
    # In inference mode the converted weights would keep no count of changes to them.
    with torch.inference_mode(False):
        return _converted(module, window, stride, allow_inexact, fuse)


def _converted(
    module: nn.Module, window: int, stride: int | None, allow_inexact: bool, fuse: bool
) -> FullyConvolutional:
    module = in_eval_mode(module)
    plan = plan_conversion(trace(module, window))
    stride = check_stride(stride, plan.native_stride_px)
    if plan.whole_input and not allow_inexact:
        raise InexactError(inexact_message(plan.whole_input))
    head, (trunk, stitched) = convert_head(plan), _trunk_at(plan, stride)
    if fuse:
        for part in (trunk, head):
            if isinstance(part, fx.GraphModule):
                fuse_graph(part)
    converted = FullyConvolutional(plan, trunk, head, stride, stitched=stitched).eval()
    try:
        _check(module, plan, converted)
    except (RuntimeError, ValueError, IndexError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConversionError(
            f"cannot slide: it does not run on {window + plan.native_stride_px} px ({reason}); "
            "use --engine crop"
        ) from error
    return converted


def _trunk_at(plan: Plan, stride: int) -> tuple[fx.GraphModule, bool]:
    """The trunk at a stride, or the native one where its shifts must be stitched."""
    trunk = trunk_of(plan)
    if stride == plan.native_stride_px:
        return trunk, False
    # A mean over the whole input would count the positions in between too.
    if plan.whole_input:
        return trunk, True
    try:
        densify(trunk, stride)
    except NotByDilation:
        return trunk_of(plan), True
    return trunk, False


def _last_operation(plan: Plan) -> str:
    """The last operation that changes a value: a flatten behind a softmax does not."""
    node = result_of(plan)
    while operation(node) in VIEWS | IDENTITIES:
        node = node.all_input_nodes[0]
    return operation(node)


def whole_input_reason(whole_input: tuple[tuple[str, str], ...]) -> str:
    """Which layers look at the whole input, in words."""
    name, why = whole_input[0]
    others = len(whole_input) - 1
    more = f" and {others} more layer{'s' if others > 1 else ''}" if others else ""
    return f"{name} ({why}){more}"


def inexact_message(whole_input: tuple[tuple[str, str], ...]) -> str:
    """Why sliding would be inexact, and the way out."""
    return (
        f"sliding would be inexact: {whole_input_reason(whole_input)}; "
        "use --engine crop, or --engine slide to slide all the same"
    )


class SliceReference:
    """The original trunk and the original head, slice by slice: slow, and the truth.

    Claim 1 is stated against this: no folding, no other layout, one slice a call.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.trunk = trunk_of(plan)
        self.head = head_of(plan)

    def features(self, photos: Tensor) -> Tensor:
        """Photos (B, 3, H, W) of whole windows -> feature map (B, C, h, w)."""
        return self.trunk(photos)  # type: ignore[no-any-return]

    def score(self, features: Tensor, row: int, column: int) -> Tensor:
        """The original head on one slice of a feature map (B, C, h, w): (B, K)."""
        n, m = self.plan.map_hw
        part = features[:, :, row : row + n, column : column + m]
        if self.plan.letters == "bhwc":
            part = part.permute(0, 2, 3, 1)
        return self.head(part.contiguous())  # type: ignore[no-any-return]


def relative_difference(found: Tensor, reference: Tensor) -> float:
    """max |found - reference| / max |reference|."""
    largest = reference.abs().max().item()
    return (found - reference).abs().max().item() / (largest or 1.0)


def _check(module: nn.Module, plan: Plan, converted: FullyConvolutional) -> None:
    """Refuse a conversion that does not give the original's scores.

    On 2 x 2 windows against the original head on slices; and on one window against
    the module itself, which the slices, made from the same recording, are not.
    """
    tensor = next(plan.traced.body.parameters(), torch.empty(0))
    if tensor.device.type == "meta":
        return
    window = plan.traced.window_px
    side = window + plan.native_stride_px
    noise = torch.Generator(device="cpu").manual_seed(0)
    photo = torch.randn(1, 3, side, side, generator=noise).to(tensor)
    crop = photo[:, :, :window, :window].contiguous()
    reference = SliceReference(plan)
    with torch.inference_mode():
        features = reference.features(photo)
        cells = [reference.score(features, row, column) for row in (0, 1) for column in (0, 1)]
        slices = torch.stack(cells, dim=2).view(1, -1, 2, 2)
        k = plan.native_stride_px // converted.stride_px
        _compare("the original head on slices", converted(photo)[..., ::k, ::k], slices)
        _compare("the original", converted(crop)[:, :, 0, 0], module(crop))


def _compare(what: str, found: Tensor, expected: Tensor) -> None:
    difference = relative_difference(found, expected)
    if not difference <= REFUSED_FROM:
        raise ConversionError(
            f"the converted network differs from {what} by {difference:.1e} of its largest "
            "score; use --engine crop"
        )
