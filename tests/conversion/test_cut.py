"""Photos cut to whole windows."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.conversion.cut import cut_to_windows


@settings(max_examples=100)
@given(
    window=st.integers(1, 20),
    stride=st.integers(1, 30),
    more=st.tuples(st.integers(0, 60), st.integers(0, 60)),
)
def test_what_is_left_is_tiled_from_the_top_left_and_no_window_more_would_fit(window, stride, more):
    height, width = (window + px for px in more)
    photos = torch.arange(2.0 * height * width).view(2, 1, height, width)
    cut = cut_to_windows(photos, window, stride)
    for left, whole in zip(cut.shape[2:], (height, width), strict=True):
        assert (left - window) % stride == 0
        assert left <= whole < left + stride
    assert torch.equal(cut, photos[:, :, : cut.shape[2], : cut.shape[3]])
    assert cut.data_ptr() == photos.data_ptr()
