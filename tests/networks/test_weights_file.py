"""Files of weights as training scripts leave them: read without running code, or refused."""

from __future__ import annotations

import argparse
import builtins
import collections
import copy
import functools
import os
import pathlib
import warnings
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from heatmap import load_classifier
from heatmap.errors import ModelError
from heatmap.networks.weights_file import read_weights
from tests.support.networks import small_classifier

WINDOW = 32


def network(seed: int = 0) -> nn.Module:
    noise = torch.Generator().manual_seed(seed)
    module = small_classifier(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)))
    module.head[2].bias.data = torch.randn(5, generator=noise)
    return module


WANTED, OTHER = network(1), network(2)


def bias_of(loaded) -> torch.Tensor:
    return loaded.module.head[2].bias


def loaded(path, **options):
    return load_classifier(network(), weights=path, window=WINDOW, **options)


def saved(path, held, **options):
    torch.save(held, path, **options)
    return path


class Reduced:
    """Something that unpickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


BESIDE = {
    "a namespace": argparse.Namespace(lr=0.1, output=pathlib.Path("runs")),
    "a numpy scalar": np.float64(0.5),
    "a numpy truth value": np.bool_(True),
    "an array": np.arange(3),
    "an array of objects": np.array([None, "a"], dtype=object),
    "the state of a generator": np.random.RandomState(0).get_state(),
    "a path": pathlib.Path("runs") / "best",
    "a path of Windows": Reduced(pathlib.WindowsPath, "C:\\", "runs"),
    "a pure path": pathlib.PureWindowsPath("C:/runs"),
    "an ordered dictionary": collections.OrderedDict(epoch=3),
    "a dictionary with a default": collections.defaultdict(list, loss=[0.1]),
    "one that counts": collections.defaultdict(int, {"seen": 3}),
    "dictionaries in it": {"args": {"paths": [pathlib.Path("a")], "best": np.float32(1)}},
}


class TestTrainingCheckpoints:
    @pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE.keys())
    def test_load_with_what_lies_beside_the_weights(self, tmp_path, beside):
        path = saved(tmp_path / "w.pth", {"model": WANTED.state_dict(), "beside": beside})
        assert torch.equal(bias_of(loaded(path)), WANTED.head[2].bias)

    def test_load_in_the_form_before_zip_files(self, tmp_path):
        held = {"model": WANTED.state_dict(), "args": BESIDE["a namespace"]}
        path = saved(tmp_path / "w.pth", held, _use_new_zipfile_serialization=False)
        assert torch.equal(bias_of(loaded(path)), WANTED.head[2].bias)

    @pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
    def test_load_under_the_names_of_every_numpy(self, tmp_path, core):
        made = saved(tmp_path / "made.pth", {"model": WANTED.state_dict(), "best": np.float64(1)})
        with zipfile.ZipFile(made) as old, zipfile.ZipFile(tmp_path / "w.pth", "w") as new:
            for name in old.namelist():
                content = old.read(name)
                if name.endswith("data.pkl"):
                    assert b"numpy._core.multiarray" in content
                    content = content.replace(b"numpy._core", core.encode())
                new.writestr(name, content)
        assert torch.equal(bias_of(loaded(tmp_path / "w.pth")), WANTED.head[2].bias)

    @pytest.mark.parametrize(
        "key",
        [
            *("state_dict", "model", "model_state_dict", "net", "params", "weights", "module"),
            *("network", "model.state_dict", "net.params"),
        ],
    )
    def test_load_from_every_usual_key(self, tmp_path, key):
        held = WANTED.state_dict()
        for part in reversed(key.split(".")):
            held = {part: held, "epoch": 3}
        found = loaded(saved(tmp_path / "w.pth", held))
        assert torch.equal(bias_of(found), WANTED.head[2].bias)
        assert found.notes == ()

    def test_that_hold_themselves_are_read_to_an_end(self, tmp_path):
        held = {"epoch": 3}
        held["model"] = held
        for _ in range(60):
            held = {"a": held, "b": held}
        with pytest.raises(ModelError, match="not a named tensor"):
            read_weights(saved(tmp_path / "w.pth", held))

    def test_that_hold_only_other_weights_say_which(self, tmp_path):
        path = saved(tmp_path / "w.pth", {"student": WANTED.state_dict(), "epoch": 3})
        with pytest.raises(ModelError, match="has weights under 'student': use weights_key"):
            loaded(path)
        assert torch.equal(bias_of(loaded(path, weights_key="student")), WANTED.head[2].bias)


class TestAveragedWeights:
    @pytest.mark.parametrize(
        ("averaged", "raw"),
        [
            ("state_dict_ema", "state_dict"),
            ("model_ema", "model"),
            ("ema", "model"),
            ("ema_state_dict", "state_dict"),
            ("params_ema", "params"),
        ],
    )
    def test_are_preferred_with_a_note(self, tmp_path, averaged, raw):
        held = {raw: OTHER.state_dict(), averaged: WANTED.state_dict(), "epoch": 3}
        found = loaded(saved(tmp_path / "w.pth", held))
        assert torch.equal(bias_of(found), WANTED.head[2].bias)
        assert found.weights == f"file w.pth ({averaged})"
        assert found.notes == (
            f"averaged weights (EMA) taken from {averaged!r}, those in {raw!r} left aside",
        )
        chosen = loaded(tmp_path / "w.pth", weights_key=raw)
        assert torch.equal(bias_of(chosen), OTHER.head[2].bias)
        assert (chosen.weights, chosen.notes) == (f"file w.pth ({raw})", ())

    def test_come_in_the_order_of_timm(self, tmp_path):
        held = {"model_ema": OTHER.state_dict(), "state_dict_ema": WANTED.state_dict()}
        assert torch.equal(bias_of(loaded(saved(tmp_path / "w.pth", held))), WANTED.head[2].bias)

    def test_that_are_none_are_passed_over(self, tmp_path):
        held = {"state_dict": WANTED.state_dict(), "state_dict_ema": None, "ema_decay": 0.9}
        found = loaded(saved(tmp_path / "w.pth", held))
        assert torch.equal(bias_of(found), WANTED.head[2].bias)
        assert found.notes == ()

    def test_of_pytorch_itself(self, tmp_path):
        average = AveragedModel(WANTED)
        found = loaded(saved(tmp_path / "w.pth", average.state_dict()))
        assert torch.equal(bias_of(found), WANTED.head[2].bias)
        assert found.notes == (
            "prefix 'module.' taken off the names of the weights",
            "left out of the weights: n_averaged",
        )

    def test_under_an_unknown_key_there_are_those_listed(self, tmp_path):
        held = {"model": OTHER.state_dict(), "ema": {"module": WANTED.state_dict()}}
        path = saved(tmp_path / "w.pth", held)
        with pytest.raises(
            ModelError, match=r"no weights under 'teacher': there are 'model', 'ema\.module'$"
        ):
            loaded(path, weights_key="teacher")
        assert torch.equal(bias_of(loaded(path, weights_key="ema")), WANTED.head[2].bias)

    def test_a_key_needs_a_file_that_has_keys(self, tmp_path):
        save_file(WANTED.state_dict(), tmp_path / "w.safetensors")
        with pytest.raises(ModelError, match="under 'ema': they lie under none"):
            loaded(tmp_path / "w.safetensors", weights_key="ema")
        for weights in ("default", "random"):
            with pytest.raises(ModelError, match=f"weights are {weights}, not a file with keys"):
                load_classifier("squeezenet1_1", weights=weights, weights_key="ema")


class TestNoFileRunsCode:
    """A file may name anything; the marker shows that nothing of it was called."""

    @pytest.fixture
    def marker(self, tmp_path):
        path = tmp_path / "ran"
        yield path
        assert not path.exists()

    def refused(self, tmp_path, beside, match="could run code"):
        path = saved(tmp_path / "w.pth", {"model": WANTED.state_dict(), "beside": beside})
        with pytest.raises(ModelError, match=match):
            loaded(path)

    def test_calls(self, tmp_path, marker):
        text = f"open({str(marker)!r}, 'w')"
        for call in (
            Reduced(os.system, f"touch {marker}"),
            Reduced(builtins.eval, text),
            Reduced(builtins.exec, text),
            Reduced(os.mkdir, str(marker)),
            Reduced(getattr, "text", "upper"),
            Reduced(functools.partial, os.mkdir, str(marker)),
        ):
            self.refused(tmp_path, call)

    def test_defaults(self, tmp_path, marker):
        for default in (os.getcwd, functools.partial(os.mkdir, str(marker)), network):
            self.refused(tmp_path, collections.defaultdict(default, a=1))

    def test_calls_within_what_is_allowed(self, tmp_path, marker):
        call = Reduced(os.mkdir, str(marker))
        for around in (
            argparse.Namespace(a=call),
            np.array([call], dtype=object),
            collections.OrderedDict(a=call),
            collections.defaultdict(list, a=call),
            Reduced(pathlib.PurePosixPath, call),
        ):
            self.refused(tmp_path, around)

    def test_what_is_allowed_is_never_built(self, tmp_path):
        """Whatever it is called with: states, slots, sizes of many terabytes."""
        held = {
            "model": WANTED.state_dict(),
            "a": Reduced(argparse.Namespace, 1, 2, 3),
            "b": Reduced(np.ndarray, (1 << 45,)),
            "c": Reduced(np.dtype, {"names": "no dtype"}),
            "d": Reduced(collections.defaultdict, 5, 6),
            "e": Reduced(pathlib.PurePosixPath, 5),
            "f": Reduced(list, 5),
        }
        path = saved(tmp_path / "w.pth", held)
        assert torch.equal(bias_of(loaded(path)), WANTED.head[2].bias)

    def test_classes_of_others(self, tmp_path):
        self.refused(tmp_path, WANTED, match="holds .*, not only weights")

    def test_what_was_allowed_is_not_for_the_rest_of_the_program(self, tmp_path):
        before = set(torch.serialization.get_safe_globals())
        path = saved(tmp_path / "w.pth", {"model": WANTED.state_dict(), "a": BESIDE["a namespace"]})
        loaded(path)
        assert set(torch.serialization.get_safe_globals()) == before
        with pytest.raises(Exception, match="Namespace"):
            torch.load(path, weights_only=True)


class TestProgramsAndAddresses:
    @pytest.fixture
    def torchscript(self, tmp_path):
        path = tmp_path / "net.pt"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.trace(network(), torch.zeros(1, 3, WINDOW, WINDOW)).save(path)
        return path

    def test_torchscript_is_a_program_not_weights(self, torchscript, recwarn):
        for load in (loaded, load_classifier):
            with pytest.raises(
                ModelError, match=r"net\.pt is a program \(TorchScript\).*state_dict\(\)"
            ):
                load(torchscript)
        assert not recwarn.list

    def test_exported_programs_too(self, tmp_path):
        path = tmp_path / "net.pt2"
        exported = torch.export.export(nn.Linear(2, 2), (torch.zeros(1, 2),))
        torch.export.save(exported, path)
        for load in (loaded, load_classifier):
            with pytest.raises(ModelError, match=r"net\.pt2 is a program \(torch\.export\)"):
                load(path)

    @pytest.mark.parametrize("give", ["model", "weights"])
    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("https://host/w.pth", "an address"),
            ("s3://bucket/w.safetensors", "an address"),
            ("file:///w.pth", "an address"),
            ("hf_hub:someone/net", "a name on a hub"),
            ("hf-hub:someone/net", "a name on a hub"),
            ("timm/hf_hub:someone/net", "a name on a hub"),
            ("local-dir:/net", "a name on a hub"),
            ("hf_hub:timm/resnet18.a1_in1k", r"use model='timm/resnet18\.a1_in1k'"),
        ],
    )
    def test_nothing_is_fetched_from_elsewhere(self, give, name, message):
        load = load_classifier if give == "model" else loaded
        with pytest.raises(ModelError, match=message) as caught:
            load(name)
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)

    def test_paths_are_no_addresses(self, tmp_path):
        with pytest.raises(ModelError, match="no such weights file"):
            loaded("C:/w.pth")
        (tmp_path / "hub").mkdir()
        path = saved(tmp_path / "hub" / "w.pth", WANTED.state_dict())
        assert loaded(path).weights == "file w.pth"


def test_the_given_module_stays_as_it_was(tmp_path):
    given = network()
    before = copy.deepcopy(given.state_dict())
    path = saved(tmp_path / "w.pth", {"model": WANTED.state_dict()})
    load_classifier(given, weights=path, window=WINDOW)
    assert all(torch.equal(before[name], now) for name, now in given.state_dict().items())
