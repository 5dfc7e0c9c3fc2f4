"""Preprocessing: the network sees what torchvision would show it, in one copy."""

import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from torchvision.transforms import functional

from heatmap.errors import ModelError, PhotoError
from heatmap.networks.tensors import photo_tensor
from heatmap.prepared.preprocessing import Preprocessing

PIXELS = arrays(np.uint8, st.tuples(*[st.integers(1, 9)] * 2, st.just(3)))


@given(pixels=PIXELS, order=st.sampled_from(["rgb", "bgr"]))
def test_has_the_bits_of_torchvision(pixels, order):
    mean, std = (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)
    ordered = pixels if order == "rgb" else pixels[:, :, ::-1].copy()
    expected = functional.normalize(functional.to_tensor(ordered), mean, std)
    assert torch.equal(photo_tensor(pixels, Preprocessing(7, mean, std, order))[0], expected)


@given(pixels=PIXELS, order=st.sampled_from(["rgb", "bgr"]))
def test_grey_has_the_bits_of_pil(pixels, order):
    grey = functional.to_tensor(Image.fromarray(pixels).convert("L"))
    expected = functional.normalize(grey, (0.1,), (0.2,))
    assert torch.equal(photo_tensor(pixels, Preprocessing(7, (0.1,), (0.2,), order))[0], expected)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_mean_and_std_in_grey_are_weighted_as_the_pixels(order):
    values = (0.1, 0.2, 0.3)[:: 1 if order == "rgb" else -1]
    grey = Preprocessing(7, values, values, order).in_grey()
    assert grey.mean == grey.std == pytest.approx((0.299 * 0.1 + 0.587 * 0.2 + 0.114 * 0.3,))
    assert grey.in_grey() == grey


def test_batch_lies_channels_last_and_leaves_the_photos_alone():
    photos = skimage.data.astronaut()[None, :40, :60].repeat(2, axis=0)
    before = photos.copy()
    photos.flags.writeable = False
    batch = photo_tensor(photos, Preprocessing(7))
    assert batch.shape == (2, 3, 40, 60)
    assert batch.dtype == torch.float32
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(photos, before)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((4, 3), np.uint8),
        np.zeros((1, 1, 4, 4, 3), np.uint8),
    ],
)
def test_refuses_what_is_no_photo(pixels):
    with pytest.raises(PhotoError, match="expected uint8"):
        photo_tensor(pixels, Preprocessing(7))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"window_px": 0}, "window is 0"),
        ({"window_px": 22.5}, "window is 22.5"),
        ({"window_px": True}, "window is True"),
        ({"mean": (123.7, 116.8, 103.9)}, "units of pixel/255"),
        ({"window_px": (224, 320)}, "window is 320 x 224 px: only square windows"),
        ({"mean": (0.5, 0.5)}, "three numbers"),
        ({"mean": (0.5,)}, "give as many of each"),
        ({"mean": 0.5}, "three numbers"),
        ({"std": (0.2, 0.0, 0.2)}, "above 0"),
        ({"std": (0.2, float("nan"), 0.2)}, "finite"),
        ({"channel_order": "gbr"}, "rgb, bgr"),
    ],
)
def test_refuses_values_that_cannot_be_meant(values, message):
    with pytest.raises(ModelError, match=message):
        Preprocessing(**{"window_px": 224, **values})
