"""How many threads compute one photo, before torch is loaded, meanwhile, and afterwards."""

from __future__ import annotations

import subprocess
import sys

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


def test_number_is_restored_and_torch_keeps_its_own():
    ended = subprocess.run(
        [sys.executable, "-c", RESTORED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["1", "2", "3", "2"]
