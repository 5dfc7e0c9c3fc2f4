"""How many threads compute one photo, before torch is loaded, meanwhile, and afterwards."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from heatmap.threads import side_by_side, threads_restored, use_threads
from tests.support.paths import ROOT

CODE = """
from heatmap.threads import apply_to_torch, thread_count, use_threads
use_threads(3)
told = [thread_count()]
import torch
# Another thread may ask before the one that loads torch could set it.
told += [thread_count()]
apply_to_torch()
told += [torch.get_num_threads(), thread_count()]
torch.set_num_threads(2)
told += [thread_count()]
use_threads(1)
told += [torch.get_num_threads(), thread_count()]
print(*told)
"""


def test_number_that_was_set_holds_while_torch_is_loaded_and_afterwards():
    ended = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["3", "3", "3", "3", "2", "1", "1"]


RESTORED = """
from heatmap.threads import apply_to_torch, thread_count, threads_restored, use_threads
usual, told = thread_count(), []
with threads_restored():
    use_threads(usual + 1)
    told += [thread_count()]
import torch
torch.set_num_threads(usual + 2)
# Nothing waits any more that would replace it.
apply_to_torch()
told += [thread_count()]
with threads_restored():
    use_threads(usual + 3)
    told += [torch.get_num_threads()]
told += [torch.get_num_threads()]
print(*(count - usual for count in told))
"""


@pytest.mark.slow
def test_number_is_restored_and_torch_keeps_its_own():
    ended = subprocess.run(
        [sys.executable, "-c", RESTORED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["1", "2", "3", "2"]


def in_threads(count: int, given: list[int], meet: threading.Barrier | None = None) -> list[str]:
    """The names of the threads that worked on each of what was given."""

    def work(each: int) -> str:
        if meet is not None:
            meet.wait(timeout=10)
        return f"{each} {threading.current_thread().name}"

    with threads_restored():
        use_threads(count)
        return side_by_side(work, given)


def test_two_work_side_by_side_and_the_first_is_done_here():
    # Were it one thread, it would wait for the other in vain.
    results = in_threads(2, [5, 3, 8, 1], threading.Barrier(2))
    assert [result.split()[0] for result in results] == ["5", "3", "8", "1"]
    own = threading.current_thread().name
    assert results[0] == f"5 {own}"
    assert len({result.split()[1] for result in results}) == 2


def test_with_one_thread_a_photo_has_no_second():
    own = threading.current_thread().name
    assert in_threads(1, [2, 7]) == [f"2 {own}", f"7 {own}"]
    assert in_threads(2, [2]) == [f"2 {own}"]
    assert in_threads(2, []) == []


@pytest.mark.parametrize("failing", [0, 1])
def test_after_a_failure_nothing_more_is_begun(failing):
    begun, failed = [], threading.Event()

    def work(each: int) -> None:
        begun.append(each)
        if each == failing:
            failed.set()
            raise ValueError(f"{each} fails")
        assert failed.wait(timeout=10)

    with threads_restored():
        use_threads(2)
        with pytest.raises(ValueError, match=f"{failing} fails"):
            side_by_side(work, range(200))
    assert len(begun) < 200
