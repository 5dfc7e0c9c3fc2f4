"""3 x 3 convolutions of VGG16's and ResNet's sizes, as conv2d and by Winograd's form.

    python benchmarks/conv.py

Behind WINOGRAD_OUTPUTS and WINOGRAD_CHANNEL_PAIRS in `kernels/prepared.py`. Both lay their maps
out in channels_last; the weights are transformed already. Errors are relative to the largest
value, against float64.
"""

from __future__ import annotations

import torch
from machine import in_turn, print_machine
from torch.nn import functional

from heatmap.conversion.check import relative_difference
from heatmap.conversion.kernels import prepared as preparing
from heatmap.conversion.kernels.winograd import convolve, transform_weights

# Channels in and out, outputs down and across.
CASES = (
    (64, 64, 128, 256),
    (64, 128, 128, 256),
    (128, 128, 128, 256),
    (128, 256, 64, 256),
    (256, 256, 64, 256),
    (256, 512, 32, 128),
    (512, 512, 32, 128),
    (512, 512, 16, 64),
    (512, 512, 16, 32),
    (512, 512, 8, 32),
)


def main() -> None:
    print_machine()
    print(
        f"Winograd from {preparing.WINOGRAD_OUTPUTS} outputs and "
        f"{preparing.WINOGRAD_CHANNEL_PAIRS} pairs of channels on"
    )
    print("channels   outputs  conv2d s  Winograd s  ratio  conv2d error  Winograd error")
    noise = torch.Generator().manual_seed(0)
    for channels, classes, rows, columns in CASES:
        maps = torch.randn(1, channels, rows + 2, columns + 2, generator=noise).relu()
        weight = torch.randn(classes, channels, 3, 3, generator=noise) / (9 * channels) ** 0.5
        report(*(tensor.contiguous(memory_format=torch.channels_last) for tensor in (maps, weight)))


@torch.inference_mode()
def report(maps: torch.Tensor, weight: torch.Tensor) -> None:
    transformed = transform_weights(weight)
    ways = {
        "conv2d": lambda: functional.conv2d(maps, weight),
        "winograd": lambda: convolve(maps, transformed, None),
    }
    seconds = in_turn(ways, rounds=3)
    exact = functional.conv2d(maps.double(), weight.double())
    errors = [relative_difference(way(), exact) for way in ways.values()]
    classes, channels = weight.shape[:2]
    print(
        f"{channels:3} x {classes:3} {exact[0, 0].numel():8} {seconds['conv2d']:9.4f} "
        f"{seconds['winograd']:11.4f} {seconds['conv2d'] / seconds['winograd']:6.2f} "
        f"{errors[0]:13.1e} {errors[1]:15.1e}"
    )


if __name__ == "__main__":
    main()
