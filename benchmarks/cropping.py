"""Windows a forward pass of the crop engine: seconds a window of VGG16, random weights.

    python benchmarks/cropping.py

Behind `heatmap.scoring.crop.CROP_BATCH`, and behind the claim that `verify` times cropping
in a good form: photos in channels_last, many windows a pass.
"""

from __future__ import annotations

import torch
from machine import in_turn, print_machine

import heatmap

BATCHES = (1, 4, 16, 32)


def main() -> None:
    print_machine()
    module = heatmap.load_classifier("vgg16", weights="random").module
    print("batch  contiguous s/window  channels_last s/window")
    for batch in BATCHES:
        plain = torch.randn(batch, 3, 224, 224)
        last = plain.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            seconds = in_turn(
                {"plain": lambda p=plain: module(p), "last": lambda p=last: module(p)}, rounds=2
            )
        print(f"{batch:5} {seconds['plain'] / batch:20.3f} {seconds['last'] / batch:23.3f}")


if __name__ == "__main__":
    main()
