"""Boxes of positions: starts and ranges in integers, against lists of positions."""

import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.export import Dim

from heatmap.conversion.box import Box
from heatmap.conversion.box_statistics import BoxSide, Statistic
from heatmap.networks.onnx import onnx_program
from heatmap.networks.record import recorded

boxes = st.builds(Box, count=st.integers(1, 9), rate=st.integers(1, 4))


def whole_box(box, position, total):
    """The positions around one, from lists of those of each residue; None without a whole box."""
    own = [*range(position % box.rate, total, box.rate)]
    if len(own) < box.count:
        return None
    start = min(max(own.index(position) - (box.count - 1) // 2, 0), len(own) - box.count)
    return own[start : start + box.count]


@settings(max_examples=200)
@given(box=boxes, total=st.integers(1, 40))
def test_a_box_holds_the_positions_around_one(box, total):
    for position in range(total):
        expected = whole_box(box, position, total)
        start, end = box.start(position, total), box.start(position, total) + box.span_in(total)
        assert 0 <= start < end <= total
        if expected is not None:
            assert [*range(start, end, box.rate)] == expected


def test_the_middle_of_a_window_has_the_window_s_box():
    for count in (6, 7):
        box = Box(count)
        assert {box.start(first + (count - 1) // 2, 30) - first for first in range(24)} == {0}
        assert {box.start(position, count) for position in range(count)} == {0}


@settings(max_examples=200)
@given(box=boxes, total=st.integers(1, 40), data=st.data())
def test_ranges_are_those_of_all_their_positions(box, total, data):
    first = data.draw(st.integers(0, total - 1))
    end = data.draw(st.integers(first + 1, total))
    starts = [box.start(position, total) for position in range(total)]
    span, wanted = box.span_in(total), starts[first:end]
    assert box.read(first, end, total) == (min(wanted), max(wanted) + span)
    available = data.draw(st.integers(0, total))
    further = [position for position, start in enumerate(starts) if start + span > available]
    assert box.determined(available, total) == min([total, *further])
    side = BoxSide(Statistic("sum", (0, 2, 3, 1), 1, 1), box, 0)
    assert side._starts((first, end), total).tolist() == wanted


@pytest.mark.parametrize("kind", ["moments", pytest.param("mean", marks=pytest.mark.slow)])
def test_the_same_comes_out_in_onnx_runtime(kind, tmp_path):
    """On maps of another size than the one that it was recorded with."""
    sides = [BoxSide(Statistic(kind, (0, 2, 3, 1), 4, 1, elements=15), Box(5), 1)]
    sides.append(BoxSide(sides[0].statistic, Box(3), 0))
    both = nn.Sequential(*sides)
    axes = {2: Dim("height", min=5), 3: Dim("width", min=5)}
    program = recorded(both, "input", torch.randn(1, 4, 9, 11), axes)
    onnx_program(program, "input", ["boxes"]).save(tmp_path / "boxes.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "boxes.onnx")
    maps = torch.randn(1, 4, 14, 8)
    (given,) = session.run(None, {"input": maps.numpy()})
    torch.testing.assert_close(torch.from_numpy(given), both(maps), rtol=1e-5, atol=1e-6)
