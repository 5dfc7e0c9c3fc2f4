"""Whether two checkouts come to the same numbers: an old one, and this one, on the same photos.

    python tests/support/compare_checkouts.py OLD OLD_PYTHON NEW NEW_PYTHON [--photos FOLDER]

Runs every command below with both, each from its own folder, and compares what they print as
JSON and every file they write: arrays, tables, boxes, pictures, weights. The old checkout may use
the words from before version 0.2, which are mapped to those of today. Both must run on one
machine and with the same number of threads. Without --photos ten of scikit-image's are taken.
Prints a line a command, with the first difference where there is one; exits with 1 then.
--rounding 3e-7 allows for floats that were rounded otherwise, relative to the largest of an array.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import skimage.data

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.support.compare_files import PICTURES, first_difference
from tests.support.examples import save, small_demo

PHOTOS = (
    *("chelsea", "coffee", "astronaut", "rocket", "camera", "coins", "hubble_deep_field"),
    *("immunohistochemistry", "retina", "page"),
)
# As today's command line has them; {one} is the first photo.
COMMANDS = (
    "run {one} -o default",
    "run {one} --scales auto -o auto",
    "run {one} -c cat --html --format csv --format coco --format geojson --format tiff -o cat",
    "run {one} --scale 2 --stride 16 --store-classes tabby --conf 0.01 -o kept",
    "run {one} --skip-background --engine crop --conf 0.1 -o cropped",
    "run {one} -m vgg16 --weights random --top 2 -o vgg",
    "batch photos -o many",
    "verify {one} --windows 32 --json -o verified",
    "verify {one} -m vgg16 --weights random --windows 8 --json -o verified_vgg",
    "evaluate demo demo/collage.csv --json",
    "summary --photo-size 640x480 --json",
    "summary -m vgg16 --weights random --json",
    "adapt --window 160 --num-classes 3 --json -o adapted.safetensors",
    "train demo/textures --window 64 --epochs 3 --views 2 --json -o trained.safetensors",
    "run demo/mosaic.png -m trained.safetensors --stride 16 -c brick -c grass -o mosaic",
)
# Today's options -> those before 0.2.
OLD_OPTIONS = {
    "--conf": "--least-score",
    "--store-classes": "--keep",
    "--skip-background": "--skip-flat",
    "--num-classes": "--classes",
    "--class-names": "--classes",
}
# Of either checkout: the command line was a module before it was a package.
MAIN = """
import sys
try:
    from heatmap.cli.main import main
except ModuleNotFoundError:
    from heatmap.cli import main
sys.argv = ["heatmap", *sys.argv[1:]]
main()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("old", "old_python", "new", "new_python"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--photos", type=Path, help="folder; its first ten photos are taken")
    parser.add_argument("--rounding", type=float, default=0.0, help="allowed relative difference")
    parser.add_argument("--only", nargs="*", default=[""], help="commands that begin so")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        differences = compare(Path(folder), given)
    sys.exit(1 if differences else 0)


def compare(folder: Path, given: argparse.Namespace) -> int:
    """How many commands gave something else."""
    old, new = folder / "old" / "work", folder / "new" / "work"
    for work in (old, new):
        one = prepare(work, given.photos)
    differences = 0
    for command in COMMANDS:
        if not command.startswith(tuple(given.only)):
            continue
        line = command.format(one=one)
        before = execute(given.old, given.old_python, old, in_old_words(given.old, line))
        after = execute(given.new, given.new_python, new, line)
        difference = before.differs_from(after, given.rounding)
        differences += difference is not None
        print(f"{'DIFFERENT' if difference else 'equal':9}  {line}", flush=True)
        if difference:
            print(f"           {difference}", flush=True)
    return differences


def prepare(work: Path, photos: Path | None) -> str:
    """Write the photos, ten of a folder or of scikit-image; gives the first one's path."""
    (work / "photos").mkdir(parents=True)
    small_demo(work / "demo")
    if photos is None:
        for name in PHOTOS:
            save(work / "photos" / f"{name}.png", getattr(skimage.data, name)(), 0.7)
        return f"photos/{PHOTOS[0]}.png"
    known = sorted(path for path in photos.iterdir() if cv2.haveImageReader(str(path)))[:10]
    for path in known:
        (work / "photos" / path.name).write_bytes(path.read_bytes())
    return f"photos/{known[0].name}"


def in_old_words(checkout: Path, line: str) -> str:
    """A line of today's for a checkout from before 0.2, which has photo sizes as height x width."""
    if (checkout / "heatmap" / "cli" / "main.py").exists():
        return line
    for option, before in OLD_OPTIONS.items():
        line = re.sub(rf"(?<!\S){option}(?!\S)", before, line)
    return re.sub(r"--photo-size (\d+)x(\d+)", r"--photo-size \2x\1", line)


class Outcome:
    """What a command printed, and the files that it wrote."""

    def __init__(self, work: Path, done: subprocess.CompletedProcess[str], files: set[str]) -> None:
        self.work, self.done, self.files = work, done, files

    def differs_from(self, other: Outcome, rounding: float) -> str | None:
        """The first difference, in words."""
        if self.done.returncode or other.done.returncode:
            said = self.done.stderr or other.done.stderr
            return f"exit codes {self.done.returncode}, {other.done.returncode}: {said.strip()}"
        if self.files != other.files:
            return f"files that one of them wrote: {sorted(self.files ^ other.files)}"
        return next(self._differences(other, rounding), None)

    def _differences(self, other: Outcome, rounding: float) -> Iterator[str]:
        printed = [self.work / "printed.json", other.work / "printed.json"]
        if self.done.stdout.startswith(("{", "[")):
            for path, outcome in zip(printed, (self, other), strict=True):
                path.write_text(outcome.done.stdout, encoding="utf-8")
            if difference := first_difference(*printed, rounding):
                yield f"printed: {difference}"
        for name in sorted(self.files, key=lambda name: (name.endswith(PICTURES), name)):
            if difference := first_difference(self.work / name, other.work / name, rounding):
                yield f"{name}: {difference}"


def execute(checkout: Path, python: Path, work: Path, line: str) -> Outcome:
    """Run one command of a checkout in its working folder."""
    before = files_of(work)
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
    done = subprocess.run(
        [python.absolute(), "-P", "-c", MAIN, *shlex.split(line)],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(work, done, {path for path in files_of(work) if path not in before})


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


if __name__ == "__main__":
    main()
