"""Other people's tools on the same windows, each in the best form it has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.inferers import SlidingWindowSplitter
from sahi.slicing import slice_image
from torch import Tensor
from torchcam.methods import CAM

from heatmap import Classifier
from heatmap.networks.tensors import photo_tensor
from heatmap.scoring.cells import CROP_BATCH

# What torchcam needs to know: the layer that gives the feature map, and the last one.
CAM_LAYERS = {"resnet50": ("layer4", "fc"), "efficientnet_lite0": ("bn2", "classifier")}


def monai_scores(
    classifier: Classifier, photo: npt.NDArray[np.uint8], stride_px: int
) -> npt.NDArray[np.float32]:
    """Windows cut by MONAI's splitter out of the preprocessed photo: (windows, K).

    The overlap is given in whole pixels: as a share (1 - 32 / 224) it is truncated, and
    the stride becomes 31.
    """
    window = classifier.preprocessing.window_px
    splitter = SlidingWindowSplitter(window, overlap=window - stride_px, pad_mode=None)
    patches = (patch for patch, _ in splitter(photo_tensor(photo, classifier.preprocessing)))
    # The splitter gives the default memory format; the other is the faster one.
    photos = (
        torch.cat(batch).contiguous(memory_format=torch.channels_last)
        for batch in _batches(patches)
    )
    return _in_batches(classifier, photos)


def sahi_scores(
    classifier: Classifier, photo: npt.NDArray[np.uint8], stride_px: int
) -> npt.NDArray[np.float32]:
    """Windows cut by SAHI's slicer, then preprocessed: (windows, K)."""
    window = classifier.preprocessing.window_px
    # SAHI takes shares and truncates the pixels: half of one more keeps them whole.
    overlap = (window - stride_px + 0.5) / window
    cut = slice_image(
        photo,
        slice_height=window,
        slice_width=window,
        overlap_height_ratio=overlap,
        overlap_width_ratio=overlap,
    )
    own = classifier.preprocessing
    photos = (photo_tensor(np.stack(batch), own) for batch in _batches(cut.images))
    return _in_batches(classifier, photos)


def torchcam_map(classifier: Classifier, photo: npt.NDArray[np.uint8], index: int) -> Tensor:
    """The class activation map (h, w) of one class over the whole photo, by torchcam."""
    trunk, last = CAM_LAYERS[classifier.name]
    with CAM(classifier.module, trunk, last) as extract, torch.inference_mode():
        scores = classifier.module(photo_tensor(photo, classifier.preprocessing))
        return extract(index, scores)[0][0]


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    left = iter(items)
    while batch := list(islice(left, CROP_BATCH)):
        yield batch


def _in_batches(classifier: Classifier, batches: Iterable[Tensor]) -> npt.NDArray[np.float32]:
    with torch.inference_mode():
        return torch.cat([classifier.module(batch) for batch in batches]).numpy()
