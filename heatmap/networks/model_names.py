"""Which names are models, told without loading what the models are made with.

The names that torchvision and timm know are kept in the user's cache, for the versions that are
installed: both take seconds to import.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..cache_folder import cache_folder
from ..errors import ModelError
from ..quiet import quiet
from ..versions import package_versions

DEFAULT_MODEL = "efficientnet_lite0"
TIMM = "timm/"
CHECKPOINT_SUFFIX = ".safetensors"
EXPORTED_SUFFIX = ".onnx"
# The folder in the user's cache for what is known of models.
MODELS = "models"
# The files in it.
KEPT_NAMES = re.compile(r"names\.json|facts\.json|classes-\d+\.json")

# Of files that are models, or that say what they are not.
FILE_SUFFIXES = (CHECKPOINT_SUFFIX, EXPORTED_SUFFIX, ".pt", ".pt2", ".pth", ".bin", ".ckpt")
_FILE = "names.json"


@dataclass(frozen=True)
class LibraryNames:
    """The classifiers of the libraries, and the number of classes of each as it was published.

    Attributes:
        torchvision: by name.
        timm: by name, each with "timm/" before it.
        timm_tagged: those of timm's networks with several published weights, by name and tag.
    """

    torchvision: dict[str, int]
    timm: dict[str, int]
    timm_tagged: dict[str, int]

    def class_count(self, name: str) -> int | None:
        """The number of classes of a model's published weights; None where it is not known."""
        for known in (self.torchvision, self.timm, self.timm_tagged):
            if name in known:
                return known[name]
        return None


def is_path(model: str | Path) -> bool:
    """Whether a model is given as the path of a file."""
    name = str(model)
    # Some of timm's names look like files: beit3_base_patch16_224.pt.
    ends_like_a_file = name.endswith(FILE_SUFFIXES) and not name.startswith(TIMM)
    return isinstance(model, Path) or ends_like_a_file


def is_exported(model: object) -> bool:
    """Whether a model is given as an exported network (ONNX), which runs without torch."""
    return isinstance(model, str | Path) and is_path(model) and str(model).endswith(EXPORTED_SUFFIX)


def is_factory(name: str) -> bool:
    """Whether a name is of code to import and call: "package.module:factory"."""
    return ":" in name and name.isprintable() and not name.startswith(TIMM)


def are_added() -> bool:
    """Whether code of others has added networks to timm's in this process."""
    names, module_of = (
        getattr(sys.modules.get("timm"), name, None) for name in ("list_models", "model_entrypoint")
    )
    if names is None or module_of is None:
        return False
    return any(not module_of(name).__module__.startswith("timm.") for name in names())


def list_models(pattern: str | None = None) -> list[str]:
    """The names of all classifiers available by name, sorted.

    Args:
        pattern: a shell pattern that the names must match. None lists the built-in network
            and torchvision's classifiers; a pattern that starts with "timm/" lists timm's,
            of which there are over a thousand.

    Returns:
        The names, for any ``model`` parameter; empty if none matches.

    >>> list_models("vgg1?")
    ['vgg11', 'vgg13', 'vgg16', 'vgg19']
    """
    known = library_names()
    if pattern is not None and pattern.startswith(TIMM):
        return sorted(fnmatch.filter(known.timm, pattern))
    return sorted(fnmatch.filter([DEFAULT_MODEL, *known.torchvision], pattern or "*"))


def check_name(name: str) -> None:
    """Refuse a name that is no model.

    Tags of timm's networks, and factories, are looked at when they are loaded.

    Raises:
        ModelError: similar names are suggested.
    """
    if name == DEFAULT_MODEL or is_factory(name):
        return
    known = library_names()
    if name not in known.torchvision and name.partition(".")[0] not in known.timm:
        raise unknown_model(name)


def unknown_model(name: str) -> ModelError:
    """The error for the name of no model, with similar names."""
    known = library_names()
    names = [*sorted([DEFAULT_MODEL, *known.torchvision]), *known.timm]
    near = [f"{TIMM}{name}"] if f"{TIMM}{name}" in known.timm else []
    near += difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near[:3])}?" if near else "see the list of models"
    return ModelError(f"no model is called {name!r}: {hint}")


def library_names(*, ask: bool = True) -> LibraryNames:
    """The names that torchvision and timm know, from the user's cache.

    Args:
        ask: whether the libraries are asked where it has none; otherwise there are none then.
    """
    versions, folder = package_versions(), cache_folder(MODELS)
    kept = _read(folder.kept(_FILE, versions))
    if kept is None and not ask:
        return LibraryNames({}, {}, {})
    if kept is None:
        kept = _asked()
        folder.keep(_FILE, versions, asdict(kept))
    return kept


def _read(held: Any) -> LibraryNames | None:
    try:
        names = LibraryNames(**held)
    except TypeError:
        return None
    known = (names.torchvision, names.timm, names.timm_tagged)
    sound = all(
        isinstance(counts, dict) and all(isinstance(count, int) for count in counts.values())
        for counts in known
    )
    return names if sound else None


def timm_library() -> Any:
    """timm, without what its progress bars have to say of a notebook without ipywidgets."""
    with quiet():
        import timm
    return timm


def _asked() -> LibraryNames:
    """The names as the libraries tell them: torchvision's without the quantized ones."""
    from torchvision import models

    timm = timm_library()

    return LibraryNames(
        {
            name: len(models.get_model_weights(name).DEFAULT.meta["categories"])
            for name in models.list_models(module=models)
        },
        _class_counts(timm.list_models()),
        _class_counts(timm.list_pretrained()),
    )


def _class_counts(names: list[str]) -> dict[str, int]:
    """The number of classes of timm's networks, 0 for those without a classifier."""
    timm = timm_library()
    configs: dict[str, Any] = {name: timm.get_pretrained_cfg(name) for name in names}
    return {
        f"{TIMM}{name}": config.num_classes if config else 0 for name, config in configs.items()
    }
