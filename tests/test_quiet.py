"""Nothing that a library logs reaches the user, and the log of others stays as it was."""

from __future__ import annotations

import logging
import threading
import warnings

import pytest

from heatmap.quiet import listening, quiet

LIBRARY = logging.getLogger("a library")


def complain(to: logging.Logger = LIBRARY) -> None:
    to.critical("it went wrong")


def test_nothing_is_logged_or_warned_of_in_a_quiet_block(caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with quiet():
            complain()
            warnings.warn("deprecated", stacklevel=1)
        assert caplog.records == []
        complain()
        assert len(caplog.records) == 1
        with pytest.raises(UserWarning):
            warnings.warn("deprecated", stacklevel=1)


def test_a_caller_that_disabled_logging_keeps_it_so(caplog):
    logging.disable(logging.ERROR)
    try:
        with quiet():
            pass
        assert logging.root.manager.disable == logging.ERROR
    finally:
        logging.disable(logging.NOTSET)


def test_blocks_of_several_threads_may_overlap(caplog):
    """Ends in another order than they began must not leave logging off."""
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with quiet():
            inside.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with quiet():
        thread.start()
        inside.wait()
    complain()
    assert caplog.records == []
    leave.set()
    thread.join()
    complain()
    assert len(caplog.records) == 1


def test_what_a_library_says_can_be_read_in_a_quiet_block(caplog):
    with quiet(), listening("a library") as lines:
        complain()
    assert lines == ["it went wrong"]
    assert caplog.records == []
    assert LIBRARY.filters == []
