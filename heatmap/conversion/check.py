"""The converted network against the original head on slices of the feature map (claim 1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import ConversionError, Use
from .network import FullyConvolutional
from .plan import Plan
from .subgraphs import head_of, trunk_of

# Largest relative difference between the converted head and the original one on
# slices that counts as rounding; it is of the order 1e-6 in float32.
TOLERANCE = 1e-5


# A conversion is refused only past this: in float32 some deep networks with random weights
# are 5e-4 away from themselves in float64; a wrong conversion is off by far more.
REFUSED_FROM = 1e-3


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


def check_against_original(module: nn.Module, plan: Plan, converted: FullyConvolutional) -> None:
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
            f"the converted network differs from {what} by {difference:.1e} of its largest score",
            Use("engine", "crop"),
        )
