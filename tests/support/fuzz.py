"""Photos in all formats, bent out of shape at random, and what becomes of them when they are read.

``python -m tests.support.fuzz --seed 7 --count 1000`` tells of each that ends in anything but a
photo or a HeatmapError, that takes longer than 20 s or more memory than ``MOST_BYTES``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import heatmap
from heatmap.photo.photo_file import PhotoFile
from heatmap.photo.reduced import reduced_photo
from tests.support.every_format import names, original
from tests.support.paths import ROOT

LONGEST_S = 20.0
# What reading may add to the memory of a process. Photos have at most this many pixels here.
MOST_BYTES, MOST_PIXELS = 2**30, 2**24
_READING = heatmap.Reading(max_pixels=MOST_PIXELS)
# So that nothing takes the machine down: what needs more ends its process.
_ADDRESS_SPACE = 12 * 2**30


@dataclass(frozen=True)
class Read:
    """What became of a file: "photo", the name of an error, "prints", "hangs" or "died".

    ``expected`` says whether that is what users may see.
    """

    path: Path
    outcome: str
    message: str = ""
    seconds: float = 0.0
    grown: int = 0

    @property
    def expected(self) -> bool:
        fits = self.seconds < LONGEST_S and self.grown < MOST_BYTES
        return fits and self.outcome in ("photo", "HeatmapError") and "\n" not in self.message


_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF)


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """The same with bytes flipped, cut off, put in or taken out, or with a header altered."""
    kinds = (_flipped, _flipped_header, _truncated, _altered, _altered, _zeroed, _doubled, _cut_out)
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        content = kinds[int(rng.integers(len(kinds)))](content, rng) or b"\0"
    return content


def _flipped(content: bytes, rng: np.random.Generator, end: int | None = None) -> bytes:
    changed = np.frombuffer(content, np.uint8).copy()
    count = int(2 ** rng.uniform(0, 6))
    places = rng.integers(0, min(end or len(changed), len(changed)), count)
    changed[places] ^= rng.integers(1, 256, count).astype(np.uint8)
    return changed.tobytes()


def _flipped_header(content: bytes, rng: np.random.Generator) -> bytes:
    return _flipped(content, rng, int(rng.choice([32, 128, 1024])))


def _truncated(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(len(content) * rng.random() ** rng.choice([0.3, 1, 4]))]


def _altered(content: bytes, rng: np.random.Generator) -> bytes:
    """A number at the beginning, or at the end where TIFF has its tags, becomes an extreme one."""
    number, size = int(rng.choice(_EXTREMES)), int(rng.choice([1, 2, 4]))
    order = rng.choice(["<", ">"])
    written = (
        struct.pack(f"{order}I", number)[:size] if order == "<" else number.to_bytes(4)[-size:]
    )
    span = min(int(rng.choice([64, 512])), len(content))
    place = int(rng.integers(0, span))
    if rng.random() < 0.3:
        place = len(content) - 1 - place
    return content[:place] + written + content[place + size :]


def _zeroed(content: bytes, rng: np.random.Generator) -> bytes:
    start, length = int(rng.integers(0, len(content))), int(2 ** rng.uniform(0, 12))
    kept = content[start + length :]
    return content[:start] + bytes(len(content) - start - len(kept)) + kept


def _doubled(content: bytes, rng: np.random.Generator) -> bytes:
    start, length = int(rng.integers(0, len(content))), int(2 ** rng.uniform(0, 10))
    return content[: start + length] + content[start:]


def _cut_out(content: bytes, rng: np.random.Generator) -> bytes:
    start, length = int(rng.integers(0, len(content))), int(2 ** rng.uniform(0, 10))
    return content[:start] + content[start + length :]


def write_mutated(folder: Path, seed: int, count: int) -> list[Path]:
    """Write so many photos bent out of shape; file 12 of seed 7 is "7-12-" and what it was."""
    folder.mkdir(parents=True, exist_ok=True)
    choices, paths = names(), []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        name = choices[int(rng.integers(len(choices)))]
        path = folder / f"{seed}-{number}-{name}"
        path.write_bytes(mutated(original(name), rng))
        paths.append(path)
    return paths


class _Reader:
    """A process that reads photos, one after the other."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.support.fuzz", "--reader"]
        # Closed by close().
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115
        self._seen = 0
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            cwd=ROOT,
            text=True,
        )
        self._answer()

    def read(self, path: Path) -> Read:
        started = time.monotonic()
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(str(path))}\n")
        self._process.stdin.flush()
        try:
            told = self._answer()
        except TimeoutError:
            return Read(path, "hangs", seconds=time.monotonic() - started)
        seconds = time.monotonic() - started
        if not told:
            return Read(path, "died", f"exit code {self._process.wait()}", seconds)
        if printed := self._printed():
            return Read(path, "prints", printed, seconds)
        return Read(path, **json.loads(told), seconds=seconds)

    def _printed(self) -> str:
        """What was written to standard error since the last call."""
        size = os.fstat(self._complaints.fileno()).st_size
        new = os.pread(self._complaints.fileno(), size - self._seen, self._seen)
        self._seen = size
        return new.decode(errors="replace")

    def _answer(self) -> str:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], LONGEST_S)[0]:
            self.close()
            raise TimeoutError
        return self._process.stdout.readline()

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._complaints.close()


