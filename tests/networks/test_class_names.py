"""Lists of classes as editors save them: read as people see them, or refused by their encoding."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatmap.class_groups import read_groups
from heatmap.classes import ClassList, visible
from heatmap.errors import ClassError, ModelError
from heatmap.networks.class_names import new_classes, read_class_names

NAMES = ("tabby", "chaîne", "猫")
TEXT = "\n".join(NAMES)


def read(tmp_path, content: bytes):
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    return read_class_names(path).names


@pytest.mark.parametrize(
    "content",
    [
        *(TEXT.encode(encoding) for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32")),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        codecs.BOM_UTF32_BE + TEXT.encode("utf-32-be"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode("utf-8-sig"),
        f"{TEXT}\r\n\r\n".encode("utf-16"),
        "\ufeff\ufefftab\u200bby\n\u2060chaîne\u00ad \n\u200e猫\ufeff\n\u200b\n".encode(),
    ],
)
def test_are_read_as_people_see_them(tmp_path, content):
    assert read(tmp_path, content) == NAMES


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("chaîne".encode("cp1252"), r"not UTF-8 text \(byte 0xee, î in Windows-1252, in line 1\)"),
        ("tabby\ncaf\x81".encode("latin-1"), r"not UTF-8 text \(byte 0x81 in line 2\)"),
        (TEXT.encode("utf-16-le"), "not UTF-8 text|UTF-16 without a byte order mark"),
        ("tabby\ncat".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (b"tabby\0\ncat", "NUL characters"),
        (codecs.BOM_UTF16_LE + b"cat", "not UTF-16-LE text"),
        (b"tabby\nc\x0bat", r"line 2 holds the control character '\\x0b'"),
        (b"\x1b[31mtabby", r"line 1 holds the control character '\\x1b'"),
        ("tab\u2028by".encode(), "line 1 holds the control character"),
        ("tabby\n\u200b\ncat".encode(), "line 2 is empty"),
    ],
)
def test_are_refused_by_their_encoding(tmp_path, content, message):
    with pytest.raises(ModelError, match=message) as caught:
        read(tmp_path, content)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).isprintable()


def test_given_in_python_are_the_same():
    assert read_class_names(["\ufefftabby", " cat\u200b"]).names == ("tabby", "cat")
    with pytest.raises(ModelError, match=r"name 2 holds the control character '\\n'"):
        read_class_names(["tabby", "c\nat"])
    with pytest.raises(ModelError, match="'tabby' is given twice"):
        new_classes(None, ["tabby", "tab\u200bby"])


def test_are_found_however_they_are_typed():
    assert ClassList(NAMES).find("\ufefftab\u200bby ").indices == (0,)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_groups_are_read_in_the_same_encodings(tmp_path, encoding):
    path = tmp_path / "groups.json"
    path.write_bytes('{"p\u200bet": ["tabby\ufeff", "猫"]}'.encode(encoding))
    (group,) = read_groups(path, ClassList(NAMES))
    assert (group.name, group.indices) == ("pet", (0, 2))


def test_groups_are_refused_by_their_encoding(tmp_path):
    path = tmp_path / "groups.json"
    path.write_bytes('{"pet": ["chaîne"]}'.encode("cp1252"))
    with pytest.raises(ClassError, match="î in Windows-1252"):
        read_groups(path, ClassList(NAMES))


@given(st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1)))
def test_names_are_plain_and_stay_so(names):
    plain = read_class_names(names).names
    assert read_class_names(plain).names == plain == tuple(map(visible, names))
