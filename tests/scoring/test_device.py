"""Devices and number formats: near float32 on the CPU, and refused in one line where absent."""

import numpy as np
import pytest
import torch
from torch import nn

import heatmap
from heatmap.choices import DEVICES, DTYPES
from heatmap.errors import GeometryError, ModelError
from heatmap.scoring import device as devices
from heatmap.scoring.device import Compute
from tests.support.networks import WINDOW, Classifier, heads, randomise


def network() -> nn.Module:
    torch.manual_seed(0)
    return randomise(Classifier(heads()["fc layers"]), WINDOW)


def photo() -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=(70, 90, 3)).cumsum(0).cumsum(1)
    return ((noise - noise.min()) / np.ptp(noise) * 255).astype(np.uint8)


@pytest.mark.parametrize("engine", ["slide", "crop"])
@pytest.mark.parametrize(("dtype", "bits"), [("bfloat16", 8), ("float16", 11)])
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


def test_plain_compute_takes_the_module_as_it_is():
    module = nn.Linear(2, 2)
    assert Compute().is_plain
    assert Compute().moved(module) is module
    moved = Compute(dtype="bfloat16").moved(module)
    assert moved is not module
    assert moved.weight.dtype == torch.bfloat16
    assert Compute(dtype="float16").tensor(torch.zeros(1)).dtype == torch.float16


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_absent_is_refused_in_one_line(monkeypatch, device):
    monkeypatch.setattr(devices, "_is_available", lambda _: False)
    with pytest.raises(ModelError, match=f"^device {device} is not available: use device='cpu'$"):
        heatmap.prepare(network(), window=WINDOW, device=device)
    monkeypatch.setattr(devices, "_is_available", lambda _: True)
    assert not Compute(device).is_plain


def test_unknown_names_are_refused_with_those_that_are():
    with pytest.raises(ModelError, match="device is 'tpu': choose one of cpu, cuda, mps"):
        Compute("tpu")
    with pytest.raises(ModelError, match="dtype is 'int8': choose one of float32, bfloat16"):
        Compute(dtype="int8")
    assert (len(DEVICES), len(DTYPES)) == (3, 3)


@pytest.mark.parametrize("error", [RuntimeError, NotImplementedError])
def test_what_does_not_exist_in_a_format_is_refused_before_a_photo_is_read(error):
    class Absent(nn.Module):
        def forward(self, photos: torch.Tensor) -> torch.Tensor:
            raise error('"some_kernel" not implemented\nfor this type')

    expected = r'^cannot compute in float16 on cpu \("some_kernel" not implemented\): use dtype='
    with pytest.raises(ModelError, match=expected):
        Compute(dtype="float16").try_out(Absent(), WINDOW)
    Compute().try_out(Absent(), WINDOW)
