"""One word for many classes: groups from a file."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.class_groups import read_groups
from heatmap.classes import ClassGroup, ClassList
from heatmap.errors import ClassError
from heatmap.networks.imagenet import published_classes

IMAGENET = published_classes(1000)


ZOO = ClassList(
    names=("tabby", "tiger", "beagle", "pug", "hamster", "7", "Crane", "crane"),
    wnids=("n10", "n11", "n12", "n13", "n14", "n15", "n16", "n17"),
    groups=(ClassGroup("dog", (2, 3)), ClassGroup("animal", (0, 1, 2, 3, 4))),
)


def written(tmp_path, content):
    path = tmp_path / "groups.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def read(tmp_path, content, classes=ZOO) -> dict[str, tuple[int, ...]]:
    found = read_groups(written(tmp_path, content), classes)
    assert len({group.name for group in found}) == len(found)
    return {group.name: group.indices for group in found}


def test_every_way_to_name_a_member(tmp_path):
    content = {"pet": ["TABBY", 4, "n13"], "first": ["0-2"], "both": ["pet", "first", "6"]}
    found = read(tmp_path, content)
    assert found["pet"] == (0, 3, 4)
    assert found["first"] == (0, 1, 2)
    assert found["both"] == (0, 1, 2, 3, 4, 6)


def test_a_member_that_is_the_name_of_a_class_means_that_class(tmp_path):
    classes = ClassList(("a", "b", "0-1", "1"))
    assert read(tmp_path, {"x": ["0-1", "1"], "y": [1]}, classes) == {"x": (2, 3), "y": (1,)}


def test_a_range_may_be_one_class(tmp_path):
    assert read(tmp_path, {"x": ["7-7", " 0-0 "]})["x"] == (0, 7)


def test_a_file_adds_to_the_groups_and_overrides_them(tmp_path):
    found = read(tmp_path, {"feline": ["tabby", "tiger"], "Dog": ["pug"], "all": ["dog", "animal"]})
    assert found == {
        "feline": (0, 1),
        "Dog": (3,),
        # The file's own dog; the animals are still what they were.
        "all": (0, 1, 2, 3, 4),
        "animal": (0, 1, 2, 3, 4),
    }
    assert read(tmp_path, {"Dog": ["pug"], "pet": ["dog"]})["pet"] == (3,)


def test_a_file_for_imagenet_builds_on_its_groups(tmp_path):
    content = {"pet": ["dog", "cat", "hamster", "n02364673"], "wild": ["269-280"]}
    classes = replace(IMAGENET, groups=read_groups(written(tmp_path, content), IMAGENET))
    assert classes.find("pet").indices == (*range(151, 269), *range(281, 286), 333, 338)
    assert classes.find("wild").indices == tuple(range(269, 281))
    assert classes.find("dog") == IMAGENET.find("dog")
    assert len(classes.groups) == len(IMAGENET.groups) + 2


def test_no_groups_are_no_change(tmp_path):
    assert read_groups(written(tmp_path, "{}"), ZOO) == ZOO.groups


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "groups must be JSON: Expecting value: line 1"),
        ("{'dog': 1}", "groups must be JSON: "),
        ("[" * 100_000, "groups must be JSON: maximum recursion"),
        ('{"x": [' + "9" * 5000 + "]}", "groups must be JSON: "),
        ([], "groups must be one JSON object"),
        ("null", "groups must be one JSON object"),
        ({"x": "0-3"}, "group 'x' must be a list"),
        ({"x": {"y": [1]}}, "group 'x' must be a list"),
        ({"x": []}, "group 'x' is empty: give it members or leave it out"),
        ({"": [1]}, "'' cannot name a group"),
        ({" \t": [1]}, "'' cannot name a group"),
        ({"a\nb": [1]}, r"'a\\nb' cannot name a group"),
        ({"\ud800": [1]}, r"'\\ud800' cannot name a group"),
        ('{"x": [1], "X ": [2]}', "group 'X ' is given twice"),
        ({"x": [1, 1.5]}, "member 2 of group 'x' is neither text nor a whole number"),
        ({"x": [True]}, "member 1 of group 'x' is neither"),
        ({"x": [["tabby"]]}, "member 1 of group 'x' is neither"),
        ({"x": [None]}, "member 1 of group 'x' is neither"),
        ({"x": ["tabbi"]}, r"group 'x': no class 'tabbi' among 8; did you mean tabby \(0\)\?$"),
        ({"pet": ["pug"], "x": ["pets"]}, "group 'x': no class 'pets' .* did you mean pet"),
        ({"x": ["crane"]}, "group 'x': class 'crane' fits 2"),
        ({"x": [8]}, r"group 'x': class index 8 is too large: there are 8 \(0 to 7\)"),
        ({"x": [-1]}, "group 'x': no class '-1'"),
        ({"x": ["3-8"]}, "group 'x': class index 8 is too large"),
        ({"x": ["3-99999999999"]}, "group 'x': no class '3-99999999999'"),
        ({"x": ["3-1"]}, "group 'x': range 3-1 is out of order: write 1-3"),
        ({"x": ["٠-٣"]}, "group 'x': no class '٠-٣'"),
        ({"x": ["9" * 5000 + "-3"]}, "group 'x': no class '999"),
        ({"x": ["3-" + "9" * 5000]}, "group 'x': no class '3-999"),
        ({"x": ["pug", "X"]}, "groups contain each other in a circle: x > x$"),
        (
            {"a": ["pug", "b"], "b": ["c"], "c": ["tabby", "a"], "d": ["a"]},
            "groups contain each other in a circle: (a > b > c > a|b > c > a > b|c > a > b > c)$",
        ),
        ({"Tabby": [1]}, "group 'Tabby' has the name, index or wnid of a class.*: rename"),
        ({"CRANE": [1]}, "group 'CRANE' has the name.* or leave it out and ask for the class$"),
        ({"3": [1]}, "group '3' has the name, index"),
        ({"300": [1]}, "group '300' has the name, index"),
        ({"n11": [1]}, "group 'n11' has the name, index or wnid"),
    ],
)
def test_what_is_no_file_of_groups_is_refused_in_one_line(tmp_path, content, message):
    path = written(tmp_path, content)
    with pytest.raises(ClassError, match=message) as caught:
        read_groups(path, ZOO)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["missing.json", "", "a\0b", "x" * 5000])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    with pytest.raises(ClassError, match="groups cannot be read: "):
        read_groups(tmp_path / name, ZOO)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "groups.json"
    path.write_bytes(b'{"x": ["\xff"]}')
    with pytest.raises(ClassError, match=r"is not UTF-8 text .* save it as UTF-8"):
        read_groups(path, ZOO)


def test_files_as_windows_writes_them_are_read(tmp_path):
    path = tmp_path / "groups.json"
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_text('{"Kätzchen": ["tabby"]}', encoding)
        assert read_groups(path, ZOO)[0] == ClassGroup("Kätzchen", (0,))


def test_groups_may_be_nested_deeper_than_python_calls_itself(tmp_path):
    content = {f"level {depth}": [f"level {depth + 1}"] for depth in range(1500)}
    found = read(tmp_path, {**content, "level 1500": ["pug"]})
    assert found["level 0"] == (3,)


CLASSES = ClassList(tuple(f"class {letter}" for letter in "abcdefgh"))


quickly = settings(max_examples=25)


@st.composite
def definitions(draw) -> dict[str, list[str | int]]:
    """Groups of indices, names, ranges, and of groups defined before them."""
    defined: dict[str, list[str | int]] = {}
    for number in range(draw(st.integers(1, 6))):
        first = draw(st.integers(0, 7))
        members = st.one_of(
            st.integers(0, 7),
            st.sampled_from(CLASSES.names),
            st.integers(first, 7).map(lambda last, first=first: f"{first}-{last}"),
            *([st.sampled_from(sorted(defined))] if defined else []),
        )
        defined[f"group {number}"] = draw(st.lists(members, min_size=1, max_size=5))
    return defined


def expanded(member: str | int, defined: dict[str, list[str | int]]) -> set[int]:
    """The slow reference: from the definition of a group down to its classes."""
    if isinstance(member, int):
        return {member}
    if member in defined:
        return {index for inner in defined[member] for index in expanded(inner, defined)}
    if member in CLASSES.names:
        return {CLASSES.names.index(member)}
    first, last = member.split("-")
    return set(range(int(first), int(last) + 1))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("groups") / "groups.json"


@quickly
@given(definitions())
def test_groups_are_what_their_definitions_say(path, defined):
    path.write_text(json.dumps(defined), "utf-8")
    for group in read_groups(path, CLASSES):
        assert group.indices == tuple(sorted(expanded(group.name, defined)))


@quickly
@given(definitions(), st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_matters(path, defined, shuffling: random.Random):
    path.write_text(json.dumps(defined), "utf-8")
    before = set(read_groups(path, CLASSES))
    pairs = [(name, members + members[:2]) for name, members in defined.items()]
    for _, members in pairs:
        shuffling.shuffle(members)
    shuffling.shuffle(pairs)
    path.write_text(json.dumps(dict(pairs)), "utf-8")
    assert set(read_groups(path, CLASSES)) == before


JSON = st.recursive(
    st.sampled_from([None, True, 1.5, "", "0-1", "b", "class b"]) | st.integers(-1, 9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def read_or_refused(path) -> tuple[tuple[ClassGroup, ...] | None, str]:
    """The groups, or None and why not; no error but ours is let through."""
    try:
        return read_groups(path, CLASSES), ""
    except ClassError as error:
        return None, str(error)


@quickly
@given(JSON | st.dictionaries(st.text(), st.lists(JSON, max_size=3), max_size=3))
def test_any_json_gives_groups_or_one_clear_line(path, content):
    path.write_text(json.dumps(content), "utf-8")
    found, problem = read_or_refused(path)
    assert len(problem.splitlines()) == (found is None)
    assert all(group.indices for group in found or ())


@quickly
@given(st.binary())
def test_any_bytes_give_groups_or_an_error_of_ours(path, content):
    path.write_bytes(content)
    found, problem = read_or_refused(path)
    assert found == () or problem.startswith(f"{path}: ")
