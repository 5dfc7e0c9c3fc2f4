"""What `progress` may be, and that nothing is printed unless it was asked for."""

from __future__ import annotations

import inspect
import logging
import subprocess
import sys

import pytest

import heatmap
from heatmap.errors import ResultError, Use
from heatmap.progress import Progress, Reporter, reporting
from heatmap.quiet import quiet
from heatmap.runs.photo_run import run_photo
from tests.support.command_line import without_colours
from tests.support.runs import Recorder

LONG = (
    heatmap.run,
    heatmap.score,
    heatmap.Scorer.score,
    heatmap.Scorer.score_positions,
    heatmap.prepare,
    heatmap.verify,
    heatmap.evaluate,
    heatmap.train,
    heatmap.export,
    heatmap.adapt,
    heatmap.batch,
    run_photo,
)


def work(progress: Progress, stage: str = "") -> None:
    with reporting(progress, stage) as reporter:
        reporter.stage("scoring cat.jpg")
        reporter.advance(1, 2)
        reporter.note("no window fits", Use("border", "cover"))
        reporter.advance(2, 2)


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    assert {record.name for record in caplog.records} <= {"heatmap"}
    return [(record.levelname, record.getMessage()) for record in caplog.records]


@pytest.mark.parametrize("call", LONG, ids=lambda call: call.__qualname__)
def test_every_long_call_takes_progress_and_is_silent_by_default(call):
    parameter = inspect.signature(call).parameters["progress"]
    assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
    assert parameter.default is False


@pytest.mark.parametrize("progress", [False, None])
def test_stages_notes_and_counts_are_logged(caplog, capfd, progress):
    caplog.set_level(logging.DEBUG)
    work(progress, "loading vgg16")
    assert logged(caplog) == [
        ("INFO", "loading vgg16"),
        ("INFO", "scoring cat.jpg"),
        ("DEBUG", "1 of 2"),
        ("WARNING", "no window fits: use border='cover'"),
        ("DEBUG", "2 of 2"),
    ]
    assert capfd.readouterr() == ("", "")


def test_a_function_counts_and_the_rest_is_logged(caplog, capfd):
    caplog.set_level(logging.INFO)
    seen = []
    work(lambda *done: seen.append(done))
    assert seen == [(1, 2), (2, 2)]
    assert [level for level, _ in logged(caplog)] == ["INFO", "WARNING"]
    assert capfd.readouterr() == ("", "")


def test_a_reporter_gets_everything_instead(caplog):
    caplog.set_level(logging.DEBUG)
    recorder = Recorder()
    work(recorder, "loading vgg16")
    assert recorder.events == [
        ("stage", "scoring cat.jpg"),
        ("advance", 1, 2),
        ("note", "no window fits", Use("border", "cover")),
        ("advance", 2, 2),
    ]
    assert caplog.records == []


def test_a_bar_is_shown_on_standard_error_of_a_terminal(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    with reporting(True, "loading [b]vgg16[/b]") as reporter:
        reporter.bar.refresh()
        reporter.stage("scoring cat.jpg")
        reporter.advance(1, 2)
        reporter.note("no window fits [/]", Use("border", "cover"))
        reporter.bar.refresh()
    shown = capsys.readouterr()
    assert shown.out == ""
    err = without_colours(shown.err)
    assert "loading [b]vgg16[/b]" in err
    assert "scoring cat.jpg ━" in err
    assert "note: no window fits [/]: use border='cover'\n" in err


def test_a_bar_in_a_pipe_shows_nothing_and_logs(caplog, capfd):
    caplog.set_level(logging.INFO)
    work(True)
    assert capfd.readouterr() == ("", "")
    assert [level for level, _ in logged(caplog)] == ["INFO", "WARNING"]


@pytest.mark.parametrize("progress", [1, "yes", [print]])
def test_anything_else_is_refused(progress):
    with pytest.raises(ResultError, match=r"progress is .*: give True, False, a function"):
        work(progress)


def test_what_this_package_says_is_heard_where_others_are_silenced(caplog):
    caplog.set_level(logging.INFO)
    with quiet():
        work(False)
        logging.getLogger("a library").critical("it went wrong")
    assert [level for level, _ in logged(caplog)] == ["INFO", "WARNING"]


def test_a_caller_that_disabled_logging_hears_nothing(caplog):
    logging.disable(logging.CRITICAL)
    try:
        with quiet():
            work(False)
    finally:
        logging.disable(logging.NOTSET)
    assert caplog.records == []


def test_warnings_are_not_printed_by_programs_without_logging():
    """Python prints warnings that nobody handles."""
    code = (
        "from heatmap.progress import reporting\n"
        "with reporting(False) as reporter: reporter.note('something')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert (ended.stdout, ended.stderr) == (b"", b"")


def test_the_base_class_ignores_everything(capfd):
    work(Reporter())
    assert capfd.readouterr() == ("", "")
