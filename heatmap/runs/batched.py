"""The outcome of a batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..names import PHOTOS, ResultNames
from .batch_plan import BatchPlan
from .manifest import Record, counts
from .saved import SavedResult, read_result

if TYPE_CHECKING:
    from ..scoring.scorer import Scorer


@dataclass(frozen=True, repr=False)
class Batch:
    """The outcome of a batch; a sequence of the saved results of its photos.

    >>> for saved in heatmap.batch("photos"):                         # doctest: +SKIP
    ...     print(saved.photo, [found.name for found in saved.detections])

    Attributes:
        work: what there was to do, or with ``dry_run`` what there is to do.
        records: what became of each photo, sorted by name: also of those done earlier. With
            ``dry_run`` what the folder has of them.
        output: the folder of the results.
        scorer: what scored; None with ``dry_run``.
    """

    work: BatchPlan
    records: tuple[Record, ...]
    output: Path
    scorer: Scorer | None = None

    @property
    def done(self) -> tuple[Record, ...]:
        """The photos that have results."""
        return tuple(record for record in self.records if record.state == "done")

    @property
    def failed(self) -> tuple[Record, ...]:
        """The photos that have none; ``message`` says why."""
        return tuple(record for record in self.records if record.state == "failed")

    def __len__(self) -> int:
        """The number of photos that have results."""
        return len(self.done)

    def __iter__(self) -> Iterator[SavedResult]:
        """The results, each read from its files when it is asked for.

        Raises:
            ResultError: it is no longer there, or was written by another version.
        """
        return (self._saved(record) for record in self.done)

    def __getitem__(self, index: int) -> SavedResult:
        return self._saved(self.done[index])

    def __bool__(self) -> bool:
        # Not false where no photo has results: what became of them is there.
        return True

    def __repr__(self) -> str:
        """One line: ``Batch results: 12 done, 1 failed, 3 skipped``."""
        states = counts(self.records)
        todo = f"; {len(self.work.todo)} to do" if self.scorer is None else ""
        return (
            f"Batch {self.output}: {states['done']} done, {states['failed']} failed, "
            f"{states['skipped']} skipped{todo}"
        )

    def _saved(self, record: Record) -> SavedResult:
        folder = self.output / PHOTOS / record.name
        return read_result(ResultNames.of_photo(folder, record.path).description)
