"""From what a person types to indices of the score grid."""

from dataclasses import replace

import pytest

from heatmap.classes import ClassGroup, ClassList
from heatmap.errors import ClassError

ANIMALS = ClassList(
    names=("tabby", "tiger cat", "Egyptian cat", "tiger", "crane", "Crane", "lion"),
    wnids=("n0", "n1", "n2", "n3", "n4", "n5", "n6"),
)
CAT = ClassGroup("cat", (0, 1, 2))
BIG_CAT = ClassGroup("Big Cat", (3, 6))
TI = ClassGroup("ti", (3, 1))
GROUPED = replace(ANIMALS, groups=(CAT, BIG_CAT, TI, ClassGroup("LION", (3, 6))))


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
    assert ANIMALS.find(wanted) == ClassGroup(ANIMALS.names[index], (index,))
    assert ANIMALS.find(wanted) == ANIMALS.single(index)


def test_of_some_classes_an_index_is_that_in_the_network():
    some = ANIMALS.only([5, 3]).only([1, 0])

    assert some.find(5) == ClassGroup("Crane", (1,))
    assert some.find("3") == ClassGroup("tiger", (0,))
    with pytest.raises(
        ClassError, match=r"index 0 is not among the 2 here: tiger \(3\), Crane \(5"
    ):
        some.find(0)
    with pytest.raises(ClassError, match=r"did you mean tiger \(3\)\?"):
        some.find("tigre")


def test_of_groups_an_index_is_a_class_that_is_alone():
    maps = ANIMALS.only([6, 0, 1]).grouped([ClassGroup("cat", (1, 2)), ClassGroup("lion", (0,))])

    assert maps.names == ("cat", "lion")
    assert maps.find(6) == ClassGroup("lion", (1,))
    with pytest.raises(ClassError, match=r"index 1 is not among the 2 here: cat, lion \(6\)"):
        maps.find(1)


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
    assert digits.find("7") == ClassGroup("7", (0,))
    assert digits.find("0") == ClassGroup("0", (2,))
    assert digits.find(0) == ClassGroup("7", (0,))
    assert digits.find("1") == ClassGroup("8", (1,))


def test_numbered_names():
    classes = ClassList.numbered(3)
    assert len(classes) == 3
    assert classes.names == ("class 0", "class 1", "class 2")
    assert classes.find("class 2").indices == (2,)


def test_wnids_must_match_the_names():
    with pytest.raises(ClassError, match="1 wnids for 2 class names"):
        ClassList(("cat", "dog"), ("n1",))


@pytest.mark.parametrize("wanted", ["cat", "CAT", " Cat "])
def test_a_group_is_found_by_its_name(wanted):
    assert GROUPED.find(wanted) == CAT


def test_the_name_of_a_class_goes_before_that_of_a_group():
    assert GROUPED.find("lion") == ClassGroup("lion", (6,))


def test_the_name_of_a_group_goes_before_a_prefix():
    assert ANIMALS.find("tiger c") == ClassGroup("tiger cat", (1,))
    shadowed = replace(ANIMALS, groups=(ClassGroup("tiger c", (3,)),))
    assert shadowed.find("tiger c") == ClassGroup("tiger c", (3,))
    assert GROUPED.find("ti") == TI


def test_a_group_is_not_found_by_a_prefix():
    with pytest.raises(ClassError, match=r"no class 'big' among 7"):
        GROUPED.find("big")


def test_a_group_given_as_such_is_taken_as_it_is():
    own = ClassGroup("my pets", (0, 6))
    assert GROUPED.find(own) is own


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("cats", r"no class 'cats' among 7; did you mean cat\?$"),
        ("bigcat", r"did you mean big cat, "),
        ("tabbi", r"did you mean tabby \(0\)\?"),
        ("gyptian", r"did you mean Egyptian cat \(2\)\?"),
    ],
)
def test_suggestions_name_classes_and_groups(wanted, message):
    with pytest.raises(ClassError, match=message):
        GROUPED.find(wanted)


def test_find_all_gives_each_once_in_the_order_given():
    wanted = ["lion", "cat", 6, "n6", "CAT", CAT, "tabby"]
    assert GROUPED.find_all(wanted) == [GROUPED.single(6), CAT, GROUPED.single(0)]


def test_some_of_the_classes_keep_the_groups_that_are_whole_in_them():
    some = GROUPED.only([2, 1, 6, 0])
    assert some.names == ("Egyptian cat", "tiger cat", "lion", "tabby")
    assert some.wnids == ("n2", "n1", "n6", "n0")
    assert some.groups == (ClassGroup("cat", (3, 1, 0)),)
    members = {some.names[index] for index in some.find("cat").indices}
    assert members == {"tabby", "tiger cat", "Egyptian cat"}


def test_all_of_the_classes_are_the_same_list():
    assert GROUPED.only(range(7)) == GROUPED
