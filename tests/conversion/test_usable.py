"""Networks as people have them: what they give, what they take, and in which precision."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import heatmap
from heatmap import ConversionError, ModelError, convert, load_classifier
from heatmap.conversion.check import relative_difference
from tests.support.networks import WINDOW, Function, heads, small_classifier
from tests.support.scoring import photo

Both = namedtuple("Both", ["logits", "features"])


class Gives(nn.Module):
    """A classifier whose output is made into something else."""

    def __init__(self, made=lambda scores: scores) -> None:
        super().__init__()
        self.network = small_classifier(heads()["global pool"])
        self.made = made

    def forward(self, photos):
        return self.made(self.network(photos))


TAKEN = {
    ".logits": lambda scores: SimpleNamespace(logits=scores, hidden=scores[:, :1]),
    "a named tuple with logits": lambda scores: Both(scores, scores * 2),
    "key logits": lambda scores: {"features": scores * 2, "logits": scores},
    "key out": lambda scores: OrderedDict(out=scores, aux=scores * 2),
    "tuple of one": lambda scores: (scores,),
    "list of one": lambda scores: [scores],
}


@pytest.mark.few(3)
@pytest.mark.parametrize("made", TAKEN.values(), ids=TAKEN)
def test_scores_are_taken_from_what_a_network_gives(made):
    module = Gives(made)
    noise = torch.randn(1, 3, WINDOW, WINDOW, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = module.network(noise)
        assert torch.equal(load_classifier(module, window=WINDOW).module(noise), expected)
        assert relative_difference(convert(module, WINDOW)(noise)[:, :, 0, 0], expected) < 1e-5


@pytest.mark.parametrize("engine", ["slide", "crop"])
def test_photos_are_scored_as_by_a_network_that_gives_them_alone(engine):
    module, pixels = Gives(TAKEN[".logits"]), photo(40, 44)
    found = heatmap.prepare(module, window=WINDOW, engine=engine).score(pixels)
    alone = heatmap.prepare(module.network, window=WINDOW, engine=engine).score(pixels)
    assert (found.scores == alone.scores).all()


def test_names_of_weights_are_the_networks_own():
    """Checkpoints and digests know nothing of what picks the scores."""
    module = Gives(TAKEN["key out"])
    found = load_classifier(module, window=WINDOW)
    assert found.module is not module
    assert found.module.state_dict().keys() == module.state_dict().keys()
    assert found.weights_digest == load_classifier(Gives(), window=WINDOW).weights_digest
    found.module.load_state_dict(module.state_dict())


def test_a_checkpoint_of_a_network_that_gives_more_is_read_again(tmp_path, monkeypatch):
    code = "from tests.conversion.test_usable import TAKEN, Gives\n"
    (tmp_path / "gives_more.py").write_text(f"{code}def make(): return Gives(TAKEN['key out'])\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    made = load_classifier("gives_more:make", window=WINDOW)
    path = heatmap.save_checkpoint(made, tmp_path / "a.safetensors")
    read = load_classifier(path, architecture="gives_more:make")
    assert read.weights_digest == made.weights_digest
    noise = torch.randn(1, 3, WINDOW, WINDOW, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(read.module(noise), made.module(noise))


REFUSED = {
    "tuple of two": (
        lambda scores: (scores * 2, scores),
        "a tuple of 2 for one window, not one tensor (1, K): write `class Scores(Gives):`, "
        "`def forward(self, photo):`, `return super().forward(photo)[0]` and give Scores",
    ),
    "features first": (
        lambda scores: (scores[0], scores),
        "`return super().forward(photo)[1]`",
    ),
    "other keys": (
        lambda scores: {"loss": scores.sum(), "scores": scores},
        "a dictionary of loss, scores for one window, not one tensor (1, K): write `class "
        "Scores(Gives):`, `def forward(self, photo):`, `return super().forward(photo)['scores']`",
    ),
    "attribute": (
        lambda scores: SimpleNamespace(loss=None, classes=scores),
        "SimpleNamespace for one window, not one tensor (1, K): write `class Scores(Gives):`, "
        "`def forward(self, photo):`, `return super().forward(photo).classes`",
    ),
    "map of scores": (
        lambda scores: scores[:, :, None, None],
        "(1, 5, 1, 1) for one window, not one tensor (1, K): write `class Scores(Gives):`, "
        "`def forward(self, photo):`, `return super().forward(photo).mean((2, 3))`",
    ),
    "batch squeezed": (lambda scores: scores[0], "`return super().forward(photo)[None]`"),
    "nested": (lambda scores: {"out": (scores,)}, "a dictionary of out"),
    "nothing": (lambda scores: None, "NoneType for one window"),
    "empty": (lambda scores: (), "a tuple of 0"),
}


@pytest.mark.parametrize(("made", "message"), REFUSED.values(), ids=REFUSED)
def test_all_else_is_refused_in_one_line_with_a_wrapper_to_write(made, message):
    module = Gives(made)
    with pytest.raises(ModelError) as at_loading:
        load_classifier(module, window=WINDOW)
    with pytest.raises(ConversionError) as at_conversion:
        convert(module, WINDOW)
    assert str(at_loading.value) == str(at_conversion.value)
    assert message in str(at_loading.value)
    assert "\n" not in str(at_loading.value)


def test_the_wrapper_that_the_line_shows_works():
    class Scores(Gives):
        def forward(self, photo):
            return super().forward(photo)[0]

    module = Scores(lambda scores: (scores, scores * 2))
    assert len(load_classifier(module, window=WINDOW).classes) == 5


@pytest.mark.few(1)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32_copies(dtype):
    module = small_classifier(heads()["global pool"]).to(dtype)
    found = load_classifier(module, window=WINDOW)
    network = convert(module, WINDOW)
    for tensor in (*found.module.parameters(), *network.parameters()):
        assert tensor.dtype == torch.float32
    assert {tensor.dtype for tensor in module.parameters()} == {dtype}
    weights = dict(module.named_parameters())
    for name, tensor in found.module.named_parameters():
        assert torch.equal(tensor, weights[name].float())
    assert heatmap.prepare(module, window=WINDOW).score(photo(40, 44)).scores.std() > 0


class TestKinds:
    def test_torchscript_is_cropped_and_does_not_convert(self):
        module = small_classifier(heads()["global pool"])
        script = torch.jit.trace(module, torch.zeros(1, 3, WINDOW, WINDOW))
        scorer = heatmap.prepare(script, window=WINDOW)
        assert (scorer.engine, scorer.sliding) == ("crop", "refused")
        assert scorer.why_not.startswith("TorchScript has no layers that can be read: give")
        with pytest.raises(ConversionError, match="TorchScript has no layers"):
            convert(script, WINDOW)

    def test_frozen_torchscript_is_refused(self):
        module = small_classifier(heads()["global pool"])
        script = torch.jit.trace(module, torch.zeros(1, 3, WINDOW, WINDOW))
        self.refused(torch.jit.freeze(script), "is frozen TorchScript, without weights: give")

    def test_a_quantized_network_is_refused_by_its_layer(self):
        class QuantizedLinear(nn.Linear):
            __module__ = "torch.ao.nn.quantized.dynamic.modules.linear"

        module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), QuantizedLinear(3, 2)).eval()
        self.refused(
            module, r"Sequential is quantized \(2 is a QuantizedLinear\): give the network"
        )

    def refused(self, module: nn.Module, message: str) -> None:
        with pytest.raises(ModelError, match=message) as caught:
            load_classifier(module, window=WINDOW)
        assert "\n" not in str(caught.value)
        with pytest.raises(ConversionError, match=message):
            convert(module, WINDOW)

    def test_a_network_without_values_is_refused_where_it_would_score(self):
        module = small_classifier(heads()["global pool"]).to("meta")
        message = 'Classifier is on the "meta" device, without weights: call its to_empty'
        with pytest.raises(ModelError, match=message):
            load_classifier(module, window=WINDOW)
        assert convert(module, WINDOW).classes == 5


def grey(channels: int = 1) -> nn.Module:
    module = small_classifier(heads()["global pool"])
    first = module.trunk[0]
    module.trunk[0] = nn.Conv2d(channels, first.out_channels, 3, stride=2, padding=1)
    return module.eval()


class TestChannels:
    def test_a_network_of_one_channel_gets_the_grey_photo(self):
        torch.manual_seed(0)
        module, pixels = grey(), photo(48, 56)
        scorer = heatmap.prepare(module, window=WINDOW)
        assert scorer.engine == "slide"
        assert scorer.classifier.preprocessing.channels == scorer.network.channels == 1
        # Luma, as a network of three channels would weigh them itself.
        weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
        colour = Function(lambda x, f: f["grey"]((x * weights).sum(1, True)), grey=module)
        mean, std = (
            scorer.classifier.preprocessing.mean * 3,
            scorer.classifier.preprocessing.std * 3,
        )
        expected = heatmap.prepare(colour, window=WINDOW, mean=mean, std=std).score(pixels).scores
        # Grey is rounded to 8 bits.
        found = scorer.score(pixels).scores
        assert expected.std(axis=(0, 1)).max() > 0.01
        assert abs(found - expected).max() < 0.01 * abs(expected).max()

    @pytest.mark.slow
    @pytest.mark.parametrize("to", ["torch", "onnx"])
    def test_it_is_adapted_and_exported_for_one_channel(self, tmp_path, to):
        adapted = heatmap.adapt(load_classifier(grey(), window=WINDOW), num_classes=3)
        assert adapted.preprocessing.channels == 1
        path = tmp_path / {"torch": "a.pt2", "onnx": "a.onnx"}[to]
        program = heatmap.export(adapted, path, to=to)
        assert program.facts["input"].startswith("photos: float32 (B, 1, H, W), (grey / 255 - mean")
        assert [check.photos[1] for check in program.checks] == [1, 1]

    def test_its_mean_and_std_are_those_of_imagenet_in_grey(self):
        own = load_classifier(grey(), window=WINDOW).preprocessing
        assert own.mean == pytest.approx((0.299 * 0.485 + 0.587 * 0.456 + 0.114 * 0.406,))
        assert own.std == pytest.approx((0.299 * 0.229 + 0.587 * 0.224 + 0.114 * 0.225,))

    def test_or_one_number_each(self):
        own = load_classifier(grey(), window=WINDOW, mean=(0.5,), std=(0.25,)).preprocessing
        assert (own.mean, own.std) == ((0.5,), (0.25,))
        own = load_classifier(grey(), window=WINDOW, mean=(0.5,)).preprocessing
        assert own.std == pytest.approx((0.299 * 0.229 + 0.587 * 0.224 + 0.114 * 0.225,))

    @pytest.mark.parametrize(("channels", "mean"), [(1, (0.5, 0.5, 0.5)), (3, (0.5,))])
    def test_mean_and_std_for_other_channels_are_refused(self, channels, mean):
        with pytest.raises(ModelError, match=f"takes {channels}: give one number each in mean"):
            load_classifier(grey(channels), window=WINDOW, mean=mean)

    @pytest.mark.parametrize("channels", [2, 4, 12])
    def test_other_numbers_of_channels_are_refused(self, channels):
        message = (
            rf"takes {channels} channels, photos have 3, or 1 in grey: put a layer before it that "
            rf"makes them, such as nn.Conv2d\(3, {channels}, 1\)"
        )
        with pytest.raises(ModelError, match=message):
            load_classifier(grey(channels), window=WINDOW)
        with pytest.raises(ConversionError, match=message):
            convert(grey(channels), WINDOW)


@pytest.mark.parametrize("window", [(32, 48), [48, 32]])
def test_windows_that_are_not_square_are_refused_everywhere(window):
    module = small_classifier(heads()["global pool"])
    message = rf"window is {window[1]} x {window[0]} px: only square windows are scored: give one"
    for refuse in (
        lambda: convert(module, window),
        lambda: load_classifier(module, window=window),
        lambda: heatmap.prepare(module, window=window),
        lambda: heatmap.adapt(load_classifier(module, window=32), window=window, num_classes=2),
    ):
        with pytest.raises(heatmap.HeatmapError, match=message):
            refuse()


def test_a_square_window_may_be_written_as_two_sides():
    module = small_classifier(heads()["global pool"])
    assert convert(module, (32, 32)).window_px == 32
    assert load_classifier(module, window=(32, 32)).preprocessing.window_px == 32


def test_a_window_that_a_network_carries_is_not_cut_to_a_square():
    module = small_classifier(heads()["global pool"])
    module.pretrained_cfg = {"input_size": (3, 32, 48)}
    with pytest.raises(ModelError, match="window is 48 x 32 px: only square windows"):
        load_classifier(module)
    assert load_classifier(module, window=48).preprocessing.window_px == 48
