"""From what a person types to an index of the score grid."""

import pytest

from heatmap.classes import ClassList
from heatmap.errors import ClassError

ANIMALS = ClassList(
    names=("tabby", "tiger cat", "Egyptian cat", "tiger", "crane", "Crane", "lion"),
    wnids=("n0", "n1", "n2", "n3", "n4", "n5", "n6"),
)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ("tabby", 0),
        ("TABBY", 0),
        (" egyptian cat ", 2),
        ("egy", 2),
        ("tiger", 3),
        ("tiger c", 1),
        ("n4", 4),
        ("5", 5),
        (6, 6),
        ("006", 6),
    ],
)
def test_finds_names_prefixes_wnids_and_indices(wanted, index):
    assert ANIMALS.find(wanted) == index


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("crane", r"class 'crane' fits 2: crane \(4\), Crane \(5\)"),
        ("t", r"class 't' fits 3: tabby \(0\), tiger cat \(1\), tiger \(3\)"),
        ("tabbi", r"no class 'tabbi' among 7; did you mean tabby \(0\)\?"),
        ("cat", r"did you mean tiger cat \(1\), Egyptian cat \(2\)\?"),
        ("zebra crossing", r"no class 'zebra crossing' among 7$"),
        ("", r"no class '' among 7$"),
        (7, r"class index 7 is too large: there are 7 \(0 to 6\)"),
        ("-1", r"no class '-1' among 7$"),
        (-1, r"no class '-1' among 7$"),
        ("9" * 5000, "no class '9999"),
        ("²", "no class '²'"),
    ],
)
def test_what_fits_none_or_several_is_refused(wanted, message):
    with pytest.raises(ClassError, match=message):
        ANIMALS.find(wanted)


def test_a_long_list_of_fits_is_cut():
    with pytest.raises(ClassError, match=r"fits 20: class 0 \(0\), .*class 4 \(4\) and 15 more$"):
        ClassList.numbered(20).find("class")


def test_a_class_called_by_a_number_is_found_by_its_name():
    digits = ClassList(("7", "8", "0"))
    assert digits.find("7") == 0
    assert digits.find("0") == 2
    assert digits.find(0) == 0
    assert digits.find("1") == 1


def test_numbered_names():
    classes = ClassList.numbered(3)
    assert len(classes) == 3
    assert classes.names == ("class 0", "class 1", "class 2")
    assert classes.find("class 2") == 2


def test_wnids_must_match_the_names():
    with pytest.raises(ClassError, match="1 wnids for 2 class names"):
        ClassList(("cat", "dog"), ("n1",))
