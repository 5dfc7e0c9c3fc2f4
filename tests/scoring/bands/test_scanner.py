"""Parts and bands within a budget of memory: which are chosen, and that they change no score."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import heatmap
from heatmap.conversion.graph import arguments
from heatmap.conversion.kernels import convolution
from heatmap.conversion.kernels import prepared as preparing
from heatmap.conversion.network import FullyConvolutional
from heatmap.errors import GeometryError
from heatmap.grid.skip import Skip
from heatmap.scoring.bands.roller import Roller
from heatmap.scoring.bands.scanner import LEAST_BAND_PX, Part, Rectangle, Scanner
from tests.support.band_networks import BY_DEFAULT, FEW_CASES, converted, ranges
from tests.support.networks import Classifier, heads, randomise, scenes

ENOUGH = 10**9


def scanner_of(network: FullyConvolutional, rows: int, columns: int) -> Scanner:
    """For a photo of so many cells."""
    stride = network.stride_px
    side = network.window_px
    return Scanner(network, (side + (rows - 1) * stride, side + (columns - 1) * stride))


def named_bytes(refusal: GeometryError) -> int:
    """The memory that a refusal says would do."""
    (way,) = refusal.ways
    assert way.parameter == "memory"
    return way.value


def scanned(scanner: Scanner, parts: Sequence[Part], photo: Tensor, cells: Rectangle) -> np.ndarray:
    """Scores of a rectangle of cells (n, m, K); each cell must be given once."""
    top, bottom, left, right = cells
    scores = np.full((bottom - top, right - left, scanner.network.classes), np.nan, np.float32)

    def rows(starts: Sequence[int], columns: tuple[int, int]) -> Iterator[Tensor]:
        for start, end in pairwise(starts):
            yield photo[:, :, start:end, slice(*columns)].clone()

    for part in parts:
        for row, column, block in scanner.scan(part, rows):
            n, m = block.shape[:2]
            place = scores[row - top : row - top + n, column - left : column - left + m]
            assert place.shape == block.shape
            assert np.isnan(place).all()
            place[:] = block
    assert not np.isnan(scores).any()
    return scores


@pytest.mark.parametrize(("name", "k"), FEW_CASES)
@settings(max_examples=3)
@given(data=st.data())
def test_any_budget_for_any_cells_gives_the_scores_of_one_pass(name, k, data):
    network = converted(name, k)
    grid_hw = [data.draw(st.integers(1, 8 + 2 * k)) for _ in "hw"]
    scanner = scanner_of(network, *grid_hw)
    cells = (*ranges(data.draw, grid_hw[0]), *ranges(data.draw, grid_hw[1]))
    budget = data.draw(st.sampled_from([100_000, 200_000, 400_000, 1_000_000, ENOUGH]))
    try:
        parts = scanner.parts(cells, budget)
    except GeometryError as refusal:
        parts = scanner.parts(cells, named_bytes(refusal))
    height, width = scanner.shapes[scanner.links[0].node][2:]
    photo = scenes(1, height, width, seed=data.draw(st.integers(0, 9)))
    with torch.inference_mode():
        whole = network(photo)[0].permute(1, 2, 0).numpy()
    expected = whole[cells[0] : cells[1], cells[2] : cells[3]]
    found = scanned(scanner, parts, photo, cells)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(whole).max()


@pytest.mark.parametrize(
    ("name", "k"),
    [
        ("branches", 1),
        pytest.param("channels last", 2, marks=pytest.mark.slow),
        pytest.param("max pools", 4, marks=pytest.mark.slow),
    ],
)
def test_less_memory_lowers_bands_first_and_cuts_columns_last(name, k):
    scanner = scanner_of(converted(name, k), 40, 300)
    cells, budget, seen = (0, 40, 0, 300), 2**25, []
    while True:
        try:
            parts = scanner.parts(cells, budget)
        except GeometryError:
            break
        assert max(part.peak_bytes for part in parts) <= budget
        assert [part.cells[:2] for part in parts] == [(0, 40)] * len(parts)
        edges = [part.cells[2] for part in parts] + [parts[-1].cells[3]]
        assert (edges[0], edges[-1]) == (0, 300)
        assert all(part.cells[3] == end for part, end in zip(parts, edges[1:], strict=True))
        seen.append((len(parts), -parts[0].band_px))
        budget = budget * 4 // 5
    counts = [count for count, _ in seen]
    assert counts == sorted(counts)
    uncut = [-band for count, band in seen if count == 1]
    assert uncut == sorted(uncut, reverse=True)
    assert uncut[0] > uncut[-1] == LEAST_BAND_PX
    assert counts[-1] > 1


def test_one_byte_less_than_the_lowest_band_takes_cuts_columns():
    scanner, cells = scanner_of(converted("branches", 1), 40, 300), (0, 40, 0, 300)
    enough, short = 2**25, 0
    while enough - short > 1:
        budget = (enough + short) // 2
        try:
            whole = len(scanner.parts(cells, budget)) == 1
        except GeometryError:
            whole = False
        enough, short = (budget, short) if whole else (enough, budget)
    (part,) = scanner.parts(cells, enough)
    assert (part.band_px, part.peak_bytes) == (LEAST_BAND_PX, enough)
    assert len(scanner.parts(cells, enough - 1)) == 2


def test_refusal_names_the_smallest_memory_that_does():
    torch.manual_seed(0)
    head = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8 * 8 * 8, 2000))
    network = heatmap.convert(randomise(Classifier(head), 32), 32)
    scanner, cells = scanner_of(network, 30, 2000), (0, 30, 0, 2000)
    with pytest.raises(GeometryError, match="memory is 1 MB, one column of windows") as refusal:
        scanner.parts(cells, 10**6)
    named = named_bytes(refusal.value)
    assert named > 2 * 10**6
    assert max(part.peak_bytes for part in scanner.parts(cells, named)) <= named
    with pytest.raises(GeometryError, match=f"use memory={named}$"):
        scanner.parts(cells, named - 10**6)


class Weighed(Roller):
    """Weighs all tensors that are there whenever one is made, memory that is shared once."""

    most = 0

    def _hold(self, link, first, made):
        alive = [held for _, held in self._held.values()] + [made]
        tensors = [one for held in alive for one in ([held] if isinstance(held, Tensor) else held)]
        storages = {one.data_ptr(): one for one in (each.untyped_storage() for each in tensors)}
        # What is kept of it is joined with what is new: both are there twice for a moment.
        joined = self._held[link.node][1].nbytes + made.nbytes if link.node in self._held else 0
        self.most = max(self.most, sum(one.nbytes() for one in storages.values()) + joined)
        super()._hold(link, first, made)


@pytest.mark.few(4)
@pytest.mark.parametrize(
    "band_px", [8, *(pytest.param(px, marks=pytest.mark.slow) for px in (32, 100))]
)
@pytest.mark.parametrize(("name", "k"), FEW_CASES)
def test_peak_is_that_of_the_tensors_held(name, k, band_px):
    scanner = scanner_of(converted(name, k), 40, 40)
    (part,) = scanner.parts((0, 40, 0, 40), ENOUGH)
    plan = part.plan
    starts = plan.starts(band_px)
    row_bytes = {
        link.node: 4 * np.prod(shape) / plan.row_lengths[link.node]
        for link in scanner.links
        if (shape := scanner.shapes.get(link.node, (0,)))
    }
    width = plan.column_lengths[plan.photo]
    bands = (torch.zeros(1, 3, end - start, width) for start, end in pairwise(starts))
    roller = Weighed(scanner.network.trunk, plan)
    with torch.inference_mode():
        for _ in roller.roll(bands, starts):
            pass
    # A view that outlives what it was cut from keeps more than its own rows, and what a layer
    # makes in passing is not weighed.
    estimate = plan.peak_bytes(starts, row_bytes)
    assert 0.75 * roller.most <= estimate <= 1.75 * roller.most


def pixels(height: int, width: int) -> np.ndarray:
    """Broad shapes under noise, RGB uint8."""
    photo = scenes(1, height, width, seed=2)[0].permute(1, 2, 0).numpy()
    return np.clip(photo * 50 + 128, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("name", "k"), FEW_CASES)
def test_convolutions_by_winograds_form_give_the_scores_of_one_pass(name, k, monkeypatch):
    monkeypatch.setattr(preparing, "WINOGRAD_CHANNEL_PAIRS", 1)
    monkeypatch.setattr(preparing, "PAYS_FROM", 0)
    monkeypatch.setattr(convolution, "WINOGRAD_OUTPUTS", 1)
    network = copy.deepcopy(converted(name, k))
    cells = (0, 3 + k, 0, 5 + k)
    scanner = scanner_of(network, cells[1], cells[3])
    photo = scenes(1, *scanner.shapes[scanner.links[0].node][2:], seed=1)
    with torch.inference_mode():
        whole = network(photo)[0].permute(1, 2, 0).numpy()
    assert not any(weights.made for weights in network.prepared.values())
    try:
        parts = scanner.parts(cells, 400_000)
    except GeometryError as refusal:
        parts = scanner.parts(cells, named_bytes(refusal))
    found = scanned(scanner, parts, photo, cells)
    assert all(weights.made for weights in network.prepared.values())
    assert np.abs(found - whole).max() <= 1e-5 * np.abs(whole).max()


def test_some_of_these_networks_have_such_convolutions(monkeypatch):
    monkeypatch.setattr(preparing, "WINOGRAD_CHANNEL_PAIRS", 1)
    with_some = [copy.deepcopy(converted(name, k)).prepared for name, k in BY_DEFAULT]
    assert sum(map(bool, with_some)) >= 3
    dilations = {arguments(node)["dilation"][0] for prepared in with_some for node in prepared}
    assert {1, 2} <= dilations


@pytest.fixture(scope="module")
def scorer() -> heatmap.Scorer:
    torch.manual_seed(0)
    return heatmap.prepare(randomise(Classifier(heads()["mean"]), 32), window=32)


@pytest.mark.parametrize("border", ["cover", "valid"])
@pytest.mark.parametrize("stride", [pytest.param(4, marks=pytest.mark.slow), 2])
def test_memory_changes_bands_and_parts_but_no_score(scorer, border, stride):
    photo = pixels(90, 2000)
    ample = scorer.score(photo, heatmap.Placement(stride=stride, border=border))
    assert ample.origin.computation.parts == 1
    tight = scorer.score(photo, heatmap.Placement(stride=stride, border=border), memory=600_000)
    assert tight.origin.computation.parts > 1
    assert np.isfinite(tight.scores).all()
    difference = np.abs(tight.scores - ample.scores).max()
    assert difference <= 1e-5 * np.abs(ample.scores).max()


@pytest.mark.parametrize("memory", [None, 600_000])
def test_what_is_skipped_is_nan_and_the_rest_is_as_without(scorer, memory):
    photo = pixels(300, 700)
    mask = np.zeros_like(photo)
    # A box, and a slope that no rectangles fit exactly.
    mask[200:280, 500:690] = 255
    mask[np.arange(200), np.arange(200)] = 255
    skip = Skip(mask=mask)
    wanted = skip.wanted(heatmap.photo.photo.Photo(photo), scorer.plan((300, 700)))
    assert 0 < wanted.sum() < wanted.size / 2
    part, whole = scorer.score(photo, skip=skip, memory=memory), scorer.score(photo)
    assert part.origin.computation.parts > 1
    assert np.isnan(part.scores[~wanted]).all()
    difference = np.abs(part.scores[wanted] - whole.scores[wanted]).max()
    assert difference <= 1e-5 * np.abs(whole.scores).max()


def test_a_photo_that_shows_nothing_is_not_scored_at_all(scorer):
    grid = scorer.score(np.full((100, 120, 3), 200, np.uint8), skip=Skip(background=True))
    assert np.isnan(grid.scores).all()
    assert grid.origin.computation.parts == 0
