"""Checkpoints: what is saved comes back, and what was tampered with does not."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import heatmap
from heatmap.errors import ModelError, ResultError
from heatmap.networks.checkpoint import description_path, save_checkpoint
from heatmap.networks.load import load_classifier


@pytest.fixture(scope="module")
def classifier():
    return load_classifier(
        "squeezenet1_1",
        weights="random",
        window=96,
        mean=(0.1, 0.2, 0.3),
        channel_order="bgr",
        class_names=[f"thing {index}" for index in range(1000)],
    )


@pytest.fixture
def saved(classifier, tmp_path):
    return save_checkpoint(classifier, tmp_path / "folder" / "net.safetensors")


def edit(path, **changes):
    """Change the description of a checkpoint; None takes a key out."""
    described = description_path(path)
    found = {**json.loads(described.read_text()), **changes}
    described.write_text(json.dumps({k: v for k, v in found.items() if v is not None}))


def test_comes_back_as_it_was(classifier, saved):
    found = load_classifier(saved)
    window = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(found.module(window), classifier.module(window))
    assert found.weights_digest == classifier.weights_digest
    assert found.preprocessing == classifier.preprocessing
    assert found.classes == classifier.classes
    assert (found.name, found.architecture) == (str(saved), "squeezenet1_1")
    assert not found.module.training


def test_random_weights_go_on_saying_so(saved):
    assert load_classifier(str(saved)).weights == "checkpoint net.safetensors, from random (seed 0)"


def test_can_be_saved_again_and_overridden(saved, tmp_path):
    changed = load_classifier(saved, window=64, channel_order="rgb")
    assert changed.preprocessing.mean == (0.3, 0.2, 0.1)
    again = load_classifier(save_checkpoint(changed, tmp_path / "again.safetensors"))
    assert again.preprocessing == changed.preprocessing
    assert again.weights_digest == changed.weights_digest


def test_wnids_and_the_built_in(tmp_path):
    made = load_classifier()
    found = load_classifier(save_checkpoint(made, tmp_path / "lite.safetensors"))
    assert found.classes.find("n02124075").indices == (285,)
    assert found.classes == made.classes
    assert found.classes.find("cat").indices == (281, 282, 283, 284, 285)


def test_other_classes_have_no_groups(saved):
    assert load_classifier(saved).classes.groups == ()


class TestOfFactories:
    """Code runs only where the user names it, never because a file does."""

    @pytest.fixture
    def own(self, tmp_path, monkeypatch):
        """A checkpoint of a factory's network, in a folder where the factory leaves a mark."""
        factory = (
            "from pathlib import Path\nfrom torch import nn\n"
            "Path('imported').touch()\n"
            "def make(): return nn.Sequential(nn.Flatten(), nn.Linear(192, 3))\n"
        )
        (tmp_path / "own_checkpointed.py").write_text(factory)
        monkeypatch.chdir(tmp_path)
        monkeypatch.delitem(sys.modules, "own_checkpointed", raising=False)
        made = load_classifier("own_checkpointed:make", window=8, class_names=["a", "b", "c"])
        with torch.no_grad():
            made.module[1].weight.mul_(2)
        path = save_checkpoint(made, "own.safetensors")
        del sys.modules["own_checkpointed"]
        (tmp_path / "imported").unlink()
        yield path, made
        sys.modules.pop("own_checkpointed", None)

    def test_come_back_where_the_factory_is_named(self, own):
        path, made = own
        found = load_classifier(path, architecture="own_checkpointed:make")
        assert torch.equal(found.module[1].weight, made.module[1].weight)
        assert found.preprocessing.window_px == 8
        assert found.classes == made.classes

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, "made by own_checkpointed:make.*add architecture='own_checkpointed:make'"),
            ({"architecture": "os:getcwd"}, "is of 'own_checkpointed:make'"),
            ({"architecture": "own_checkpointed:other"}, "is of 'own_checkpointed:make'"),
            ({"architecture": ""}, "is of 'own_checkpointed:make'"),
        ],
    )
    def test_are_refused_where_it_is_not_and_nothing_is_imported(self, own, options, message):
        path, _ = own
        with pytest.raises(ModelError, match=message):
            load_classifier(path, **options)
        assert "own_checkpointed" not in sys.modules
        assert not Path("imported").exists()

    def test_are_refused_wherever_a_model_is_loaded(self, own, tmp_path):
        path, _ = own
        for load in (
            heatmap.prepare,
            heatmap.adapt,
            heatmap.summary,
            lambda model: heatmap.export(model, "net.onnx"),
            lambda model: heatmap.verify(np.zeros((40, 40, 3), np.uint8), model),
            lambda model: heatmap.score(np.zeros((40, 40, 3), np.uint8), model),
        ):
            with pytest.raises(ModelError, match="no code runs because a file names it"):
                load(path)
        assert not Path("imported").exists()

    def test_an_adapted_network_too(self, own):
        path, _ = own
        options = {"architecture": "own_checkpointed:make", "num_classes": 2, "window": 8}
        # Without convolutions it cannot be adapted, but it is loaded.
        with pytest.raises(heatmap.ConversionError):
            heatmap.adapt(path, **options)

    def test_a_named_network_that_no_file_is_needs_none(self, own):
        _, made = own
        for model in ("squeezenet1_1", "own_checkpointed:make", made.module):
            with pytest.raises(ModelError, match="only a checkpoint file has an architecture"):
                load_classifier(model, architecture="own_checkpointed:make", window=8)
        with pytest.raises(ModelError, match="loaded already"):
            load_classifier(made, architecture="own_checkpointed:make")


