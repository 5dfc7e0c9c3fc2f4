"""One word for many classes: the built-in groups, read one by one."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest

from heatmap import class_groups as groups
from heatmap.class_groups import built_in
from heatmap.networks.imagenet import published_classes
from heatmap.networks.zoo import timm_network, torchvision_network

IMAGENET = published_classes(1000)


def names_of(word: str) -> set[str]:
    return {IMAGENET.names[index] for index in IMAGENET.find(word).indices}


def indices_of(*words: str) -> list[int]:
    """All indices of some groups; one that stands in two of them, twice."""
    return sorted(index for word in words for index in IMAGENET.find(word).indices)


def test_groups_come_with_imagenet_wherever_it_is_taken_from():
    assert len(IMAGENET.groups) > 150
    assert torchvision_network("alexnet").classes == IMAGENET
    assert timm_network("timm/resnet18").classes == IMAGENET


def test_other_classes_have_no_built_in_groups():
    assert built_in(IMAGENET.names[:999], IMAGENET.wnids[:999]) == ()
    assert built_in(IMAGENET.names[::-1], IMAGENET.wnids[::-1]) == ()
    assert built_in(("\ud800", "dog")) == ()
    assert timm_network("timm/vit_base_patch16_224.augreg_in21k").classes.groups == ()


def test_names_are_enough_to_know_imagenet():
    assert built_in(list(IMAGENET.names)) == IMAGENET.groups


def test_every_group_holds_classes_each_once_in_ascending_order():
    for group in IMAGENET.groups:
        assert group.indices == tuple(sorted(set(group.indices)))
        assert group.indices
        assert set(group.indices) <= set(range(1000))


def test_every_group_is_found_by_its_name():
    for group in IMAGENET.groups:
        assert IMAGENET.find(group.name.upper()) == group


def test_no_group_has_the_name_of_a_class():
    classes = {name.casefold() for name in IMAGENET.names}
    assert [group.name for group in IMAGENET.groups if group.name.casefold() in classes] == []


def test_the_great_kinds_part_the_animals_which_are_the_first_398_classes():
    kinds = ("mammal", "bird", "reptile", "amphibian animal", "fish", "invertebrate")
    assert indices_of(*kinds) == list(range(398))
    assert indices_of("animal") == list(range(398))


def test_things_of_one_theme_are_not_of_another():
    """A mobile home is taken as a house, not as a vehicle; a tank not as a weapon."""
    themes = ("animal vehicle furniture clothing weapon tool ball food building fungus").split()
    for one, other in combinations([*themes, "musical instrument", "fence", "bridge"], 2):
        shared = names_of(one) & names_of(other)
        assert shared == ({"mushroom"} if {one, other} == {"food", "fungus"} else set())


def test_kinds_of_one_theme_that_share_nothing():
    for kinds in (
        "dog wolf fox cat bear rodent rabbit primate elephant whale seal horse pig cow sheep goat",
        "chicken eagle owl parrot duck swan penguin",
        "turtle lizard crocodile alligator dinosaur snake",
        "beetle butterfly spider crustacean mollusc worm",
        "bus car truck motorcycle bicycle train tram boat aircraft",
        "chair bench sofa table cabinet",
        "bottle mug glass bowl pan spoon knife oven box bag book pen",
        "hat helmet glasses shoe shirt skirt coat swimsuit tie",
        "fruit vegetable bread sandwich soup dessert drink",
    ):
        twice = {index for index, n in Counter(indices_of(*kinds.split())).items() if n > 1}
        assert {IMAGENET.names[index] for index in twice} == set()


@pytest.mark.parametrize(
    ("whole", "parts"),
    [
        ("mammal", "whale seal dog wolf fox cat bear rodent primate elephant horse cow sheep goat"),
        ("mammal", "panda pig antelope camel buffalo rabbit sloth"),
        ("dog", "hound terrier retriever spaniel sheepdog husky corgi poodle"),
        ("bird", "chicken eagle owl parrot duck swan penguin"),
        ("bird of prey", "eagle owl"),
        ("reptile", "turtle lizard crocodile alligator dinosaur snake"),
        ("fish", "shark ray"),
        ("invertebrate", "insect spider arachnid crustacean crab lobster mollusc worm"),
        ("arachnid", "spider"),
        ("insect", "beetle butterfly"),
        ("vehicle", "car van taxi bus truck motorcycle bicycle train tram boat ship aircraft"),
        ("furniture", "chair bench sofa table bed"),
        ("clothing", "hat shoe boot shirt skirt coat dress swimsuit tie"),
        ("food", "fruit vegetable bread sandwich soup dessert drink pasta"),
        ("building", "house shop"),
    ],
)
def test_what_is_of_a_kind_is_in_the_group_of_that_kind(whole, parts):
    for part in parts.split():
        assert names_of(part) < names_of(whole)


def test_a_group_of_groups_is_their_union():
    for whole, parts in (
        ("primate", ("ape", "monkey", "lemur")),
        ("amphibian animal", ("salamander", "frog")),
        ("watercraft", ("boat", "ship")),
    ):
        rest = {"submarine"} if whole == "watercraft" else set()
        assert names_of(whole) == set().union(rest, *map(names_of, parts))


@pytest.mark.parametrize(
    ("word", "holds", "lacks"),
    [
        (
            "dog",
            "golden retriever, Chihuahua, Mexican hairless, pug, Siberian husky",
            "timber wolf, hotdog, dingo, African hunting dog, red fox, dogsled, hyena",
        ),
        ("cat", "tabby, tiger cat, Egyptian cat", "cougar, tiger, Madagascar cat, catamaran"),
        ("big cat", "lion, tiger, snow leopard, cheetah", "tabby, lynx, tiger cat, tiger beetle"),
        ("wolf", "timber wolf, white wolf, red wolf", "coyote, wolf spider, Irish wolfhound"),
        ("fox", "red fox, Arctic fox, grey fox", "fox squirrel, English foxhound, coyote"),
        ("bear", "brown bear, ice bear, sloth bear", "giant panda, teddy, cheetah, mongoose"),
        ("horse", "sorrel", "zebra, horse cart, horizontal bar"),
        ("sheep", "ram, bighorn", "ibex, Shetland sheepdog"),
        ("elephant", "tusker, Indian elephant, African elephant", "echidna"),
        ("monkey", "baboon, guenon, titi, squirrel monkey", "gorilla, Madagascar cat"),
        ("ape", "gorilla, orangutan, siamang, chimpanzee", "guenon, indri"),
        ("bird", "cock, ostrich, black swan, king penguin, albatross", "tusker, platypus"),
        ("parrot", "African grey, macaw, lorikeet", "toucan, coucal"),
        ("duck", "drake, red-breasted merganser", "goose, platypus"),
        ("turtle", "loggerhead, terrapin, box turtle", "banded gecko"),
        ("snake", "thunder snake, sidewinder, rock python", "triceratops, African crocodile"),
        ("frog", "bullfrog, tree frog, tailed frog", "axolotl, loggerhead"),
        ("fish", "tench, tiger shark, stingray, puffer, eel", "starfish, grey whale, cock"),
        ("shark", "great white shark, tiger shark, hammerhead", "electric ray"),
        ("spider", "barn spider, tarantula, wolf spider", "scorpion, tick, spider monkey"),
        ("crab", "Dungeness crab, king crab, hermit crab", "American lobster, crayfish"),
        ("insect", "ladybug, fly, cabbage butterfly, mantis", "tick, centipede, mongoose"),
        ("butterfly", "monarch, admiral, lycaenid", "damselfly, fly"),
        ("car", "sports car, cab, Model T, racer", "freight car, passenger car, car wheel, carton"),
        ("truck", "pickup, fire engine, trailer truck", "tractor, minibus"),
        ("bus", "school bus, minibus, trolleybus", "streetcar, minivan"),
        ("boat", "canoe, yawl, speedboat", "container ship, boathouse, submarine"),
        ("ship", "liner, pirate, container ship", "canoe, space shuttle, airship"),
        ("train", "bullet train, steam locomotive", "streetcar, trailer truck"),
        ("airplane", "airliner, warplane", "plane, airship, aircraft carrier, balloon, wing"),
        ("bicycle", "mountain bike, bicycle-built-for-two", "tricycle, moped"),
        ("vehicle", "amphibian, tank, school bus, warplane, gondola", "car mirror, mobile home"),
        ("chair", "folding chair, throne", "park bench, studio couch"),
        ("bed", "four-poster, studio couch, crib", "Bedlington terrier, pillow"),
        ("table", "desk, dining table, pool table", "table lamp"),
        ("bottle", "beer bottle, wine bottle", "bottlecap, beer glass"),
        ("phone", "cellular telephone, dial telephone, pay-phone", "microphone, sax"),
        ("sweater", "cardigan, sweatshirt", "Cardigan"),
        ("corgi", "Pembroke, Cardigan", "cardigan"),
        ("hat", "cowboy hat, sombrero", "hatchet, crash helmet"),
        ("guitar", "acoustic guitar, electric guitar", "banjo"),
        ("ball", "soccer ball, baseball, volleyball", "balloon, ballpoint, puck"),
        ("gun", "revolver, assault rifle", "cannon"),
        ("fruit", "Granny Smith, banana, pomegranate", "acorn, cucumber, acorn squash"),
        ("vegetable", "head cabbage, artichoke, mushroom", "Granny Smith, cabbage butterfly"),
        ("food", "pizza, banana, hotdog, plate", "hay, cup, menu, hip"),
        ("hot dog", "hotdog", "beagle"),
        ("shop", "bakery, toyshop", "shoji, shopping cart"),
        ("bridge", "viaduct, suspension bridge", "pier"),
        ("mountain", "alp, volcano", "mountain bike, mountain tent"),
        ("beach", "seashore, sandbar", "beach wagon"),
    ],
)
def test_members(word, holds, lacks):
    assert set(holds.split(", ")) <= names_of(word)
    assert set(lacks.split(", ")) <= set(IMAGENET.names)
    assert names_of(word).isdisjoint(lacks.split(", "))


# Names of COCO's classes (Lin et al., arXiv 1405.0312) that ImageNet has too, each with one
# of the ImageNet classes that it must reach.
COCO = """
bicycle: mountain bike; car: convertible; motorcycle: motor scooter; airplane: airliner
bus: school bus; train: bullet train; truck: garbage truck; boat: canoe
traffic light: traffic light; stop sign: street sign; parking meter: parking meter
bench: park bench; bird: robin; cat: tabby; dog: beagle; horse: sorrel; sheep: ram; cow: ox
elephant: tusker; bear: brown bear; zebra: zebra; backpack: backpack; umbrella: umbrella
handbag: purse; tie: Windsor tie; skis: ski; sports ball: soccer ball; tennis racket: racket
bottle: wine bottle; wine glass: goblet; cup: cup; knife: cleaver; spoon: wooden spoon
bowl: soup bowl; banana: banana; apple: Granny Smith; sandwich: cheeseburger; orange: orange
broccoli: broccoli; hot dog: hotdog; pizza: pizza; chair: folding chair; couch: studio couch
potted plant: pot; bed: four-poster; dining table: dining table; toilet: toilet seat
tv: television; laptop: laptop; mouse: mouse; remote: remote control
keyboard: computer keyboard; cell phone: cellular telephone; microwave: microwave; oven: stove
toaster: toaster; sink: washbasin; refrigerator: refrigerator; book: comic book
clock: wall clock; vase: vase; teddy bear: teddy
"""


@pytest.mark.parametrize("pair", COCO.replace("\n", "; ").strip("; ").split("; "))
def test_names_of_coco_are_found(pair):
    wanted, reached = pair.split(": ")
    assert reached in names_of(wanted)


def test_the_built_in_groups_are_read_once():
    groups._built_in.cache_clear()
    first = built_in(IMAGENET.names, IMAGENET.wnids)
    assert built_in(list(IMAGENET.names), list(IMAGENET.wnids)) is first
