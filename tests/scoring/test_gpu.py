"""A GPU gives the scores of the processor: every engine, statistic, stride and number format."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import heatmap
from heatmap.errors import ModelError
from heatmap.scoring.device import Compute
from tests.support.local_networks import EVEN, LAYERS, network
from tests.support.networks import scenes

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

# Relative differences from float32 on the processor: 1e-3 with 24 bits and TF32 off, and a few
# operations rounded to so many bits in each of the others.
BOUNDS = {"float32": 1e-3, "tf32": 8 * 2.0**-11, "bfloat16": 8 * 2.0**-8, "float16": 8 * 2.0**-11}
KINDS = {"plain": [], **{name: [name, name] for name in LAYERS}}


def photo() -> np.ndarray:
    values = scenes(1, EVEN + 61, EVEN + 74, seed=3)[0].permute(1, 2, 0).numpy()
    return np.clip(128 + 60 * values, 0, 255).astype(np.uint8)


def scores(kind: str, stride: int | None = None, **options) -> np.ndarray:
    layers = [LAYERS[name]() for name in KINDS[kind]] or [nn.Identity()]
    scorer = heatmap.prepare(network(*layers), window=EVEN, backend="torch", **options)
    return scorer.score(photo(), heatmap.Placement(stride=stride)).scores


def difference(kind: str, *, device: str = "cuda", dtype: str = "float32", **options) -> float:
    expected = scores(kind, **options)
    found = scores(kind, device=device, dtype=dtype, **options)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("stride", [8, 4, 1])
def test_sliding_gives_the_scores_of_the_processor(stride: int, dtype: str) -> None:
    assert difference("plain", stride=stride, dtype=dtype) < BOUNDS[dtype]


@pytest.mark.parametrize("statistics", ["local", "whole"])
@pytest.mark.parametrize("stride", [8, 4])
@pytest.mark.parametrize("kind", LAYERS)
def test_statistics_give_the_scores_of_the_processor(
    kind: str, stride: int, statistics: str
) -> None:
    assert difference(kind, stride=stride, statistics=statistics) < BOUNDS["float32"]


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("kind", KINDS)
def test_cropping_gives_the_scores_of_the_processor(kind: str, dtype: str) -> None:
    # Gates of these networks multiply what is rounded by eight.
    factor = 1 if dtype == "float32" else 8
    assert difference(kind, engine="crop", dtype=dtype) < factor * BOUNDS[dtype]


def test_every_gpu_has_a_number() -> None:
    last = f"cuda:{torch.cuda.device_count() - 1}"
    assert difference("plain", device=last) < BOUNDS["float32"]


def test_default_memory_is_the_device_s() -> None:
    free, _ = torch.cuda.mem_get_info(0)
    assert 0 < Compute("cuda").free_memory <= free


def test_running_out_of_memory_is_one_line() -> None:
    with (
        pytest.raises(ModelError, match="device cuda ran out of memory"),
        Compute("cuda").running(),
    ):
        # More than any GPU has.
        torch.empty(2**50, device="cuda")
