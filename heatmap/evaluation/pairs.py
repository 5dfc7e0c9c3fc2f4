"""The (photo, class) pairs of an evaluation: which classes have boxes on which photo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..classes import ClassGroup, ClassList, Wanted
from ..errors import ClassError, PhotoError, ResultError
from ..geometry import Box
from ..photo.annotations import BoxedPhoto, BoxFile, LabelledBox
from ..photo.broken import BrokenPhoto, told
from ..photo.checked import checked_hw

# A pair is small if all boxes of the class cover less than this share of the photo.
SMALL_SHARE = 0.25
# Of photos that cannot be used, an error names so many.
MOST_TOLD = 10


@dataclass(frozen=True)
class PhotoClassPair:
    """One class on one photo.

    Attributes:
        label: the label of its boxes.
        group: the class or group to search.
        boxes_xyxy: the ground-truth boxes, photo px.
        small: whether the boxes' areas add up to less than a quarter of the photo.
        hard: whether it is small and the photo has boxes of another label (the "difficult" pairs
            of Zhang et al., "Top-down Neural Attention by Excitation Backprop", ECCV 2016).
    """

    label: str
    group: ClassGroup
    boxes_xyxy: tuple[Box, ...]
    small: bool
    hard: bool


@dataclass(frozen=True)
class PairedPhoto:
    """A photo and the pairs in it, at least one."""

    path: Path
    pairs: tuple[PhotoClassPair, ...]


@dataclass(frozen=True)
class LeftOut:
    """What an evaluation leaves out.

    Attributes:
        labels: labels without a class of the model, with their numbers of boxes.
        photos: number of photos without any other boxes.
        crowds, empty, cut: numbers of boxes, as in :class:`annotations.BoxFile`; of those that
            were cut only what lay outside is left out.
        broken: photos that cannot be used; the figures are of the others.
    """

    labels: dict[str, int]
    photos: int
    crowds: int
    empty: int
    broken: tuple[BrokenPhoto, ...] = ()
    cut: int = 0


@dataclass(frozen=True)
class Pairing:
    """The photos that have pairs, and what was left out."""

    photos: tuple[PairedPhoto, ...]
    left_out: LeftOut


def match_labels(
    labels: Iterable[str],
    classes: ClassList,
    mapping: Mapping[str, Sequence[Wanted]] | None = None,
) -> dict[str, ClassGroup]:
    """The class or group of each label; labels without one are left out.

    With a mapping, the classes that it names for a label form a group. Without one, a label
    means the class or group with exactly that name, index or wnid: "fork" is not "forklift".

    Raises:
        ClassError: the mapping names a class that the model does not have.
    """
    if mapping is None:
        named = {label: _by_name(label, classes) for label in labels}
        return {label: group for label, group in named.items() if group is not None}
    return {
        label: _joined(label, mapping[label], classes) for label in labels if mapping.get(label)
    }


def _by_name(label: str, classes: ClassList) -> ClassGroup | None:
    try:
        group = classes.find(label)
    except ClassError:
        return None
    text = label.strip()
    exact = group.name.casefold() == text.casefold() or text in classes.wnids
    return group if exact or text.isdigit() else None


def _joined(label: str, wanted: Sequence[Wanted], classes: ClassList) -> ClassGroup:
    """All classes of a label as one group with the name of the label."""
    try:
        groups = classes.find_all(wanted)
    except ClassError as error:
        raise error.about(f"label {label!r}") from error
    indices = dict.fromkeys(index for group in groups for index in group.indices)
    return ClassGroup(label, tuple(indices))


def pair_up(boxes: BoxFile, folder: str | Path, groups: Mapping[str, ClassGroup]) -> Pairing:
    """Pair each photo with the classes that have boxes on it.

    The photos are opened to check their sizes before any scoring. One that is missing, cannot be
    read or has another size than listed, and one with a box that has a fault or extends beyond it,
    is left out.

    Args:
        boxes: the boxes, from :func:`annotations.read_boxes`.
        folder: the folder of the photos.
        groups: the class or group of each label, from :func:`match_labels`.

    Raises:
        PhotoError: all photos are left out.
        ResultError: there is nothing to pair.
    """
    counts = boxes.label_counts()
    if not counts.keys() & groups.keys():
        raise _nothing_to_pair(boxes.path, list(counts))
    wanted = [
        photo
        for photo in boxes.photos
        if photo.faults or any(box.label in groups for box in photo.boxes)
    ]
    paired, broken = [], []
    for photo in wanted:
        try:
            paired.append(_paired(photo, Path(folder, photo.file), groups, boxes.path))
        except (PhotoError, ResultError) as error:
            broken.append(BrokenPhoto(photo.file, error.message))
    if not paired:
        raise nothing_left(broken)
    labels = {label: count for label, count in counts.items() if label not in groups}
    unpaired = len(boxes.photos) - len(wanted)
    left_out = LeftOut(labels, unpaired, boxes.crowds, boxes.empty, tuple(broken), boxes.cut)
    return Pairing(tuple(paired), left_out)


def nothing_left(broken: Sequence[BrokenPhoto]) -> PhotoError:
    """The error where no photo can be used."""
    if len(broken) == 1:
        return PhotoError(str(broken[0]))
    return PhotoError(f"none of {len(broken)} photos can be used: {told(broken, MOST_TOLD)}")


def _nothing_to_pair(path: str, labels: Sequence[str]) -> ResultError:
    if not labels:
        return ResultError(f"{path}: holds no boxes")
    listed = ", ".join(labels[:5]) + (", ..." if len(labels) > 5 else "")
    return ResultError(
        f"{path}: none of its {len(labels)} labels ({listed}) is a class of the model: "
        "give a file that maps labels to classes"
    )


def _paired(
    boxed: BoxedPhoto, path: Path, groups: Mapping[str, ClassGroup], source: str
) -> PairedPhoto:
    hw = checked_hw(boxed, path, source)
    by_label: dict[str, list[LabelledBox]] = {}
    for box in boxed.boxes:
        by_label.setdefault(box.label, []).append(box)
    pairs = []
    for label, boxes in by_label.items():
        if label in groups:
            small = sum(box.area for box in boxes) < SMALL_SHARE * hw[0] * hw[1]
            hard = small and len(by_label) > 1
            true = tuple(box.xyxy for box in boxes)
            pairs.append(PhotoClassPair(label, groups[label], true, small, hard))
    return PairedPhoto(path, tuple(pairs))
