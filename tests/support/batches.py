"""Photos for batches, whole and broken, and small networks that any process can make by name."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import skimage.data
import tifffile
import torch
from torch import nn

WINDOW = 32
MODEL = "tests.support.batches:pooled"


def pooled() -> nn.Module:
    """Five classes by the mean of a map, stride 4; some windows are confident of a class."""
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, 2, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )
    noise = torch.Generator().manual_seed(3)
    for parameter in network.parameters():
        parameter.data = 0.2 * torch.randn(parameter.shape, generator=noise)
    network[-1].weight.data *= 10
    network[-1].bias.data -= network(torch.full((1, 3, 32, 32), -0.5))[0].detach()
    return network.eval()


SAMPLES = ("chelsea", "coffee", "astronaut", "rocket")


@cache
def sample(name: str) -> np.ndarray:
    """A photo that scikit-image ships, RGB uint8 (H, W, 3), decoded once; do not write to it."""
    pixels = getattr(skimage.data, name)()
    pixels.setflags(write=False)
    return pixels


def picture(number: int) -> np.ndarray:
    """A part of a sample photo, RGB uint8, of one of several sizes."""
    whole = sample(SAMPLES[number % len(SAMPLES)])
    noise = np.random.default_rng(number)
    height, width = 60 + 20 * (number % 5), 70 + 30 * (number % 3)
    top = int(noise.integers(0, whole.shape[0] - height))
    left = int(noise.integers(0, whole.shape[1] - width))
    return np.ascontiguousarray(whole[top : top + height, left : left + width])


def write_photo(path: Path, number: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".tif", ".tiff"):
        tifffile.imwrite(path, picture(number))
        return path
    # With a name of ASCII: OpenCV looks only at how it ends.
    content = cv2.imencode(path.suffix, picture(number)[..., ::-1])[1]
    path.write_bytes(content.tobytes())
    return path


def encoded(suffix: str, number: int = 0) -> bytes:
    return cv2.imencode(suffix, picture(number)[..., ::-1])[1].tobytes()


def broken(folder: Path) -> dict[str, str]:
    """Write 20 broken photos; what must be in the reason that each fails for, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    jpeg, png = encoded(".jpg"), encoded(".png")
    webp, avif = encoded(".webp"), encoded(".avif")
    contents = {
        "empty.jpg": (b"", "is empty"),
        "empty.png": (b"", "is empty"),
        "text.jpg": (b"this is no photo\n" * 9, "not an image"),
        "zeros.png": (bytes(4096), "not an image"),
        "half.avif": (avif[: len(avif) // 2], "cut short"),
        "header.jpg": (jpeg[:200], "cut short"),
        "half.png": (png[: len(png) // 2], "cut short"),
        "header.png": (png[:20], "cut short"),
        "flipped.png": (png[:24] + bytes([png[24] ^ 255]) + png[25:], "damaged"),
        "half.webp": (webp[: len(webp) // 2], "cut short"),
        "gif.gif": (b"GIF89a\x10\x00\x10\x00\x00\x00\x00", "cut short"),
        "page.jpg": (b"<!doctype html><title>404</title>", "is a web page"),
        "archive.jpg": (b"PK\x03\x04" + bytes(200), "is an archive"),
        "drawing.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is an SVG drawing"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    found = {name: reason for name, (_, reason) in contents.items()}
    tifffile.imwrite(
        folder / "nan.tif", np.full((40, 40, 3), np.nan, np.float32), photometric="rgb"
    )
    tifffile.imwrite(folder / "five.tif", np.zeros((40, 40, 5), np.uint8), planarconfig="contig")
    tifffile.imwrite(folder / "wide.tif", np.full((40, 40, 3), 1e6, np.float32), photometric="rgb")
    tifffile.imwrite(folder / "half.tif", picture(0))
    os.truncate(folder / "half.tif", 5000)
    (folder / "nowhere.jpg").symlink_to(folder / "gone.jpg")
    os.mkfifo(folder / "pipe.jpg")
    return found | {
        "nan.tif": "not finite",
        "five.tif": "5 bands",
        "wide.tif": "float values",
        "half.tif": "cut short",
        "nowhere.jpg": "no such file",
        "pipe.jpg": "is a pipe, not a file",
    }


def files(folder: Path) -> dict[str, str]:
    """The digest of every file below a folder, by its path from there."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def times(folder: Path) -> dict[str, int]:
    """When every file and folder below one was last written, ns."""
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def copy_tree(source: Path, target: Path) -> Path:
    shutil.copytree(source, target, symlinks=True)
    return target
