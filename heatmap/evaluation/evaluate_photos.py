"""Evaluate heatmaps and detections on photos with boxes, beside class activation maps.

The figures: pointing game (Zhang et al., ECCV 2016), MaxBoxAcc (Choe et al., CVPR 2020), average
precision (Everingham et al., IJCV 2010).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..classes import ClassGroup
from ..errors import GeometryError, ModelError, PhotoError, Use
from ..geometry import Box, scale_of
from ..grid.skip import no_data_note
from ..localization.detect import Scored, Search, detect, maps_of, windows_of
from ..localization.detection import Detection
from ..localization.findings import Findings, find
from ..localization.scales import Windows, fuse_scales
from ..names import scale_name
from ..notebook import notebook_html
from ..photo.annotations import BoxedPhoto, read_boxes, read_mapping
from ..photo.broken import BrokenPhoto
from ..photo.gathered_notes import gathered_notes
from ..photo.listed import on_photos
from ..photo.photo import Photo, read_photo
from ..photo.reading import Reading
from ..progress import Reporter
from ..runs.request import MultiScale, Request
from ..scoring.scorer import Scorer
from .metrics import HEATMAP, Answer, Evaluation, JudgedPairs, Method, evaluation_of, judge_pairs
from .pairs import LeftOut, PairedPhoto, Pairing, match_labels, nothing_left, pair_up
from .photo_figures import PhotoFigures
from .tables import counts_line, labels_table, methods_table, named_lines, unnamed_table
from .unnamed import LOWEST_CONFIDENCE, JudgedPhoto, UnnamedFigures, figures_of, judge

# Scales of class activation maps: the original size, and enlarged for small objects.
CAM_SCALES = (1.0, 2.0, 3.0)
# Without a confidence threshold each class is detected at least once on every photo.
_ANY_CONFIDENCE = 0.0
# Only the best box counts; further ones would only cost time.
_MOST_BOXES = 5


@dataclass(frozen=True, repr=False)
class EvaluationReport:
    """What :func:`heatmap.evaluate` gives: figures over all photos, and of each.

    Attributes:
        named: the figures of heatmaps of named classes.
        unnamed: those of detections without a class being named.
        photos: what was hit, missed and falsely found on each photo, without a class being named.
        notes: what the user should know of how the photos were read.
        network_notes: and of how the network was loaded and converted.
        written: the files, page and JSON, where they were written.
    """

    named: Evaluation
    unnamed: UnnamedFigures
    photos: tuple[PhotoFigures, ...]
    notes: tuple[str, ...] = ()
    network_notes: tuple[str, ...] = ()
    written: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        """One line: ``EvaluationReport 24 photos, 31 (photo, class) pairs, 60 objects``."""
        return (
            f"EvaluationReport {len(self.photos)} photos, {self.named.pairs} (photo, class) "
            f"pairs, {self.unnamed.objects} objects"
        )

    def _repr_html_(self) -> str:
        """For a notebook: what the command prints."""
        named, unnamed = self.named, self.unnamed
        lines, tables = named_lines(named, self.notes), (methods_table(named), labels_table(named))
        of_unnamed = (unnamed_table(unnamed), counts_line(unnamed))
        return notebook_html(repr(self), *lines, *tables, *of_unnamed)


def evaluate_photos(
    photos: str | Path,
    boxes: str | Path,
    scorer: Scorer,
    request: Request,
    reporter: Reporter,
    *,
    labels: str | Path | None,
    cam: bool,
) -> EvaluationReport:
    """Evaluate on photos with boxes, writing nothing.

    The arguments are those of :func:`heatmap.evaluate`; of the request the thresholds, and how
    photos are read and windows laid over them.
    """
    box_file = on_photos(read_boxes(boxes), photos)
    mapped, classes = None if labels is None else read_mapping(labels), scorer.facts.classes
    groups = match_labels(box_file.label_counts(), classes, mapped)
    pairing = pair_up(box_file, photos, groups)
    search, placement = replace(request.display, classes=()).search, request.placement
    methods = {HEATMAP: heatmap_method(scorer, placement, search)}
    methods |= _cam_methods(scorer) if cam else {}
    reading = request.limits.reading
    judging = _Judging(Path(photos), reading, scorer, placement, search, groups, methods)
    reporter.stage(f"evaluating {photos}")
    used, broken = judging.judged(box_file.photos, pairing, reporter.advance)
    left_out = replace(pairing.left_out, broken=tuple(broken))
    report = _report(used, left_out, request.display.conf)
    return replace(report, network_notes=scorer.notes_at(scorer.native_stride_px))


@dataclass(frozen=True)
class _Judged:
    """A photo whose heatmaps and detections were judged; without pairs ``named`` is None."""

    listed: BoxedPhoto
    named: JudgedPairs | None
    unnamed: JudgedPhoto
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Judging:
    """How photos are judged; see :func:`heatmap.evaluate`."""

    folder: Path
    reading: Reading
    scorer: Scorer
    placement: MultiScale
    search: Search
    labels: Mapping[str, ClassGroup]
    methods: Mapping[str, Method]

    def judged(
        self, photos: Sequence[BoxedPhoto], pairing: Pairing, report: Callable[[int, int], object]
    ) -> tuple[list[_Judged], list[BrokenPhoto]]:
        """Those photos that can be read and scored, and the others."""
        paired = {photo.path: photo for photo in pairing.photos}
        used, broken = [], list(pairing.left_out.broken)
        unusable = {each.file for each in broken}
        for done, listed in enumerate(photos, start=1):
            if listed.file not in unusable:
                try:
                    used.append(self._judged(listed, paired.get(self.folder / listed.file)))
                except (PhotoError, GeometryError) as error:
                    broken.append(BrokenPhoto(listed.file, error.message))
            report(done, len(photos))
        return used, broken

    def _judged(self, listed: BoxedPhoto, pairs: PairedPhoto | None) -> _Judged:
        """Both parts, so that a photo which cannot be read or scored is in neither."""
        photo = read_photo(self.folder / listed.file, reading=self.reading)
        named = None if pairs is None else judge_pairs(pairs, photo, self.methods)
        found = unnamed_detections(photo, self.scorer, self.placement, self.search)
        unnamed = judge(found, _objects(listed, self.labels), self.labels, self.search.conf)
        return _Judged(listed, named, unnamed, photo.notes)


def _report(used: Sequence[_Judged], left_out: LeftOut, conf: float) -> EvaluationReport:
    of_pairs = [one.named for one in used if one.named is not None]
    if not of_pairs:
        raise nothing_left(left_out.broken)
    return EvaluationReport(
        evaluation_of(of_pairs, left_out),
        figures_of([one.unnamed for one in used], conf),
        tuple(_figures(one.listed, one.unnamed) for one in used),
        gathered_notes({one.listed.file: one.notes for one in used}),
    )


def _figures(listed: BoxedPhoto, judged: JudgedPhoto) -> PhotoFigures:
    return PhotoFigures.of(listed.file, judged.objects, judged.detections)


def _cam_methods(scorer: Scorer) -> dict[str, Method]:
    if scorer.forms is not None and scorer.forms.alone:
        raise ModelError(
            f"{scorer.facts.name} is an exported network, which has no class activation maps",
            Use("cam", False),
        )
    from .cam import CamKind, cam_method

    kinds: tuple[tuple[str, CamKind], ...] = (("CAM", "cam"), ("Grad-CAM", "gradcam"))
    return {
        f"{name}, scale {scale:g}": cam_method(scorer.classifier, kind, scale)
        for name, kind in kinds
        for scale in CAM_SCALES
    }


def _objects(photo: BoxedPhoto, labels: Mapping[str, ClassGroup]) -> list[tuple[str, Box]]:
    return [(box.label, box.xyxy) for box in photo.boxes if box.label in labels]


def unnamed_detections(
    photo: Photo, scorer: Scorer, placement: MultiScale, search: Search
) -> tuple[Detection, ...]:
    """What a run finds on a photo where no class is named, down to low confidences."""
    search = replace(search, classes=None)
    scored = _scored(photo, scorer, placement, search)
    lower = replace(search, conf=LOWEST_CONFIDENCE)
    return detect(scored, lower, scorer.crops(photo)).detections


def unnamed_findings(
    photo: Photo, scorer: Scorer, placement: MultiScale, search: Search
) -> Findings:
    """What a run finds on a photo where no class is named, with its maps."""
    search = replace(search, classes=None)
    scored = _scored(photo, scorer, placement, search)
    grids = {scale_name(scale_of(each.geometry)): each for each in map(windows_of, scored)}
    windows = Windows(grids, placement.fuse)
    return find(scored, windows, search, scorer.crops(photo))


def heatmap_method(
    scorer: Scorer, placement: MultiScale = MultiScale(), search: Search = Search()
) -> Method:
    """The heatmaps and boxes that :func:`heatmap.run` gives, as a method to evaluate.

    Sharp maps where the network has them, otherwise heatmaps of whole windows.
    """

    def answer(photo: Photo, groups: Sequence[ClassGroup]) -> list[Answer]:
        scored = _scored(photo, scorer, placement, replace(search, classes=groups))
        crops = scorer.crops(photo)
        maps = maps_of(scored, groups, named=True)
        if maps is None:
            fused = fuse_scales([windows_of(one) for one in scored], placement.fuse)
            heats = [fused.heatmap(group) for group in groups]
        else:
            heats = [maps.heatmap(maps.classes.single(index)) for index in range(len(groups))]
        answers = []
        for group, heat in zip(groups, heats, strict=True):
            wanted = replace(
                search,
                classes=[group],
                conf=_ANY_CONFIDENCE,
                max_det=_MOST_BOXES,
                confirm=min(search.confirm, _MOST_BOXES),
            )
            answers.append(_answer(heat, detect(scored, wanted, crops).detections))
        return answers

    return answer


def _scored(photo: Photo, scorer: Scorer, placement: MultiScale, search: Search) -> list[Scored]:
    """The scores of a photo at the scales of a run: of positions where there are any."""
    facts, named = scorer.facts, search.classes is not None
    window = facts.preprocessing.window_px
    scales = placement.scales_for(photo.hw, facts.scale_rule, window, named=named)
    places = [placement.at(scale) for scale in scales]
    plans = [scorer.plan(photo.hw, place) for place in places]
    # Refused where no window would be scored.
    no_data_note(photo, plans)
    sought = placement.sought(plans, search, facts.classes)
    return [
        scorer.score_positions(photo, place) or scorer.score(photo, place, sought=each)
        for place, each in zip(places, sought, strict=True)
    ]


def _answer(heat: npt.NDArray[np.float32], detections: Sequence[Detection]) -> Answer:
    boxes_xyxy = tuple(detection.xyxy for detection in detections)
    return Answer(heat, boxes_xyxy, tuple(detection.confidence for detection in detections))
