"""The folder of a training in progress: its settings, views and state."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelError, ResultError, Use
from ..files import writing
from ..marks import MARK, mark_of
from ..ownership import ANY
from ..temporary import TEMPORARY, recover

WORK_SUFFIX = ".training"


def work_folder(target: Path) -> Path:
    """The folder for the training of a checkpoint."""
    return target.with_suffix(WORK_SUFFIX)


@dataclass(frozen=True)
class WorkFolder:
    """The folder of a training in progress: x.training for x.safetensors."""

    folder: Path

    @classmethod
    def opened(cls, target: Path, settings: str, resume: bool) -> WorkFolder:
        """Create the folder, or open it to resume.

        Raises:
            ModelError: it holds another training, or one while ``resume`` is False.
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
            # Nothing to resume from.
            work.clear()
            earlier = None
        if earlier is not None and not resume:
            raise ModelError(
                f"{work.folder} holds a training that was interrupted",
                Use("resume", text="continue with {}, or remove that folder"),
            )
        if earlier not in (None, settings):
            raise ModelError(
                f"{work.folder} was started with other photos, network or settings: use those "
                "again, or remove that folder"
            )
        with writing(written, ANY) as temporary:
            told = {"generator": MARK, "digest": settings}
            temporary.write_text(json.dumps(told) + "\n", "utf-8")
        return work

    @property
    def state(self) -> Path:
        """The file of the state that :meth:`fit.Fit.save` writes."""
        return self.folder / "state.safetensors"

    @property
    def views(self) -> Path:
        """The file of the rows of a :class:`view_store.ViewStore`."""
        return self.folder / "views.npy"

    def clear(self) -> None:
        """Remove the files of a training, settings last, so that views always have some."""
        if self.folder.exists():
            recover(self.folder)
        for path in (self.state, self.views, self.folder / "settings.json"):
            path.unlink(missing_ok=True)
        if self.folder.exists():
            self.folder.rmdir()

    def _check_own(self) -> None:
        """Refuse a file, or a folder with other files, since the folder is removed at the end."""
        if self.folder.exists() and not self.folder.is_dir():
            raise ResultError(
                f"{self.folder}: is a file, not a training: choose another output name"
            )
        settings = self.folder / "settings.json"
        # Settings are written first and removed last.
        is_ours = mark_of(settings) is not None
        ours = {settings.name, self.state.name, self.views.name} if is_ours else set()
        for path in self.folder.glob("*"):
            if path.name not in ours and not path.name.startswith(TEMPORARY):
                raise ResultError(
                    f"{self.folder}: holds {path.name!r}, which does not belong to a training: "
                    "move that, or choose another output name"
                )
