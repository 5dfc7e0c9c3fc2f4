"""Names of models, and of their classes, told without loading a network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import timm

import heatmap
from heatmap.errors import ClassError, HeatmapError, ModelError
from heatmap.networks import imagenet, model_names
from heatmap.networks.checkpoint import description_path, save_checkpoint
from heatmap.networks.imagenet import kept_classes, published_classes
from heatmap.networks.known_classes import known_classes
from heatmap.networks.model_names import DEFAULT_MODEL, check_name, library_names
from heatmap.networks.registry import find_architecture

NAMES = Path("models/names.json")


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """A cache of its own."""
    monkeypatch.setenv("HEATMAP_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """What the libraries were asked for."""
    calls: list[str] = []
    for module in (model_names, imagenet):
        ask = module._asked

        def counted(*given, ask=ask, module=module):
            calls.append(module.__name__.rpartition(".")[2])
            return ask(*given)

        monkeypatch.setattr(module, "_asked", counted)
    return calls


def test_libraries_are_asked_once(cache, asked):
    first = library_names()
    assert library_names() == first
    assert asked == ["model_names"]
    assert first.class_count("resnet18") == 1000
    assert first.class_count(f"timm/{timm.list_models()[0]}") is not None
    assert first.class_count("nothing") is None


def test_other_versions_are_asked_again(cache, asked, monkeypatch):
    library_names()
    versions = model_names.package_versions() | {"timm": "0.1"}
    monkeypatch.setattr(model_names, "package_versions", lambda: versions)
    library_names()
    assert asked == ["model_names"] * 2


@pytest.mark.parametrize(
    "content",
    [
        *(pytest.param(each, marks=pytest.mark.slow) for each in (None, [], {"torchvision": {}})),
        {"torchvision": 1, "timm": {}, "timm_tagged": {}},
    ],
)
def test_damaged_names_are_asked_again(cache, asked, content):
    names = library_names()
    held = json.loads((cache / NAMES).read_text())
    (cache / NAMES).write_text(json.dumps(held | {"content": content}))
    assert library_names() == names
    assert asked == ["model_names"] * 2
    assert json.loads((cache / NAMES).read_text()) == held


def test_network_that_was_added_to_a_library_is_found(cache, monkeypatch):
    monkeypatch.setitem(timm.models._registry._model_entrypoints, "added", timm.models.resnet10t)
    with pytest.raises(ModelError, match="no model is called 'timm/other'"):
        find_architecture("timm/other")
    # Found, and refused by timm only for what this one lacks.
    with pytest.raises(ModelError, match="added: "):
        find_architecture("timm/added")


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet51", "did you mean resnet50 or"),
        ("resnet10t", "did you mean timm/resnet10t"),
        ("timm/resnet51", "did you mean timm/resnet5"),
        ("zzzzzzzz", "see the list of models"),
        ("", "see the list of models"),
    ],
)
def test_no_model_of_this_name(cache, name, hint):
    with pytest.raises(ModelError, match=f"no model is called '{name}': {hint}"):
        check_name(name)


def test_models_are_told_from_other_names(cache):
    for name in (DEFAULT_MODEL, "vgg16", "timm/resnet10t", "timm/resnet10t.c3_in1k", "pkg.mod:f"):
        check_name(name)


def test_second_process_loads_none_of_the_libraries(cache):
    library_names(), kept_classes(1000)
    code = (
        "import sys\n"
        "from heatmap.networks.known_classes import known_classes\n"
        "assert known_classes('resnet18').find('zebra').indices == (340,)\n"
        "print({'torch', 'torchvision', 'timm'} & sys.modules.keys())"
    )
    called = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (called.stdout, called.stderr) == ("set()\n", "")


@pytest.mark.few(3)
@pytest.mark.parametrize(
    "name",
    [
        DEFAULT_MODEL,
        pytest.param("resnet18", marks=pytest.mark.slow),
        "timm/resnet10t",
        "timm/convnext_tiny.fb_in22k",
        pytest.param("timm/convnext_tiny.fb_in22k_ft_in1k", marks=pytest.mark.slow),
    ],
)
def test_known_classes_are_those_of_the_published_weights(cache, asked, name):
    expected = find_architecture(name).classes
    asked.clear()
    assert known_classes(name) == expected
    assert known_classes(name) == expected
    assert asked.count("imagenet") == 1


@pytest.mark.parametrize(
    "damaged", [None, [], {"names": [1], "wnids": []}, {"names": ["a"], "wnids": []}]
)
def test_damaged_classes_are_asked_again(cache, asked, damaged):
    kept_classes(1000)
    file = cache / "models" / "classes-1000.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"content": damaged}))
    asked.clear()
    assert kept_classes(1000) == published_classes(1000)
    assert asked == ["imagenet"] * 2


def test_random_weights_have_numbered_classes(cache):
    loaded = heatmap.load_classifier("squeezenet1_1", weights="random")
    assert known_classes("squeezenet1_1", weights="random") == loaded.classes


@pytest.mark.parametrize(
    ("model", "weights"),
    [
        ("package.module:factory", "default"),
        ("resnet18", "weights.safetensors"),
        ("missing.safetensors", "default"),
        ("weights.pt", "default"),
        ("timm/vit_base_patch14_dinov2", "default"),
    ],
)
def test_classes_that_only_the_network_says_are_not_known(cache, model, weights):
    assert known_classes(model, weights=weights) is None


def test_classes_of_a_checkpoint_are_read_from_its_description(cache, tmp_path):
    classifier = heatmap.load_classifier(
        "squeezenet1_1", weights="random", class_names=[f"thing {n}" for n in range(1000)]
    )
    path = save_checkpoint(classifier, tmp_path / "net.safetensors")
    assert known_classes(str(path)) == classifier.classes
    for content in ("{", "[]", '{"class_names": [1], "wnids": []}', '{"class_names": ["a"]}'):
        description_path(path).write_text(content)
        assert known_classes(str(path)) is None


def test_names_and_groups_from_files_go_before_others(cache, tmp_path):
    names, groups = tmp_path / "names.txt", tmp_path / "groups.json"
    names.write_text("cat\ndog\n")
    groups.write_text('{"pet": ["cat", "dog"]}')
    classes = known_classes("package.module:factory", class_names=names, groups=groups)
    assert classes.names == ("cat", "dog")
    assert classes.find("pet").indices == (0, 1)
    assert known_classes("resnet18", groups=str(groups)).find("pet").name == "pet"
    groups.write_text('{"pet": ["mouse"]}')
    with pytest.raises(ClassError, match="mouse"):
        known_classes("package.module:factory", class_names=names, groups=groups)


def test_unknown_model_is_told_before_its_classes(cache):
    with pytest.raises(HeatmapError, match="did you mean resnet50"):
        known_classes("resnet51", class_names="missing.txt")
