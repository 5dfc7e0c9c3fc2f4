"""The store of training inputs: all views of all examples, computed once and kept on disk."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..errors import ResultError, Use
from ..files import writing
from ..networks.tensors import photo_tensor
from ..ownership import ANY
from ..photo.photo import read_photo
from ..prepared.preprocessing import Preprocessing
from ..room import lack_of_room
from .augment import view
from .examples import Example, Examples
from .fit import Schedule
from .labelled_rows import LabelledRows, class_weights

# Views per forward pass through the frozen layers.
BATCH = 16

# Called with the number of views done and the total.
Advance = Callable[[int, int], object]


@dataclass(frozen=True)
class ViewStore:
    """The inputs of the trainable part, for every view of every example.

    Each row is a view: the float32 output of ``frozen``, or its pixels, uint8 (window, window,
    3), if ``frozen`` is None. First come all views of each training example, then those of each
    validation example: the plain one, or with ``refitted`` all views too.
    """

    examples: Examples
    schedule: Schedule
    preprocessing: Preprocessing
    frozen: nn.Module | None
    refitted: bool = False

    def __len__(self) -> int:
        return sum(count for _, count in self._counted())

    def rows(self, path: Path, advance: Advance) -> npt.NDArray[np.generic]:
        """All rows, mapped from the file ``path``, which is written if it does not exist.

        Raises:
            ResultError: they do not fit on the disk, or cannot be written.
            PhotoError: a photo cannot be read.
        """
        if not path.exists():
            self._write(path, advance)
        return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]

    def _write(self, path: Path, advance: Advance) -> None:
        batches = self._batches()
        first = next(batches)
        lack = lack_of_room(len(self) * first[0].nbytes, path.parent)
        if lack:
            raise ResultError(f"{len(self)} views take {lack}", Use("views", text="use fewer {}"))
        with writing(path, ANY) as temporary:
            shape = (len(self), *first.shape[1:])
            rows = np.lib.format.open_memmap(temporary, "w+", first.dtype, shape)
            done = 0
            for batch in itertools.chain([first], batches):
                rows[done : done + len(batch)] = batch
                done += len(batch)
                advance(done, len(self))
            rows.flush()
            del rows

    def _batches(self) -> Iterator[npt.NDArray[np.generic]]:
        views = self._views()
        while batch := list(itertools.islice(views, BATCH)):
            yield self._through_frozen(np.stack(batch))

    def _views(self) -> Iterator[npt.NDArray[np.uint8]]:
        """Views in the order of the rows; a photo is read once for consecutive examples."""
        window = self.preprocessing.window_px
        photo, pixels = "", np.empty((0, 0, 3), np.uint8)
        for index, (example, count) in enumerate(self._counted()):
            if example.photo != photo:
                photo, path = example.photo, self.examples.folder / example.photo
                pixels = read_photo(path, reading=self.examples.reading).pixels
            seed = (self.schedule.seed, index)
            for number in range(count):
                yield view(pixels, example.xyxy, window, number=number, seed=seed)

    def _counted(self) -> Iterator[tuple[Example, int]]:
        """Each example with its number of views."""
        for example in self.examples.training:
            yield example, self.schedule.views
        for example in self.examples.validation:
            yield example, self._validation_views

    @property
    def _validation_views(self) -> int:
        return self.schedule.views if self.refitted else 1

    def labelled(self, path: Path, advance: Advance) -> LabelledRows:
        """The rows of the file ``path``, as of :meth:`rows`, with the class of each."""
        rows = self.rows(path, advance)

        def read(indices: npt.NDArray[np.int64]) -> Tensor:
            values = np.ascontiguousarray(rows[indices])
            if self.frozen is None:
                return photo_tensor(values, self.preprocessing)
            return torch.from_numpy(values)

        parts = (self.examples.training, self.examples.validation)
        training, validation = (np.array([one.label for one in part], np.int64) for part in parts)
        numbers = np.arange(len(self))
        of_training = len(training) * self.schedule.views
        return LabelledRows(
            read,
            numbers[:of_training].reshape(-1, self.schedule.views),
            training,
            numbers[of_training:].reshape(-1, self._validation_views),
            validation,
            class_weights(training, len(self.examples.classes)),
        )

    def _through_frozen(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.generic]:
        if self.frozen is None:
            return pixels
        with torch.inference_mode():
            features = self.frozen(photo_tensor(pixels, self.preprocessing))
            return features.contiguous().numpy()  # type: ignore[no-any-return]
