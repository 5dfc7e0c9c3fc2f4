"""Check a converted network against the original head on slices of the feature map (claim 1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import ConversionError, Use
from .local_trunk import sliding_trunk_of
from .network import FullyConvolutional
from .plan import Plan
from .pooled_part import PooledPart
from .subgraphs import head_of

# Relative difference from which a conversion is refused: some deep networks with random weights
# differ by 5e-4 between float32 and float64; a wrong conversion differs by far more.
REFUSED_FROM = 1e-3


# The cells of 2 x 2 windows.
_CELLS = ((0, 0), (0, 1), (1, 0), (1, 1))


class SliceReference:
    """The reference for sliding heads: the original trunk, and the original head slice by slice.

    Claim 1, that the head slides exactly, is stated against this: no layers are fused or converted,
    and each slice is a separate call.

    Args:
        plan: the plan of the conversion, :attr:`FullyConvolutional.plan`.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.trunk = sliding_trunk_of(plan)
        self.head = head_of(plan)

    def features(self, photos: Tensor) -> Tensor:
        """The feature map (B, C, h, w) of photos (B, 3, H, W) of whole windows."""
        return self.trunk(photos)  # type: ignore[no-any-return]

    def score(self, features: Tensor, row: int, column: int) -> Tensor:
        """The original head's scores (B, K) of the slice of a feature map at a row and column.

        Args:
            features: feature map (B, C, h, w) from :meth:`features`.
            row, column: first position of the slice of n x m positions.
        """
        n, m = self.plan.map_hw
        part = features[:, :, row : row + n, column : column + m]
        if self.plan.letters == "bhwc":
            part = part.permute(0, 2, 3, 1)
        return self.head(part.contiguous())  # type: ignore[no-any-return]


def relative_difference(scores: Tensor, reference: Tensor) -> float:
    """Relative difference of scores of the same shape: max |difference| / max |reference|.

    >>> relative_difference(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 4.0]))
    0.25
    """
    largest = reference.abs().max().item()
    return (scores - reference).abs().max().item() / (largest or 1.0)


def check_against_original(module: nn.Module, plan: Plan, converted: FullyConvolutional) -> None:
    """Refuse a conversion whose scores differ from the original's.

    Compares 2 x 2 windows with the original head on slices, and one window with the module itself,
    since the slices come from the same recording as the conversion; without padding all four, as
    sliding is then cropping. Does nothing for a module on the "meta" device.

    Raises:
        ConversionError: they differ by ``REFUSED_FROM`` or more.
    """
    weights = next(plan.traced.body.parameters(), torch.empty(0))
    if weights.device.type == "meta":
        return
    window = plan.traced.window_px
    side = window + plan.native_stride_px
    noise = torch.Generator(device="cpu").manual_seed(0)
    photo = torch.randn(1, plan.traced.channels, side, side, generator=noise).to(weights)
    reference = SliceReference(plan)
    for part in reference.trunk.modules():
        if isinstance(part, PooledPart):
            part.check()
    with torch.inference_mode():
        features = reference.features(photo)
        cells = [reference.score(features, *cell) for cell in _CELLS]
        slices = torch.stack(cells, dim=2).view(1, -1, 2, 2)
        k = plan.native_stride_px // converted.stride_px
        _compare("the original head on slices", converted(photo)[..., ::k, ::k], slices)
        crop = _window(photo, plan, 0, 0)
        _compare("the original", converted(crop)[:, :, 0, 0], module(crop))
        if not plan.padded and not plan.whole_input:
            crops = [module(_window(photo, plan, *cell)) for cell in _CELLS]
            expected = torch.stack(crops, dim=2).view(1, -1, 2, 2)
            _compare("the original on other windows", converted(photo)[..., ::k, ::k], expected)


def _window(photo: Tensor, plan: Plan, row: int, column: int) -> Tensor:
    """The window of a cell of the native grid, cut out."""
    stride, side = plan.native_stride_px, plan.traced.window_px
    top, left = row * stride, column * stride
    return photo[:, :, top : top + side, left : left + side].contiguous()


def _compare(reference: str, scores: Tensor, expected: Tensor) -> None:
    difference = relative_difference(scores, expected)
    if not difference <= REFUSED_FROM:
        raise ConversionError(
            f"the converted network differs from {reference} by {difference:.1e} "
            "of its largest score",
            Use("engine", "crop"),
        )
