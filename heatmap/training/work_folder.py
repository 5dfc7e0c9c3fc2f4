"""The folder in which a training lies while it goes on: its settings, views and state."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..errors import ModelError, ResultError, Use
from ..files import TEMPORARY, lack_of_room, writing
from ..networks.classifier import Preprocessing
from ..photo.photo import read_photo
from .augment import view
from .examples import Example, Examples
from .fit import Schedule

# Views that go through the trunk at once.
BATCH = 16
WORK_SUFFIX = ".training"


def work_folder(target: Path) -> Path:
    """Where the training of a checkpoint lies."""
    return target.with_suffix(WORK_SUFFIX)


@dataclass(frozen=True)
class WorkFolder:
    """The folder in which a training lies while it goes on: x.training for x.safetensors."""

    folder: Path

    @classmethod
    def opened(cls, target: Path, settings: str, resume: bool) -> WorkFolder:
        """The folder, begun or gone on with.

        Raises:
            ModelError: it holds another training, or one that is not to be gone on with.
            ResultError: it holds other things, or cannot be written.
        """
        work = cls(work_folder(target))
        work._check_own()
        written = work.folder / "settings.json"
        try:
            earlier = json.loads(written.read_text("utf-8"))["digest"]
        except (OSError, ValueError, KeyError, TypeError):
            earlier = None
        if earlier is None or not (work.views.exists() or work.state.exists()):
            # Nothing to go on from; what lies about belongs to no settings.
            work.clear()
            earlier = None
        if earlier is not None and not resume:
            raise ModelError(
                f"{work.folder} holds a training that was interrupted",
                Use("resume", text="go on with {}, or remove that folder"),
            )
        if earlier not in (None, settings):
            raise ModelError(
                f"{work.folder} was begun with other photos, network or settings: give those "
                "again, or remove that folder"
            )
        with writing(written) as temporary:
            temporary.write_text(json.dumps({"digest": settings}) + "\n", "utf-8")
        return work

    @property
    def state(self) -> Path:
        return self.folder / "state.safetensors"

    @property
    def views(self) -> Path:
        return self.folder / "views.npy"

    def clear(self) -> None:
        """Remove what a training left, its settings last: views alone would fit any."""
        for folder in self.folder.glob(f"{TEMPORARY}*"):
            shutil.rmtree(folder, ignore_errors=True)
        for path in (self.state, self.views, self.folder / "settings.json"):
            path.unlink(missing_ok=True)
        if self.folder.exists():
            self.folder.rmdir()

    def _check_own(self) -> None:
        """Refuse a folder, or file, that is no training's: it would be removed at the end."""
        if self.folder.exists() and not self.folder.is_dir():
            raise ResultError(
                f"{self.folder}: is a file, not a training: name the output otherwise"
            )
        ours = {"settings.json", self.state.name, self.views.name}
        for path in self.folder.glob("*"):
            if path.name not in ours and not path.name.startswith(TEMPORARY):
                raise ResultError(
                    f"{self.folder}: holds {path.name!r}, which is no training's: "
                    "name the output otherwise"
                )

    def store(
        self,
        examples: Examples,
        schedule: Schedule,
        preprocessing: Preprocessing,
        frozen: nn.Module | None,
        progress: Callable[[int, int], object],
    ) -> npt.NDArray[np.generic]:
        """What the learner takes of every view: outputs of what is frozen, else pixels.

        Float32 features, or uint8 (window, window, 3); first all views of each training
        example, then one of each validation example. Made once, and read from disk.
        """
        if not self.views.exists():
            total = len(examples.training) * schedule.views + len(examples.validation)
            made = _made(_views(examples, schedule, preprocessing.window_px), preprocessing, frozen)
            first = next(made)
            lack = lack_of_room(total * first[0].nbytes, self.folder)
            if lack:
                raise ResultError(f"{total} views take {lack}", Use("views", text="use fewer {}"))
            with writing(self.views) as temporary:
                whole = np.lib.format.open_memmap(
                    temporary, "w+", first.dtype, (total, *first.shape[1:])
                )
                done = 0
                for part in itertools.chain([first], made):
                    whole[done : done + len(part)] = part
                    done += len(part)
                    progress(done, total)
                whole.flush()
                del whole
        return np.load(self.views, mmap_mode="r")  # type: ignore[no-any-return]


def _views(examples: Examples, schedule: Schedule, window: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Views in the order of the store; each photo is read once for neighbours in it."""
    known: tuple[str, npt.NDArray[np.uint8]] | None = None
    plans: list[tuple[int, Example, int]] = [
        (place, example, schedule.views) for place, example in enumerate(examples.training)
    ]
    plans += [(place, example, 1) for place, example in enumerate(examples.validation)]
    for place, example, count in plans:
        if known is None or known[0] != example.photo:
            known = (example.photo, read_photo(examples.folder / example.photo).pixels)
        for number in range(count):
            seed = (schedule.seed, place)
            yield view(known[1], example.xyxy, window, number=number, seed=seed)


def _made(
    views: Iterator[npt.NDArray[np.uint8]], preprocessing: Preprocessing, frozen: nn.Module | None
) -> Iterator[npt.NDArray[np.generic]]:
    """Batches of what the learner takes."""
    waiting: list[npt.NDArray[np.uint8]] = []
    for one in views:
        waiting.append(one)
        if len(waiting) == BATCH:
            yield _through(np.stack(waiting), preprocessing, frozen)
            waiting = []
    if waiting:
        yield _through(np.stack(waiting), preprocessing, frozen)


def _through(
    pixels: npt.NDArray[np.uint8], preprocessing: Preprocessing, frozen: nn.Module | None
) -> npt.NDArray[np.generic]:
    if frozen is None:
        return pixels
    with torch.inference_mode():
        return frozen(preprocessing.tensor(pixels)).contiguous().numpy()  # type: ignore[no-any-return]
