"""The folder in which a training lies while it goes on: its settings, views and state."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelError, ResultError, Use
from ..files import TEMPORARY, writing

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
            # Nothing to go on from; the rest belongs to no settings.
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
        """File of the fit's state, as :meth:`fit.Fit.save` writes it."""
        return self.folder / "state.safetensors"

    @property
    def views(self) -> Path:
        """File of the rows of a :class:`view_store.ViewStore`."""
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
