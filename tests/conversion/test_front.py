"""What stands before the first layer: channels chosen, turned or repeated, and normalisation."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn
from torchvision import transforms
from torchvision.transforms import functional, v2

import heatmap
from heatmap import ConversionError, Placement, convert
from heatmap.conversion.check import relative_difference
from tests.support.networks import WINDOW, Function, crops, small_classifier
from tests.support.scoring import photo

MEAN, STD = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]


class Chained(nn.Module):
    """Grey as torchvision makes it, three channels again, and normalised."""

    def forward(self, photos):
        return functional.normalize(functional.rgb_to_grayscale(photos, 3), MEAN, STD)


FRONTS = {
    "channels reordered": lambda x: x[:, [2, 1, 0]],
    "channels by tensor": lambda x: x[:, torch.tensor([2, 0, 1])],
    "channels by index_select": lambda x: x.index_select(1, torch.tensor([2, 1, 0])),
    "channels turned": lambda x: x.flip(1),
    "channels turned, from the end": lambda x: x.flip(-3),
    "one channel repeated": lambda x: x[:, :1].repeat(1, 3, 1, 1),
    "one channel expanded": lambda x: x[:, 1:2].expand(-1, 3, -1, -1),
    "one channel tiled": lambda x: x[:, 2:].tile(1, 3, 1, 1),
    "one channel interleaved": lambda x: x[:, :1].repeat_interleave(3, 1),
    "one channel joined": lambda x: torch.cat([x[:, :1]] * 3, 1),
    "grey by mean": lambda x: x.mean(1, keepdim=True).expand(-1, 3, -1, -1),
    "normalised by hand": lambda x: (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / 0.5,
    "functional.normalize": lambda x: functional.normalize(x, MEAN, STD),
    "transforms.Normalize": transforms.Normalize(MEAN, STD),
    "v2.Normalize": v2.Normalize(MEAN, STD),
    "grey, repeated and normalised": Chained(),
}


def module(front, padding: int = 0) -> nn.Module:
    """A function of the photo before a padding-free classifier."""
    network = small_classifier(nn.Sequential(nn.Flatten(), nn.Linear(8 * 7 * 7, 5)), padding)
    return Function(lambda x, f: f["network"](front(x)), network=network).eval()


def logged(caplog) -> list[logging.LogRecord]:
    """What a library logged; torch's trace for its own programs reaches no one else."""
    return [record for record in caplog.records if record.name != "torch.__trace"]


@pytest.mark.few(5)
@pytest.mark.parametrize("name", FRONTS)
def test_sliding_without_padding_equals_the_original_on_crops(name, caplog, capfd):
    before = module(FRONTS[name])
    photos = torch.randn(1, 3, 44, 36, generator=torch.Generator().manual_seed(3))
    network = convert(before, WINDOW, stride=2)
    with torch.inference_mode():
        found, expected = network(photos)[..., ::2, ::2], crops(before, photos)
    assert not network.padded
    assert relative_difference(found, expected) < 1e-5
    assert logged(caplog) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "name",
    [
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("channels turned", "v2.Normalize")
        ),
        "one channel expanded",
    ],
)
def test_a_photo_in_bands_has_the_scores_of_its_windows(name):
    before, pixels = module(FRONTS[name]), photo(120, 60)
    slid = heatmap.prepare(before, window=WINDOW).score(pixels, Placement(stride=2))
    cropped = heatmap.prepare(before, window=WINDOW, engine="crop")
    expected = cropped.score(pixels, Placement(stride=2))
    assert slid.origin.engine == "slide"
    assert slid.origin.notes == ()
    difference = torch.tensor(slid.scores - expected.scores).abs().max()
    assert difference < 1e-5 * abs(expected.scores).max()


REFUSED = {
    "photo mirrored": (lambda x: x.flip(3), "it mirrors positions"),
    "rows by number": (lambda x: x[:, :, torch.arange(31, -1, -1)], "picks positions by number"),
    "rows repeated": (lambda x: x[:, :, :16].repeat(1, 1, 2, 1), "repeats positions"),
    "decided by the photo": (
        lambda x: x / 255 if x.max() > 1 else x,
        "it decides by values of the photo what to compute",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_moves_positions_or_decides_by_values_is_refused(name, caplog, capfd):
    front, reason = REFUSED[name]
    with pytest.raises(ConversionError, match=reason) as caught:
        convert(module(front), WINDOW, statistics="whole")
    assert "\n" not in str(caught.value)
    # Nor does torch say anything.
    assert logged(caplog) == []
    assert capfd.readouterr() == ("", "")
    assert logging.root.manager.disable == logging.NOTSET


@pytest.mark.parametrize(
    "front", [nn.Identity(), transforms.Normalize(MEAN, STD), lambda x: x.flip(1)]
)
def test_a_photo_that_is_only_normalised_is_no_feature_map(front):
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * WINDOW**2, 5))
    before = Function(lambda x, f: f["flat"](front(x)), flat=flat).eval()
    with pytest.raises(ConversionError, match="flattens the photo itself"):
        convert(before, WINDOW)


def test_a_network_of_one_channel_may_repeat_it():
    before = module(lambda x: x.repeat(1, 3, 1, 1))
    assert convert(before, WINDOW).channels == 1
