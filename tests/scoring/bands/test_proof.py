"""Every network is tried once in bands; one that gives other scores there is scored in one pass."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import heatmap
from heatmap import Placement
from heatmap.conversion.check import relative_difference
from heatmap.networks.tensors import photo_tensor
from heatmap.scoring import network_cache
from heatmap.scoring.bands import operations, proof
from heatmap.scoring.bands import receptive_field as fields
from heatmap.scoring.bands.proof import largest_difference, prove_bands
from heatmap.scoring.bands.receptive_field import NotInBands, ReceptiveField, links_of
from tests.support.band_networks import FEW_CASES, WINDOW, Network, converted, stem
from tests.support.networks import randomise
from tests.support.scoring import photo

OWN = heatmap.load_classifier(nn.Sequential(nn.Conv2d(3, 1, 1), nn.Flatten()), window=1)


@pytest.mark.parametrize(("name", "k"), FEW_CASES)
def test_networks_that_can_be_cut_are_proven(name, k):
    assert prove_bands(converted(name, k), OWN.preprocessing) == ""


def enlarged(factor, mode: str) -> nn.Module:
    """A map enlarged by a factor and made smaller again, between two others."""

    def function(photos, at):
        maps = functional.interpolate(at["stem"](photos), scale_factor=factor, mode=mode)
        down, across = factor if isinstance(factor, tuple) else (factor, factor)
        return at["last"](functional.max_pool2d(maps, (down, across))).relu()

    torch.manual_seed(0)
    network = Network(function, 8, stem=stem(4), last=nn.Conv2d(8, 8, 3, stride=2, padding=1))
    return randomise(network, WINDOW)


@pytest.mark.few(4)
@pytest.mark.parametrize("factor", [1, (1, 2), (2, 1), (1, 4), 2])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_enlarging_by_any_factor_is_the_same_in_bands(factor, mode):
    network = heatmap.convert(enlarged(factor, mode), WINDOW)
    tensor = network.whole_windows(photo_tensor(photo(200, 90), OWN.preprocessing))
    with torch.inference_mode():
        assert largest_difference(network.trunk, tensor) < 1e-5


def test_bilinear_enlarging_by_one_gives_a_photo_the_scores_of_its_crops():
    module = Network(
        lambda x, f: functional.interpolate(f["conv"](x), scale_factor=1, mode="bilinear"),
        8,
        conv=nn.Conv2d(3, 8, 3, stride=4),
    )
    grids = [
        heatmap.prepare(module.eval(), window=WINDOW, engine=engine).score(
            photo(120, 400), Placement(border="valid"), memory=memory
        )
        for engine, memory in (("slide", 450_000), ("crop", None))
    ]
    assert grids[0].origin.computation.band_px < 64
    slid, cropped = (torch.tensor(grid.scores) for grid in grids)
    assert relative_difference(slid, cropped) < 1e-5


def test_bilinear_enlarging_by_one_pads_nothing():
    """It changes nothing, so that sliding is cropping."""
    module = Network(
        lambda x, f: functional.interpolate(f["conv"](x), scale_factor=1, mode="bilinear"),
        8,
        conv=nn.Conv2d(3, 8, 3, stride=2),
    )
    assert heatmap.convert(module.eval(), WINDOW).padded == ()


# One rule of each file that bands follow, made wrong: rows are read, or computed, one too low.
def too_low(node):
    down, across = fields_of(node)
    return ReceptiveField(down.step, down.before - 1, down.span, down.repeat), across


def shifted(link, values, constants, span):
    made = convolved(link, values, constants, span)
    return made.roll(1, 2) if span.rows[0] else made


fields_of, convolved = fields._window, operations.WINDOWED["conv2d"]


@pytest.fixture(params=["rows read", "rows computed"])
def wrong_rule(request, monkeypatch):
    if request.param == "rows read":
        monkeypatch.setattr(fields, "_window", too_low)
    else:
        monkeypatch.setitem(operations.WINDOWED, "conv2d", shifted)


@pytest.mark.few(1)
def test_a_wrong_rule_is_found_and_the_photo_scored_in_one_pass(wrong_rule, monkeypatch):
    module = heatmap.load_classifier(enlarged(1, "nearest"), window=WINDOW)
    scorer = heatmap.prepare(module)
    pixels = photo(300, 90)
    grid = scorer.score(pixels)
    assert (grid.origin.engine, grid.origin.computation.band_px) == ("slide", None)
    (note,) = grid.origin.notes
    assert note.startswith("scored in one pass over the whole photo: in bands ")
    monkeypatch.undo()
    expected = heatmap.prepare(module).score(pixels)
    assert expected.origin.notes == ()
    assert expected.origin.computation.band_px is not None
    assert relative_difference(torch.tensor(grid.scores), torch.tensor(expected.scores)) < 1e-5


@pytest.mark.few(1)
def test_sharp_maps_and_finer_strides_are_scored_in_one_pass_too(wrong_rule):
    scorer = heatmap.prepare(enlarged(1, "nearest"), window=WINDOW)
    native = scorer.native_stride_px
    positions = scorer.score_positions(photo(60, 90))
    assert positions is not None
    assert positions.windows.origin.notes == scorer.notes_at(native) != ()
    fine = scorer.score(photo(60, 90), Placement(stride=native // 2))
    assert fine.origin.notes == scorer.notes_at(native // 2)


def test_each_form_is_proven_once_whatever_is_scored(monkeypatch):
    proven = []

    def counted(network, preprocessing):
        proven.append(network.stride_px)
        return prove_bands(network, preprocessing)

    monkeypatch.setattr(network_cache, "prove_bands", counted)
    scorer = heatmap.prepare(enlarged(1, "nearest"), window=WINDOW)
    native = scorer.native_stride_px
    assert proven == [native]
    for stride in (native, native // 2, native, native // 2):
        scorer.score(photo(60, 90), Placement(stride=stride))
        scorer.score_positions(photo(60, 90), Placement(stride=stride))
    assert proven == [native, native // 2]


def test_scores_decide_where_features_are_rounded_more(monkeypatch):
    def rough(trunk, image, *head):
        return largest_difference(trunk, image, *head) if head else 1e-4

    monkeypatch.setattr(proof, "largest_difference", rough)
    assert prove_bands(converted("branches", 1), OWN.preprocessing) == ""
    monkeypatch.setattr(proof, "largest_difference", lambda *_: 2e-5)
    reason = prove_bands(converted("branches", 1), OWN.preprocessing)
    assert reason == "in bands its scores would differ by 2.0e-05 of the largest"


def test_what_is_gone_in_float64_was_rounding(monkeypatch):
    """Such as of regnetv_040, whose scores in one pass are as far from those in float64."""

    def rough(trunk, image, *head):
        return largest_difference(trunk, image, *head) if image.dtype == torch.float64 else 2e-5

    monkeypatch.setattr(proof, "largest_difference", rough)
    network = converted("branches", 1)
    assert prove_bands(network, OWN.preprocessing) == ""
    # It is computed on a copy.
    assert {each.dtype for each in network.parameters()} == {torch.float32}
    monkeypatch.setitem(operations.WINDOWED, "conv2d", shifted)
    assert "would differ by 2.0e-05" in prove_bands(network, OWN.preprocessing)


def test_networks_that_are_never_cut_need_no_proof():
    module = Network(
        lambda x, f: functional.pad(f["conv"](x), (1, 1, 1, 1), mode="reflect"),
        8,
        conv=nn.Conv2d(3, 8, 3, stride=2),
    )
    network = heatmap.convert(module.eval(), WINDOW)
    with pytest.raises(NotInBands):
        links_of(network.trunk)
    assert prove_bands(network, OWN.preprocessing) == ""
