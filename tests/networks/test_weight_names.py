"""Prefixes of names: taken off where that makes them the network's; the rest is refused clearly."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torchvision import models as torchvision_models

from heatmap import load_classifier
from heatmap.errors import ModelError
from heatmap.networks.weight_names import fitted

OWN = {"conv.weight": torch.zeros(2, 3, 1, 1), "fc.weight": torch.ones(4, 2)}


def named(prefix: str, state=OWN):
    return {prefix + name: values for name, values in state.items()}


def same(found, state=OWN) -> bool:
    return found.keys() == state.keys() and all(found[name] is state[name] for name in state)


@pytest.mark.parametrize(
    "prefix",
    [
        *("module.", "_orig_mod.", "model.", "net.", "backbone.", "network."),
        *("module.model.", "_orig_mod.module.", "model.net.backbone.", "module.module."),
    ],
)
def test_known_prefixes_are_taken_off_with_a_note(prefix):
    found = fitted(named(prefix), OWN)
    assert same(found.state)
    assert found.notes == (f"prefix {prefix!r} taken off the names of the weights",)


@pytest.mark.parametrize("part", ["model.", "backbone.", "net.", "module."])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "backbone."])
def test_parts_of_the_network_keep_their_names(part, prefix):
    own = named(part)
    assert fitted(named(prefix, own), own).state.keys() == own.keys()


def test_parts_inside_and_outside_a_prefix():
    """A script may call the trunk "backbone" and put its head beside it."""
    state = {"backbone.conv.weight": OWN["conv.weight"], "fc.weight": OWN["fc.weight"]}
    assert same(fitted(state, OWN).state)
    own = {"backbone.conv.weight": OWN["conv.weight"], "conv.weight": OWN["fc.weight"]}
    assert same(fitted(named("model.", own), own).state, own)
    assert same(fitted(named("backbone.", own), own).state, own)


@pytest.mark.parametrize("wrapper", ["_orig_mod.", "module.", "module._orig_mod."])
@pytest.mark.parametrize("prefix", ["", "model."])
def test_wrappers_of_single_parts_are_taken_out_with_a_note(prefix, wrapper):
    own = {"backbone.conv.weight": OWN["conv.weight"], "fc.weight": OWN["fc.weight"]}
    state = {
        f"{prefix}backbone.{wrapper}conv.weight": OWN["conv.weight"],
        f"{prefix}fc.weight": OWN["fc.weight"],
    }
    found = fitted(state, own)
    assert same(found.state, own)
    assert found.notes[-1].startswith("wrappers of single parts")


def test_a_prefix_that_only_the_network_has_is_put_before():
    """A wrapper in Python around a network that was trained without it."""
    found = fitted(OWN, named("network."))
    assert found.state.keys() == named("network.").keys()
    assert found.notes == ("prefix 'network.' put before the names of the weights",)


@pytest.mark.parametrize("prefix", ["", "model.", "module.model."])
def test_counters_and_losses_are_left_out_with_a_note(prefix):
    beside = {"n_averaged": torch.tensor(3), f"{prefix}criterion.weight": torch.ones(2)}
    found = fitted({**named(prefix), **beside}, OWN)
    assert same(found.state)
    assert found.notes[-1] == f"left out of the weights: {prefix}criterion.weight, n_averaged"


def test_what_the_network_has_is_not_left_out():
    own = {**OWN, "criterion.weight": torch.ones(2)}
    assert same(fitted(named("model.", own), own).state, own)


def test_anything_else_beside_is_kept_and_so_refused():
    state = {**named("model."), "head.weight": torch.ones(2)}
    assert fitted(state, OWN).state.keys() == {*OWN, "head.weight"}


@pytest.mark.parametrize("averaged", ["ema_model.module.", "model_ema.", "ema."])
def test_averaged_weights_among_raw_ones_are_taken(averaged):
    other = {name: values + 1 for name, values in OWN.items()}
    found = fitted({**named("model.", other), **named(averaged)}, OWN)
    assert same(found.state)
    assert found.notes == (
        f"averaged weights (EMA) taken, those whose names begin with {averaged!r}",
        "left out of the weights: model.conv.weight, model.fc.weight",
    )


def test_a_part_of_the_network_may_be_called_ema():
    own = {**OWN, "ema.weight": torch.ones(1)}
    assert same(fitted(own, own).state, own)
    assert same(fitted(named("module.", own), own).state, own)


def test_names_of_another_kind_lose_what_all_of_them_have():
    state = {"module.first": torch.ones(1), "module.second": torch.ones(1)}
    assert fitted(state, OWN).state.keys() == {"first", "second"}


def small(classes: int = 5, head: nn.Module | None = None) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            first=nn.Conv2d(3, 8, 4, 4),
            norm=nn.BatchNorm2d(8),
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            fc=head or nn.Linear(8, classes),
        )
    ).eval()


def load(tmp_path, state, module=None, **options):
    torch.save(state, tmp_path / "w.pth")
    return load_classifier(
        module or small(), weights=tmp_path / "w.pth", **{"window": 16, **options}
    )


class TestWhatDoesNotFit:
    def test_says_which_prefix_was_taken_off(self, tmp_path):
        state = named("module.", small().state_dict())
        state["module.first.weight"] = torch.zeros(8, 1, 4, 4)
        message = (
            r"w\.pth, without the prefix 'module\.', does not fit Sequential: first\.weight is "
            r"\(8, 3, 4, 4\) in the network and \(8, 1, 4, 4\) in the weights; 1 of 9 tensors"
        )
        with pytest.raises(ModelError, match=message):
            load(tmp_path, state)

    def test_says_which_key_was_chosen(self, tmp_path):
        held = {"model": small().state_dict(), "ema": {"first.bias": torch.zeros(3)}}
        with pytest.raises(ModelError, match=r"w\.pth \(ema\) does not fit"):
            load(tmp_path, held)

    @pytest.mark.parametrize(
        ("head", "part"),
        [
            (nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 5)), r"fc\.0\.weight"),
            (nn.Linear(8, 3), r"\(3, 8\) in the weights"),
        ],
    )
    def test_a_replaced_head(self, tmp_path, head, part):
        message = (
            rf"fc\.weight is \(5, 8\) in the network.*{part}.*: the head was replaced: build that "
            "network in a function of yours and give it as model='package.module:factory'"
        )
        with pytest.raises(ModelError, match=message):
            load(tmp_path, small(head=head).state_dict())

    def test_a_replaced_head_of_a_network_by_name(self, tmp_path):
        trained = torchvision_models.squeezenet1_1()
        trained.classifier[1] = nn.Sequential(nn.Conv2d(512, 8, 1), nn.Conv2d(8, 3, 1))
        with pytest.raises(ModelError, match="the head was replaced"):
            load(tmp_path, trained.state_dict(), "squeezenet1_1", window=None)

    def test_no_head(self, tmp_path):
        state = {name: v for name, v in small().state_dict().items() if "fc" not in name}
        with pytest.raises(ModelError, match="they have no head, so no classes"):
            load(tmp_path, state)

    def test_an_unknown_prefix_is_a_key(self, tmp_path):
        trained = small()
        state = {**named("student.", trained.state_dict()), "teacher.weight": torch.ones(3)}
        with pytest.raises(
            ModelError, match=r"would fit without 'student\.': use weights_key='student'"
        ):
            load(tmp_path, state)
        found = load(tmp_path, state, weights_key="student")
        assert torch.equal(found.module.fc.weight, trained.fc.weight)

    def test_another_network(self, tmp_path):
        with pytest.raises(ModelError, match="name the network that the weights were trained in"):
            load(tmp_path, torchvision_models.squeezenet1_1().state_dict())


class Positions(nn.Module):
    """Learnt positions for one window, as a vision transformer has."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.patches, self.head = nn.Conv2d(3, 4, 8, 8), nn.Linear(4, 2)
        self.pos_embed = nn.Parameter(torch.zeros(1, 4, side, side))
        self.default_cfg = {"input_size": (3, 8 * side, 8 * side)}

    def forward(self, photos):
        return self.head((self.patches(photos) + self.pos_embed).mean((2, 3)))


class TestAnotherWindow:
    def test_asked_of_a_network_for_one_window(self):
        with pytest.raises(
            ModelError,
            match="does not take a window of 24 px, it was made for 16 px: leave window out",
        ):
            load_classifier(Positions(2).eval(), window=24)
        with pytest.raises(ModelError, match="does not take a window of 2 px: "):
            load_classifier(small(), window=2)

    @pytest.mark.parametrize("classes", [2, 5])
    def test_of_the_weights(self, tmp_path, classes):
        trained = Positions(3)
        trained.head = nn.Linear(4, classes)
        with pytest.raises(
            ModelError, match="their position embedding is of another window: build that network"
        ):
            load(tmp_path, trained.state_dict(), Positions(2).eval(), window=None)
