"""The user's cache folder: where it lies, whom it is of, and what is kept in it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from heatmap.cache_folder import cache_folder
from tests.support.paths import ROOT

VERSIONS = {"torch": "2.9"}


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("HEATMAP_CACHE", str(folder))
    return folder


def rights(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_folder_is_made_for_its_user_alone(root):
    folder = cache_folder("models")
    assert folder.path == root / "models"
    assert folder.note == ""
    assert rights(root) == rights(root / "models") == 0o700


def test_without_the_variable_it_lies_where_the_system_keeps_caches(tmp_path, monkeypatch):
    monkeypatch.delenv("HEATMAP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tmp_path in cache_folder("models").path.parents


def test_relative_folder_is_of_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEATMAP_CACHE", "here")
    assert cache_folder("models").path == tmp_path / "here" / "models"


@pytest.mark.parametrize("off", ["off", "OFF"])
def test_off_keeps_and_reads_nothing(monkeypatch, tmp_path, off):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEATMAP_CACHE", off)
    folder = cache_folder("models")
    folder.keep("a.json", VERSIONS, [1])
    assert (folder.path, folder.note, folder.kept("a.json", VERSIONS)) == (None, "", None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
@pytest.mark.parametrize("inner", [".", "models"])
def test_folder_that_others_can_write_is_not_used(root, mode, inner):
    (root / "models").mkdir(parents=True)
    root.chmod(0o700)
    (root / inner).chmod(mode)
    folder = cache_folder("models")
    assert folder.path is None
    assert "others can write it" in folder.note
    assert "HEATMAP_CACHE" in folder.note


def test_folder_of_another_user_is_not_used(root, monkeypatch):
    root.mkdir(0o700)
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    folder = cache_folder("models")
    assert folder.path is None
    assert "another user owns it" in folder.note


@pytest.mark.parametrize("name", ["a file", "a\0null", "x" * 300])
def test_folder_that_cannot_be_made_is_told_in_one_note(tmp_path, monkeypatch, name):
    (tmp_path / "a file").touch()
    # os.environ takes no null characters, another program's environment cannot have any either.
    monkeypatch.setattr(os, "environ", {"HEATMAP_CACHE": str(tmp_path / name)})
    folder = cache_folder("models")
    assert folder.path is None
    assert "cannot be used" in folder.note
    assert folder.note.endswith("set HEATMAP_CACHE to a folder of your own, or to off")
    assert "\n" not in folder.note


def test_user_without_a_home_is_told_in_one_note(tmp_path, monkeypatch):
    """As a container may run programs for a user whom the system does not know."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {})

    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    folder = cache_folder("models")
    assert folder.path is None
    assert "nothing says where the home folder is; set HEATMAP_CACHE" in folder.note
    assert list(tmp_path.iterdir()) == []


def test_what_was_kept_is_read_for_the_same_versions_only(root):
    cache_folder("models").keep("a.json", VERSIONS, {"b": [1, None, "é"]})
    folder = cache_folder("models")
    assert folder.kept("a.json", VERSIONS) == {"b": [1, None, "é"]}
    assert folder.kept("a.json", {"torch": "2.10"}) is None
    assert folder.kept("b.json", VERSIONS) is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b'{"versions": 1}', b"[" * 10**5, b"null"]
)
def test_damage_is_as_if_nothing_was_kept(root, content):
    folder = cache_folder("models")
    folder.keep("a.json", VERSIONS, 1)
    (root / "models" / "a.json").write_bytes(content)
    assert folder.kept("a.json", VERSIONS) is None
    folder.keep("a.json", VERSIONS, 2)
    assert folder.kept("a.json", VERSIONS) == 2


def test_what_cannot_be_written_is_not_kept(root):
    folder = cache_folder("models")
    (root / "models" / "a.json").mkdir()
    folder.keep("a.json", VERSIONS, 1)
    assert folder.kept("a.json", VERSIONS) is None
    assert [path.name for path in (root / "models").iterdir()] == ["a.json"]


def test_folder_that_was_removed_is_not_made_for_others_too(root):
    folder = cache_folder("models")
    shutil.rmtree(root)
    folder.keep("a.json", VERSIONS, 1)
    assert not root.exists()
    again = cache_folder("models")
    again.keep("a.json", VERSIONS, 1)
    assert again.kept("a.json", VERSIONS) == 1
    assert rights(root / "models") == 0o700


def test_processes_that_keep_at_once_leave_one_whole_file(root):
    code = (
        "import sys; from heatmap.cache_folder import cache_folder\n"
        "for _ in range(5): cache_folder('m').keep('a.json', {}, sys.argv[1] * 100_000)"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, letter], cwd=ROOT) for letter in "ab"]
    assert [process.wait() for process in started] == [0] * 2
    kept = cache_folder("m").kept("a.json", {})
    assert kept in {letter * 100_000 for letter in "ab"}
    assert [path.name for path in (root / "m").iterdir()] == ["a.json"]
