"""Class activation maps of the same network, for comparison: CAM and Grad-CAM by torchcam.

As usual with these methods, the network sees the whole photo at once, at its own resolution or
resized, and gives one small map per class, which is stretched over the photo. Where there was a
choice, the option with the better results for these methods was taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..classes import ClassGroup
from ..errors import HeatmapError, ModelError, reason_of
from ..geometry import Placement, plan_grid
from ..grid.outputs import Outputs
from ..networks.classifier import Classifier
from ..networks.tensors import photo_tensor
from ..photo.photo import Photo
from ..quiet import quiet
from .metrics import Answer, Method, region_box

CamKind = Literal["cam", "gradcam"]

# Threshold of the box, as a share of the range of the map (Zhou et al., as below).
BOX_THRESHOLD = 0.2
# Largest difference between the mean of a map and its score, relative to the largest score.
_MEAN_TOLERANCE = 1e-3


def cam_method(classifier: Classifier, kind: CamKind, scale: float = 1.0) -> Method:
    """CAM or Grad-CAM of a classifier, as a method to evaluate.

    Both weight the channels of the last map before the network's pool. CAM (Zhou et al.,
    "Learning Deep Features for Discriminative Localization", CVPR 2016) takes the weights
    of the one linear layer that follows; the map of a group is the sum of its classes'
    maps, weighted by how much the score of the group grows with theirs on this photo (by their
    shares of its probability, where the network gives logits). Grad-CAM (Selvaraju et al.,
    "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
    ICCV 2017) uses the mean gradients of the score and keeps positive values. The score
    of a group is the log-sum-exp of its classes' logits, the sum of their probabilities, or the
    largest score of independent classes. The box encloses the largest region
    above ``BOX_THRESHOLD``. The photo is resized to whole strides, so that the stretched map is
    aligned with it.

    Args:
        classifier: the network; not changed.
        kind: "cam" or "gradcam".
        scale: resize factor of the photo.

    Raises:
        ModelError: torchcam is not installed, or the network has no such map; or, raised by the
            method, the network does not accept a photo of this size.
        GeometryError: raised by the method: the photo cannot be resized by this scale.
    """
    mapper: _Cam | _GradCam
    with _in_one_line(classifier, kind):
        mapper = _Cam.of(classifier) if kind == "cam" else _GradCam.of(classifier)

    def answer(photo: Photo, groups: Sequence[ClassGroup]) -> list[Answer]:
        batch = _batch(classifier, _resized(photo, mapper.layer.stride_px, scale))
        with _in_one_line(classifier, kind):
            return [_answer(cells, photo.hw) for cells in mapper.maps(batch, groups)]

    return answer


def _resized(photo: Photo, stride_px: int, scale: float) -> npt.NDArray[np.uint8]:
    """The photo resized, with its sides rounded to whole strides."""
    plan = plan_grid(photo.hw, Placement(scale=scale), window=stride_px, native_stride=stride_px)
    height, width = (max(1, round(side / stride_px)) * stride_px for side in plan.scaled_hw)
    return np.concatenate(list(photo.strips(scaled_hw=(height, width))))


def _batch(classifier: Classifier, pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Preprocessed pixels, (1, C, H, W), on the device of the network."""
    parameter = next(classifier.module.parameters())
    return photo_tensor(pixels, classifier.preprocessing).to(parameter)


