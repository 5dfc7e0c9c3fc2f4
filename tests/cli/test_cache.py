"""Networks kept for faster starts, as commands use, list and remove them."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import heatmap
from heatmap.cache_folder import cache_folder
from heatmap.errors import ConversionError
from heatmap.prepared.store import Store
from heatmap.scoring import prepare as preparing
from heatmap.scoring.preparation import Preparation
from tests.support.command_line import PADDED, PLAIN, assert_one_line, network
from tests.support.paths import ROOT

ATTENDING = network("attending")
HEAVY = {"torch", "torchvision", "timm", "skimage", "onnx", "onnxscript"}
# A command in a process of its own, and what of all that is heavy it imported.
COMMAND = f"""
import atexit, sys
atexit.register(lambda: print(sorted({HEAVY} & sys.modules.keys()), file=sys.stderr))
from heatmap.cli.main import main
main()
"""


def imported(*arguments: str) -> tuple[int, str]:
    """The exit code of a command, and the last line that it printed, of what it imported."""
    ended = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    return ended.returncode, ended.stderr.splitlines()[-1]


@pytest.fixture
def call(call, monkeypatch, prepared_once):
    """As for other commands, with networks that are prepared each time."""
    monkeypatch.setattr(preparing, "_prepared", prepared_once.__wrapped__)
    return call


@pytest.fixture
def kept(call, kept_checkpoint) -> tuple[str, ...]:
    """The options of a network that is kept for ONNX Runtime."""
    return ("-m", kept_checkpoint, "--scale", "1")


def backend_in(description: str | Path) -> str:
    told = json.loads(Path(description).read_text("utf-8"))
    return told["origin"]["computation"]["backend"]


class TestWarm:
    def test_commands_import_nothing_heavy(self, kept):
        """One after the other, each with what those before it left."""
        for arguments in (
            ("run", "cat.png", *kept, "-o", "out", "--html"),
            ("batch", "cat.png", *kept, "-o", "many"),
            ("models", "--cached"),
        ):
            assert imported(*arguments) == (0, "[]"), arguments
        (of_batch,) = Path("many").rglob("cat.json")
        assert backend_in("out/cat.json") == backend_in(of_batch) == "onnx"

    @pytest.mark.slow
    def test_more_commands_import_nothing_heavy(self, kept):
        for arguments in (
            ("run", "cat.png", *kept[:2], "-o", "out", "--save-grid", "--confirm", "3"),
            ("render", "out/cat.json"),
            ("view", "out/cat.json"),
            ("models",),
            ("models",),
        ):
            first = imported(*arguments)
        assert first == (0, "[]")
        assert imported("render", "out/cat.json") == (0, "[]")
        assert imported("run", "cat.png", *kept[:2], "-o", "out") == (0, "[]")

    def test_torch_where_that_is_said(self, call, kept):
        told = call("run", "cat.png", *kept, "--backend", "torch", "-o", "out")
        assert (told.code, backend_in("out/cat.json")) == (0, "torch")
        told = call("run", "cat.png", *kept, "-o", "out", "--overwrite")
        assert (told.code, backend_in("out/cat.json")) == (0, "onnx")


class TestBatch:
    @pytest.fixture
    def photos(self, call) -> Path:
        folder = Path("photos")
        folder.mkdir()
        shutil.copy("cat.png", folder / "one.png")
        return folder

    def run(self, call, kept, *options: str) -> dict[str, str]:
        """What scored each photo."""
        outcome = call("batch", "photos", *kept, "-o", "out", *options)
        assert outcome.code == 0, outcome.err
        return {path.stem: backend_in(path) for path in Path("out").rglob("*.json")}

    @pytest.mark.slow
    def test_one_begun_in_torch_stays_there(self, call, kept, photos, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setenv("HEATMAP_CACHE", "off")
            assert self.run(call, kept) == {"one": "torch"}
        before = next(Path("out").rglob("one.json")).stat().st_mtime_ns
        shutil.copy("cat.png", photos / "two.png")
        assert self.run(call, kept) == {"one": "torch", "two": "torch"}
        # What is done is not done again.
        assert next(Path("out").rglob("one.json")).stat().st_mtime_ns == before

    def test_one_begun_in_onnx_runtime_stays_there(self, call, kept, photos, monkeypatch):
        assert self.run(call, kept) == {"one": "onnx"}
        shutil.copy("cat.png", photos / "two.png")
        # Found to be slower in a later process.
        monkeypatch.setattr(Store, "winner", lambda *_: "torch")
        before = next(Path("out").rglob("one.json")).stat().st_mtime_ns
        assert self.run(call, kept) == {"one": "onnx", "two": "onnx"}
        assert next(Path("out").rglob("one.json")).stat().st_mtime_ns == before

    @pytest.mark.slow
    @pytest.mark.parametrize("cleared", ["folder", "off"])
    def test_one_begun_in_onnx_runtime_prepares_again(
        self, call, kept, photos, monkeypatch, cleared
    ):
        assert self.run(call, kept) == {"one": "onnx"}
        shutil.copy("cat.png", photos / "two.png")
        empty = str(Path("empty").absolute()) if cleared == "folder" else "off"
        monkeypatch.setenv("HEATMAP_CACHE", empty)
        assert self.run(call, kept) == {"one": "onnx", "two": "onnx"}

    def test_another_backend_is_another_setting(self, call, kept, photos):
        assert self.run(call, kept, "--backend", "torch") == {"one": "torch"}
        assert self.run(call, kept) == {"one": "onnx"}


class TestRefused:
    @pytest.mark.parametrize("command", [("run",), ("batch", "-o", "out")])
    def test_other_number_formats(self, call, cache, command):
        name, *rest = command
        options = ("--backend", "onnx", "--dtype", "bfloat16")
        refused = call(name, "cat.png", *PADDED, *options, *rest)
        assert_one_line(refused, "float32", "bfloat16", "--backend torch")
        assert not list(Path().rglob("cat.*json"))

    def test_network_that_does_not_export(self, call, cache):
        refused = call("run", "cat.png", *ATTENDING, "--backend", "onnx", "-o", "out")
        assert_one_line(refused, ATTENDING[1], "does not run in ONNX Runtime", "--backend torch")
        assert not Path("out").exists()
        assert Store().is_empty


def failing(monkeypatch, error: BaseException) -> list[bool]:
    """Have preparations fail from now on; whether the picture was there at each."""
    there = []

    def write(self: Preparation, path: Path) -> None:
        there.append(Path("out/cat.heatmap.jpg").exists() and Path("out/cat.json").exists())
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(Preparation, "write", write)
    return there


class TestAfterRun:
    RUN = ("run", "cat.png", *PLAIN, "-o", "out", "--scale", "1")

    @pytest.mark.parametrize(
        ("error", "note"),
        [
            (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
            (RuntimeError("something within\ntorch"), "something within"),
            (MemoryError(), "MemoryError"),
            (KeyboardInterrupt(), "skipped; the next run will prepare it"),
        ],
    )
    def test_failures_to_prepare_are_noted_behind_the_results(
        self, call, cache, monkeypatch, error, note
    ):
        there = failing(monkeypatch, error)
        outcome = call(*self.RUN)
        assert (outcome.code, there) == (0, [True])
        assert [line for line in outcome.err.splitlines() if note in line]
        # The first says what it waits for, before it does.
        first, _ = (line for line in outcome.err.splitlines() if "note" in line)
        assert first.startswith("note: this run is done; preparing ")
        assert "start faster" in first
        assert "Ctrl-C skips it" in first
        assert "Traceback" not in outcome.err
        assert backend_in("out/cat.json") == "torch"
        assert Store().is_empty

    @pytest.mark.parametrize(
        ("error", "notes"), [(RuntimeError("within\ntorch"), 2), (KeyboardInterrupt(), 0)]
    )
    def test_failures_to_record_a_network_change_no_exit_code(
        self, call, cache, monkeypatch, error, notes
    ):
        def fail(self: Preparation) -> str:
            raise error

        monkeypatch.setattr(Preparation, "key", fail)
        outcome = call(*self.RUN)
        assert (outcome.code, outcome.err.count("note: ")) == (0, notes), outcome.err
        assert backend_in("out/cat.json") == "torch"

    def test_a_batch_of_few_photos_prepares_behind_its_results(self, call, cache, monkeypatch):
        tried = failing(monkeypatch, ConversionError("no such operation"))
        done = call("batch", "cat.png", *PLAIN, "-o", "many", "--scale", "1")
        assert (done.code, len(tried)) == (0, 1)
        assert done.err.count("note: this run is done; preparing ") == 1

    def test_network_cleared_before_it_was_loaded_is_scored_in_torch(
        self, kept_checkpoint, shared_cache, tmp_path, monkeypatch
    ):
        shutil.copytree(shared_cache, tmp_path / "copied")
        monkeypatch.setenv("HEATMAP_CACHE", str(tmp_path / "copied"))
        scorer = heatmap.prepare(kept_checkpoint)
        assert scorer.prepared_at(scorer.native_stride_px) is not None
        shutil.rmtree(tmp_path / "copied")
        grid = scorer.score(np.zeros((80, 90, 3), np.uint8))
        assert grid.origin.computation.backend == "torch"

    def test_network_that_does_not_export_is_tried_once(self, call, cache, monkeypatch):
        there = failing(monkeypatch, ConversionError("no such operation"))
        outcomes = [call(*self.RUN, "--overwrite") for _ in range(2)]
        assert [outcome.code for outcome in outcomes] == [0, 0]
        assert there == [True]
        assert backend_in("out/cat.json") == "torch"

    def test_nothing_is_prepared_where_nothing_is_kept(self, call, monkeypatch):
        there = failing(monkeypatch, ConversionError("no such operation"))
        outcome = call(*self.RUN)
        assert (outcome.code, outcome.err, there) == (0, "", [])

    def test_cache_that_others_can_write_is_noted(self, call, cache, monkeypatch):
        cache.mkdir()
        cache.chmod(0o777)
        there = failing(monkeypatch, ConversionError("no such operation"))
        outcome = call(*self.RUN)
        assert (outcome.code, there) == (0, [])
        (line,) = outcome.err.splitlines()
        assert line.startswith("note: ")
        assert "others can write it" in line
        assert list(cache.iterdir()) == []


class TestModels:
    def test_lists_what_is_kept(self, call, kept, kept_checkpoint):
        told = json.loads(call("models", "--cached", "--json").out)
        (one,) = (each for each in told if each["name"] == kept_checkpoint)
        assert set(one) == {"name", "form", "stride_px", "megabytes", "used", "winner"}
        assert (one["form"], one["stride_px"], one["winner"]) == ("slide", 32, "onnx")
        assert 1 < one["megabytes"] < 20
        outcome = call("models", "--cached")
        assert (outcome.code, outcome.err) == (0, "")
        heading, *rows, total = outcome.out.splitlines()
        assert heading.split() == "model form stride MB used faster here".split()
        assert len(rows) == len(told)
        words = [row.split() for row in rows if row.startswith(kept_checkpoint)]
        size = f"{one['megabytes']:.1f}"
        assert words == [[kept_checkpoint, "slide", "32", size, *one["used"].split(), "onnx"]]
        assert total.startswith(f"{len(told)} kept, ")

    def test_lists_nothing_where_nothing_is_kept(self, call, cache):
        assert json.loads(call("models", "--cached", "--json").out) == []
        assert call("models", "--cached").out.splitlines()[-1] == f"0 kept, 0.0 MB in {cache}"

    def test_off_is_said(self, call):
        assert "0 kept, 0.0 MB in the cache, which is off" in call("models", "--cached").out
        assert "0 bytes removed from the cache, which is off" in call("models", "--clear-cache").out

    def test_clears_networks_and_names_and_nothing_else(
        self, call, kept_checkpoint, shared_cache, cache, monkeypatch
    ):
        shutil.copytree(shared_cache, cache)
        monkeypatch.setenv("HEATMAP_CACHE", str(cache))
        names = cache_folder("models")
        for file in ("names.json", "facts.json", "classes-1000.json"):
            names.keep(file, {}, [1])
        # The memory of an exported network, and digests of files.
        for file in (f"peak-{'0a' * 32}-224-32-{'0b' * 8}.json", "files.json"):
            cache_folder("prepared").keep(file, {}, {})
        own = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
        strange = [cache / "mine.txt", cache / "models/mine.json", cache / "prepared/mine/a.onnx"]
        for path in strange:
            path.parent.mkdir(exist_ok=True)
            path.write_text("mine")
        told = json.loads(call("models", "--clear-cache", "--json").out)
        assert told == {"removed_bytes": own}
        assert {path for path in cache.rglob("*") if path.is_file()} == set(strange)
        assert call("models", "--clear-cache").out == f"0 bytes removed from {cache}\n"

    def test_clearing_loads_no_torch(self, call, cache):
        assert imported("models", "--clear-cache") == (0, "[]")

    @pytest.mark.parametrize(
        "arguments", [("--cached", "--clear-cache"), ("vgg*", "--cached"), ("x", "--clear-cache")]
    )
    def test_options_that_contradict_each_other_are_refused(self, call, cache, arguments):
        outcome = call("models", *arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert "--cached" in outcome.err
