"""Detections as arrays of other libraries: supervision and torchvision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...classes import ClassGroup
from ...installed import imported
from ..detection import Detection

# Earlier ones bring opencv-python, which is installed over opencv-python-headless.
_SUPERVISION = "supervision>=0.30"


def as_supervision(detections: Sequence[Detection], number: Callable[[ClassGroup], int]) -> Any:
    """``supervision.Detections``: boxes, confidences, class numbers, and names as "class_name".

    Args:
        detections: boxes in px of the whole photo.
        number: gives the number of a class.

    Raises:
        HeatmapError: supervision is not installed.
    """
    supervision = imported("supervision", "to_supervision()", package=_SUPERVISION)
    return supervision.Detections(
        xyxy=_boxes(detections),
        confidence=_confidences(detections),
        class_id=_numbers(detections, number),
        data={"class_name": np.array([each.name for each in detections], dtype=np.str_)},
    )


def as_torchvision(
    detections: Sequence[Detection], number: Callable[[ClassGroup], int]
) -> dict[str, Any]:
    """Tensors as torchvision's detectors give them, on the CPU.

    Returns:
        "boxes" float32 (n, 4), left, top, right, bottom in px of the whole photo; "labels"
        int64 (n,), the numbers of the classes; "scores" float32 (n,), the confidences.

    Raises:
        HeatmapError: torch cannot be loaded.
    """
    torch = imported("torch", "to_torchvision()")
    arrays = {
        "boxes": _boxes(detections),
        "labels": _numbers(detections, number),
        "scores": _confidences(detections),
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _boxes(detections: Sequence[Detection]) -> npt.NDArray[np.float32]:
    return np.array([each.xyxy for each in detections], np.float32).reshape(-1, 4)


def _confidences(detections: Sequence[Detection]) -> npt.NDArray[np.float32]:
    return np.array([each.confidence for each in detections], np.float32)


def _numbers(
    detections: Sequence[Detection], number: Callable[[ClassGroup], int]
) -> npt.NDArray[np.int64]:
    return np.array([number(each.group) for each in detections], np.int64)