def test_the_architecture_of_a_library_may_be_named_too(saved):
    assert load_classifier(saved, architecture="squeezenet1_1").architecture == "squeezenet1_1"
    with pytest.raises(ModelError, match="the architecture given is 'vgg16'"):
        load_classifier(saved, architecture="vgg16")


def test_shared_and_turned_tensors(classifier, tmp_path):
    twice = load_classifier("squeezenet1_1", weights="random")
    twice.module.to(memory_format=torch.channels_last)
    first, second = twice.module.features[3], twice.module.features[4]
    first.expand1x1.bias = second.expand1x1.bias
    found = load_classifier(save_checkpoint(twice, tmp_path / "net.safetensors"))
    assert torch.equal(found.module.features[3].expand1x1.bias, second.expand1x1.bias)


def test_a_module_cannot_be_saved(tmp_path):
    module = nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).eval()
    with pytest.raises(ModelError, match="cannot be built again by name"):
        save_checkpoint(load_classifier(module, window=8), tmp_path / "net.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_unwritable(classifier, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultError, match="cannot be written"):
        save_checkpoint(classifier, tmp_path / "file" / "net.safetensors")
    with pytest.raises(ResultError, match=r"ends in \.safetensors"):
        save_checkpoint(classifier, tmp_path / "net.pth")


class TestRefusals:
    @pytest.mark.few(4)
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"format": 1}, "format 1, this version reads format 2"),
            ({"format": None}, "format None"),
            ({"weights_digest": "0" * 64}, "do not belong together"),
            ({"weights_digest": None}, "do not belong together"),
            ({"class_names": None}, "does not fit format 2"),
            ({"class_names": 5}, "does not fit format 2"),
            ({"class_names": [1, 2]}, "must be text"),
            ({"wnids": ["n1"]}, "1 wnids for 1000"),
            ({"preprocessing": {"window_px": 0}}, "window is 0"),
            ({"preprocessing": {"window": 96}}, "unexpected keyword"),
            ({"architecture": "no_such_net"}, "no model is called"),
            ({"architecture": 3}, "must be text"),
            ({"architecture": "resnet18"}, "does not fit resnet18"),
            ({"class_names": ["a", "b"], "wnids": []}, "1000 classes, 2 class names"),
        ],
    )
    def test_description_that_does_not_fit(self, saved, changes, message):
        edit(saved, **changes)
        with pytest.raises(ModelError, match=message):
            load_classifier(saved)

    def test_weights_that_were_changed(self, saved):
        state = load_file(saved)
        state["features.0.bias"][0] += 1
        save_file(state, saved)
        with pytest.raises(ModelError, match="do not belong together"):
            load_classifier(saved)

    @pytest.mark.parametrize("content", ["", "[1]", "{", "\udcff"])
    def test_description_that_is_none(self, saved, content):
        description_path(saved).write_bytes(content.encode("utf-8", "surrogateescape"))
        with pytest.raises(ModelError, match=r"net\.json: (cannot be read|holds list)"):
            load_classifier(saved)

    def test_missing_files(self, saved):
        description_path(saved).unlink()
        with pytest.raises(ModelError, match="a checkpoint is two files"):
            load_classifier(saved)
        saved.unlink()
        with pytest.raises(ModelError, match="no such"):
            load_classifier(saved)

    def test_other_weights_for_it(self, saved):
        with pytest.raises(ModelError, match="weights of its own"):
            load_classifier(saved, weights="random")
