"""The main job on two samples: a large collage with known boxes, and a cat from close by.

    python samples/demo.py FOLDER

prints what was found and where the pictures are. Exits with 1 if the hottest
pixel of a labelled object lies outside its box.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from make_collage import LabelledObject, read_source, write_collage

import heatmap


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where to write; made if missing")
    folder: Path = parser.parse_args().folder
    scorer = heatmap.prepare()
    sys.exit(0 if show_collage(scorer, folder) & show_cat(scorer, folder) else 1)


def show_collage(scorer: heatmap.Scorer, folder: Path) -> bool:
    """Find the labelled objects of the collage at default settings."""
    objects = write_collage(folder)
    labels = [labelled.label for labelled in objects]
    done = heatmap.run(folder / "collage.png", scorer, output=folder, classes=labels)
    describe(done)
    print("hottest pixel of       x     y  probability  px inside its box")
    inside = [check_object(done.maps, labelled) for labelled in objects]
    return all(inside)


def check_object(grid: heatmap.ScoreGrid, labelled: LabelledObject) -> bool:
    """Print where a class is hottest, and how far inside the object's box that is."""
    heat = grid.heatmap(labelled.label)
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    left, top, right, bottom = labelled.box_xyxy
    inside = min(x - left, y - top, right - x, bottom - y)
    print(f"{labelled.label:18} {x:5} {y:5} {heat.max():12.2f} {inside:18.0f}")
    return bool(inside >= 0)


def show_cat(scorer: heatmap.Scorer, folder: Path) -> bool:
    """A photo of a cat's face, enlarged three times: a window sees a third of it."""
    path = heatmap.write_image(folder / "chelsea.png", read_source("chelsea.png"))
    done = heatmap.run(path, scorer, output=folder, classes=["Egyptian cat", "tabby"], scales=3)
    describe(done)
    return True


def describe(done: heatmap.Result) -> None:
    height, width = done.grid.geometry.photo_hw
    rows, columns = done.grid.geometry.grid_hw
    print(f"\n{done.photo.path}: {width} x {height} px, {rows} rows x {columns} columns of windows")
    for detection in done.detections:
        left, top, right, bottom = (round(side) for side in detection.xyxy)
        corners = f"{left}, {top} to {right}, {bottom}"
        print(f"  {detection.name:16} {detection.confidence:.2f} in {corners}")
    for picture in done.saved.pictures:
        print(f"  see {picture}")


if __name__ == "__main__":
    main()
