"""Whose a file is, and what is left of processes that were killed while they moved files."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from safetensors.torch import save_file

from heatmap.contents import digest_of
from heatmap.errors import ResultError
from heatmap.files import of_bytes, write_all
from heatmap.marks import MARK, Mark, mark_of, marked
from heatmap.ownership import OWN, Ownership
from heatmap.rendering.overlay import encode_image, write_image
from heatmap.temporary import TEMPORARY, recover, temporary_folder

PIXELS = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
OF_CAT = Mark.of("cat.jpg", digest="0123456789abcdef" * 4)


def tiff_file(path: Path, text: str) -> None:
    tifffile.imwrite(path, PIXELS, photometric="rgb", software=text)


def weights(path: Path, text: str) -> None:
    save_file({"a": torch.zeros(2)}, path, metadata={"generator": text})


def archive(path: Path, text: str) -> None:
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("meta.npy", b"")
        opened.comment = text.encode()


WRITERS = {
    "x.jpg": lambda path, text: path.write_bytes(encode_image(PIXELS, ".jpg", mark=text)),
    "x.png": lambda path, text: path.write_bytes(encode_image(PIXELS, ".png", mark=text)),
    "x.tif": tiff_file,
    "x.safetensors": weights,
    "x.npz": archive,
    "x.html": lambda path, text: path.write_text(f'<meta name="generator" content="{text}">'),
    "x.json": lambda path, text: path.write_text(json.dumps({"generator": text}, indent=1)),
}


class TestMarks:
    @pytest.mark.parametrize("mark", [Mark(), OF_CAT])
    @pytest.mark.parametrize("name", WRITERS)
    def test_a_mark_is_read_back(self, tmp_path, name, mark):
        path = tmp_path / name
        WRITERS[name](path, mark.text)
        assert mark_of(path) == mark

    @pytest.mark.parametrize("name", WRITERS)
    def test_another_generator_is_none(self, tmp_path, name):
        WRITERS[name](tmp_path / name, "another-tool")
        assert mark_of(tmp_path / name) is None

    @pytest.mark.parametrize("kind", [".jpg", ".png"])
    def test_pictures_show_the_same_to_every_reader(self, kind):
        content = encode_image(PIXELS, kind, mark=OF_CAT.text)
        plain = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        np.testing.assert_array_equal(plain, np.asarray(Image.open(io.BytesIO(content))))
        if kind == ".png":
            np.testing.assert_array_equal(plain, PIXELS)

    def test_a_jpeg_without_jfif_takes_a_mark(self, tmp_path):
        """As cameras write it: no segment has to come first."""
        stream = io.BytesIO()
        Image.fromarray(PIXELS).save(stream, "JPEG")
        content = stream.getvalue()
        length = int.from_bytes(content[4:6])
        bare = content[:2] + content[4 + length :]
        (tmp_path / "x.jpg").write_bytes(marked(bare, OF_CAT.text))
        assert mark_of(tmp_path / "x.jpg") == OF_CAT
        assert Image.open(tmp_path / "x.jpg").size == (30, 20)

    @pytest.mark.parametrize(
        "text",
        [
            f"pip install {MARK}",
            f'{{"needs": "{MARK}"}}',
            f"<html><body>made with {MARK}</body></html>",
            f"Software {MARK}",
            "",
        ],
    )
    def test_to_name_this_tool_is_no_mark(self, tmp_path, text):
        for name in ("x.json", "x.html", "x.jpg", "x.txt"):
            (tmp_path / name).write_text(text)
            assert mark_of(tmp_path / name) is None

    @pytest.mark.parametrize(
        "content", [b"PK\x03\x04", b"II*\0", b"\xff\xd8", b"\xff" * 8 + b'{"', b"\x89PNG\r\n\x1a\n"]
    )
    def test_damaged_files_have_none(self, tmp_path, content):
        (tmp_path / "x").write_bytes(content)
        assert mark_of(tmp_path / "x") is None

    def test_a_photo_is_the_same_by_its_content_or_its_path(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "link").symlink_to(tmp_path)
        cat = Mark.of("cat.jpg", digest="a" * 64)
        assert cat.fits(Mark.of("link/cat.jpg", digest="b" * 64))
        assert cat.fits(Mark.of("moved.jpg", digest="a" * 64))
        assert not cat.fits(Mark.of("sub/cat.jpg", digest="b" * 64))
        assert cat.fits(Mark())


class TestOwnership:
    """What may be replaced, and what is refused in one line."""

    def refuse(self, owner: Ownership, path: Path, reason: str) -> None:
        with pytest.raises(ResultError, match=reason) as caught:
            owner.check([path])
        assert str(path) in str(caught.value)

    def test_a_name_that_is_free_may_be_used(self, tmp_path):
        OWN.check([tmp_path / "x", tmp_path / "new" / "x"])

    def test_a_strangers_file_may_not_be_replaced_but_on_insistence(self, tmp_path):
        path = tmp_path / "x.jpg"
        path.write_bytes(b"a stranger's")
        self.refuse(OWN, path, "not written by this tool: choose .* or use overwrite=True$")
        Ownership(overwrite=True).check([path])

    @pytest.mark.parametrize("target", ["nowhere", "thesis.doc"])
    def test_a_strangers_link_is_a_strangers_file(self, tmp_path, target):
        (tmp_path / "thesis.doc").write_text("thesis")
        (tmp_path / "x.json").symlink_to(tmp_path / target)
        self.refuse(OWN, tmp_path / "x.json", "not written by this tool")

    def test_a_listed_file_may_be_replaced_until_it_is_changed(self, tmp_path):
        path = tmp_path / "x.csv"
        path.write_bytes(b"as it was written")
        owner = Ownership(listed={path: digest_of(path)})
        owner.check([path])
        path.write_bytes(b"as somebody likes it")
        self.refuse(owner, path, "has been changed since it was written: choose")

    def test_a_listed_picture_that_was_changed_is_not_saved_by_its_mark(self, tmp_path):
        path = write_image(tmp_path / "x.png", PIXELS)
        owner = Ownership(listed={path: digest_of(path)})
        write_image(path, PIXELS[::-1])
        self.refuse(owner, path, "has been changed")

    def test_a_marked_file_may_be_replaced_unless_it_is_of_another_photo(self, tmp_path):
        path = tmp_path / "x.png"
        path.write_bytes(encode_image(PIXELS, mark=OF_CAT.text))
        for mark in (Mark(), OF_CAT):
            Ownership(mark).check([path])
        self.refuse(Ownership(Mark.of("dog.jpg")), path, "was made of other photos")

    @pytest.mark.parametrize("link", [False, True])
    def test_what_is_read_is_never_replaced(self, tmp_path, link):
        photo = path = tmp_path / "cat.png"
        photo.write_bytes(encode_image(PIXELS))
        if link:
            path = tmp_path / "link.png"
            path.symlink_to(photo)
        for overwrite in (False, True):
            owner = Ownership(read=("", "no such", photo), overwrite=overwrite)
            with pytest.raises(ResultError, match="is read, and would be replaced") as caught:
                owner.check([path])
            assert "overwrite" not in str(caught.value)

    def test_a_folder_is_no_file_even_on_insistence(self, tmp_path):
        for path in (tmp_path, tmp_path / "x" / "y"):
            (tmp_path / "x").touch()
            with pytest.raises(ResultError, match="cannot be written"):
                Ownership(overwrite=True).check([path])

    @pytest.mark.parametrize(
        ("name", "owner", "content"),
        [
            ("x.onnx.data", "x.onnx", b"\x08\x0a\x12\x11" + MARK.encode() + b"..x.onnx.data.."),
            ("x.scores.npy", "x.npz", None),
        ],
    )
    def test_a_file_without_room_for_a_mark_is_known_by_the_one_that_names_it(
        self, tmp_path, name, owner, content
    ):
        path = tmp_path / name
        path.write_bytes(b"numbers")
        self.refuse(OWN, path, "not written by this tool")
        if content is None:
            archive(tmp_path / owner, MARK)
        else:
            (tmp_path / owner).write_bytes(content)
        OWN.check([path])
        # One that is whole in itself names no other.
        if content is None:
            with zipfile.ZipFile(tmp_path / owner, "a") as opened:
                opened.writestr("scores.npy", b"")
        else:
            (tmp_path / owner).write_bytes(content[:-15])
        self.refuse(OWN, path, "not written by this tool")

    def test_write_image_keeps_a_photo_and_a_strangers_picture(self, tmp_path):
        photo = tmp_path / "cat.png"
        photo.write_bytes(cv2.imencode(".png", PIXELS)[1].tobytes())
        before = photo.read_bytes()
        with pytest.raises(ResultError, match="not written by this tool"):
            write_image(photo, PIXELS)
        with pytest.raises(ResultError, match="is read"):
            write_image(photo, PIXELS, photo=photo, overwrite=True)
        assert photo.read_bytes() == before
        again = write_image(tmp_path / "again.png", PIXELS, photo=photo)
        assert write_image(again, PIXELS[::-1], photo=photo) == again
        with pytest.raises(ResultError, match="made of other photos"):
            write_image(again, PIXELS, photo=__file__)


def left_behind(folder: Path, files: dict[str, str], journal: dict | None, sign: bool = True):
    """A temporary folder of a killed process."""
    left = folder / f"{TEMPORARY}abcdefgh"
    left.mkdir()
    for name, text in files.items():
        (left / name).parent.mkdir(parents=True, exist_ok=True)
        (left / name).write_text(text)
    if sign:
        (left / ".temporary").touch()
    if journal is not None:
        (left / ".journal").write_text(json.dumps(journal))
    return left


def texts(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class TestKilled:
    """What is left of a process that was killed is completed, or removed, and nothing else is."""

    def test_files_that_were_not_all_whole_are_removed(self, tmp_path):
        (tmp_path / "cat.json").write_text("old")
        left_behind(tmp_path, {"cat.json": "new", "cat.csv": "ha"}, None)
        recover(tmp_path)
        assert texts(tmp_path) == {"cat.json": "old"}
        assert [path.name for path in tmp_path.iterdir()] == ["cat.json"]

    def test_moves_that_were_begun_are_completed(self, tmp_path):
        for name in ("cat.json", "cat.tabby.jpg", "cat.crops/01.jpg"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(f"old {name}")
        digests = {name: digest_of(tmp_path / name) for name in texts(tmp_path)}
        # Of three new files the first was moved, and of the second the earlier one aside.
        earlier = {"cat.csv": "", "cat.json": digests["cat.json"], "cat.tiles/0.jpg": ""}
        removed = {name: digests[name] for name in ("cat.tabby.jpg", "cat.crops/01.jpg")}
        (tmp_path / "cat.csv").write_text("new csv")
        (tmp_path / "cat.json").unlink()
        files = {"cat.json": "new json", "cat.tiles/0.jpg": "new tile", ".aside/cat.json": "old"}
        left_behind(tmp_path, files, {"earlier": earlier, "removed": removed})
        recover(tmp_path)
        assert texts(tmp_path) == {
            "cat.csv": "new csv",
            "cat.json": "new json",
            "cat.tiles/0.jpg": "new tile",
        }
        assert not (tmp_path / "cat.crops").exists()

    def test_what_was_changed_after_the_kill_stays(self, tmp_path):
        digest = digest_of(Path(__file__))
        for name in ("cat.json", "cat.tabby.jpg"):
            (tmp_path / name).write_text("somebody's")
        journal = {"earlier": {"cat.json": digest}, "removed": {"cat.tabby.jpg": digest}}
        left_behind(tmp_path, {"cat.json": "new"}, journal)
        recover(tmp_path)
        assert texts(tmp_path) == {"cat.json": "somebody's", "cat.tabby.jpg": "somebody's"}

    @pytest.mark.parametrize("name", ["../thesis.doc", "/thesis.doc", "a/../../thesis.doc"])
    def test_a_journal_that_names_files_elsewhere_is_not_followed(self, tmp_path, name):
        (tmp_path / "thesis.doc").write_text("thesis")
        (tmp_path / "out" / "a").mkdir(parents=True)
        name = name if name[0] == "." or name[0] == "a" else str(tmp_path / "thesis.doc")
        digest = digest_of(tmp_path / "thesis.doc")
        left_behind(tmp_path / "out", {}, {"earlier": {}, "removed": {name: digest}})
        recover(tmp_path / "out")
        assert texts(tmp_path) == {"thesis.doc": "thesis"}

    def test_a_strangers_folder_of_such_a_name_stays(self, tmp_path):
        left_behind(tmp_path, {"notes.txt": "somebody's"}, None, sign=False)
        (tmp_path / f"{TEMPORARY}file").write_text("somebody's")
        before = texts(tmp_path)
        recover(tmp_path)
        assert texts(tmp_path) == before

    def test_the_folder_of_a_live_process_is_left_alone(self, tmp_path):
        with temporary_folder(tmp_path) as folder:
            (folder / "half").write_text("ha")
            recover(tmp_path)
            code = f"from heatmap.temporary import *; recover(Path({str(tmp_path)!r}))"
            subprocess.run([sys.executable, "-c", code], check=True)
            assert (folder / "half").read_text() == "ha"
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("moment", range(8))
    def test_killed_at_any_move_the_next_one_completes_it(self, tmp_path, moment):
        """Three files are replaced and one is removed, each in one or two steps."""
        for name in ("a", "b", "c", "d"):
            (tmp_path / name).write_text(f"old {name}")
        pid = os.fork()
        if not pid:
            die_at_rename(tmp_path, moment)
        assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 9
        left = texts(tmp_path)
        assert all(left.get(name, "") in ("", f"old {name}", f"new {name}") for name in "abcd")
        write_all({tmp_path / "e": of_bytes(b"new e")})
        expected = {name: f"new {name}" for name in "abce"}
        assert texts(tmp_path) == expected
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(expected)


def die_at_rename(folder: Path, moment: int) -> None:
    """In a forked child: begin to replace files, and end at once before that many renames."""
    from heatmap.files import changing
    from heatmap.ownership import ANY

    rename, renames = Path.rename, iter(range(100))

    def renamed(source: Path, to: Path) -> Path:
        if next(renames) == moment:
            os._exit(9)
        return rename(source, to)

    try:
        Path.rename = renamed
        with changing(folder) as change:
            change.make({folder / name: of_bytes(f"new {name}".encode()) for name in "abc"})
            change.put(ANY, {"d": digest_of(folder / "d")})
        # All was moved: what is left is to remove the temporary folder.
        os._exit(9)
    finally:
        os._exit(1)