def read_all(paths: Iterable[Path]) -> Iterator[Read]:
    """Read photos in a process of their own, which is started again where one ends it."""
    reader = _Reader()
    try:
        for path in paths:
            if not reader.is_alive:
                reader = _Reader()
            yield reader.read(path)
    finally:
        reader.close()


def _serve() -> None:
    """Read the photos whose paths come in, line by line, and tell what became of each."""
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    print("ready", flush=True)
    for line in sys.stdin:
        path, before = json.loads(line), _most_used()
        outcomes = [_outcome(read, path) for read in (_whole, _smaller, _by_rows)]
        # What must not be, in whatever way the photo is read; else what reading all of it gives.
        odd = [each for each in outcomes if each[0] not in ("photo", "HeatmapError")]
        outcome, message = (odd or outcomes)[0]
        told = {"outcome": outcome, "message": message, "grown": _most_used() - before}
        print(json.dumps(told), flush=True)


def _outcome(read: Callable[[str], tuple[str, ...]], path: str) -> tuple[str, str]:
    try:
        return "photo", "; ".join(read(path))
    except heatmap.HeatmapError as error:
        return "HeatmapError", str(error)
    except BaseException as error:
        return type(error).__name__, str(error)


def _whole(path: str) -> tuple[str, ...]:
    return heatmap.read_photo(path, reading=_READING).notes


def _smaller(path: str) -> tuple[str, ...]:
    return reduced_photo(path, 2, reading=_READING).notes


def _by_rows(path: str) -> tuple[str, ...]:
    photo = PhotoFile(path, reading=_READING)
    for _ in photo.strips(scaled_hw=(50, 60)):
        pass
    return photo.notes


def _most_used() -> int:
    """The most bytes that this process has used so far."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--keep", type=Path, help="folder for files that end unexpectedly")
    parser.add_argument("--reader", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.reader:
        _serve()
        return 0
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        for done in read_all(write_mutated(Path(folder), given.seed, given.count)):
            counts[done.outcome] = counts.get(done.outcome, 0) + 1
            if not done.expected:
                print(f"{done.path.name}: {done}")
                if given.keep:
                    given.keep.mkdir(parents=True, exist_ok=True)
                    (given.keep / done.path.name).write_bytes(done.path.read_bytes())
    print(f"seed {given.seed}: {counts}")
    return int(not counts.keys() <= {"photo", "HeatmapError"})


if __name__ == "__main__":
    sys.exit(main())
