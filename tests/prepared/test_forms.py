"""When a network is prepared, which backend scores with it, and when a kept one is not met."""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import heatmap
from heatmap import ConversionError, ModelError, Placement, ResultError, Scorer
from heatmap.prepared.store import Store
from heatmap.scoring.preparation import Preparation
from tests.support.command_line import NETWORKS
from tests.support.networks import WINDOW, heads, small_classifier
from tests.support.scoring import photo

PHOTO = photo(50, 60)


def prepare(head: str = "global pool", **options: object) -> Scorer:
    return heatmap.prepare(small_classifier(heads()[head]), window=WINDOW, **options)


def backend_of(scorer: Scorer, **options: object) -> str:
    """What scores a photo now."""
    return scorer.score(PHOTO, **options).origin.computation.backend


def key_of(scorer: Scorer) -> str:
    slides = scorer.engine == "slide"
    stride = scorer.native_stride_px if slides else None
    return Preparation(scorer.in_torch.get(), stride).key()


@pytest.fixture
def keep(write, cache):
    """Keep a network for the key of a scorer, as preparing it does, but of other weights."""

    def kept(scorer: Scorer, winner: str = "onnx") -> None:
        Store().add(key_of(scorer), write)
        Store().remember(key_of(scorer), winner)

    return kept


@pytest.fixture
def exports(monkeypatch) -> list[int | None]:
    """The strides that are written from now on; nothing can be."""
    tried = []

    def write(self: Preparation, path: Path):
        tried.append(self._stride_px)
        path.write_bytes(b"half")
        raise ConversionError("no such operation")

    monkeypatch.setattr(Preparation, "write", write)
    return tried


class TestAuto:
    def test_takes_the_kept_network_where_it_won(self, keep):
        keep(prepare())
        scorer = prepare()
        assert (backend_of(scorer), scorer.unprepared) == ("onnx", [])

    def test_takes_torch_where_torch_won(self, keep):
        keep(prepare(), "torch")
        scorer = prepare()
        assert (backend_of(scorer), scorer.unprepared) == ("torch", [])
        assert backend_of(prepare(backend="onnx")) == "onnx"

    def test_takes_torch_where_that_is_insisted_on(self, keep):
        keep(prepare())
        scorer = prepare(backend="torch")
        assert (backend_of(scorer), scorer.unprepared, scorer.keep()) == ("torch", [], False)

    def test_prepares_only_what_was_scored(self, cache, exports):
        scorer = prepare()
        assert scorer.unprepared == []
        scorer.score(PHOTO, Placement(stride=2))
        assert scorer.unprepared == [2]
        scorer.keep()
        assert exports == [2]

    def test_measures_again_what_is_kept_on_another_machine(self, keep, exports):
        keep(prepare())
        for path in Store().folder.glob("winner-*"):
            path.unlink()
        scorer = prepare()
        assert (backend_of(scorer), scorer.unprepared) == ("torch", [None])
        assert scorer.keep()
        assert (exports, scorer.unprepared) == ([], [])
        assert Store().winner(key_of(scorer)) in ("torch", "onnx")

    @pytest.mark.parametrize("damaged", [True, False])
    def test_prepares_again_what_was_damaged_or_removed(self, keep, exports, damaged):
        keep(prepare())
        home = Store().folder / key_of(prepare())
        for path in home.iterdir():
            path.write_bytes(b"") if damaged else path.unlink()
        if not damaged:
            home.rmdir()
        scorer = prepare()
        assert (backend_of(scorer), scorer.unprepared) == ("torch", [None])

    def test_stays_with_torch_in_other_number_formats(self, keep):
        keep(prepare())
        scorer = prepare(dtype="bfloat16")
        assert (backend_of(scorer), scorer.unprepared) == ("torch", [])


class TestOff:
    @pytest.fixture(autouse=True)
    def _off(self, monkeypatch):
        monkeypatch.setenv("HEATMAP_CACHE", "off")

    def test_prepares_nothing_in_vain(self, exports):
        scorer = prepare()
        assert backend_of(scorer) == "torch"
        assert (scorer.unprepared, scorer.keep(), scorer.ready_at(4)) == ([], False, "torch")
        assert exports == []

    def test_prepares_for_this_process_where_that_is_insisted_on(self, write, monkeypatch):
        monkeypatch.setattr(Preparation, "write", lambda _, path: write(path))
        monkeypatch.setenv("HEATMAP_CACHE", "off")
        scorer = prepare(backend="onnx")
        assert backend_of(scorer) == "onnx"
        file = scorer.prepared_at(4).file
        assert file.exists()
        del scorer
        assert not file.exists()


