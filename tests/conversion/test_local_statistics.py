"""Local statistics: each position's are those of a box around it, cut out and reduced by torch."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

import heatmap
from heatmap import ConversionError, InexactError, convert
from heatmap.conversion.box import Box
from heatmap.conversion.box_statistics import BoxSide, Normalisation, Statistic
from heatmap.conversion.check import relative_difference
from heatmap.conversion.graph import read_attribute
from tests.support.local_networks import EVEN, LAYERS, ODD, Layer, groups, network
from tests.support.networks import Trunk, crops, scenes

REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda x: x.mean((2, 3), keepdim=True),
    "mean of all channels": lambda x: x.mean((1, 2, 3), keepdim=True),
    "mean without axes": lambda x: x.mean((-1, -2))[:, :, None, None],
    "sum": lambda x: x.sum((2, 3), keepdim=True),
    "adaptive average": lambda x: functional.adaptive_avg_pool2d(x, 1),
    "average": lambda x: functional.avg_pool2d(x, tuple(x.shape[2:])),
    "adaptive maximum": lambda x: functional.adaptive_max_pool2d(x, 1),
    "maximum": lambda x: functional.max_pool2d(x, tuple(x.shape[2:])),
    "largest": lambda x: x.amax((2, 3), keepdim=True),
    "smallest of all channels": lambda x: x.amin((1, 2, 3), keepdim=True),
    "log of a sum of exponentials": lambda x: x.logsumexp((2, 3), keepdim=True),
    "the same of all channels": lambda x: x.logsumexp((1, 2, 3), keepdim=True),
    "variance": lambda x: x.var((2, 3), keepdim=True),
    "biased variance of all channels": lambda x: x.var((1, 2, 3), False, keepdim=True),
    "standard deviation": lambda x: x.std((2, 3), keepdim=True),
    "norm": lambda x: x.norm(p=2, dim=(2, 3), keepdim=True),
    "norm of 1": lambda x: torch.linalg.vector_norm(x, 1, (2, 3), keepdim=True),
    "norm of 3": lambda x: torch.linalg.vector_norm(x, 3, (1, 2, 3), keepdim=True),
    "largest norm": lambda x: torch.linalg.vector_norm(x, float("inf"), (2, 3), keepdim=True),
    "channels last": lambda x: x.permute(0, 2, 3, 1).mean((1, 2), keepdim=True).permute(0, 3, 1, 2),
}


FINER_BY_DEFAULT = ("squeeze and excitation", "response normalisation", "groups")


def values_in(trunk: fx.GraphModule, photo: Tensor) -> dict[fx.Node, Tensor]:
    """The value of each node of a trunk."""
    values: dict[fx.Node, Tensor] = {}

    class Recorder(fx.Interpreter):
        def run_node(self, node: fx.Node) -> Tensor:
            values[node] = super().run_node(node)
            return values[node]

    with torch.inference_mode():
        Recorder(trunk).run(photo)
    return values


def parts_of(trunk: fx.GraphModule, kind: type[nn.Module]) -> list[fx.Node]:
    calls = [node for node in trunk.graph.nodes if node.op == "call_module"]
    return [node for node in calls if isinstance(trunk.get_submodule(str(node.target)), kind)]


def around(maps: Tensor, sides: tuple[int, int]) -> dict[tuple[int, int], tuple[slice, slice]]:
    """The box of each position of a map, as slices of rows and columns."""
    boxes = {}
    for place in product(*map(range, maps.shape[2:])):
        starts = [
            min(max(at - (side - 1) // 2, 0), length - side)
            for at, side, length in zip(place, sides, maps.shape[2:], strict=True)
        ]
        boxes[place] = tuple(
            slice(start, start + side) for start, side in zip(starts, sides, strict=True)
        )
    return boxes


@pytest.mark.few(5)
@pytest.mark.parametrize("window", [pytest.param(EVEN, marks=pytest.mark.slow), ODD])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_each_position_has_the_statistic_of_its_box(name: str, window: int) -> None:
    reduce = REDUCTIONS[name]
    layer = Layer(lambda x, _, scale: x * (reduce(x) * scale[:, None, None]).tanh())
    trunk = convert(network(layer, window=window), window, statistics="local").trunk
    values = values_in(trunk, scenes(1, window + 28, window + 40, seed=2))
    _, rows = parts_of(trunk, BoxSide)
    source = values[rows.args[0].args[0]]
    source = source if source.shape[1] == 8 else source.permute(0, 3, 1, 2)
    side = window // 4
    assert source.shape[2:] == (side + 7, side + 10)
    for (row, column), box in around(source, (side, side)).items():
        expected = reduce(source[:, :, *box]).flatten()
        assert torch.allclose(values[rows][0, :, row, column], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_means_far_from_zero_do_not_hide_variances(shift: float) -> None:
    """Of squares less the square of the mean, float32 would leave nothing."""
    layer = Layer(lambda x, at, _: at["norm"](x + shift), norm=nn.GroupNorm(2, 8))
    trunk = convert(network(layer), EVEN, statistics="local").trunk
    values = values_in(trunk, scenes(1, 56, 60, seed=2))
    (normal,) = parts_of(trunk, Normalisation)
    source, norm = values[normal.args[0]], trunk_norm(trunk, normal)
    for (row, column), box in around(source, (8, 8)).items():
        down, across = row - box[0].start, column - box[1].start
        with torch.inference_mode():
            expected = norm(source[:, :, *box])[0, :, down, across]
        found = values[normal][0, :, row, column]
        assert torch.allclose(found, expected, atol=1e-5 if shift == 0 else 2e-3)


def trunk_norm(trunk: fx.GraphModule, normal: fx.Node) -> Callable[[Tensor], Tensor]:
    """GroupNorm in float64: in float32 torch's own takes the mean's square off."""
    weight, bias = (read_attribute(trunk, str(node.target)).double() for node in normal.args[2:])
    return lambda maps: functional.group_norm(maps.double(), 2, weight, bias).float()


@pytest.mark.few(3)
@pytest.mark.parametrize("window", [EVEN, pytest.param(ODD, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", LAYERS)
def test_one_window_gives_the_network_s_own_scores(name: str, window: int) -> None:
    module = network(LAYERS[name](), LAYERS[name](), window=window)
    converted = convert(module, window, statistics="local")
    photos = scenes(3, window, window, seed=4)
    with torch.inference_mode():
        expected = module(photos)
        assert relative_difference(converted(photos)[..., 0, 0], expected) < 1e-5
    assert not torch.allclose(expected[0], expected[1], rtol=1e-2)
    assert (converted.statistics, converted.sliding) == ("local", "inexact")
    assert len(converted.whole_input) >= 2


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name not in FINER_BY_DEFAULT))
        for name in LAYERS
    ],
)
def test_every_kth_cell_of_a_finer_stride_is_a_native_one(name: str) -> None:
    module = network(LAYERS[name](), LAYERS[name]())
    native = convert(module, EVEN, statistics="local")
    photo = scenes(1, EVEN + 40, EVEN + 24, seed=3)
    with torch.inference_mode():
        expected = native(photo)
        assert expected.shape[2:] == (6, 4)
        for k in (2, 8):
            finer = convert(module, EVEN, 8 // k, statistics="local")
            assert not finer.stitched
            assert relative_difference(finer(photo)[..., ::k, ::k], expected) < 1e-5


def test_cells_between_native_ones_are_those_of_shifted_photos() -> None:
    """Away from the edges, where a shifted photo's boxes and padding lie elsewhere."""
    module = network(LAYERS["groups"](), LAYERS["both pools"]())
    native, finer = (convert(module, EVEN, stride, statistics="local") for stride in (8, 4))
    photo = scenes(1, EVEN + 164, EVEN + 164, seed=3)
    with torch.inference_mode():
        found, shifted = finer(photo)[..., 1::2, 1::2], native(photo[..., 4:, 4:])
        inner = slice(9, -9)
        assert shifted[..., inner, inner].numel()
        assert relative_difference(found[..., inner, inner], shifted[..., inner, inner]) < 1e-5


