"""The memory that ONNX Runtime takes for a photo."""

from __future__ import annotations

import numpy as np
import pytest

from heatmap.errors import ModelError
from heatmap.prepared.peak import Peak, measured_peak
from heatmap.prepared.session import SCORES

SHAPES = ((1, 32, 32), (1, 512, 512))


def test_what_this_process_holds_does_not_count(network):
    held = np.ones(400_000_000, np.uint8)
    peak = measured_peak(network.file, SCORES, SHAPES)
    # As bytes, as numbers, and the first feature map of 8 channels at half the resolution.
    assert 512 * 512 * 15 < peak.bytes(SHAPES[1]) < held.size / 4


def test_line_goes_through_both_measurements_with_a_margin():
    peak = Peak.through([((1, 10, 10), 6_000), ((1, 20, 20), 15_000)])
    assert peak.bytes((1, 10, 10)) == pytest.approx(1.6 * 6_000, abs=1)
    assert peak.bytes((1, 20, 20)) == pytest.approx(1.6 * 15_000, abs=1)


@pytest.mark.parametrize("measured", [(0, 0), (50_000, 0), (0, 100), (9_000, 9_000)])
def test_pixels_count_even_if_nothing_was_measured(measured):
    low, high = measured
    peak = Peak.through([((1, 10, 10), low), ((1, 20, 20), high)])
    assert peak.per_px >= 15
    assert peak.bytes((1, 20, 20)) >= high


def test_network_that_does_not_run_is_said(tmp_path):
    (tmp_path / "no.onnx").write_bytes(b"no network")
    with pytest.raises(ModelError, match="its memory cannot be measured"):
        measured_peak(tmp_path / "no.onnx", SCORES, SHAPES)
