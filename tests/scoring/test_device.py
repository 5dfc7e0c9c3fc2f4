"""Devices and number formats: near float32 on the CPU, and refused in one line where absent."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import heatmap
from heatmap import convert
from heatmap.choices import DEVICES
from heatmap.errors import GeometryError, ModelError
from heatmap.scoring import device as devices
from heatmap.scoring.bands.roller import Roller
from heatmap.scoring.bands.scanner import Scanner
from heatmap.scoring.device import Compute
from tests.support.local_networks import EVEN, LAYERS
from tests.support.local_networks import network as local_network
from tests.support.networks import WINDOW, Classifier, heads, randomise


def network() -> nn.Module:
    torch.manual_seed(0)
    return randomise(Classifier(heads()["fc layers"]), WINDOW)


def photo() -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=(70, 90, 3)).cumsum(0).cumsum(1)
    return ((noise - noise.min()) / np.ptp(noise) * 255).astype(np.uint8)


@pytest.mark.parametrize("engine", ["slide", "crop"])
@pytest.mark.parametrize(
    ("dtype", "bits"), [("bfloat16", 8), pytest.param("float16", 11, marks=pytest.mark.slow)]
)
def test_half_precision_is_as_near_to_float32_as_its_digits_allow(dtype, bits, engine):
    module = network()
    plain = heatmap.prepare(module, window=WINDOW, engine=engine).score(photo())
    grid = heatmap.prepare(module, window=WINDOW, engine=engine, dtype=dtype).score(photo())
    assert grid.scores.dtype == np.float32
    error = np.abs(grid.scores - plain.scores).max() / np.abs(plain.scores).max()
    # A few operations, each rounded to so many bits; and not float32 after all.
    assert 2.0**-20 < error < 8 * 2.0**-bits
    assert grid.origin.computation.dtype == dtype
    assert plain.origin.computation.dtype == "float32"


def test_bands_in_half_precision_give_what_one_pass_gives():
    scorer = heatmap.prepare(network(), window=WINDOW, dtype="bfloat16")
    tall = np.tile(photo(), (6, 1, 1))
    whole = scorer.score(tall)
    with pytest.raises(GeometryError) as refusal:
        scorer.score(tall, memory=1000)
    (way,) = refusal.value.ways
    cut = scorer.score(tall, memory=way.value)
    assert cut.origin.computation.band_px < whole.origin.computation.band_px
    np.testing.assert_allclose(cut.scores, whole.scores, atol=0.02 * np.abs(whole.scores).max())


def test_the_callers_module_stays_in_its_own_format():
    module = network()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    heatmap.prepare(module, window=WINDOW, dtype="bfloat16").score(photo())
    assert {value.dtype for value in module.parameters()} == {torch.float32}
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_weights_stay_in_float32_whatever_the_format():
    module = nn.Linear(2, 2)
    assert Compute().is_plain
    for dtype in ("float32", "bfloat16"):
        compute = Compute(dtype=dtype)
        assert compute.moved(module) is module
        assert compute.tensor(torch.zeros(1)).dtype == torch.float32
        with compute.running(), torch.inference_mode():
            assert module(torch.zeros(1, 2)).dtype == getattr(torch, dtype)


def test_the_format_ends_between_blocks():
    """What a caller computes between two blocks of scores is in their own format."""
    formats = []

    def blocks():
        for _ in range(2):
            formats.append(torch.is_autocast_enabled("cpu"))
            yield 1

    for _ in Compute(dtype="bfloat16").each(blocks()):
        formats.append(torch.is_autocast_enabled("cpu"))
    assert formats == [True, False] * 2


@pytest.fixture
def gpus(monkeypatch):
    """Two GPUs that stand in for real ones, with 10 GB free of 80, of which torch spares 2."""
    numbers = {
        "is_available": True,
        "device_count": 2,
        "mem_get_info": (10 * 10**9, 80 * 10**9),
        "memory_reserved": 5 * 10**9,
        "memory_allocated": 3 * 10**9,
    }
    for name, value in numbers.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)


def test_devices_have_numbers(gpus):
    assert [Compute(device).kind for device in ("cuda", "cuda:1")] == ["cuda"] * 2
    with pytest.raises(ModelError, match=r"^device cuda:2 is not available: use device='cpu'$"):
        Compute("cuda:2")


def test_default_memory_is_half_of_what_the_device_has_free(gpus, monkeypatch):
    assert Compute("cuda:1").free_memory == 6 * 10**9
    monkeypatch.setattr(devices, "free_memory", lambda: 7)
    assert Compute().free_memory == 7
    scorer = heatmap.prepare(network(), window=WINDOW, backend="torch")
    with pytest.raises(GeometryError, match="memory is 0 MB"):
        scorer.score(photo())


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_a_device_that_runs_out_of_memory_says_so_in_one_line(gpus, error):
    expected = (
        r"^device cuda:1 ran out of memory \(10.0 of 80.0 GB are free\): set a lower memory "
        "or use device='cpu'$"
    )
    with pytest.raises(ModelError, match=expected), Compute("cuda:1").running():
        raise error("CUDA out of memory. Tried to allocate 20.00 MiB")
    with pytest.raises(RuntimeError, match="something else"), Compute("cuda:1").running():
        raise RuntimeError("something else")


def test_tf32_is_off_unless_asked_for(gpus, monkeypatch):
    switches = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [switch.allow_tf32 for switch in switches]
    try:
        for switch in switches:
            switch.allow_tf32 = True
        with Compute("cuda").running():
            assert not any(switch.allow_tf32 for switch in switches)
            with Compute("cuda").running():
                pass
            assert not any(switch.allow_tf32 for switch in switches)
        assert all(switch.allow_tf32 for switch in switches)
        for switch in switches:
            switch.allow_tf32 = False
        with Compute("cuda", "tf32").running():
            assert all(switch.allow_tf32 for switch in switches)
        assert not any(switch.allow_tf32 for switch in switches)
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.allow_tf32 = value
    with pytest.raises(ModelError, match="tf32 is a format of CUDA devices, not of cpu"):
        Compute(dtype="tf32")


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_absent_is_refused_in_one_line(monkeypatch, device):
    monkeypatch.setattr(devices, "_is_available", lambda _: False)
    with pytest.raises(ModelError, match=f"^device {device} is not available: use device='cpu'$"):
        heatmap.prepare(network(), window=WINDOW, device=device)
    monkeypatch.setattr(devices, "_is_available", lambda _: True)
    assert not Compute(device).is_plain


def test_unknown_names_are_refused_with_those_that_are():
    with pytest.raises(ModelError, match="device is 'tpu': choose one of cpu, cuda, mps, cuda:N"):
        Compute("tpu")
    with pytest.raises(ModelError, match="dtype is 'int8': choose one of float32, tf32, bfloat16"):
        Compute(dtype="int8")


MORE = ((None, 2), ("local", 1), ("whole", 2))


@pytest.mark.parametrize(
    ("statistics", "k"),
    [
        (None, 1),
        ("local", 2),
        ("whole", 1),
        *(pytest.param(name, k, marks=pytest.mark.slow) for name, k in MORE),
    ],
)
def test_nothing_is_computed_beside_the_device(monkeypatch, statistics, k):
    """On the "meta" device, which refuses what is joined with tensors of another."""
    monkeypatch.setattr(devices, "DEVICES", (*DEVICES, "meta"))
    monkeypatch.setattr(devices, "_is_available", lambda _: True)
    compute = Compute("meta")
    layers = (
        [LAYERS[name]() for name in ("both pools", "groups")] if statistics else [nn.Identity()]
    )
    plain = convert(local_network(*layers), EVEN, 8 // k, statistics=statistics)
    moved = compute.moved(plain)
    values = compute.tensor(torch.zeros(1, 3, 96, 104))
    with torch.inference_mode():
        scores = moved(values)
        assert scores.device.type == "meta"
        assert scores.shape == plain(torch.zeros(values.shape)).shape
        if statistics == "whole":
            return
        scanner = Scanner(moved, (96, 104))
        (part,) = scanner.parts((0, scores.shape[2], 0, scores.shape[3]), 10**9)
        starts = [0, 40, 96]
        roller = Roller(moved.trunk, part.plan, moved.prepared)
        bands = (values[:, :, top:end] for top, end in pairwise(starts))
        assert {rows.device.type for rows in roller.roll(bands, starts)} == {"meta"}


@pytest.mark.parametrize("error", [RuntimeError, NotImplementedError])
def test_what_does_not_exist_in_a_format_is_refused_before_a_photo_is_read(error):
    class Absent(nn.Module):
        def forward(self, photos: torch.Tensor) -> torch.Tensor:
            raise error('"some_kernel" not implemented\nfor this type')

    expected = r'^cannot compute in float16 on cpu \("some_kernel" not implemented\): use dtype='
    with pytest.raises(ModelError, match=expected):
        Compute(dtype="float16").try_out(Absent(), WINDOW)
    Compute().try_out(Absent(), WINDOW)
