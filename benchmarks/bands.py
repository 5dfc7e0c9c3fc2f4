"""Band height as a speed setting: seconds a megapixel by height and width of bands.

    python benchmarks/bands.py

Behind `heatmap.scoring.bands.scanner.BAND_PX` and `ONE_BAND_PX`. Photos are 1024 px high; what a
band leaves to the next is kept, so the work is the same in all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from machine import in_turn, print_machine
from tables import print_table
from torch import Tensor

import heatmap
from heatmap.conversion.network import FullyConvolutional
from heatmap.memory import kept_memory
from heatmap.scoring.bands.scanner import BAND_PX, BAND_ROWS, ONE_BAND_PX, Scanner

MODELS = {"efficientnet_lite0": "default", "vgg16": "random"}
# VGG16 would take minutes at 4096 px.
WIDTHS_PX = {"efficientnet_lite0": (1024, 4096), "vgg16": (1024,)}
HEIGHT_PX = 1024
BANDS_PX = (32, 64, 128, 256, 512)
ONE_BAND = "one band"
ONE_PASS = "one pass, as converted"


def main() -> None:
    print_machine()
    print(
        f"\nPhotos of up to {ONE_BAND_PX} px are one band where memory allows it; larger ones have "
        f"bands of at most {BAND_PX} px, or {BAND_ROWS} rows."
    )
    columns = [(name, width) for name in MODELS for width in WIDTHS_PX[name]]
    measured = [measure(name, width) for name, width in columns]
    head = ["band"] + [f"{name}, {width} px wide, s" for name, width in columns]
    print_table(
        head,
        [[way, *(f"{seconds[way]:.3f}" for seconds in measured)] for way in measured[0]],
    )


def measure(name: str, width_px: int) -> dict[str, float]:
    """Seconds a megapixel of every band height, and of one pass over all of the photo."""
    network = heatmap.prepare(name, weights=MODELS[name]).network
    photo = torch.randn(1, 3, HEIGHT_PX, width_px).contiguous(memory_format=torch.channels_last)
    ways: dict[str, Callable[[], object]] = {
        f"{band} px": lambda band=band: in_bands(network, photo, band) for band in BANDS_PX
    }
    ways[ONE_BAND] = lambda: in_bands(network, photo, HEIGHT_PX)
    ways[ONE_PASS] = lambda: network(photo)
    with torch.inference_mode(), kept_memory():
        seconds = in_turn(ways, rounds=1 if name == "vgg16" else 2)
    megapixels = HEIGHT_PX * width_px / 1e6
    return {way: taken / megapixels for way, taken in seconds.items()}


def in_bands(network: FullyConvolutional, photo: Tensor, band_px: int) -> None:
    height, width = photo.shape[-2:]
    rows, columns = (
        (side - network.window_px) // network.stride_px + 1 for side in (height, width)
    )
    scanner = Scanner(network, (height, width))
    (part,) = scanner.parts((0, rows, 0, columns), budget=2**40)

    def strips(starts: Sequence[int], columns: tuple[int, int]) -> Iterator[Tensor]:
        for start, stop in pairwise(starts):
            yield photo[:, :, start:stop, columns[0] : columns[1]]

    for _ in scanner.scan(replace(part, band_px=band_px), strips):
        pass


if __name__ == "__main__":
    main()
