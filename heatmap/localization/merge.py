"""One object, one detection: what several classes say of the same place becomes one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..classes import ClassGroup
from ..geometry import iou
from .detection import Alternative, Detection

# Boxes of different classes with a larger IoU lie on the same object.
SAME_OBJECT = 0.5


def merge(
    detections: Sequence[Detection], groups: Sequence[ClassGroup] = ()
) -> tuple[Detection, ...]:
    """Merge detections of different classes that lie on the same object.

    For classes that exclude each other. Of boxes of different classes with an IoU above 0.5 the
    most confident one stays, and carries the others as its alternatives. Where alternatives
    belong to a group with it ("cat" of Egyptian cat, tabby and tiger cat), the group in which
    the confidences have the largest sum is given too.

    Args:
        detections: most confident first.
        groups: groups of classes, from :attr:`heatmap.ClassList.groups`.

    Returns:
        The detections that stay, in the same order.

    >>> box, cat, tabby = (0, 0, 9, 9), ClassGroup("cat", (0,)), ClassGroup("tabby", (1,))
    >>> found = [Detection(of, p, box, box, (0, 0), 1.0, p) for of, p in ((cat, 0.5), (tabby, 0.3))]
    >>> (merged,) = merge(found, [ClassGroup("cats", (0, 1))])
    >>> merged.alternatives, merged.together
    ((Alternative(name='tabby', confidence=0.3),), Alternative(name='cats', confidence=0.8))
    """
    kept: list[Detection] = []
    others: list[dict[ClassGroup, float]] = []
    for detection in detections:
        for one, alternatives in zip(kept, others, strict=True):
            if one.group != detection.group and iou(one.xyxy, detection.xyxy) > SAME_OBJECT:
                alternatives.setdefault(detection.group, detection.confidence)
                break
        else:
            kept.append(detection)
            others.append({})
    return tuple(
        replace(
            one,
            alternatives=tuple(Alternative(group.name, p) for group, p in alternatives.items()),
            together=_together(one, alternatives, groups),
        )
        for one, alternatives in zip(kept, others, strict=True)
    )


def _together(
    one: Detection, alternatives: dict[ClassGroup, float], groups: Sequence[ClassGroup]
) -> Alternative | None:
    """The group of the detection and its alternatives that has the largest sum; None without."""
    said = {**alternatives, one.group: one.confidence}
    sums = []
    for group in groups:
        members = [p for each, p in said.items() if set(each.indices) <= set(group.indices)]
        if set(one.group.indices) <= set(group.indices) and len(members) > 1:
            # Of equal sums that of the smaller group, which says more.
            sums.append((sum(members), -len(group.indices), group.name))
    if not sums:
        return None
    total, _, name = max(sums)
    return Alternative(name, min(1.0, total))