class TestWhatDoesNotExport:
    MODEL = f"{NETWORKS}:attending"

    def test_is_named_in_one_line_where_onnx_is_insisted_on(self, cache):
        with pytest.raises(ModelError) as caught:
            heatmap.prepare(self.MODEL, window=WINDOW, backend="onnx")
        assert caught.value.message.startswith(f"{self.MODEL} does not run in ONNX Runtime: ")
        assert "\n" not in str(caught.value)
        assert Store().is_empty

    def test_is_scored_by_torch_and_not_tried_again(self, cache, exports):
        for _ in range(2):
            scorer = heatmap.prepare(self.MODEL, window=WINDOW)
            assert backend_of(scorer) == "torch"
            scorer.keep()
            assert (backend_of(scorer), scorer.unprepared) == ("torch", [])
            assert scorer.ready_at(scorer.native_stride_px) == "torch"
        assert exports == [None]
        assert not list(Store().folder.glob(".*"))

    def test_is_tried_again_where_it_is_insisted_on(self, cache, exports):
        scorer = prepare()
        backend_of(scorer)
        scorer.keep()
        with pytest.raises(ModelError, match="no such operation"):
            prepare(backend="onnx")
        assert exports == [4, 4]

    def test_what_cannot_even_be_recorded_is_not_tried_again(self, kept_checkpoint, monkeypatch):
        tried = []

        def fail(self: Preparation) -> str:
            tried.append(self)
            raise ConversionError("it decides by values")

        monkeypatch.setattr(Preparation, "key", fail)
        # Another window: nothing is known of it.
        for _ in range(2):
            scorer = heatmap.prepare(kept_checkpoint, window=80)
            backend_of(scorer)
            scorer.keep()
            assert (backend_of(scorer), scorer.unprepared) == ("torch", [])
        assert len(tried) == 1

    def test_module_that_cannot_be_recorded_is_left_to_torch(self, cache, monkeypatch):
        def fail(self: Preparation) -> str:
            raise ConversionError("it decides by values")

        monkeypatch.setattr(Preparation, "key", fail)
        scorer = prepare()
        assert (backend_of(scorer), scorer.unprepared, scorer.keep()) == ("torch", [], False)
        with pytest.raises(ModelError, match="it decides by values"):
            prepare(backend="onnx")


class TestFullDisk:
    @pytest.fixture(autouse=True)
    def _full(self, cache, monkeypatch):
        def write(self: Preparation, path: Path):
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(Preparation, "write", write)

    def test_keeping_says_so_and_torch_goes_on(self):
        scorer = prepare()
        backend_of(scorer)
        with pytest.raises(ResultError, match=r"Classifier .* No space left on device"):
            scorer.keep()
        assert backend_of(scorer) == "torch"
        # There may be room next time.
        assert scorer.unprepared == [None]
        assert Store().is_empty

    def test_batches_go_on_in_torch(self):
        assert prepare().ready_at(4) == "torch"

    def test_insisting_says_so(self):
        with pytest.raises(ResultError, match="No space left on device"):
            prepare(backend="onnx")


@pytest.mark.parametrize("options", [{"dtype": "bfloat16"}, {"dtype": "float16"}])
def test_onnx_runtime_computes_in_float32_only(options):
    with pytest.raises(ModelError, match=r"float32 on the CPU here, not in .*float16"):
        prepare(backend="onnx", **options)


def test_unknown_backend_is_refused():
    with pytest.raises(ModelError, match="choose one of auto, torch, onnx"):
        prepare(backend="openvino")


def test_photos_over_the_memory_limit_are_scored_by_torch_alike(kept_checkpoint):
    scorer = heatmap.prepare(kept_checkpoint)
    prepared = scorer.prepared_at(scorer.native_stride_px)
    large = photo(1400, 1000)
    needed = prepared.peak.bytes((1, *scorer.plan((1400, 1000)).extended_hw))
    assert needed > 25 * 10**6
    within, beyond = (scorer.score(large, memory=memory) for memory in (needed, 25 * 10**6))
    assert within.origin.computation.backend == "onnx"
    assert beyond.origin.computation.backend == "torch"
    largest = np.abs(beyond.scores).max()
    np.testing.assert_allclose(within.scores, beyond.scores, atol=1e-5 * largest, rtol=0)


