"""The tutorial form: what someone writes who reads how to slide a classifier.

Fully connected layers become convolutions with the same weights, the average pool goes,
and for a finer stride the last poolings no longer subsample and what follows is dilated
(Long, Shelhamer and Darrell, CVPR 2015; Chen et al., "DeepLab", arXiv 1606.00915). Nothing
is done for speed: the default memory format, BatchNorm left as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torchvision
from torch import Tensor, nn

NATIVE_STRIDE_PX = 32


def as_convolution(linear: nn.Linear, side: int, dilation: int = 1) -> nn.Conv2d:
    """A fully connected layer on side x side positions, as a convolution."""
    channels = linear.in_features // side**2
    conv = nn.Conv2d(channels, linear.out_features, side, dilation=dilation)
    with torch.no_grad():
        conv.weight.copy_(linear.weight.view(linear.out_features, channels, side, side))
        conv.bias.copy_(linear.bias)
    return conv


def vgg16(module: nn.Module, stride: int) -> nn.Module:
    """torchvision's VGG16 at stride 32, 16 or 8."""
    features = copy.deepcopy(module.features)
    halvings = (NATIVE_STRIDE_PX // stride).bit_length() - 1
    pools = [at for at, layer in enumerate(features) if isinstance(layer, nn.MaxPool2d)]
    dense = pools[len(pools) - halvings :]
    dilation = 1
    for at, layer in enumerate(features):
        if isinstance(layer, nn.Conv2d):
            layer.dilation = layer.padding = (dilation, dilation)
        elif at in dense:
            features[at] = nn.MaxPool2d(2, stride=1, dilation=dilation)
            dilation *= 2
    fc6, fc7, fc8 = (layer for layer in module.classifier if isinstance(layer, nn.Linear))
    return nn.Sequential(
        features,
        as_convolution(fc6, 7, dilation),
        nn.ReLU(),
        as_convolution(fc7, 1),
        nn.ReLU(),
        as_convolution(fc8, 1),
    )


def resnet50(module: nn.Module, stride: int) -> nn.Module:
    """torchvision's ResNet50 at stride 32, 16 or 8: it takes dilation as an argument."""
    dense = torchvision.models.resnet50(
        replace_stride_with_dilation=[False, stride <= 8, stride <= 16]
    )
    dense.load_state_dict(module.state_dict())
    trunk = nn.Sequential(*list(dense.children())[:-2])
    return nn.Sequential(trunk, window_mean(2048, stride), as_convolution(module.fc, 1))


def efficientnet_lite0(module: nn.Module, stride: int) -> nn.Module:
    """timm's EfficientNet-Lite0 at its own stride.

    timm dilates it for finer strides too, but pads "same" in another place then: the
    scores are others.
    """
    assert stride == NATIVE_STRIDE_PX
    trunk = copy.deepcopy(module)
    trunk.global_pool, trunk.classifier = nn.Identity(), nn.Identity()
    return nn.Sequential(trunk, window_mean(1280, stride), as_convolution(module.classifier, 1))


def window_mean(channels: int, stride: int) -> nn.Module:
    """The mean over 7 x 7 native positions. avg_pool2d has no dilation, a convolution has."""
    if stride == NATIVE_STRIDE_PX:
        return nn.AvgPool2d(7, stride=1)
    mean = nn.Conv2d(
        channels, channels, 7, groups=channels, dilation=NATIVE_STRIDE_PX // stride, bias=False
    )
    nn.init.constant_(mean.weight, 1 / 49)
    return mean


FORMS: dict[str, Callable[[nn.Module, int], nn.Module]] = {
    "vgg16": vgg16,
    "resnet50": resnet50,
    "efficientnet_lite0": efficientnet_lite0,
}
STRIDES = {"vgg16": (32, 16, 8), "resnet50": (32, 16, 8), "efficientnet_lite0": (32,)}


def tutorial_form(name: str, module: nn.Module, stride: int) -> Callable[[Tensor], Tensor]:
    """Photos (B, 3, H, W) -> scores (B, K, N, M); the module itself stays as it is."""
    form = FORMS[name](module, stride).eval()

    def score(photos: Tensor) -> Tensor:
        rows, columns = ((side - 224) // stride + 1 for side in photos.shape[-2:])
        # Padding makes more positions than there are windows.
        return form(photos)[..., :rows, :columns]

    return score
