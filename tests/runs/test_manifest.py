"""The manifest: what is written is read back, torn lines are passed over, one writer at a time."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from heatmap.errors import ResultError, Use
from heatmap.names import MANIFEST
from heatmap.runs.manifest import (
    FileStamp,
    Record,
    counts,
    error_of,
    read_manifest,
    writing_manifest,
)
from tests.support.paths import ROOT

DONE = Record(
    name="a/cat.jpg",
    path="/in/a/cat.jpg",
    state="done",
    settings="d1",
    stamp=FileStamp(9, 12345678901234567, "ab"),
    photo_hw=(300, 400),
    detections=({"class": "tabby", "confidence": 0.5, "box_xyxy": [1.0, 2.0, 3.0, 4.0]},),
    guesses=({"class": "cup", "confidence": 0.1, "box_xyxy": [1.0, 2.0, 3.0, 4.0]},),
    not_found=({"class": "cup", "confidence": 0.1, "threshold": 0.3},),
    files={"cat.json": "ab", "cat.crops": ""},
    seconds=1.5,
    finished="2026-01-01T00:00:00+00:00",
)
WAYS = (
    {"parameter": "border", "value": "cover", "text": "use {}"},
    {"parameter": "scale", "value": 2, "text": "use {}"},
)
FAILED = Record("x.jpg", "/in/x.jpg", "failed", "d1", "no window fits", WAYS)


def test_records_are_read_back(tmp_path):
    with writing_manifest(tmp_path / "out") as manifest:
        manifest.use({"memory": 1})
        manifest.append(DONE)
        manifest.append(FAILED)
    found = read_manifest(tmp_path / "out")
    assert found.records == {"a/cat.jpg": DONE, "x.jpg": FAILED}
    assert found.settings == {"memory": 1}
    assert counts(found.records.values()) == {"done": 1, "failed": 1, "skipped": 0}


def test_a_failure_carries_what_would_help_as_data(tmp_path):
    with writing_manifest(tmp_path) as manifest:
        manifest.append(FAILED)
    assert json.loads((tmp_path / MANIFEST).read_text())["ways"] == list(WAYS)
    error = error_of(read_manifest(tmp_path).records["x.jpg"])
    assert error.ways == (Use("border", "cover"), Use("scale", 2))
    assert str(error) == "no window fits: use border='cover' or scale=2"


def test_a_manifest_of_the_old_form_is_refused_in_one_line(tmp_path):
    old = {"name": "x.jpg", "path": "/in/x.jpg", "state": "failed", "reason": "is empty"}
    (tmp_path / MANIFEST).write_text(json.dumps(old) + "\n")
    message = (
        r"manifest\.jsonl: line 1 does not have the format of this version: "
        r"choose another output or use overwrite=True$"
    )
    with pytest.raises(ResultError, match=message):
        read_manifest(tmp_path)


def test_the_last_record_of_a_photo_holds(tmp_path):
    with writing_manifest(tmp_path) as manifest:
        manifest.append(FAILED)
        manifest.append(replace(DONE, name="x.jpg"))
    assert read_manifest(tmp_path).records["x.jpg"].state == "done"
    assert len((tmp_path / MANIFEST).read_text().splitlines()) == 2


def test_settings_are_noted_once(tmp_path):
    for settings in ({"a": 1}, {"a": 1}, {"a": 2}):
        with writing_manifest(tmp_path) as manifest:
            manifest.use(settings)
    assert len((tmp_path / MANIFEST).read_text().splitlines()) == 2


def test_a_torn_line_is_passed_over_wherever_it_was_torn(tmp_path):
    with writing_manifest(tmp_path) as manifest:
        manifest.append(DONE)
    whole = (tmp_path / MANIFEST).read_bytes()
    for length in range(len(whole)):
        (tmp_path / MANIFEST).write_bytes(whole + whole[:length])
        with writing_manifest(tmp_path) as manifest:
            assert manifest.records == {DONE.name: DONE}
            manifest.append(FAILED)
        assert read_manifest(tmp_path).records == {DONE.name: DONE, FAILED.name: FAILED}


def test_a_name_that_is_not_utf_8_is_read_back(tmp_path):
    record = replace(FAILED, name="\udcff.jpg", message="\udcff.jpg: is empty")
    with writing_manifest(tmp_path) as manifest:
        manifest.append(record)
    assert read_manifest(tmp_path).records == {record.name: record}


def test_two_batches_cannot_write_at_once(tmp_path):
    with (
        writing_manifest(tmp_path),
        pytest.raises(ResultError, match="another batch is writing here"),
        writing_manifest(tmp_path),
    ):
        pass
    with writing_manifest(tmp_path) as manifest:
        manifest.append(DONE)


def test_a_system_without_fcntl_loads_everything():
    code = (
        "import sys; sys.modules['fcntl'] = None\n"
        "import heatmap.cli.main, heatmap.runs.batch, heatmap.runs.ray_runner\n"
        "from heatmap.runs.manifest import writing_manifest"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert (run.returncode, run.stderr) == (0, "")


@pytest.fixture
def windows(monkeypatch):
    """What Windows has: no fcntl and no pread, but locks of bytes that refuse with EACCES."""

    def locking(file: int, mode: int, count: int) -> None:
        assert (mode, count) == (2, 1)
        assert os.lseek(file, 0, os.SEEK_CUR) > 10**9, "a byte of the file is locked"
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PermissionError(13, "Permission denied") from error

    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    monkeypatch.delattr(os, "pread")


def test_a_system_without_fcntl_locks_by_other_means(windows, tmp_path):
    test_two_batches_cannot_write_at_once(tmp_path)
    test_a_torn_line_is_passed_over_wherever_it_was_torn(tmp_path / "torn")


def test_a_system_without_any_locks_writes_all_the_same(monkeypatch, tmp_path):
    for name in ("fcntl", "msvcrt"):
        monkeypatch.setitem(sys.modules, name, None)
    with writing_manifest(tmp_path) as manifest:
        manifest.append(DONE)
    assert read_manifest(tmp_path).records == {DONE.name: DONE}


@pytest.mark.parametrize(
    "line", ["[1]", "7", "{}", '{"name": "x"}', json.dumps({"name": "x", "stamp": 3})]
)
def test_a_file_of_something_else_is_refused(tmp_path, line):
    (tmp_path / MANIFEST).write_text(f"{line}\n")
    with pytest.raises(ResultError, match="line 1 does not have the format of this version"):
        read_manifest(tmp_path)


def test_there_need_be_none(tmp_path):
    assert read_manifest(tmp_path / "nowhere").records == {}
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ResultError, match="cannot be written"), writing_manifest(tmp_path / "file"):
        pass
