"""The digest of what was typed: what it depends on, and which files are read for it."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

import heatmap
from heatmap.prepared import typed
from heatmap.prepared.typed import digest_of_typed, made_with

OPTIONS = {"weights": "random", "window": None, "mean": None, "class_names": None, "groups": None}
DAY = 86_400


@pytest.fixture(autouse=True)
def _of_this_test(cache):
    """Digests of files are kept for this test alone."""


def digest(model: str = "resnet18", form: str = "auto", stride: int | None = None, **changed):
    return digest_of_typed(model, {**OPTIONS, **changed}, form, stride)


def write(path: Path, content: bytes, age: float = DAY) -> Path:
    """A file that was written some time ago."""
    path.write_bytes(content)
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def test_every_option_counts():
    digests = {
        digest(),
        digest("resnet34"),
        digest(form="slide"),
        digest(stride=16),
        digest(weights="default"),
        digest(window=64),
        digest(mean=(0.5, 0.5, 0.5)),
        digest(mean=(0.5,)),
        digest(activation="sigmoid"),
        digest(class_names=("a", "b")),
        digest(class_names=("b", "a")),
        digest(channel_order="bgr"),
        digest(weights_key="ema"),
    }
    assert len(digests) == 13
    assert digest() == digest()


def test_options_that_are_left_out_are_their_defaults():
    given = {"weights": "default", "activation": "auto", "window": None, "groups": None}
    assert digest_of_typed("resnet18", given, "auto", None) == digest(weights="default")
    assert digest_of_typed("resnet18", {}, "auto", None) == digest(weights="default")
    assert digest_of_typed(
        "resnet18", {"weights": "default", "class_names": "default"}, "auto", None
    ) != digest(weights="default")


def test_options_count_in_any_order():
    turned = dict(reversed(OPTIONS.items()))
    assert digest_of_typed("resnet18", turned, "auto", None) == digest()


@pytest.mark.parametrize("option", ["weights", "class_names", "groups"])
@pytest.mark.parametrize("kind", [str, Path])
def test_files_count_by_their_content(tmp_path, option, kind):
    path = write(tmp_path / "file.txt", b"one")
    first = digest(**{option: kind(path)})
    assert digest(**{option: kind(path)}) == first
    write(path, b"two", age=DAY - 1)
    second = digest(**{option: kind(path)})
    write(path, b"one", age=DAY - 2)
    assert second != first == digest(**{option: kind(path)})
    path.unlink()
    assert digest(**{option: kind(path)}) not in (first, second)


@pytest.mark.parametrize("changed", ["own.safetensors", "own.json"])
def test_checkpoints_count_by_both_of_their_files(tmp_path, changed):
    for name in ("own.safetensors", "own.json"):
        write(tmp_path / name, b"one")
    model = str(tmp_path / "own.safetensors")
    first = digest(model)
    write(tmp_path / changed, b"two", age=DAY - 1)
    assert digest(model) != first


def test_the_same_name_in_another_folder_is_another_file(tmp_path, monkeypatch):
    digests = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "own.safetensors", name.encode())
        monkeypatch.chdir(tmp_path / name)
        digests.append(digest("own.safetensors"))
    assert len(set(digests)) == 2


def test_a_file_of_one_content_is_the_same_wherever_it_lies(tmp_path, monkeypatch):
    """A batch takes absolute paths."""
    digests = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "own.safetensors", b"weights")
        monkeypatch.chdir(tmp_path / name)
        digests.append(digest("own.safetensors"))
        digests.append(digest(str(Path("own.safetensors").absolute())))
    assert len(set(digests)) == 1


@pytest.mark.parametrize("model", ["", "no\0name", "x" * 5000, "/", "a\udc80b", "ü.safetensors"])
def test_names_that_are_no_files_have_a_digest(model):
    assert len(digest(model)) == 64


def read_files(monkeypatch) -> list[str]:
    """The names of the files whose content is read from now on."""
    read, digest_of = [], typed.digest_of

    def seen(path: Path) -> str:
        read.append(path.name)
        return digest_of(path)

    monkeypatch.setattr(typed, "digest_of", seen)
    return read


def test_files_are_read_once(tmp_path, monkeypatch):
    path, read = write(tmp_path / "w.pt", b"weights"), read_files(monkeypatch)
    assert digest(weights=path) == digest(weights=path)
    assert read == ["w.pt"]
    # Another size, time, or path.
    write(path, b"other weights")
    digest(weights=path)
    os.utime(path, (1, 1))
    digest(weights=path)
    path.rename(tmp_path / "v.pt")
    digest(weights=tmp_path / "v.pt")
    assert read == ["w.pt"] * 3 + ["v.pt"]


def test_files_that_may_still_be_written_are_read_each_time(tmp_path, monkeypatch):
    """Clocks of file systems tick slower than files are written."""
    path, read = write(tmp_path / "w.pt", b"one", age=0), read_files(monkeypatch)
    status, first = path.stat(), digest(weights=path)
    path.write_bytes(b"two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert digest(weights=path) != first
    assert read == ["w.pt", "w.pt"]


def test_without_a_cache_files_are_read_each_time(tmp_path, monkeypatch):
    monkeypatch.setenv("HEATMAP_CACHE", "off")
    path, read = write(tmp_path / "w.pt", b"one"), read_files(monkeypatch)
    assert digest(weights=path) == digest(weights=path)
    assert read == ["w.pt", "w.pt"]


def test_as_many_digests_as_said_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(typed, "_MOST_DIGESTS", 2)
    read = read_files(monkeypatch)
    files = {name: write(tmp_path / name, name.encode()) for name in ("a", "b", "c")}
    for name in ("a", "b", "c", "b", "c", "a"):
        digest(weights=files[name])
    assert read == ["a", "b", "c", "a"]


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A copy of this package's sources, as if it were installed there."""
    copy = tmp_path / "heatmap"
    sources = Path(heatmap.__file__).parent
    shutil.copytree(sources, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(typed, "__file__", str(copy / "prepared" / "typed.py"))
    monkeypatch.setattr(typed, "made_with", made_with.__wrapped__)
    return copy


@pytest.mark.parametrize(
    "source",
    [
        "conversion/heads.py",
        "networks/prepared_form.py",
        "networks/onnx.py",
        "prepared/session.py",
        "prepared/preprocessing.py",
        "scoring/preparation.py",
        "grid/outputs.py",
        "geometry.py",
    ],
)
def test_sources_that_decide_what_a_network_becomes_count(package, source):
    before = digest()
    with (package / source).open("a") as file:
        file.write("# changed\n")
    assert digest() != before


def test_new_sources_count_and_other_files_do_not(package):
    before = digest()
    (package / "README.txt").write_text("text")
    (package / "rendering" / "page.py").write_text("")
    (package / "conversion" / "__pycache__").mkdir()
    (package / "conversion" / "__pycache__" / "heads.cpython-313.pyc").write_bytes(b"")
    assert digest() == before
    (package / "conversion" / "later.py").write_text("")
    assert digest() != before


def test_all_sources_that_are_named_exist():
    package = Path(heatmap.__file__).parent
    assert [name for name in typed._SOURCES if not (package / name).exists()] == []


def test_versions_count(monkeypatch):
    before = digest()
    monkeypatch.setattr(typed, "made_with", lambda: {**made_with(), "torch": "99"})
    assert digest() != before
    assert {"torch", "timm", "torchvision", "onnxruntime", "onnx", "onnxscript"} <= set(made_with())
