"""ImageNet's classes and those of its variants, by which published networks were trained."""

from __future__ import annotations

from typing import Any

from ..cache_folder import cache_folder
from ..class_groups import built_in
from ..classes import ClassList
from ..errors import ClassError
from ..versions import package_versions
from .model_names import MODELS

IMAGENET_1K = 1000


def published_classes(count: int) -> ClassList | None:
    """The classes of the variant of ImageNet that has this number of them; None if none has.

    The 1000 of ImageNet-1k have torchvision's names ("tabby"), wnids, and groups ("cat").
    """
    listed = _asked(count)
    return None if listed is None else _class_list(*listed)


def kept_classes(count: int, *, ask: bool = True) -> ClassList | None:
    """As :func:`published_classes`, kept in the user's cache for calls without the libraries.

    Args:
        count: the number of classes.
        ask: whether the libraries are asked where the cache has none.
    """
    versions, folder = package_versions(), cache_folder(MODELS)
    file = f"classes-{count}.json"
    kept = folder.kept(file, versions)
    try:
        classes = _class_list(kept["names"], kept["wnids"])
        if len(classes) == count:
            return classes
    # There is nothing kept, or it is damaged.
    except (TypeError, KeyError, ClassError):
        pass
    listed = _asked(count) if ask else None
    if listed is None:
        return None
    folder.keep(file, versions, {"names": listed[0], "wnids": listed[1]})
    return _class_list(*listed)


def _class_list(names: list[str], wnids: list[str]) -> ClassList:
    if not all(isinstance(text, str) for text in (*names, *wnids)):
        raise TypeError("names and wnids are text")
    return ClassList(tuple(names), tuple(wnids), built_in(names, wnids))


def _asked(count: int) -> tuple[list[str], list[str]] | None:
    """Names and wnids, whose order all libraries use."""
    from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": count})
    if subset is None:
        return None
    info: Any = ImageNetInfo(subset)
    wnids = list(info.label_names())
    if count != IMAGENET_1K:
        return list(info.label_descriptions()), wnids

    from torchvision.models import AlexNet_Weights

    return list(AlexNet_Weights.DEFAULT.meta["categories"]), wnids
