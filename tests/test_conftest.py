"""The last line of a run: which kinds of tests were skipped, and how to get them."""

from __future__ import annotations

import os

from tests.conftest import skipped_kinds

CHROMIUM = "apt-get install chromium"


def test_kinds_are_counted_with_the_command_that_brings_them():
    reasons = [
        f"Skipped: chromium is missing: {CHROMIUM}",
        "Skipped: could not import 'ray': No module named 'ray'",
        "Skipped: No module named 'playwright'",
        "Skipped: this disk has only UTF-8",
    ]
    assert skipped_kinds(reasons) == [
        f"2 of the page in a browser (`{CHROMIUM}; pip install playwright` brings them)",
        "1 on Ray (`pip install ray` brings them)",
        "1 that this machine cannot run (this disk has only UTF-8)",
    ]


def test_waiting_threads_do_not_spin():
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
