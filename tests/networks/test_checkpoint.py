"""Checkpoints: what is saved comes back, and what was tampered with does not."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

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


def test_a_network_of_ones_own(tmp_path, monkeypatch):
    (tmp_path / "own_checkpointed.py").write_text(
        "from torch import nn\ndef make(): return nn.Sequential(nn.Flatten(), nn.Linear(192, 3))\n"
    )
    monkeypatch.chdir(tmp_path)
    made = load_classifier("own_checkpointed:make", window=8)
    with torch.no_grad():
        made.module[1].weight.mul_(2)
    found = load_classifier(save_checkpoint(made, "own.safetensors"))
    assert torch.equal(found.module[1].weight, made.module[1].weight)
    assert found.preprocessing.window_px == 8


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
