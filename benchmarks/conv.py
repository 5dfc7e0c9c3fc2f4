"""Convolutions: 3 x 3 by Winograd's form, and depthwise ones with wide padding.

    python benchmarks/conv.py

Behind WINOGRAD_OUTPUTS and WINOGRAD_CHANNEL_PAIRS in `kernels/prepared.py`: VGG16's and ResNet's
sizes as conv2d and by Winograd's form. Both lay their maps out in channels_last; the weights are
transformed already. Errors are relative to the largest value, against float64.

Behind the padding in `kernels/convolution.py`: depthwise sizes of EfficientNet and ConvNeXt at
finer strides. ONEDNN_MAX_CPU_ISA=AVX2 with ATEN_CPU_CAPABILITY=avx2 shows a machine without
AVX-512.
"""

from __future__ import annotations

import torch
from machine import in_turn, print_machine
from torch.nn import functional

from heatmap.conversion.check import relative_difference
from heatmap.conversion.kernels import prepared as preparing
from heatmap.conversion.kernels.winograd import convolve, transform_weights
from heatmap.memory import kept_memory

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

# Channels, side of the map, kernel, dilation and padding of depthwise convolutions.
DEPTHWISE = (
    (672, 63, 5, 2, 4),
    (384, 61, 3, 5, 5),
    (384, 61, 7, 2, 6),
    (384, 61, 3, 7, 7),
    (1152, 61, 5, 4, 8),
    (384, 61, 7, 4, 12),
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
    print("\nchannels  kernel  dilation  padding  conv2d s  padded before s  ratio")
    for case in DEPTHWISE:
        report_depthwise(*case)


@torch.inference_mode()
def report_depthwise(channels: int, side: int, kernel: int, dilation: int, padding: int) -> None:
    maps = torch.randn(1, channels, side, side).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, 1, kernel, kernel)
    given = {"dilation": dilation, "groups": channels}

    def padded_before() -> torch.Tensor:
        wide = functional.pad(maps, (padding, padding))
        return functional.conv2d(wide, weight, padding=(padding, 0), **given)

    ways = {
        "conv2d": lambda: functional.conv2d(maps, weight, padding=padding, **given),
        "padded before": padded_before,
    }
    with kept_memory():
        seconds = in_turn(ways, rounds=5)
    direct, before = seconds.values()
    print(
        f"{channels:8} {kernel:7} {dilation:9} {padding:8} {direct:9.4f} {before:16.4f} "
        f"{direct / before:6.2f}"
    )


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
