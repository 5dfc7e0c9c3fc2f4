"""Train on three textures, then tell them apart in a mosaic of parts that were not trained on.

    python samples/textures.py FOLDER

cuts tiles from the left halves of three photos of scikit-image, trains on them, and scores
a mosaic of the right halves. Exits with 1 if fewer than 90 % of its pixels get the right
class. With --data-only it stops before training; README.md beside this file has the
commands that do the rest by hand.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import skimage.data
from PIL import Image, ImageDraw, ImageFont

import heatmap

Pixels: TypeAlias = npt.NDArray[np.uint8]
Labels: TypeAlias = npt.NDArray[np.intp]

CLASSES = ("brick", "grass", "gravel")
# Apart for the colour-blind too.
COLOURS = ((213, 94, 0), (0, 158, 115), (0, 114, 178))
TILE_PX = 64
STEP_PX = 32
BLOCK_PX = 256
LAYOUT = ((0, 1, 2), (2, 0, 1))
STRIDE_PX = 16
LEAST_ACCURACY = 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where to write; made if missing")
    parser.add_argument("--data-only", action="store_true", help="write the photos, train nothing")
    given = parser.parse_args()
    tiles = write_tiles(given.folder / "textures")
    truth = write_mosaic(given.folder)
    print(f"{tiles} tiles in {given.folder / 'textures'}, and {given.folder / 'mosaic.png'}")
    if not given.data_only:
        sys.exit(0 if train_and_score(given.folder, truth) >= LEAST_ACCURACY else 1)


def halves(name: str) -> tuple[Pixels, Pixels]:
    """The half to train on and the half to score, grey (512, 256)."""
    photo = getattr(skimage.data, name)()
    return photo[:, :BLOCK_PX], photo[:, BLOCK_PX:]


def write_tiles(folder: Path) -> int:
    """Write the tiles to train on, a folder a class, and say how many."""
    starts = [range(0, side - TILE_PX + 1, STEP_PX) for side in (2 * BLOCK_PX, BLOCK_PX)]
    for name in CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
        trained, _ = halves(name)
        for top in starts[0]:
            for left in starts[1]:
                tile = trained[top : top + TILE_PX, left : left + TILE_PX]
                Image.fromarray(tile).save(folder / name / f"{top:03}-{left:03}.png")
    return len(CLASSES) * len(starts[0]) * len(starts[1])


def write_mosaic(folder: Path) -> Labels:
    """Write mosaic.png and mosaic.truth.png, and give the class of each pixel, (512, 768).

    The truth is a picture with a palette: its values are indices into CLASSES.
    """
    seen = [0] * len(CLASSES)
    rows = []
    for row in LAYOUT:
        blocks = []
        for label in row:
            top = BLOCK_PX * seen[label]
            blocks.append(halves(CLASSES[label])[1][top : top + BLOCK_PX])
            seen[label] += 1
        rows.append(np.hstack(blocks))
    truth = np.repeat(np.repeat(np.array(LAYOUT), BLOCK_PX, axis=0), BLOCK_PX, axis=1)
    Image.fromarray(np.vstack(rows)).save(folder / "mosaic.png")
    picture = Image.fromarray(truth.astype(np.uint8)).convert("P")
    picture.putpalette([value for colour in COLOURS for value in colour])
    picture.save(folder / "mosaic.truth.png")
    return truth


def train_and_score(folder: Path, truth: Labels) -> float:
    """Train, score the mosaic, draw it, and give the share of pixels with the right class."""
    trained = heatmap.train(
        folder / "textures",
        folder / "textures.safetensors",
        window=TILE_PX,
        resume=True,  # an interrupted run of this script is gone on with
    )
    print(f"validation: {trained.best.validation_accuracy:.1%} right; wrote {trained.path}")
    scorer = heatmap.prepare(trained.classifier)
    grid = heatmap.score(folder / "mosaic.png", scorer, stride=STRIDE_PX)
    winner = np.stack([grid.heatmap(name) for name in CLASSES]).argmax(axis=0)
    right = winner == truth
    for label, name in enumerate(CLASSES):
        print(f"  {name:7} {right[truth == label].mean():.1%} of its pixels right")
    print(f"  all     {right.mean():.1%}")
    mosaic = np.asarray(Image.open(folder / "mosaic.png").convert("RGB"))
    picture = draw(mosaic, winner, float(right.mean()))
    print(f"  see {heatmap.write_image(folder / 'mosaic.winners.png', picture)}")
    return float(right.mean())


def draw(mosaic: Pixels, winner: Labels, accuracy: float) -> Pixels:
    """The mosaic, beside it the winning class in colours, the true borders white in both."""
    tinted = (0.45 * mosaic + 0.55 * np.array(COLOURS)[winner]).astype(np.uint8)
    gap = np.full((len(mosaic), 16, 3), 255, np.uint8)
    panels = Image.fromarray(np.hstack([with_borders(mosaic), gap, with_borders(tinted)]))
    whole = Image.new("RGB", (panels.width, panels.height + 56), "white")
    whole.paste(panels)
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(24)
    middle = panels.height + 28
    pen.text((4, middle), "Scored, with the true borders", "black", font, anchor="lm")
    left = mosaic.shape[1] + gap.shape[1]
    for name, colour in zip(CLASSES, COLOURS, strict=True):
        pen.rectangle((left, middle - 14, left + 28, middle + 14), fill=colour)
        pen.text((left + 38, middle), name, "black", font, anchor="lm")
        left += 140
    pen.text((whole.width - 4, middle), f"{accuracy:.1%} right", "black", font, anchor="rm")
    return np.asarray(whole)


def with_borders(picture: Pixels) -> Pixels:
    """White lines where the blocks of the mosaic meet."""
    lined = picture.copy()
    for row in range(BLOCK_PX, len(lined), BLOCK_PX):
        lined[row - 2 : row + 2] = 255
    for column in range(BLOCK_PX, lined.shape[1], BLOCK_PX):
        lined[:, column - 2 : column + 2] = 255
    return lined


if __name__ == "__main__":
    main()
