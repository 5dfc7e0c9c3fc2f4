"""Scores of photos: sliding and cropping, their geometry, and what is refused."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import heatmap
from heatmap import ConversionError, GeometryError, ModelError, Placement
from heatmap.grid.skip import Skip
from heatmap.networks.tensors import photo_tensor
from heatmap.photo.extended import extend
from heatmap.photo.reduced import open_photo
from heatmap.scoring import photo_pass
from heatmap.scoring.cells import all_cells
from heatmap.scoring.crop import crop_scores
from heatmap.scoring.in_torch import InTorch
from heatmap.scoring.network_cache import NetworkCache
from tests.support.networks import INEXACT, REFUSED, WINDOW, Classifier
from tests.support.scoring import padded, padding_free, photo, prepare

STRIDE = 4


@pytest.mark.parametrize("border", ["cover", "valid"])
@pytest.mark.parametrize(
    ("size", "scale"),
    [
        ((60, 83), 1.0),
        ((49, 64), 0.7),
        ((32 * 2, 97), 1.0),
        pytest.param((32 * 2, 97), 1.9, marks=pytest.mark.slow),
        pytest.param((60, 83), 1.9, marks=pytest.mark.slow),
    ],
)
def test_sliding_equals_cropping_for_a_padding_free_network(border, size, scale):
    module = padding_free()
    placement = Placement(scale=scale, border=border)
    slid = prepare(module).score(photo(*size), placement)
    cropped = prepare(module, engine="crop").score(photo(*size), placement)
    assert (slid.origin.engine, cropped.origin.engine) == ("slide", "crop")
    assert slid.geometry == cropped.geometry
    assert slid.scores.std(axis=(0, 1)).max() > 1e-3
    assert np.abs(slid.scores - cropped.scores).max() <= 1e-5 * np.abs(cropped.scores).max()


def test_every_cell_is_its_window_given_to_the_module():
    """The slow meaning of a grid, spelled out once without any of our cutting."""
    module, pixels = padding_free(), photo(60, 83)
    grid = prepare(module).score(pixels, Placement(border="valid"))
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for row, column in np.ndindex(grid.geometry.grid_hw):
        crop = pixels[row * STRIDE :, column * STRIDE :][:WINDOW, :WINDOW]
        tensor = torch.from_numpy(((crop / 255 - mean) / std).transpose(2, 0, 1)).float()
        with torch.inference_mode():
            expected = module(tensor[None])[0].numpy()
        assert np.allclose(grid.scores[row, column], expected, atol=1e-5)


@pytest.mark.parametrize("size", [(10, 12), (1, 1), (1, 90), (32, 32), (33, 31)])
def test_small_photos_are_covered(size):
    grid = prepare(padded()).score(photo(*size))
    assert grid.scores.shape == (*grid.geometry.grid_hw, 5)
    assert grid.heatmap(0).shape == size


def test_whoever_stops_in_the_middle_of_cropping_is_not_in_inference_mode():
    scorer = prepare(padding_free())
    geometry = scorer.plan((160, 160))
    pixels = photo(*geometry.extended_hw)
    begun = crop_scores(scorer.classifier, pixels, geometry, all_cells(geometry), batch=2)
    next(begun)
    assert not torch.is_inference_mode_enabled()
    begun.close()


def test_crop_engine_takes_any_stride_and_agrees_where_grids_meet():
    module, pixels = padding_free(), photo(60, 80)
    fine = prepare(module, engine="crop").score(pixels, Placement(stride=2))
    native = prepare(module).score(pixels)
    assert np.allclose(fine.scores[::2, ::2], native.scores, atol=1e-5)
    odd = prepare(module, engine="crop").score(pixels, Placement(stride=7))
    assert odd.geometry.stride_px == 7


def test_sliding_at_a_stride_that_is_no_divisor_is_refused_with_those_that_are():
    with pytest.raises(GeometryError, match="slides at 4, 2, 1 px"):
        prepare(padded()).score(photo(60, 80), Placement(stride=3))


@pytest.mark.parametrize("border", ["cover", "valid"])
@pytest.mark.parametrize("stride", [2, 1])
def test_a_finer_stride_holds_the_native_grid(stride, border):
    scorer, pixels, k = prepare(padded()), photo(60, 80), 4 // stride
    fine = scorer.score(pixels, Placement(stride=stride, border=border))
    native = scorer.score(pixels, Placement(border=border))
    assert fine.geometry.stride_px == stride
    assert np.allclose(fine.scores[::k, ::k], native.scores, atol=1e-5)


def test_inexact_network_is_cropped_unless_insisted():
    module = INEXACT["squeeze-and-excitation"].eval()
    auto = prepare(module)
    assert (auto.engine, auto.sliding) == ("crop", "inexact")
    assert "over the whole input" in auto.why_not
    insisted = prepare(module, engine="slide")
    assert insisted.engine == "slide"
    assert insisted.score(photo(40, 40)).origin.sliding == "inexact"


@pytest.mark.parametrize("statistics", ["local", "whole"])
def test_inexact_network_slides_with_statistics(statistics):
    scorer = prepare(INEXACT["squeeze-and-excitation"].eval(), statistics=statistics)
    assert (scorer.engine, scorer.sliding) == ("slide", "inexact")
    grid = scorer.score(photo(60, 83))
    assert (grid.origin.statistics, grid.origin.engine) == (statistics, "slide")
    said = "approximate: statistics of mean (mean over the whole input) are taken over a window"
    assert [note.startswith(said) for note in grid.origin.notes] == [True] * (statistics == "local")
    extended = extend(photo(60, 83), grid.geometry)
    network = scorer.network_at(grid.geometry.stride_px)
    with torch.inference_mode():
        expected = network(photo_tensor(extended, scorer.facts.preprocessing))[0].permute(1, 2, 0)
    assert network.statistics == statistics
    assert np.allclose(grid.scores, expected, atol=1e-5)
    sharp = scorer.score_positions(photo(60, 83))
    assert sharp is None or np.allclose(sharp.windows.scores, grid.scores, atol=1e-5)


def test_statistics_change_nothing_for_other_networks():
    scorer = prepare(padded(), statistics="local")
    assert (scorer.sliding, scorer.slides.statistics) == ("exact", None)
    assert scorer.score(photo(40, 44)).origin.statistics is None


def test_statistics_do_not_go_with_cropping():
    with pytest.raises(GeometryError, match="statistics are of networks that slide"):
        prepare(padded(), statistics="local", engine="crop")
    with pytest.raises(GeometryError, match="statistics is 'global'"):
        prepare(padded(), statistics="global")
    refused = Classifier(REFUSED["attention"][0]).eval()
    with pytest.raises(ConversionError, match="attention"):
        prepare(refused, statistics="local")


def test_refused_network_is_cropped_and_never_slides():
    module = Classifier(REFUSED["attention"][0]).eval()
    auto = prepare(module)
    assert (auto.engine, auto.sliding, auto.native_stride_px) == ("crop", "refused", 32)
    assert auto.score(photo(40, 70), Placement(stride=8)).scores.shape[2] == 5
    with pytest.raises(ConversionError, match="attention"):
        prepare(module, engine="slide")


@pytest.mark.parametrize("engine", ["slide", "crop"])
def test_softmax_at_the_end_gives_probabilities(engine):
    grid = prepare(padded("softmax"), engine=engine).score(photo(40, 44))
    assert grid.kind == "probabilities"
    assert np.allclose(grid.scores.sum(axis=2), 1, atol=1e-5)


def test_refused_network_that_ends_in_a_softmax_gives_probabilities():
    attention = REFUSED["attention"][0]
    scorer = prepare(Classifier(nn.Sequential(attention, nn.Softmax(1))).eval())
    assert scorer.classifier.outputs == "probabilities"


def test_what_must_be_whole_is_refused_with_a_scale_that_fits():
    scorer = prepare(INEXACT["squeeze-and-excitation"].eval(), engine="slide")
    needed = scorer.network.peak_bytes(*scorer.plan((300, 400)).extended_hw)
    with pytest.raises(GeometryError, match=r"use scale=0\.6\d$") as refusal:
        scorer.score(photo(300, 400), memory=needed // 2)
    (way,) = refusal.value.ways
    scale = way.value
    assert scorer.score(photo(300, 400), Placement(scale=scale), memory=needed // 2).scores.size


def test_too_little_memory_is_refused_with_what_would_do():
    scorer, pixels = prepare(padded()), photo(100, 200)
    with pytest.raises(GeometryError, match="memory is 0 MB, one column of windows") as refusal:
        scorer.score(pixels, memory=1000)
    (way,) = refusal.value.ways
    assert way.parameter == "memory"
    enough = way.value
    assert np.allclose(
        scorer.score(pixels, memory=enough).scores, scorer.score(pixels).scores, atol=1e-5
    )


def test_grid_remembers_where_it_comes_from(tmp_path):
    grid = prepare(padded()).score(photo(40, 44))
    assert grid.origin.computation.threads == torch.get_num_threads()
    assert grid.origin.model == "Classifier"
    assert grid.origin.versions["torch"] == torch.__version__.split("+")[0]
    again = heatmap.load(grid.save(tmp_path / "grid.npz"))
    assert np.array_equal(again.scores, grid.scores)
    assert (again.geometry, again.origin) == (grid.geometry, grid.origin)


def test_photo_and_module_are_left_as_they_were():
    pixels, module = photo(40, 44), padded()
    before = pixels.copy()
    state = {name: value.clone() for name, value in module.state_dict().items()}
    prepare(module).score(pixels, Placement(scale=1.5))
    assert np.array_equal(pixels, before)
    assert all(torch.equal(state[name], value) for name, value in module.state_dict().items())


def test_engine_that_contradicts_a_prepared_one_is_refused():
    scorer = prepare(padded())
    assert heatmap.score(photo(40, 44), scorer, engine="slide").origin.engine == "slide"
    with pytest.raises(GeometryError, match="prepared to slide"):
        heatmap.score(photo(40, 44), scorer, engine="crop")


def test_unknown_engine_is_refused():
    with pytest.raises(GeometryError, match="choose one of auto, slide, crop"):
        prepare(padded(), engine="fly")


def test_extend_gives_what_the_grid_was_scored_on():
    scorer, pixels = prepare(padded()), photo(45, 61)
    geometry = scorer.plan((45, 61))
    assert extend(pixels, geometry).shape == (*geometry.extended_hw, 3)


def test_scores_that_overflow_are_refused_and_no_skipped_windows():
    scorer = prepare(copy.deepcopy(padded()))
    for parameter in scorer.network.head.parameters():
        parameter.data = torch.full_like(parameter, float("inf"))
    with pytest.raises(ModelError, match="not finite in float32"):
        scorer.score(photo(40, 44))


def test_a_copied_network_scores_as_the_first():
    scorer = prepare(padded())
    first = scorer.score(photo(60, 80))
    networks = NetworkCache(scorer.classifier, copy.deepcopy(scorer.network), scorer.compute)
    copied = dataclasses.replace(scorer.in_torch.get(), networks=networks)
    again = dataclasses.replace(scorer, in_torch=InTorch.of(copied))
    assert np.array_equal(again.score(photo(60, 80)).scores, first.scores)


def test_progress_counts_what_is_scored_and_a_kept_grid_says_of_how_many_classes():
    pixels = photo(96, 160)
    pixels[:, :80] = 200
    told: list[tuple[int, int]] = []
    grid = prepare(padded()).score(
        pixels,
        skip=Skip(background=True),
        store_classes=[1, 2],
        progress=lambda *done: told.append(done),
    )
    scored = int(grid.scored.sum())
    assert 0 < scored < grid.scored.size
    assert told[-1] == (scored, scored)
    assert (grid.origin.network_classes, grid.scores.shape[2]) == (5, 2)


def test_parts_of_a_photo_that_needs_one_pass_make_the_whole():
    """Workers that share a large photo each give the rows of their own part only."""
    scorer = prepare(INEXACT["squeeze-and-excitation"].eval(), engine="slide")
    pixels = photo(60, 83)
    whole = scorer.score(pixels)
    scores = np.full_like(whole.scores, np.nan)
    for rows in (slice(0, 3), slice(3, None)):
        wanted = np.zeros(whole.geometry.grid_hw, bool)
        wanted[rows] = True
        job = scorer._pass(open_photo(pixels), whole.geometry, 10**9, wanted)
        for row, column, block in job.start().blocks:
            n, m = block.shape[:2]
            scores[row : row + n, column : column + m] = block
    assert np.array_equal(scores, whole.scores)


def test_memory_is_looked_at_between_bands(monkeypatch):
    looked_at = []

    def bounded_growth(memory):
        looked_at.append(memory)
        return lambda: looked_at.append("band")

    monkeypatch.setattr(photo_pass, "bounded_growth", bounded_growth)
    grid = prepare(padded()).score(photo(700, 90), memory=3_000_000)
    bands = -(-grid.geometry.extended_hw[0] // grid.origin.computation.band_px)
    assert bands > 1
    assert looked_at == [3_000_000] + ["band"] * (bands - 1)
