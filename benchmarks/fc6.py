"""VGG16's fc6 as a convolution, a matrix product and Winograd's form, by number of outputs.

    python benchmarks/fc6.py

Behind the limits in `conversion/layers.py` and `kernels/prepared.py`: up to
MATRIX_PRODUCT_OUTPUTS the product is faster than conv2d, from PREPARED_OUTPUTS on Winograd's form
is the fastest, and transforming the weights for it takes as long as it saves on PAYS_FROM outputs.
"""

from __future__ import annotations

import torch
from machine import in_turn, print_machine
from torch.nn import functional

from heatmap.conversion import layers
from heatmap.conversion.kernels import prepared as preparing
from heatmap.conversion.kernels.winograd import convolve, transform_weights
from heatmap.conversion.layers import SlidingLinear

# (photos or phases, outputs down and across): the last two are strides 16 and 8 at 1024 px.
CASES = ((1, 1), (1, 6), (1, 12), (1, 20), (1, 26), (1, 34), (4, 26), (16, 26))


def main() -> None:
    print_machine()
    layer = SlidingLinear.from_weights(torch.randn(4096, 512, 7, 7) * 0.01, torch.zeros(4096))
    print(f"matrix product up to {layers.MATRIX_PRODUCT_OUTPUTS} outputs,")
    print(f"Winograd from {layers.PREPARED_OUTPUTS} a call and {preparing.PAYS_FROM} seen")
    print("outputs  conv2d s  product s  Winograd s  conv2d / product  conv2d / Winograd")
    with torch.inference_mode():
        weight = layer.weight.detach()
        cost = in_turn({"transform": lambda: transform_weights(weight)}, rounds=2)["transform"]
        transformed = transform_weights(weight)
        for batch, side in CASES:
            maps = torch.randn(batch, 512, side + 6, side + 6)
            maps = maps.contiguous(memory_format=torch.channels_last)
            ways = {
                "conv2d": lambda m=maps: functional.conv2d(m, layer.weight, layer.bias),
                "winograd": lambda m=maps: convolve(m, transformed, layer.bias),
            }
            if batch == 1:
                ways["product"] = lambda m=maps: layer._matrix_product(m, 7, 7)
            seconds = in_turn(ways, rounds=2)
            conv, winograd = seconds["conv2d"], seconds["winograd"]
            product = seconds.get("product", float("nan"))
            print(
                f"{batch * side * side:7} {conv:9.3f} {product:10.3f} {winograd:11.3f} "
                f"{conv / product:17.2f} {conv / winograd:18.2f}"
            )
    saved = (conv - winograd) / (batch * side * side)
    print(f"transforming the weights: {cost:.2f} s, what is saved on {cost / saved:.0f} outputs")


if __name__ == "__main__":
    main()
