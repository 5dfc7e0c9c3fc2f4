"""Commands in processes of their own that are killed at random moments."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from heatmap.cli.main import main
from heatmap.grid import collector, score_grid
from heatmap.runs import photo_run
from heatmap.temporary import TEMPORARY
from tests.support.batch_runs import FORKS
from tests.support.waiting import wait_until

# Seconds after the first temporary file within which a command moves its files.
_WRITING_S = 0.4


def be_heatmap(arguments: list[str], folder: str, said: str) -> None:
    """Be the command line in a folder, with what it prints in a file."""
    stream = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(stream, number)
    os.chdir(folder)
    sys.argv = ["heatmap", *arguments]
    main()


def be_waiting_heatmap(arguments: list[str], folder: str, said: str) -> None:
    """As :func:`be_heatmap`, for a run that says "ready" when it has scored, and goes no further.

    Its scores lie in a temporary file.
    """

    def wait(*_: object) -> None:
        print("ready", flush=True)
        time.sleep(600)

    for module in (score_grid, collector, photo_run):
        module.LARGE_GRID_BYTES = 0
    collector.Collector.finish = wait
    be_heatmap(arguments, folder, said)


Whole = Callable[[Path], bool]


@dataclass
class Killer:
    """Kills a command at random moments, and has it run again.

    Attributes:
        home: the folder in which the command runs; all that it writes is below ``out`` there.
        arguments: of the command.
        moments: the source of the moments.
        again: arguments that it needs more once it was killed.
        but: the name of a file that holds times, and so differs.
        took_s: seconds that it takes.
        before, after: the digests of files before and after it.
    """

    home: Path
    arguments: list[str]
    moments: random.Random
    again: tuple[str, ...] = ()
    but: str = ""
    took_s: float = 0.0
    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        return self.home / "out"

    def start(self, *arguments: str) -> BaseProcess:
        given = (list(arguments), str(self.home), str(self._beside("said")))
        process = FORKS.Process(target=be_heatmap, args=given)
        process.start()
        return process

    def complete(self, *arguments: str) -> dict[str, str]:
        """Let a command end; the digests of its files."""
        started = time.monotonic()
        process = self.start(*arguments)
        process.join(300)
        self.took_s = time.monotonic() - started
        assert process.exitcode == 0, self._beside("said").read_text()
        return digests(self.out, but=self.but)

    def prepare(self, *earlier: str) -> None:
        """Have an earlier command write its files, and see what the command itself writes."""
        versions = []
        for arguments in (earlier, self.arguments):
            versions.append(self.complete(*arguments))
            self.out.rename(self._beside(f"version{len(versions)}"))
        self.before, self.after = versions

    def _beside(self, name: str) -> Path:
        return self.home.with_name(f"{self.home.name}.{name}")

    def kill(self) -> str:
        """Kill the command at a random moment; when that was, in words."""
        while True:
            shutil.rmtree(self.out, ignore_errors=True)
            shutil.copytree(self._beside("version1"), self.out)
            process, while_writing = self.start(*self.arguments), self.moments.random() < 0.5
            if while_writing:
                self._wait_for_files(process)
            seconds = self.moments.uniform(0, _WRITING_S if while_writing else self.took_s)
            time.sleep(seconds)
            process.kill()
            process.join(60)
            # Otherwise it had ended before.
            if process.exitcode == -signal.SIGKILL:
                return f"{seconds:.3f} s after {'its first file' if while_writing else 'its start'}"

    def _wait_for_files(self, process: BaseProcess) -> None:
        """Until a command begins to make files, or ends."""
        wait_until(lambda: not process.is_alive() or any(self.out.rglob(f"{TEMPORARY}*")))

    def check(self, count: int, is_whole: Whole | None = None) -> None:
        """Kill the command, each time from the earlier state, and have it run again.

        Args:
            count: how often.
            is_whole: tells of files that are in neither state whether they are whole.
        """
        for number in range(count):
            moment = f"kill {number}, {self.kill()}"
            for name, digest in digests(self.out).items():
                allowed = {version.get(name) for version in (self.before, self.after)} - {None}
                if allowed:
                    assert digest in allowed, f"{moment}: {name}"
                else:
                    assert is_whole is not None, f"{moment}: {name}"
                    assert is_whole(self.out / name), f"{moment}: {name}"
            assert self.complete(*self.arguments, *self.again) == self.after, moment
            assert not list(self.out.rglob(f"{TEMPORARY}*")), moment


def digests(folder: Path, but: str = "") -> dict[str, str]:
    """The digest of every file below a folder, but of those that are in the making."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name != but
        and TEMPORARY not in path.relative_to(folder).as_posix()
    }
