"""What results take on disk: the files of a batch of photos, by kind.

    python benchmarks/disk.py FOLDER [FOLDER ...]

runs a batch with the default network and settings over the photos of each folder, and prints the
size of each kind of file, mean and largest, and of all files of a photo together.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from machine import print_machine

import heatmap
from heatmap.names import DESCRIPTION, MAPS, PHOTOS, PICTURE, THUMBNAIL
from heatmap.photo.photo_file import upright_hw

KINDS = (PICTURE, MAPS, DESCRIPTION, THUMBNAIL)


def main() -> None:
    print_machine()
    for folder in map(Path, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as temporary:
            output = Path(temporary)
            report(folder, heatmap.batch(folder, output=output), output / PHOTOS)


def report(folder: Path, done: heatmap.Batch, results: Path) -> None:
    """Print a table of sizes in kB."""
    records = done.done
    sizes = {kind: [] for kind in (*KINDS, "all")}
    for record in records:
        files = [results / record.name / name for name in record.files]
        for kind in KINDS:
            sizes[kind] += [path.stat().st_size for path in files if path.name.endswith(kind)]
        sizes["all"].append(sum(path.stat().st_size for path in files))
    pixels = [np.prod(upright_hw(Path(record.path))) / 1e6 for record in records]
    print(f"\n{folder.name}: {len(records)} photos of {min(pixels):.1f} to {max(pixels):.1f} MP")
    print(f"{'file, kB':16} {'mean':>7} {'largest':>8}")
    for kind, listed in sizes.items():
        print(f"{kind:16} {np.mean(listed) / 1e3:7.0f} {max(listed) / 1e3:8.0f}")


if __name__ == "__main__":
    main()
