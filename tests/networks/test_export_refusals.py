"""What is not exported, and why, in one line."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import heatmap
from heatmap.marks import MARK
from heatmap.networks import export as programs
from heatmap.networks.export import PROGRAM_SUFFIXES
from tests.support.exports import STRIDE, seeded
from tests.support.networks import WINDOW, Trunk, randomise

# The head of an exported file, which says who wrote it.
EARLIER = b"\x08\x0a\x12\x11" + MARK.encode() + b"earlier"


@pytest.fixture
def small():
    return seeded("global pool")


class Enlarging(nn.Module):
    """Dilation cannot make it denser: a finer stride takes shifted passes."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.fc = Trunk(), nn.Linear(8, 5)

    def forward(self, photos):
        maps = nn.functional.interpolate(self.trunk(photos), scale_factor=2.0)
        return self.fc(nn.functional.max_pool2d(maps, 2).mean((2, 3)))


@pytest.mark.parametrize("to", ["torch", pytest.param("onnx", marks=pytest.mark.slow)])
def test_a_stride_that_takes_a_pass_for_every_shift_is_refused(tmp_path, to):
    torch.manual_seed(0)
    module, path = randomise(Enlarging(), WINDOW), tmp_path / f"a{PROGRAM_SUFFIXES[to]}"
    assert heatmap.convert(module, WINDOW, 2).stitched
    with pytest.raises(heatmap.ConversionError, match=r"a stride of 2 px: .* its own stride is 4"):
        heatmap.export(module, path, to=to, stride=2, window=WINDOW)
    assert heatmap.export(module, path, to=to, window=WINDOW).checks


@pytest.mark.usefixtures("_written_at_once")
@pytest.mark.parametrize("to", ["onnx", pytest.param("torch", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda scores: scores + 1e-3 * scores.abs().max(), r"differs .* by 1.0e-03 of"),
        pytest.param(
            *(lambda scores: scores * torch.nan, r"differs .* by nan of"), marks=pytest.mark.slow
        ),
        pytest.param(
            lambda scores: scores[..., :1],
            r"gives \(2, 5, 3, 1\) scores for 2 x 3 x 36 x 41, the ",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_file_that_gives_something_else_is_refused(
    small_onnx, tmp_path, monkeypatch, to, spoil, message
):
    path = tmp_path / f"small{PROGRAM_SUFFIXES[to]}"
    # What an export of earlier may be.
    path.write_bytes(EARLIER)
    checked = programs._checked
    monkeypatch.setattr(
        programs, "_checked", lambda network, run: checked(network, lambda p: spoil(run(p)))
    )
    with pytest.raises(heatmap.ConversionError, match=message):
        heatmap.export(small_onnx.model, path, to=to, stride=STRIDE)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == EARLIER


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("torch.export.export", "torch"),
        ("torch.onnx.export", "onnx"),
        ("torch.export.save", "torch"),
    ],
)
def test_what_torch_raises_is_one_line(small, tmp_path, monkeypatch, where, what):
    # heatmap.convert records too.
    network = heatmap.convert(small, WINDOW)
    monkeypatch.setattr(programs, "convert_usable", lambda *_, **__: network)

    def fail(*_, **__):
        raise RuntimeError("no such operation\nat length")

    monkeypatch.setattr(where, fail)
    path = tmp_path / f"a{PROGRAM_SUFFIXES[what]}"
    with pytest.raises(heatmap.ConversionError) as caught:
        heatmap.export(small, path, to=what, window=WINDOW)
    assert str(caught.value) == "Classifier cannot be exported: no such operation"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_written_at_once")
def test_a_path_that_cannot_be_written_is_refused(small_onnx, tmp_path):
    (tmp_path / "a.onnx").mkdir()
    with pytest.raises(heatmap.ResultError, match=r"a\.onnx: cannot be written: is a directory"):
        heatmap.export(small_onnx.model, tmp_path / "a.onnx", stride=STRIDE)
    with pytest.raises(heatmap.ResultError, match="format is 'xml': choose one of onnx, torch"):
        heatmap.export(small_onnx.model, tmp_path / "a.onnx", to="xml", stride=STRIDE)
