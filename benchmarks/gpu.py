"""A GPU beside the processor: seconds a photo and differences of scores, by number format.

    python benchmarks/gpu.py [DEVICE]        # default: cuda

Needs a CUDA device. One photo of 1024 x 1024 px at strides 32 and 8; the built-in network, which
slides, and efficientnet_b0 (random weights) with local statistics and cropped. Best of ROUNDS
after one unmeasured; differences are of the largest score, from float32 on the processor.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from local import varied
from machine import in_turn, print_machine
from sampling import sample_photo
from tables import print_table

import heatmap

SIDE_PX = 1024
ROUNDS = 3
DTYPES = ("float32", "tf32", "bfloat16", "float16")
# Name, options of `heatmap.prepare`, and stride, px.
WAYS: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("efficientnet_lite0", {}, 32),
    ("efficientnet_lite0", {}, 8),
    ("efficientnet_b0", {"statistics": "local"}, 32),
    ("efficientnet_b0", {"engine": "crop"}, 32),
)


def main() -> None:
    device = sys.argv[1] if len(sys.argv) > 1 else "cuda"
    if not torch.cuda.is_available():
        raise SystemExit("benchmarks/gpu.py needs a CUDA device, and torch finds none")
    print_machine()
    print(torch.cuda.get_device_name(device))
    rows = [row for way in WAYS for row in measure(*way, device)]
    print_table(("network", "stride", "device", "format", "s", "difference"), rows)


def measure(name: str, options: dict[str, Any], stride: int, device: str) -> list[list[str]]:
    """Rows of the table for one network and one way of scoring."""
    model = varied(name) if name == "efficientnet_b0" else name
    photo, placement = sample_photo(SIDE_PX), heatmap.Placement(stride=stride)
    places = [("cpu", "float32"), *((device, dtype) for dtype in DTYPES)]
    scorers = {
        place: heatmap.prepare(model, backend="torch", device=place[0], dtype=place[1], **options)
        for place in places
    }
    expected = scorers[places[0]].score(photo, placement).scores
    found = {place: scorers[place].score(photo, placement).scores for place in places}
    ways = {place: lambda s=scorer: s.score(photo, placement) for place, scorer in scorers.items()}
    seconds = in_turn(ways, rounds=ROUNDS)
    way = " ".join([name, *map(str, options.values())])
    return [
        [way, str(stride), *place, f"{seconds[place]:.3f}", f"{apart(found[place], expected):.1e}"]
        for place in places
    ]


def apart(found: np.ndarray, expected: np.ndarray) -> float:
    """Relative difference of scores."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


if __name__ == "__main__":
    main()
