"""The cache of prepared networks: found whole or not at all, bounded, and its own files only."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

import numpy as np
import pytest

from heatmap.contents import digest_of
from heatmap.errors import ConversionError
from heatmap.prepared import store as module
from heatmap.prepared.facts import described_facts
from heatmap.prepared.store import FACTS, NETWORK, Store
from tests.support.scoring import photo

KEYS = [f"{number:064x}" for number in range(9)]
KEY = KEYS[0]


# After `write`, whose network is in another cache.
@pytest.fixture
def store(write, cache) -> Store:
    return Store()


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def used(store: Store, key: str, seconds: float) -> None:
    os.utime(store.folder / key / FACTS, (seconds, seconds))


def test_network_is_found_as_it_was_added(store, write, network):
    added = store.add(KEY, write)
    found = Store().find(KEY)
    for each in (added, found):
        assert described_facts(each.facts) == described_facts(network.facts)
        assert (each.slides, each.form, each.stride_px) == (network.slides, "slide", 4)
        assert (each.peak, each.digest) == (network.peak, digest_of(network.file))
        pixels = photo(40, 44)
        np.testing.assert_array_equal(each.scores(pixels, 1), network.scores(pixels, 1))
    assert names(store.folder) == [KEY, f"{KEY}/{FACTS}", f"{KEY}/{NETWORK}"]


def test_what_is_kept_is_its_users_alone(store, write, cache):
    store.add(KEY, write)
    for folder in (cache, store.folder, store.folder / KEY):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_unknown_network_is_not_found(store, write):
    assert (store.is_empty, store.find(KEY)) == (True, None)
    store.add(KEY, write)
    assert (store.is_empty, store.find(KEYS[1])) == (False, None)


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def damages() -> dict:
    return {
        "network": lambda home: flip(home / NETWORK, 1000),
        "end of the network": lambda home: flip(home / NETWORK, -1),
        "network cut": lambda home: os.truncate(home / NETWORK, 99),
        "network gone": lambda home: (home / NETWORK).unlink(),
        "facts cut": lambda home: os.truncate(home / FACTS, 99),
        "facts empty": lambda home: os.truncate(home / FACTS, 0),
        "facts gone": lambda home: (home / FACTS).unlink(),
        "facts of another kind": lambda home: (home / FACTS).write_text("[]"),
        "facts too deep": lambda home: (home / FACTS).write_text("[" * 10**5),
        "a class": lambda home: replaced(home / FACTS, '"class 3"', '"class 7"'),
        "a mean": lambda home: replaced(home / FACTS, "0.485", "0.486"),
        "memory": lambda home: replaced(home / FACTS, '"fixed": ', '"fixed": 1'),
    }


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


@pytest.mark.parametrize("damage", damages())
def test_damage_is_seen_and_what_is_added_again_is_found(store, write, damage):
    store.add(KEY, write)
    damages()[damage](store.folder / KEY)
    assert store.find(KEY) is None
    assert names(store.folder) == []
    assert store.add(KEY, write) is not None
    assert store.find(KEY) is not None


def test_every_byte_of_the_facts_counts(store, write):
    store.add(KEY, write)
    path = store.folder / KEY / FACTS
    whole = path.read_bytes()
    for position in np.random.default_rng(0).choice(len(whole), 40, replace=False):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(whole)
        flip(path, position)
        assert module._described(path.parent) is None, whole[position - 9 : position + 9]


def test_failed_exports_leave_nothing(store, write):
    def fail(path: Path):
        write(path)
        raise ConversionError("no such operation")

    with pytest.raises(ConversionError):
        store.add(KEY, fail)
    assert names(store.folder) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_full_disk_is_told_and_leaves_nothing(store, write, number):
    def fail(path: Path):
        write(path)
        raise OSError(number, os.strerror(number))

    with pytest.raises(OSError, match=os.strerror(number)):
        store.add(KEY, fail)
    assert names(store.folder) == []


def test_disk_that_is_full_for_the_facts_keeps_nothing(store, write, monkeypatch):
    def fail(path: Path, *_: object):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match="No space"):
        store.add(KEY, write)
    assert names(store.folder) == []


@pytest.mark.parametrize("key", ["what", "../../outside", "/etc", "0" * 63, "0" * 65, 3, None])
def test_what_leads_to_no_key_is_not_followed(store, key):
    store.leads_to("ab", key)
    assert store.key_of("ab") is None


def test_what_was_typed_leads_to_a_key(store):
    assert store.key_of("ab") is None
    store.leads_to("ab", KEY)
    assert Store().key_of("ab") == KEY
    (store.folder / "typed-ab.json").write_text("{")
    assert store.key_of("ab") is None


def test_winner_is_of_a_network_a_machine_and_these_versions(store, monkeypatch):
    store.remember(KEY, "onnx")
    assert (store.winner(KEY), store.winner(KEYS[1])) == ("onnx", None)
    with monkeypatch.context() as patch:
        patch.setattr(module, "machine", lambda: "0123456789abcdef")
        assert store.winner(KEY) is None
        store.remember(KEY, "torch")
        assert store.winner(KEY) == "torch"
    assert store.winner(KEY) == "onnx"
    monkeypatch.setattr(module, "made_with", lambda: {"torch": "99"})
    assert store.winner(KEY) is None


def test_winner_that_is_none_is_not_believed(store):
    store.remember(KEY, "both")
    assert store.winner(KEY) is None


@pytest.fixture
def full(store, write, network, monkeypatch) -> Store:
    """A cache with room for three networks, which holds them, the first one used last."""
    for number, key in enumerate(KEYS[:3]):
        store.add(key, write)
        used(store, key, 1000 - number)
    size = sum(path.stat().st_size for path in (store.folder / KEY).iterdir())
    monkeypatch.setattr(module, "MOST_BYTES", round(3.5 * size))
    return store


def test_networks_that_were_not_used_for_longest_go(full, write):
    assert full.add(KEYS[3], write) is not None
    assert [kept.key for kept in full.networks()] == [KEYS[3], KEYS[0], KEYS[1]]


def test_finding_a_network_is_using_it(full, write):
    full.find(KEYS[2])
    full.add(KEYS[3], write)
    assert {kept.key for kept in full.networks()} == {KEYS[3], KEYS[2], KEYS[0]}


def test_network_larger_than_the_limit_is_kept_until_the_next(full, write, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    assert full.add(KEYS[3], write) is not None
    assert [kept.key for kept in full.networks()] == [KEYS[3]]


def test_network_just_added_stays_whatever_the_clock_says(full, write):
    for key in KEYS[:3]:
        used(full, key, time.time() + 10**6)
    assert full.add(KEYS[3], write) is not None
    assert KEYS[3] in {kept.key for kept in full.networks()}


def test_networks_are_listed_with_what_is_known_of_them(store, write, network):
    for key in KEYS[:2]:
        store.add(key, write)
    used(store, KEYS[0], 2000.0)
    used(store, KEYS[1], 1000.0)
    # Of another version of this package.
    facts = store.folder / KEYS[1] / FACTS
    facts.write_text(facts.read_text().replace('"format": 1', '"format": 0'))
    used(store, KEYS[1], 1000.0)
    first, second = store.networks()
    assert (first.key, first.used, second.used) == (KEYS[0], 2000.0, 1000.0)
    assert first.size == sum(path.stat().st_size for path in (store.folder / KEY).iterdir())
    assert first.network.facts.name == network.facts.name
    assert (second.key, second.network) == (KEYS[1], None)


def test_clearing_removes_what_is_kept_and_says_how_much(store, write):
    store.add(KEY, write)
    store.leads_to("ab" * 32, KEY)
    store.remember(KEY, "onnx")
    files = [path for path in store.folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    assert len(files) == 4
    assert store.clear() == size
    assert names(store.folder) == []
    assert (store.clear(), store.find(KEY), store.key_of("ab" * 32)) == (0, None, None)


def test_clearing_leaves_strangers_files_alone(store, write, tmp_path):
    store.add(KEY, write)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / FACTS).write_text("{}")
    strange = {
        "notes.txt": "mine",
        "typed-notes.json": "mine",
        "photos/cat.json": "mine",
        f"{KEYS[1]}/cat.jpg": "mine",
        f"{KEYS[1]}/{FACTS}": "{}",
        f"{KEYS[2]}.txt": "mine",
        f"photos/{FACTS}": "{}",
    }
    for name, text in strange.items():
        (store.folder / name).parent.mkdir(exist_ok=True)
        (store.folder / name).write_text(text)
    (store.folder / KEYS[3]).symlink_to(outside)
    (store.folder / f"winner-{KEY}-0123456789abcdef.json").symlink_to(outside / FACTS)
    store.clear()
    left = {path for path in names(store.folder) if (store.folder / path).is_file()}
    assert set(strange) <= left
    assert not (store.folder / KEY).exists()
    assert names(outside) == [FACTS]


@pytest.mark.parametrize("room", [10, 10**9])
def test_strangers_folders_are_no_networks(store, write, monkeypatch, room):
    monkeypatch.setattr(module, "MOST_BYTES", room)
    (store.folder / "photos").mkdir()
    (store.folder / "photos" / FACTS).write_text("{}")
    assert store.is_empty
    store.add(KEY, write)
    assert [kept.key for kept in store.networks()] == [KEY]
    assert (store.folder / "photos" / FACTS).read_text() == "{}"


def test_off_keeps_nothing(write, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEATMAP_CACHE", "off")
    store, before = Store(), names(tmp_path)
    store.leads_to("ab", KEY)
    store.remember(KEY, "onnx")
    assert store.add(KEY, write) is None
    assert (store.is_empty, store.note, store.folder) == (True, "", None)
    assert (store.find(KEY), store.key_of("ab"), store.winner(KEY)) == (None, None, None)
    assert ([*store.networks()], store.clear()) == ([], 0)
    assert names(tmp_path) == before


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_cache_that_others_can_write_is_not_used_and_that_is_told(store, write, cache, mode):
    store.add(KEY, write)
    cache.chmod(mode)
    other = Store()
    assert (other.folder, other.find(KEY), other.clear()) == (None, None, 0)
    assert "others can write it" in other.note