class TestChanges:
    """What is kept is not met by anything else."""

    def test_a_checkpoint_that_is_kept_needs_no_torch(self, kept_checkpoint):
        scorer = heatmap.prepare(kept_checkpoint)
        assert backend_of(scorer) == "onnx"
        assert scorer.in_torch._held is None

    def test_a_checkpoint_is_kept_once_and_named_as_it_was_typed(self, kept_checkpoint):
        path = str(Path(kept_checkpoint).absolute())
        for name in (kept_checkpoint, path, f"./{kept_checkpoint}"):
            scorer = heatmap.prepare(name)
            grid = scorer.score(PHOTO)
            assert grid.origin.computation.backend == "onnx"
            assert scorer.facts.name == grid.origin.model == name

    @pytest.mark.few(1)
    @pytest.mark.parametrize("suffix", [".safetensors", ".json"])
    def test_a_checkpoint_trained_again_is_another(self, kept_checkpoint, suffix):
        classifier = heatmap.load_classifier(kept_checkpoint)
        if suffix == ".safetensors":
            last = [*classifier.module.parameters()][-1]
            last.data += 1.0
        else:
            classifier = replace(classifier, weights="from elsewhere")
        heatmap.save_checkpoint(classifier, kept_checkpoint, overwrite=True)
        scorer = heatmap.prepare(kept_checkpoint)
        assert (backend_of(scorer), scorer.unprepared) == ("torch", [None])

    def test_another_window_is_another(self, kept_checkpoint):
        assert backend_of(heatmap.prepare(kept_checkpoint, window=80)) == "torch"

    def test_other_class_names_are_others(self, kept_checkpoint):
        count = len(heatmap.prepare(kept_checkpoint).facts.classes)
        names = [f"name {number}" for number in range(count)]
        Path("names.txt").write_text("\n".join(names))
        scorer = heatmap.prepare(kept_checkpoint, class_names="names.txt")
        assert scorer.facts.classes.names == tuple(names)
        assert backend_of(scorer) == "torch"

    @pytest.fixture
    def factory(self, tmp_path, monkeypatch):
        """A function that prepares the network of a factory of this source."""
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)

        def prepared(source: str) -> Scorer:
            sys.modules.pop("own_factory", None)
            (tmp_path / "own_factory.py").write_text(
                "import torch\nfrom torch import nn\n"
                f"from {NETWORKS} import pooled, squeezing\ndef net():\n    {source}\n"
            )
            return heatmap.prepare("own_factory:net", window=WINDOW)

        yield prepared
        sys.modules.pop("own_factory", None)

    @pytest.mark.few(1)
    @pytest.mark.parametrize("name", ["pooled", "squeezing"])
    def test_a_factory_is_recorded_before_its_network_is_taken(self, factory, keep, name):
        same = f"return {name}()"
        keep(factory(same))
        assert factory(same).prepared_at(4) is not None
        for change in (
            "net[-1].bias.data[0] += 1",
            "net[1] = nn.ReLU6()",
            "net[0].padding_mode = 'circular'",
            "net[-1].bias = None",
        ):
            other = f"net = {name}(); {change}; return net"
            scorer = factory(other)
            assert scorer.prepared_at(4) is None, other
        assert factory(same).prepared_at(4) is not None

    def test_numbers_in_a_module_count(self, cache):
        """Not only its weights."""

        class Scaled(nn.Module):
            def __init__(self, factor: float) -> None:
                super().__init__()
                self.network, self.factor = small_classifier(heads()["global pool"]), factor

            def forward(self, photos: torch.Tensor) -> torch.Tensor:
                return self.network(photos) * self.factor

        keys = {
            key_of(heatmap.prepare(Scaled(factor), window=WINDOW)) for factor in (2.0, 2.0, 3.0)
        }
        assert len(keys) == 2

    def test_settings_count(self, cache):
        module = small_classifier(heads()["global pool"])
        keys = [
            key_of(heatmap.prepare(module, window=WINDOW, **options))
            for options in (
                {},
                {"mean": (0.1, 0.2, 0.3)},
                {"channel_order": "bgr"},
                {"activation": "sigmoid"},
                {"class_names": list("abcde")},
                {"engine": "crop"},
            )
        ]
        assert len(set(keys)) == len(keys)
