"""Annotated pictures: heat in one colour a class, boxes, labels, guesses, the same in strips."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.errors import ResultError
from heatmap.geometry import shrunk_hw
from heatmap.region import Region
from heatmap.rendering import annotated as annotations
from heatmap.rendering import class_heat
from heatmap.rendering.annotated import Annotation, annotated, enlargement
from heatmap.rendering.key import NARROWEST_PX
from heatmap.rendering.paint import blend, hatching, nearest, to_levels
from heatmap.rendering.palette import PALETTE, pale
from tests.support.findings import detection, make_findings, random_boxes

HW = (240, 320)
NOISE = np.random.default_rng(5).integers(0, 256, (*HW, 3), dtype=np.uint8)


def plan(findings, hw=HW, **options) -> Annotation:
    return Annotation.of(findings, hw, conf=0.35, **options)


def covered(annotation: Annotation) -> np.ndarray:
    """Where boxes or labels are drawn: bool (H, W)."""
    drawn = np.zeros(annotation.picture_hw, bool)
    for left, top, right, bottom in (mark.spot for mark in (*annotation.lines, *annotation.labels)):
        drawn[top:bottom, left:right] = True
    return drawn


def names_in(annotation: Annotation) -> list[str]:
    return [name for name, _ in annotation.key.classes]


@settings(max_examples=15)
@given(
    data=st.data(),
    heights=st.lists(st.integers(1, 90), min_size=1, max_size=12),
    sure=st.booleans(),
    missing=st.sampled_from([None, (slice(0, 12), slice(5, 20)), slice(None)]),
    block=st.sampled_from([7, 64, 256]),
)
def test_strips_make_the_very_pixels_of_the_whole(data, heights, sure, missing, block):
    boxes = data.draw(random_boxes(HW, most=6))
    # At such a scale a value between two levels is rounded by the rows that are computed at once.
    findings = make_findings(boxes=boxes, sure=sure, missing=missing, scale=0.713)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(class_heat, "STRIP_PX", block)
        annotation = plan(findings)
        strips, top = [], 0
        for height in heights:
            rows = NOISE[top : top + height]
            if len(rows):
                strips.append(annotation.paint(rows, top))
            top += height
        whole = annotation.paint(NOISE)
    np.testing.assert_array_equal(np.concatenate(strips), whole[:top])


@settings(max_examples=15)
@given(data=st.data(), classes=st.integers(1, 20), sure=st.booleans(), seed=st.integers(0, 99))
def test_where_there_is_no_heat_box_or_label_the_photo_is_untouched(data, classes, sure, seed):
    boxes = data.draw(random_boxes(HW))
    findings = make_findings(classes=classes, boxes=boxes, sure=sure, seed=seed)
    annotation = plan(findings)
    cold = np.ones(HW, bool)
    for place, group in enumerate(findings.groups):
        # A class without a box was only asked for: its heat is not drawn.
        if group in {each.group for each in findings.shown}:
            cold &= findings.maps.heatmap(place) == 0
    bare = cold & ~covered(annotation)
    picture = annotation.paint(NOISE)
    np.testing.assert_array_equal(picture[bare], NOISE[bare])
    assert np.array_equal(picture, NOISE) == (not findings.shown)


def test_heat_at_and_below_the_low_end_leaves_the_photo():
    findings = make_findings(classes=1, boxes=[(0, 0, 9, 9)])
    heat = findings.maps.heatmap(findings.groups[0])
    annotation = plan(findings, color_range=(0.4, 0.7))
    picture, bare = annotation.paint(NOISE), ~covered(annotation)
    cold, hot = bare & (heat <= 0.4), bare & (heat > 0.5)
    np.testing.assert_array_equal(picture[cold], NOISE[cold])
    assert (picture != NOISE).any(axis=2)[hot].all()


def test_of_rows_without_any_colour_no_heat_is_computed(monkeypatch):
    computed = []
    heat_rows = class_heat.heat_rows

    def counted(cells, geometry, rows):
        computed.append(rows)
        return heat_rows(cells, geometry, rows)

    monkeypatch.setattr(class_heat, "heat_rows", counted)
    monkeypatch.setattr(class_heat, "STRIP_PX", 32)
    findings = make_findings(classes=1, boxes=[(0, 0, 9, 9)])
    scores = findings.maps.scores.copy()
    # Near the level that gets a colour, half a step of 255.
    scores[...], scores[:2] = 0.99 * 0.5 / 255, 1
    annotation = plan(replace(findings, maps=replace(findings.maps, scores=scores)), alpha=1)
    picture, bare = annotation.paint(NOISE), ~covered(annotation)
    assert 0 < len(computed) < HW[0] // 32
    last = max(end for _, end in computed)
    np.testing.assert_array_equal(picture[last:][bare[last:]], NOISE[last:][bare[last:]])


def test_each_pixel_has_the_colour_of_its_strongest_class_and_of_no_other():
    findings = make_findings(classes=5, boxes=[(0, 0, 1, 1)] * 5, seed=3)
    picture = plan(findings, alpha=1, color_range=(0, 0.001)).paint(np.zeros_like(NOISE))
    # Nearly every heat is above such a range, and opaque.
    heats = np.stack([findings.maps.heatmap(group) for group in findings.groups])
    annotation = plan(findings)
    solid = (heats.max(axis=0) > 0.001) & ~covered(annotation)
    colours = {tuple(colour) for colour in picture[solid]}
    assert colours <= set(PALETTE[:5])
    assert len(colours) > 2
    exact = plan(findings, alpha=1, color_range=(0, 1)).paint(np.zeros_like(NOISE))
    strongest = to_levels(heats, 0, 1).argmax(axis=0)
    hot = (heats.max(axis=0) > 0.5) & ~covered(annotation)
    for place in set(strongest[hot].tolist()):
        one = exact[hot & (strongest == place)].astype(float)
        shares = one.max(axis=1, keepdims=True) / max(PALETTE[place])
        assert np.abs(one - shares * np.array(PALETTE[place])).max() <= 2


def test_colours_follow_the_index_where_classes_share_a_name():
    findings = make_findings(classes=3)
    assert findings.groups[0].name == findings.groups[2].name
    keyed = plan(findings).key.classes
    assert keyed == (
        ("crane", PALETTE[0]),
        ("Egyptian cat", PALETTE[1]),
        ("crane", PALETTE[2]),
    )
    hottest = [np.unravel_index(cells.argmax(), cells.shape) for cells in plan(findings).heat.maps]
    assert len(set(hottest)) == 3


def test_colours_do_not_depend_on_what_is_found_first():
    findings = make_findings(classes=2)
    other = replace(findings, detections=findings.detections[::-1])
    assert plan(other).key.classes == plan(findings).key.classes[::-1]


def test_boxes_and_labels_have_the_colour_of_their_class():
    findings = make_findings(classes=2, boxes=[(30, 60, 120, 120), (180, 100, 300, 200)])
    annotation = plan(findings)
    colours = [line.colour for line in annotation.lines]
    assert {PALETTE[0], PALETTE[1]} <= set(colours)
    first, second = annotation.labels
    assert tuple(first.image[0, 0]) == PALETTE[0]
    assert tuple(second.image[0, 0]) == PALETTE[1]
    assert first.spot[:2] == (30, 60 - first.image.shape[0])
    picture = annotation.paint(NOISE)
    for (left, top, right, bottom), image in (first, second):
        np.testing.assert_array_equal(picture[top:bottom, left:right], image)


def test_the_most_confident_box_is_drawn_over_the_others():
    box = (30, 60, 120, 120)
    findings = make_findings(classes=2, boxes=[box, box])
    assert plan(findings).lines[-1].colour == PALETTE[0]


def test_a_class_without_a_map_has_a_colour_of_its_own():
    findings = make_findings(classes=2)
    ox = replace(findings.groups[0], name="ox", indices=(9,))
    more = replace(
        findings, detections=(*findings.detections, detection(ox, (10, 10, 60, 60), 0.5))
    )
    assert plan(more).key.classes[-1] == ("ox", PALETTE[2])


def test_labels_say_the_name_and_how_sure(monkeypatch):
    texts = []
    monkeypatch.setattr(
        "heatmap.rendering.annotated.labels", lambda given, *_: texts.append(given) or []
    )
    plan(make_findings(classes=2, peak=0.519))
    plan(make_findings(classes=1, peak=0.001, sure=False))
    assert texts == [[("crane", "52 %"), ("Egyptian cat", "52 %")], [("crane", "1 %?")]]


# Guesses.


def test_guesses_are_named_so_and_drawn_faintly():
    sure, unsure = (make_findings(peak=0.21, sure=each) for each in (True, False))
    heading = plan(unsure).key.headings[0]
    assert heading[0] == "nothing above 35 %: best guesses"
    assert heading[1:] == ("guesses below 35 %", "guesses")
    assert plan(sure).key.headings == ()
    strong = plan(sure).heat.tables[0][255, 3]
    assert plan(unsure).heat.tables[0][255, 3] == pytest.approx(strong / 2, abs=1)
    assert len(plan(unsure).lines) > 2 * len(plan(sure).lines)
    assert tuple(plan(unsure).labels[0].image[0, 0]) == pale(PALETTE[0])


def test_nothing_at_all_is_said_too():
    nothing = make_findings(boxes=[], sure=False, peak=0)
    annotation = plan(nothing)
    assert annotation.key.headings[0][0] == "nothing above 35 %, and no guess"
    assert annotation.key.classes == ()
    assert annotation.lines == ()
    np.testing.assert_array_equal(annotation.paint(NOISE), NOISE)
    assert annotated(NOISE, nothing, conf=0.35).shape[0] > HW[0]


def test_classes_that_were_only_asked_for_are_not_in_the_key():
    findings = make_findings(classes=3, boxes=[(30, 60, 120, 120)])
    assert plan(findings).key.classes == (("crane", PALETTE[0]),)


def test_random_weights_and_the_network_are_named():
    key = plan(make_findings(weights="random")).key
    assert key.headings[0][0] == "random weights: means nothing"
    assert key.model == "vgg16"
    assert plan(make_findings()).key.headings == ()


# The range of the colours.


@pytest.mark.parametrize(
    ("peak", "text"), [(0.04, "0 to 10 %"), (0.21, "0 to 50 %"), (0.8, "0 to 100 %")]
)
def test_colours_end_at_the_next_round_probability_and_the_key_says_so(peak, text):
    annotation = plan(make_findings(peak=peak))
    assert annotation.key.range_text == text


def test_a_given_range_is_kept_and_said():
    annotation = plan(make_findings(), color_range=(0.05, 0.5))
    assert (annotation.heat.low, annotation.heat.high) == (0.05, 0.5)
    assert annotation.key.range_text == "5 to 50 %"


@pytest.mark.parametrize("options", [{"color_range": (0.5, 0.5)}, {"alpha": 1.5}])
def test_impossible_options_are_refused_for_guesses_too(options):
    for sure in (True, False):
        with pytest.raises(ResultError, match=r"0\.\.1"):
            plan(make_findings(sure=sure), **options)


# Sizes and shapes.


def test_windows_that_were_not_scored_are_hatched():
    findings = make_findings(missing=(slice(0, 12), slice(0, 14)), boxes=[])
    annotation = plan(findings)
    assert annotation.key.hatched
    unknown = np.isnan(nearest(findings.maps.scores[..., 0], findings.maps.geometry))
    assert 0.05 < unknown.mean() < 0.5
    hatched = blend(NOISE, hatching(HW))
    picture = annotation.paint(NOISE)
    np.testing.assert_array_equal(picture[unknown], hatched[unknown])
    assert not plan(make_findings()).key.hatched


def test_a_picture_of_another_size_shows_the_same_places():
    findings = make_findings(classes=1, boxes=[(40, 60, 120, 120)])
    double = plan(findings, (480, 640))
    assert double.lines[0].spot[:2] == (80, 120)
    grey = np.full((480, 640, 3), 128, np.uint8)
    large, small = double.paint(grey), plan(findings).paint(grey[::2, ::2])
    apart = np.abs(large[::2, ::2].astype(int) - small)
    free = ~(covered(double)[::2, ::2] | covered(plan(findings)))
    assert apart[free].max() < 25


def test_boxes_of_a_region_are_moved_into_its_picture():
    findings = make_findings(classes=1, boxes=[(140, 160, 220, 220)])
    region = Region(100, 100, HW[1], HW[0], whole_hw=(1000, 1000))
    origin = replace(findings.maps.origin, region=region)
    inside = replace(findings, maps=replace(findings.maps, origin=origin))
    assert plan(inside).lines[0].spot[:2] == (40, 60)


@pytest.mark.parametrize("hw", [(40, 30), (1, 1), (7, 299), (133, 2000), (2000, 133), (3, 900)])
def test_odd_shapes_are_drawn(hw):
    findings = make_findings(hw, sure=False)
    picture = annotated(np.zeros((*hw, 3), np.uint8), findings, conf=0.35)
    factor = enlargement(hw)
    high, wide = (side * factor for side in hw)
    assert picture.shape[1] == max(wide, NARROWEST_PX)
    assert high + 16 <= picture.shape[0] <= high + max(16, 0.05 * high)


@pytest.mark.parametrize(
    ("hw", "factor"),
    [((40, 30), 8), ((30, 40), 8), ((150, 299), 2), ((300, 10), 1), ((480, 640), 1)],
)
def test_small_photos_are_enlarged_by_a_whole_number(hw, factor):
    assert enlargement(hw) == factor


def test_the_picture_is_above_its_legend_and_the_photo_is_not_changed():
    before, findings = NOISE.copy(), make_findings()
    big = np.kron(NOISE, np.ones((2, 2, 1), np.uint8))
    picture = annotated(big, findings, conf=0.35)
    annotation = plan(findings, (480, 640))
    np.testing.assert_array_equal(picture[:480], annotation.paint(big))
    np.testing.assert_array_equal(picture[480:], annotation.legend(640))
    np.testing.assert_array_equal(NOISE, before)


@pytest.mark.parametrize("hw", [(320, 240), (100, 320), (480, 320)])
def test_a_picture_of_another_shape_is_refused(hw):
    with pytest.raises(ResultError, match="the scored photo was 320 x 240 px"):
        plan(make_findings(), hw)


@settings(max_examples=80)
@given(hw=st.tuples(st.integers(1, 5000), st.integers(1, 5000)), longest=st.integers(1, 5000))
def test_every_reduced_size_is_taken(hw, longest):
    annotations._check_shape(shrunk_hw(hw, longest), hw)


def test_letters_of_large_photos_fit_their_boxes():
    small = [(100.0 * i, 100.0, 100.0 * i + 60, 160.0) for i in range(5)]
    large = [(300.0 * i, 300.0, 300.0 * i + 900, 1200.0) for i in range(2)]
    heights = [
        plan(make_findings((3000, 4000), boxes=boxes, seed=1), (3000, 4000))
        .labels[0]
        .image.shape[0]
        for boxes in (small, large)
    ]
    assert heights[0] < 40 < 90 < heights[1]
