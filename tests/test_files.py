"""Files appear whole or not at all."""

import errno
import os
import stat
from pathlib import Path

import pytest

from heatmap.errors import ResultError
from heatmap.files import writing


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_appears_only_when_the_block_is_done(tmp_path):
    target = tmp_path / "new" / "folder" / "cat.png"
    with writing(target) as temporary:
        temporary.write_bytes(b"half")
        assert not target.exists()
        assert temporary.parent == target.parent
        # Writers choose the format by the suffix.
        assert temporary.suffix == ".png"
        temporary.write_bytes(b"whole")
    assert target.read_bytes() == b"whole"
    assert names(target.parent) == ["cat.png"]


def test_existing_file_is_replaced_at_once(tmp_path):
    target = tmp_path / "cat.json"
    target.write_text("old")
    with writing(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert names(tmp_path) == ["cat.json"]


def fail_half_way(target: Path, error: BaseException) -> None:
    with writing(target) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()])
def test_failure_leaves_all_as_it_was(tmp_path, error):
    target = tmp_path / "cat.json"
    target.write_text("old")
    with pytest.raises(type(error)):
        fail_half_way(target, error)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["cat.json"]


def test_full_disk_is_a_result_error_and_leaves_nothing(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(ResultError, match=r"cat\.json: cannot be written: No space left"):
        fail_half_way(tmp_path / "cat.json", full)
    assert names(tmp_path) == []


def test_parent_that_is_a_file_is_a_result_error(tmp_path):
    parent = tmp_path / "parent"
    parent.write_text("a file")
    for target in (parent / "cat.json", parent / "deeper" / "cat.json"):
        with pytest.raises(ResultError, match=r"parent is a file, not a folder"):
            fail_half_way(target, ValueError("the block was entered"))
    assert parent.read_text() == "a file"
    assert names(tmp_path) == ["parent"]


def test_target_that_is_a_folder_is_a_result_error(tmp_path):
    target = tmp_path / "cat.json"
    target.mkdir()
    with (
        pytest.raises(ResultError, match=r"cat\.json: cannot be written: Is a directory"),
        writing(target) as temporary,
    ):
        temporary.write_text("whole")
    assert names(tmp_path) == ["cat.json"]
    assert names(target) == []


def test_results_get_the_rights_of_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        with writing(tmp_path / "cat.json") as temporary:
            temporary.write_text("whole")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "cat.json").stat().st_mode) == 0o640
