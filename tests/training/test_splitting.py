"""Which photos are kept for validation."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatmap.training.sampling import seed_digest, validation_photos

shown = st.dictionaries(
    st.text(max_size=3), st.sets(st.integers(0, 5), min_size=1), min_size=1, max_size=12
)


@given(labels=shown, share=st.floats(0, 0.999), seed=st.integers(-5, 5))
def test_every_class_keeps_a_photo_for_training(labels, share, seed):
    held = validation_photos(labels, share, seed)
    assert held <= labels.keys()
    kept = {label for photo in labels.keys() - held for label in labels[photo]}
    assert kept == set().union(*labels.values())
    turned = dict(reversed(labels.items()))
    assert validation_photos(turned, share, seed) == held
    if share == 0:
        assert not held


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    share=st.floats(0.001, 0.999),
    seed=st.integers(0, 5),
)
def test_photos_of_one_class_are_split_to_nearest(sizes, share, seed):
    labels = {f"{c}/{i}": [c] for c, size in enumerate(sizes) for i in range(size)}
    held = Counter(labels[photo][0] for photo in validation_photos(labels, share, seed))
    for label, size in enumerate(sizes):
        assert held[label] == min(size - 1, max(1, round(share * size)))


def test_the_seed_decides_which():
    labels = {str(i): [0] for i in range(30)}
    assert len({frozenset(validation_photos(labels, 0.2, seed)) for seed in range(20)}) == 20
    # Each as likely: of 30 photos all are kept by some seed.
    assert (
        set().union(*(validation_photos(labels, 0.2, seed) for seed in range(60))) == labels.keys()
    )


def test_a_photo_more_moves_few_others():
    labels = {str(i): [0] for i in range(100)}
    moved = validation_photos(labels, 0.2, 0) ^ validation_photos(labels | {"new": [0]}, 0.2, 0)
    assert len(moved) <= 2


@pytest.mark.parametrize("seed", range(20))
def test_another_way_is_tried_where_classes_stand_in_each_others(seed):
    # Six photos in a ring, a class for each neighbours: only every other one will do.
    classes = [(0, 1), (2, 3), (4, 5), (1, 2), (3, 4), (5, 0)]
    ring = {str(i): [label for label, pair in enumerate(classes) if i in pair] for i in range(6)}
    assert validation_photos(ring, 0.5, seed) in ({"0", "2", "4"}, {"1", "3", "5"})


def test_chance_is_the_same_on_every_machine():
    assert seed_digest(0, "a", "é\udc80").hex()[:12] == "74465eac677d"
    assert seed_digest(1, "a") != seed_digest(0, "a") != seed_digest(0, "b")


@pytest.mark.parametrize("seed", range(5))
def test_a_common_class_leaves_the_photos_of_a_rare_one(seed):
    """Most photos show background, and eight of them cars as well."""
    labels = {f"{photo}": [0, 1] if photo < 8 else [0] for photo in range(40)}

    held = validation_photos(labels, 0.2, seed)

    assert len(held) == 8
    assert len([photo for photo in held if 1 in labels[photo]]) == 2
