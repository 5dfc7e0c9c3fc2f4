"""VGG16's fc6 as a convolution and as a matrix product, by number of outputs.

    python benchmarks/fc6.py

Where the ratio falls below 1 lies `heatmap.layers.MATRIX_PRODUCT_OUTPUTS`.
"""

from __future__ import annotations

import torch
from machine import in_turn, print_machine
from torch.nn import functional

from heatmap.layers import MATRIX_PRODUCT_OUTPUTS, SlidingLinear

SIDES = (1, 2, 6, 14, 20, 26, 27, 28, 34, 54)


def main() -> None:
    print_machine()
    layer = SlidingLinear.from_weights(torch.randn(4096, 512, 7, 7) * 0.01, torch.zeros(4096))
    print(f"matrix product is used up to {MATRIX_PRODUCT_OUTPUTS} outputs")
    print("outputs  conv2d s  product s  conv2d / product")
    for side in SIDES:
        maps = torch.randn(1, 512, side + 6, side + 6)
        maps = maps.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            seconds = in_turn(
                {
                    "conv2d": lambda m=maps: functional.conv2d(m, layer.weight, layer.bias),
                    "product": lambda m=maps: layer._matrix_product(m, 7, 7),
                }
            )
        conv, product = seconds["conv2d"], seconds["product"]
        print(f"{side * side:7} {conv:9.3f} {product:10.3f} {conv / product:17.2f}")


if __name__ == "__main__":
    main()
