"""What `heatmap train` says: a line an epoch, progress on standard error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import click

from ..networks.classifier import Classifier
from ..training.examples import Examples
from ..training.fit import Epoch
from ..training.train import Trained, TrainingWatcher
from .console import AtWork, working


class Teller(TrainingWatcher):
    """Tells of a training in lines, or of its end in JSON."""

    def __init__(self, at_work: AtWork, *, as_json: bool) -> None:
        self.at_work = at_work
        self.as_json = as_json

    def begins(self, examples: Examples, classifier: Classifier) -> None:
        for name, (train, check) in examples.counts().items():
            self._say(f"{name}: {train} examples to train on, {check} held out")
        trainable = sum(p.numel() for p in classifier.module.parameters() if p.requires_grad)
        fixed = sum(p.numel() for p in classifier.module.parameters()) - trainable
        self._say(
            f"{classifier.name}, window {classifier.preprocessing.window_px} px, "
            f"{classifier.weights}: {trainable:,} parameters trainable, {fixed:,} fixed"
        )
        self.at_work.say("making views")

    def prepared(self, done: int, total: int) -> None:
        self.at_work.progress(done, total)

    def resumed(self, epochs: int) -> None:
        self._say(f"going on behind epoch {epochs}")

    def epoch(self, epoch: Epoch, best: bool) -> None:
        held_out = ""
        if epoch.check_loss is not None and epoch.check_accuracy is not None:
            held_out = f"; held out: loss {epoch.check_loss:.4f}, {epoch.check_accuracy:.1%} right"
        self._say(
            f"epoch {epoch.number:3}: loss {epoch.loss:.4f}, {epoch.accuracy:.1%} right"
            f"{held_out}{', best so far' if best else ''}"
        )
        self.at_work.say("training")

    def end(self, done: Trained) -> None:
        """Say what came out."""
        if self.as_json:
            known = {
                "checkpoint": str(done.path),
                "best": asdict(done.best),
                "history": [asdict(epoch) for epoch in done.history],
            }
            click.echo(json.dumps(known, indent=2))
            return
        self._say(
            f"kept epoch {done.best.number}; wrote {done.path}: `heatmap run PHOTO -m {done.path}`"
        )

    def interrupted(self) -> None:
        """Ctrl-C: whole epochs stay."""
        self._say("stopped; the same command with --resume goes on")

    def _say(self, line: str) -> None:
        if not self.as_json:
            with self.at_work.aside():
                click.echo(line)


@contextmanager
def telling(*, as_json: bool) -> Iterator[Teller]:
    """A teller for one training."""
    with working("reading") as at_work:
        yield Teller(at_work, as_json=as_json)