def test_local_statistics_are_nearer_to_crops_than_those_of_the_whole_photo() -> None:
    module = network(LAYERS["instances"](), window=EVEN)
    photo = scenes(1, EVEN + 64, EVEN + 64, seed=3)
    with torch.inference_mode():
        expected = crops(module, photo, stride=8)
        local, whole = (
            (convert(module, EVEN, statistics=statistics)(photo) - expected).abs().mean()
            for statistics in ("local", "whole")
        )
    assert local < 0.8 * whole


def test_networks_without_such_layers_are_as_before() -> None:
    module = network(nn.Identity())
    assert convert(module, EVEN, statistics="local").statistics is None


def test_without_statistics_the_refusal_names_them() -> None:
    with pytest.raises(InexactError, match="or statistics='local' to slide anyway"):
        convert(network(groups()), EVEN)
    with pytest.raises(heatmap.GeometryError, match="statistics is 'global': choose one of local"):
        convert(network(groups()), EVEN, statistics="global")  # type: ignore[arg-type]


class Coarser(nn.Module):
    """A gate of a map on a coarser one of as many channels."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.down = Trunk(), nn.Conv2d(8, 8, 1, stride=2)

    def forward(self, photo: Tensor) -> Tensor:
        maps = self.trunk(photo)
        return (self.down(maps) * maps.mean((2, 3), keepdim=True).sigmoid()).mean((2, 3))


REFUSED = {
    "with a map of another size": Coarser,
    "a part of its input": lambda: network(
        Layer(lambda x, *_: x * functional.avg_pool2d(x, 7, 8).sigmoid())
    ),
    "the positions of the largest values": lambda: network(
        Layer(lambda x, *_: x + functional.adaptive_max_pool2d(x, 1, return_indices=True)[1])
    ),
    "photos of one batch depend": lambda: network(
        Layer(lambda x, *_: x * x.mean((2, 3), keepdim=True).softmax(0))
    ),
    "it is a norm of power 0": lambda: network(
        Layer(lambda x, *_: x * torch.linalg.vector_norm(x, 0, (2, 3), keepdim=True))
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_local_is_refused_by_name(reason: str) -> None:
    with pytest.raises(ConversionError, match=f"with local statistics at .*{reason}"):
        convert(REFUSED[reason]().eval(), EVEN, statistics="local")


def test_a_map_smaller_than_a_window_is_taken_whole() -> None:
    box = BoxSide(Statistic("mean", (0, 2, 3, 1), 1, 1), Box(9), 0)
    maps = torch.arange(4.0).view(1, 1, 4, 1)
    assert box(maps).flatten().tolist() == [1.5] * 4
