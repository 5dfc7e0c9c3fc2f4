"""Train a small network from scratch on faces, then slide it over a photo to find one.

    python samples/faces.py FOLDER

Exits with 1 if the hottest pixel of the heatmap does not lie on the astronaut's face, or if
sliding differs from cropping. README.md beside this file tells where the examples come from.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import skimage.data
import torch
from PIL import Image
from torch import Tensor, nn

import heatmap

Pixels: TypeAlias = npt.NDArray[np.uint8]

# A checkpoint keeps this name, so it must hold in other processes too.
NETWORK = "samples.faces:network"
ROOT = Path(__file__).parent.parent
PHOTOS = Path(__file__).parent / "photos"
WINDOW_PX = 25
SCHEDULE = {"epochs": 20, "views": 4, "patience": 20}

# Without people, scored at these scales and turned by quarters: faces found in them are none.
FACELESS = (
    *("brick", "chelsea", "clock", "coffee", "coins", "grass", "gravel", "hubble_deep_field"),
    *("horse", "immunohistochemistry", "logo", "moon", "page", "retina", "rocket"),
    *("stereo_motorcycle", "text", "china.jpg", "flower.jpg"),
)
LONGEST_PX = 700
SCALES = (0.2, 0.3, 0.45)
QUARTERS = (0, 1, 2)

# Her face is about 110 px high, those of lfw_subset() fill their 25 px.
SCALE = 0.22
# Drawn by hand on skimage.data.astronaut(), from brow to chin: left, top, right, bottom.
FACE_XYXY = (172, 76, 274, 190)
LARGEST_DIFFERENCE = 1e-5


class Grey(nn.Module):
    """Mean of the three channels: the faces are grey, so colour must not count."""

    def forward(self, photos: Tensor) -> Tensor:
        return photos.mean(1, keepdim=True)


def network() -> nn.Module:
    """A classifier of (B, 3, 25, 25) in two classes that pads nothing; native stride 2 px."""
    return nn.Sequential(
        *(Grey(), nn.Conv2d(1, 16, 4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5)),
        *(nn.Linear(32 * 8 * 8, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 2)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where to write; made if missing")
    folder: Path = parser.parse_args().folder
    sys.path.insert(0, str(ROOT))
    torch.set_num_threads(1)  # layers so small are slower on two; and the bits depend on it
    photos = folder / "faces"
    write_examples(photos)
    first = train(photos, folder / "first.safetensors")
    print(f"trained on lfw_subset() alone: validation {first.best.validation_accuracy:.1%} right")
    print(f"{write_false_alarms(photos, first)} false alarms become examples of what is no face")
    trained = train(photos, folder / "faces.safetensors", **SCHEDULE)
    print(f"trained on both: validation {trained.best.validation_accuracy:.1%} right")
    sys.exit(0 if find_face(folder, trained) else 1)


def write_examples(folder: Path) -> None:
    """Write the 100 faces and 100 others of lfw_subset(), a folder a class."""
    for name in ("face", "other"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for earlier in folder.glob("other/alarm-*.png"):
        earlier.unlink()
    for number, patch in enumerate(skimage.data.lfw_subset()):
        name = "face" if number < 100 else "other"
        levels = np.rint(patch * 255).astype(np.uint8)
        Image.fromarray(levels).save(folder / name / f"{number:03}.png")


def train(photos: Path, checkpoint: Path, **schedule: int) -> heatmap.Trained:
    return heatmap.train(
        photos,
        checkpoint,
        NETWORK,
        window=WINDOW_PX,
        freeze="none",
        resume=True,  # an interrupted run of this script is gone on with
        **schedule,
    )


def write_false_alarms(folder: Path, first: heatmap.Trained) -> int:
    """Write what the first network takes for faces in photos without any; gives how many."""
    scorer, count = heatmap.prepare(first.classifier), 0
    for photo in faceless():
        for scale in SCALES:
            grid = heatmap.score(photo, scorer, scale=scale, border="valid")
            # Whatever looks more like a face than not.
            for detection in heatmap.localize(grid, ["face"], conf=0.01):
                left, top, right, bottom = map(round, detection.xyxy)
                alarm = Image.fromarray(photo[top:bottom, left:right])
                alarm = alarm.resize((WINDOW_PX, WINDOW_PX), Image.Resampling.LANCZOS)
                alarm.save(folder / "other" / f"alarm-{count:04}.png")
                count += 1
    return count


def faceless() -> Iterator[Pixels]:
    """The photos without people, RGB, each at several turns."""
    for name in FACELESS:
        photo = read(name)
        if max(photo.size) > LONGEST_PX:
            photo = photo.resize((photo.width // 2, photo.height // 2), Image.Resampling.LANCZOS)
        for quarters in QUARTERS:
            yield np.ascontiguousarray(np.rot90(np.asarray(photo), quarters))


def read(name: str) -> Image.Image:
    """A photo of photos/, or one that scikit-image gives; of a stereo pair the first."""
    if "." in name:
        return Image.open(PHOTOS / name).convert("RGB")
    loaded = getattr(skimage.data, name)()
    return Image.fromarray(loaded[0] if isinstance(loaded, tuple) else loaded).convert("RGB")


def find_face(folder: Path, trained: heatmap.Trained) -> bool:
    """Slide over the astronaut; whether her face is hottest, and sliding equals cropping."""
    path = heatmap.write_image(folder / "astronaut.png", skimage.data.astronaut())
    scorer = heatmap.prepare(trained.classifier)
    report = heatmap.verify(path, scorer, scales=SCALE, windows=10_000)
    grid = report.worst.grid
    heat = grid.heatmap("face")
    y, x = map(int, np.unravel_index(heat.argmax(), heat.shape))
    left, top, right, bottom = FACE_XYXY
    on_face = left <= x < right and top <= y < bottom
    elsewhere = heat.copy()
    elsewhere[top:bottom, left:right] = 0
    difference = report.difference
    print(f"hottest pixel {x}, {y}, {'on' if on_face else 'not on'} her face: {heat[y, x]:.4f}")
    print(f"hottest elsewhere: {elsewhere.max():.4f}")
    print(f"sliding against {report.windows} crops: largest difference {difference:.1e}")
    picture = heatmap.overlay(path, grid, "face", boxes_xyxy=[FACE_XYXY])
    print(f"  see {heatmap.write_image(folder / 'astronaut.face.png', picture)}")
    return on_face and difference <= LARGEST_DIFFERENCE


if __name__ == "__main__":
    main()
