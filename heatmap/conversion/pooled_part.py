"""The layers between a statistic and where it rejoins a map, computed for each position."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from ..errors import ConversionError, Use
from .fuse import fuse
from .graph import arguments, operation, pair, shape
from .shapes import peak_bytes


class PooledPart(nn.Module):
    """Layers of pooled values, with the positions of a map as their batch.

    (B, K, h, w) for each statistic -> a map that is aligned with these, in the order of axes of
    the map that it joins.
    """

    def __init__(
        self, body: fx.GraphModule, shapes: Sequence[tuple[int, ...]], letters: str, name: str
    ) -> None:
        """
        Args:
            body: recorded layers; takes (P, ...) and gives (P, ...), for any batch P.
            shapes: what it takes of each statistic for one position, without the batch.
            letters: axes of the map that the result joins; its own rows and columns are of length
                1 for one position.
            name: of the layer that joins, for error messages.
        """
        super().__init__()
        self.body, self.shapes, self.letters, self.name = body, tuple(shapes), letters, name
        of_one = {node: shape(node) for node in body.graph.nodes if "val" in node.meta}
        # Temporary bytes while it runs, per byte of its result.
        self.passing = peak_bytes(body, of_one) / (4 * math.prod(of_one[_result(body)]))

    def forward(self, *statistics: Tensor) -> Tensor:
        batch, _, rows, columns = statistics[0].shape
        given = [
            maps.permute(0, 2, 3, 1).reshape(batch * rows * columns, *one)
            for maps, one in zip(statistics, self.shapes, strict=True)
        ]
        result: Tensor = self.body(*given)
        still = [
            length
            for length, letter in zip(result.shape[1:], self.letters[1:], strict=True)
            if letter not in "hw"
        ]
        apart = result.reshape(batch, rows, columns, *still)
        others = iter(range(3, apart.dim()))
        known = {"b": 0, "h": 1, "w": 2}
        order = [known[letter] if letter in known else next(others) for letter in self.letters]
        return apart.permute(order)

    def fuse(self) -> None:
        """Fold BatchNorm, and write 1 x 1 convolutions of single positions as matrix products."""
        fuse(self.body)
        for node in list(self.body.graph.nodes):
            if operation(node) == "conv2d" and _is_matrix(node):
                given = arguments(node)
                node.target, node.kwargs = matrix_product, {}
                node.args = (given["input"], given["weight"], given["bias"])
        self.body.recompile()

    @torch.inference_mode()
    def check(self) -> None:
        """Refuse layers that mix positions: those of a batch must be independent of each other.

        Raises:
            ConversionError: they are not.
        """
        weights = next(self.body.parameters(), torch.empty(0))
        noise = torch.Generator(device="cpu").manual_seed(0)
        given = [torch.rand(3, *one, generator=noise).to(weights) for one in self.shapes]
        together = self.body(*given)
        alone = [self.body(*(each[at : at + 1] for each in given)) for at in range(3)]
        if not torch.allclose(together, torch.cat(alone), rtol=1e-3, atol=1e-5):
            raise not_local(self.name, "it makes photos of one batch depend on each other")


def _result(body: fx.GraphModule) -> fx.Node:
    output: fx.Node = next(node for node in body.graph.nodes if node.op == "output")
    return output.all_input_nodes[0]


def not_local(name: str, reason: str) -> ConversionError:
    """The refusal of a layer whose statistic cannot be taken around each position."""
    return ConversionError(
        f"cannot slide with local statistics at {name}: {reason}",
        Use("statistics", "whole"),
        Use("engine", "crop"),
    )


def matrix_product(values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A 1 x 1 convolution of maps of one position: (P, C, 1, 1) -> (P, K, 1, 1).

    torch's convolution takes several times as long for so many small maps.
    """
    return functional.linear(values.flatten(1), weight.flatten(1), bias)[:, :, None, None]


def _is_matrix(node: fx.Node) -> bool:
    given = arguments(node)
    kernel, before = shape(given["weight"])[2:], shape(given["input"])[2:]
    plain = given["groups"] == 1 and not any(pair(given["padding"]))
    return plain and kernel == before == (1, 1) and pair(given["stride"]) == (1, 1)
