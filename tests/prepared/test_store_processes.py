"""The cache of prepared networks, as several processes use it at once."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from heatmap.contents import digest_of
from heatmap.prepared.store import FACTS, NETWORK, Store
from heatmap.temporary import TEMPORARY
from tests.support.paths import ROOT

KEY, OTHER = "0" * 64, "1" * 64


# After `write`, whose network is in another cache.
@pytest.fixture
def store(write, cache) -> Store:
    return Store()


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# Adds a network that is made of a file: PATH KEY, waiting in between.
ADDING = """
import json, shutil, sys, time
from pathlib import Path
from heatmap.prepared.network import read_described
from heatmap.prepared.store import Store
source, key, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])

def write(path):
    shutil.copy(source / "network.onnx", path)
    print("writing", flush=True)
    time.sleep(seconds)
    content = json.loads((source / "facts.json").read_text())["content"]
    return read_described(content, path)

found = Store().add(key, write)
print(found is not None and found.digest)
"""


def adding(source: Path, key: str, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ADDING, str(source), key, str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def test_killed_process_leaves_nothing_to_be_found(store, write, network):
    process = adding(network.file.parent, KEY, 60)
    assert process.stdout.readline() == "writing\n"
    # What another process is making is neither found nor cleared.
    assert (store.find(KEY), store.is_empty, store.clear()) == (None, True, 0)
    assert len(list(store.folder.glob(f"{TEMPORARY}*/{KEY}/{NETWORK}"))) == 1
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    process.stdout.close()
    assert (store.find(KEY), store.is_empty) == (None, True)
    # And goes with the next network, or when the cache is cleared.
    assert store.add(OTHER, write) is not None
    assert sorted(path.name for path in store.folder.iterdir()) == [OTHER]


def test_what_a_killed_process_left_is_cleared(store, network):
    process = adding(network.file.parent, KEY, 60)
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    process.stdout.close()
    store.clear()
    assert names(store.folder) == []


def test_processes_that_add_one_network_at_once_all_have_it(store, network):
    processes = [adding(network.file.parent, KEY, 0.2) for _ in range(3)]
    said = [process.communicate(timeout=120)[0].splitlines() for process in processes]
    assert said == [["writing", digest_of(network.file)]] * 3
    assert names(store.folder) == [KEY, f"{KEY}/{FACTS}", f"{KEY}/{NETWORK}"]
