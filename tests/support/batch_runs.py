"""Batches of the small network of batches.py, in this process and in others."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from heatmap.cli.main import main
from heatmap.runs.batch import BatchSources, plan_batch, run_batch
from heatmap.runs.request import Display, Extras, Request
from heatmap.runs.settings import ScorerRecipe
from tests.support.batches import MODEL, WINDOW
from tests.support.waiting import wait_until

RECIPE = ScorerRecipe(MODEL, options={"window": WINDOW})
# Grids have every bit of the scores.
REQUEST = Request(Display(conf=0.5), extras=Extras(save_grid=True))
COMMAND = ["heatmap", "batch", "-m", MODEL, "--window", str(WINDOW), "--conf", "0.5", "--json"]
COMMAND.append("--save-grid")

# Processes fork from one that has loaded what takes seconds.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["heatmap.cli.main", "heatmap.runs.batch", "heatmap.scoring.scorer", "torchvision", "timm"]
)


def run(photos, out, request=REQUEST, *, retry_failed=False, **options):
    return run_batch(BatchSources([photos], retry_failed), out, RECIPE, request, **options)


def plan(photos, out, request=REQUEST, **options):
    work = plan_batch(BatchSources([photos], **options), out, RECIPE, request).work
    return {task.item.name: task.why for task in work.todo}


@dataclass(frozen=True)
class Death:
    """When a process kills itself: so many seconds after it has printed so many lines.

    By its own hand, since whoever watches it from outside may come too late on a busy machine.
    """

    lines: int
    seconds: float

    def await_in(self, stream: Path) -> None:
        wait_until(lambda: printed(stream) >= self.lines)
        time.sleep(self.seconds)
        os.kill(os.getpid(), signal.SIGKILL)


def printed(stream: Path) -> int:
    """How many whole lines are in it."""
    return stream.read_text().count("\n")


def heatmap_batch(
    arguments: list[str], streams: tuple[Path, Path], death: Death | None = None
) -> None:
    """Be the command line, with standard output and error in files."""
    if death is not None:
        threading.Thread(target=death.await_in, args=(streams[0],), daemon=True).start()
    for number, path in enumerate(streams, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = arguments
    main()


@dataclass(frozen=True)
class Command:
    """`heatmap batch` in a process of its own."""

    process: BaseProcess
    streams: tuple[Path, Path]

    def wait_for(self, lines: int) -> None:
        """Until so many lines were printed, or it has ended."""
        wait_until(lambda: printed(self.streams[0]) >= lines or not self.process.is_alive())

    def send(self, which: signal.Signals) -> None:
        os.kill(self.process.pid, which)

    def finish(self) -> tuple[int, str, str]:
        """Exit code, standard output and error, once it has ended."""
        self.process.join(300)
        return self.process.exitcode, *(path.read_text() for path in self.streams)


def spawn(photos, out, *options, death: Death | None = None) -> Command:
    streams = out.with_name(f"{out.name}.out"), out.with_name(f"{out.name}.err")
    for path in streams:
        path.write_text("")
    arguments = [*COMMAND, str(photos), "-o", str(out), *options]
    process = FORKS.Process(target=heatmap_batch, args=(arguments, streams, death))
    process.start()
    return Command(process, streams)
