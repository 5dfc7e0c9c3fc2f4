"""Files are read or refused in one line, and appear whole or not at all."""

import errno
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatmap.contents import read_bytes, read_text
from heatmap.errors import PhotoError, ResultError
from heatmap.files import write_all, writing
from heatmap.ownership import ANY
from heatmap.threads import threads_restored, use_threads


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_appears_only_when_the_block_is_done(tmp_path):
    target = tmp_path / "new" / "folder" / "cat.png"
    with writing(target) as temporary:
        assert not temporary.exists()
        temporary.write_bytes(b"half")
        assert not target.exists()
        assert temporary.parent.parent == target.parent
        # Writers choose the format by the suffix.
        assert temporary.suffix == ".png"
        temporary.write_bytes(b"whole")
    assert target.read_bytes() == b"whole"
    assert names(target.parent) == ["cat.png"]


def test_existing_file_is_replaced_at_once(tmp_path):
    target = tmp_path / "cat.json"
    target.write_text("old")
    with writing(target, ANY) as temporary:
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
        pytest.raises(ResultError, match=r"cat\.json: cannot be written: is a directory"),
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


def make_folder(*names: str):
    """A writer of a folder of such files, each holding its own name."""

    def write(path: Path) -> None:
        path.mkdir()
        for name in names:
            (path / name).write_text(name)

    return write


def write_text(path: Path) -> None:
    path.write_text("new")


def fail(path: Path) -> None:
    raise KeyError("the second writer")


def reversed_order(files: dict) -> dict:
    return dict(reversed(files.items()))


def test_the_first_file_is_made_in_the_calling_thread(tmp_path):
    # A picture: in every new thread OpenCV reads its fonts anew.
    made_in = {}

    def write(path: Path) -> None:
        made_in[path.name] = threading.current_thread()
        path.write_text("")

    with threads_restored():
        use_threads(2)
        write_all({tmp_path / name: write for name in "abc"})
    assert set(made_in) == {"a", "b", "c"}
    assert made_in["a"] is threading.current_thread()


def test_folder_appears_whole_beside_a_file(tmp_path):
    write_all({tmp_path / "cat.html": write_text, tmp_path / "cat.tiles": make_folder("a", "b")})
    assert names(tmp_path) == ["cat.html", "cat.tiles"]
    assert names(tmp_path / "cat.tiles") == ["a", "b"]


def test_earlier_folder_of_results_is_replaced(tmp_path):
    target = tmp_path / "cat.tiles"
    make_folder("a")(target)
    (target / "a").write_text("old")
    write_all({target: make_folder("a", "b")}, ANY)
    assert names(target) == ["a", "b"]
    assert (target / "a").read_text() == "a"
    assert names(tmp_path) == ["cat.tiles"]


def test_other_things_in_a_folder_stay(tmp_path):
    target = tmp_path / "cat.tiles"
    make_folder("thesis.doc")(target)
    write_all({tmp_path / "cat.html": write_text, target: make_folder("a", "b")}, ANY)
    assert names(target) == ["a", "b", "thesis.doc"]
    assert (target / "thesis.doc").read_text() == "thesis.doc"


def test_one_strangers_file_in_a_folder_keeps_all_from_being_written(tmp_path):
    target = tmp_path / "cat.tiles"
    make_folder("a")(target)
    files = {tmp_path / "cat.html": write_text, target: make_folder("a", "b")}
    for order in (files, reversed_order(files)):
        with pytest.raises(ResultError, match=r"cat\.tiles/a: exists, and was not written by this"):
            write_all(order)
    assert names(target) == ["a"]
    assert names(tmp_path) == ["cat.tiles"]


def test_folder_does_not_replace_a_file_nor_a_file_a_folder(tmp_path):
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("old")
    make_folder("a")(folder)
    other = tmp_path / "other"
    over_file = {other: write_text, file: make_folder("a")}
    for order in (over_file, reversed_order(over_file)):
        with pytest.raises(ResultError, match=r"file/a: cannot be written: .*file is a file, not"):
            write_all(order, ANY)
    over_folder = {other: write_text, folder: write_text}
    for order in (over_folder, reversed_order(over_folder)):
        with pytest.raises(ResultError, match="folder: cannot be written: is a directory"):
            write_all(order, ANY)
    assert file.read_text() == "old"
    assert names(tmp_path) == ["file", "folder"]
    assert names(folder) == ["a"]


def test_failing_writer_leaves_the_earlier_folder(tmp_path):
    target = tmp_path / "cat.tiles"
    make_folder("a")(target)
    with pytest.raises(KeyError):
        write_all({target: make_folder("a", "b"), tmp_path / "cat.html": fail})
    assert names(target) == ["a"]
    assert names(tmp_path) == ["cat.tiles"]


@pytest.mark.parametrize("failing", range(6))
def test_a_move_that_fails_takes_back_those_before_it(tmp_path, monkeypatch, failing):
    """Each of the three files is moved in two steps."""
    target, other = tmp_path / "cat.tiles", tmp_path / "cat.html"
    make_folder("a", "b")(target)
    for path in (target / "a", target / "b", other):
        path.write_text(f"old {path.name}")
    rename, moves = Path.rename, iter(range(100))

    def fail_at(source: Path, to: Path) -> Path:
        if next(moves) == failing:
            raise OSError(errno.EIO, "Input/output error")
        return rename(source, to)

    monkeypatch.setattr(Path, "rename", fail_at)
    with pytest.raises(ResultError, match=r"cannot be written: Input/output error"):
        write_all({target: make_folder("a", "b", "c"), other: write_text}, ANY)
    assert names(tmp_path) == ["cat.html", "cat.tiles"]
    assert names(target) == ["a", "b"]
    for path in (target / "a", target / "b", other):
        assert path.read_text() == f"old {path.name}"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere.txt", "No such file or directory"),
        (".", "is a directory"),
        ("null\0.txt", "embedded null byte"),
    ],
)
@pytest.mark.parametrize("read", [read_bytes, read_text])
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, read, name, reason):
    path = tmp_path / name
    with pytest.raises(PhotoError) as refusal:
        read(path, PhotoError)
    assert str(refusal.value) == f"{path}: cannot be read: {reason}"
    with pytest.raises(ResultError) as refusal:
        read(path, ResultError, "groups")
    assert str(refusal.value) == f"{path}: groups cannot be read: {reason}"


@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_text_is_read_with_and_without_a_byte_order_mark(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "text"
    for encoding in ("utf-8", "utf-8-sig"):
        path.write_bytes(text.encode(encoding))
        assert read_text(path, ResultError) == text.removeprefix("\ufeff" * (encoding == "utf-8"))
        assert read_bytes(path, ResultError) == text.encode(encoding)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    with pytest.raises(
        ResultError, match=r"latin: cannot be read: is not UTF-8 text \(.*\): save it as UTF-8$"
    ):
        read_text(tmp_path / "latin", ResultError)


@pytest.mark.parametrize("read", [read_bytes, read_text])
def test_pipes_and_devices_are_refused_before_they_are_opened(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path / "pipe", "pipe"), ("/dev/zero", "device")):
        message = f"^{path}: cannot be read: is a {kind}, not a file$"
        with pytest.raises(ResultError, match=message):
            read(path, ResultError)