def _answer(cells: torch.Tensor, hw: tuple[int, int]) -> Answer:
    """A map (h, w) stretched over the photo, and its box."""
    small: npt.NDArray[np.float32] = cells.float().cpu().numpy()
    heat = np.asarray(cv2.resize(small, hw[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    box = region_box(heat, BOX_THRESHOLD)
    if box is None:
        return Answer(heat, (), ())
    return Answer(heat, (box,), (float(heat.max()),))


@dataclass(frozen=True)
class _Layer:
    """The name of a layer, and the stride of its output, in px of the network's input."""

    name: str
    stride_px: int


@dataclass(frozen=True)
class _Cam:
    """CAM of a network: its last feature map, and the name of its one linear layer."""

    module: nn.Module
    layer: _Layer
    linear: str
    outputs: Outputs

    @classmethod
    def of(cls, classifier: Classifier) -> _Cam:
        parts = classifier.module.named_modules()
        linears = [name for name, part in parts if isinstance(part, nn.Linear)]
        if len(linears) != 1:
            raise ModelError(
                f"CAM needs a network that ends in a mean over its map and one linear layer, "
                f"{classifier.name} has {len(linears)} linear layers: compare with Grad-CAM"
            )
        cam = cls(classifier.module, _last_map(classifier), linears[0], classifier.outputs)
        if not cam.explains(classifier):
            raise ModelError(
                f"CAM needs a network whose scores are means of its last map, weighted by "
                f"{linears[0]}; those of {classifier.name} are not: compare with Grad-CAM"
            )
        return cam

    def maps(self, batch: torch.Tensor, groups: Sequence[ClassGroup]) -> list[torch.Tensor]:
        """The map of each group, (h, w)."""
        methods = _torchcam()
        with methods.CAM(self.module, self.layer.name, self.linear) as cam, torch.no_grad():
            scores = self.module(batch)[0]
            return [
                sum(
                    share * cam(index, normalized=False)[0][0]
                    for index, share in zip(group.indices, self._shares(scores, group), strict=True)
                )
                for group in groups
            ]

    def _shares(self, scores: torch.Tensor, group: ClassGroup) -> torch.Tensor:
        """How much the score of a group grows with the score of each of its classes, 0..1."""
        own = scores[list(group.indices)].detach().requires_grad_()
        with torch.enable_grad():
            joined: torch.Tensor = _JOINED[self.outputs](own)
            return torch.autograd.grad(joined, own)[0]

    def explains(self, classifier: Classifier) -> bool:
        """Whether the scores are the means of the maps, which torchcam assumes."""
        side = classifier.preprocessing.window_px
        noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
        batch = _batch(classifier, noise)
        with torch.no_grad():
            scores = self.module(batch)[0]
        linear = self.module.get_submodule(self.linear)
        assert isinstance(linear, nn.Linear)
        bias = torch.zeros_like(scores) if linear.bias is None else linear.bias
        first_and_last = (0, len(scores) - 1)
        try:
            maps = self.maps(batch, [ClassGroup("", (index,)) for index in first_and_last])
        except RuntimeError:
            # The layer takes another number of values than the map has channels.
            return False
        misses = [
            (cells.mean() + bias[index] - scores[index]).abs()
            for index, cells in zip(first_and_last, maps, strict=True)
        ]
        return bool(max(misses) <= _MEAN_TOLERANCE * scores.abs().max())


@dataclass(frozen=True)
class _GradCam:
    """Grad-CAM of a network at its last feature map."""

    module: nn.Module
    layer: _Layer
    outputs: Outputs

    @classmethod
    def of(cls, classifier: Classifier) -> _GradCam:
        return cls(classifier.module, _last_map(classifier), classifier.outputs)

    def maps(self, batch: torch.Tensor, groups: Sequence[ClassGroup]) -> list[torch.Tensor]:
        """The map of each group, (h, w)."""
        methods = _torchcam()
        with (
            _gradients_from(self.module.get_submodule(self.layer.name)),
            methods.GradCAM(self.module, self.layer.name) as cam,
        ):
            with torch.no_grad():
                scores = self.module(batch)
            with torch.enable_grad():
                scored = [_score_of(group, self.outputs) for group in groups]
                return [
                    cam(None, scores, False, targets=score, retain_graph=True)[0][0]
                    for score in scored
                ]


# The score of a group from the scores of its classes, by what the scores are.
_JOINED: dict[Outputs, Callable[[torch.Tensor], torch.Tensor]] = {
    "logits": lambda scores: scores.logsumexp(0),
    "log-probabilities": lambda scores: scores.logsumexp(0),
    "probabilities": lambda scores: scores.sum(0),
    "independent logits": lambda scores: scores.amax(0),
    "independent probabilities": lambda scores: scores.amax(0),
}


def _score_of(group: ClassGroup, outputs: Outputs) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function from the scores (K,) of all classes to the score of a group."""
    indices = list(group.indices)
    return lambda scores: _JOINED[outputs](scores[indices])


@contextmanager
def _gradients_from(layer: nn.Module) -> Iterator[None]:
    """Record gradients only from a layer's output on, in a block of ``torch.no_grad``.

    Gradients of earlier layers are not needed, and would keep the outputs of these layers in
    memory: gigabytes for an enlarged photo.
    """

    def begin(_: nn.Module, __: object, output: torch.Tensor) -> torch.Tensor:
        torch.set_grad_enabled(True)
        # A copy, since in-place layers must not overwrite a leaf that requires gradients.
        return output.detach().requires_grad_().clone()

    # Registered first, so that torchcam's hook sees its output.
    handle = layer.register_forward_hook(begin)
    try:
        yield
    finally:
        handle.remove()


def _last_map(classifier: Classifier) -> _Layer:
    """The last layer that outputs a feature map, as found by torchcam."""
    side = classifier.preprocessing.window_px
    black = np.zeros((side, side, 3), np.uint8)
    # torchcam warns that it chooses the layer itself.
    shape = (classifier.preprocessing.channels, side, side)
    with quiet(), _torchcam().GradCAM(classifier.module, input_shape=shape) as cam:
        with torch.no_grad():
            classifier.module(_batch(classifier, black))
        return _Layer(cam.target_names[0], round(side / cam.hook_a[0].shape[-1]))


@contextmanager
def _in_one_line(classifier: Classifier, kind: CamKind) -> Iterator[None]:
    """Turn any exception of torchcam and the network into a one-line ModelError."""
    try:
        yield
    except HeatmapError:
        raise
    except Exception as error:
        title = {"cam": "CAM", "gradcam": "Grad-CAM"}[kind]
        raise ModelError(f"no {title} of {classifier.name}: {reason_of(error)}") from error


def _torchcam() -> ModuleType:
    try:
        import torchcam.methods
    except ImportError as error:
        raise ModelError("CAM needs torchcam: pip install torchcam") from error
    return torchcam.methods
