"""Libraries are tried in another process, which they may crash."""

from __future__ import annotations

import os

import pytest

from heatmap import loadable
from heatmap.loadable import loaded_facts
from tests.support.paths import ROOT

BROKEN = {
    "crashes": "import os; os.abort()",
    "ends": "import sys; sys.exit(3)",
    "fails": "raise OSError('libgomp.so: not found\\nsecond line')",
    "half": "import nowhere_to_be_found",
    "waits": "import time; time.sleep(600)",
    "talks": "print('hello'); print('[1, 2]'); __version__ = '1.0'",
    "leaves": "import os; os._exit(7)",
}


@pytest.fixture(autouse=True)
def _modules(tmp_path, monkeypatch):
    for name, code in BROKEN.items():
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))


def test_each_library_is_told_of_after_whatever_the_ones_before_did():
    names = ["fails", "crashes", "half", "ends", "leaves", "talks", "nowhere_to_be_found"]
    assert loaded_facts(names) == {
        "fails": {"problem": "cannot be loaded (libgomp.so: not found)"},
        "crashes": {"problem": "crashes the process (SIGABRT)"},
        "half": {"problem": "cannot be loaded (No module named 'nowhere_to_be_found')"},
        "ends": {"problem": "cannot be loaded (3)"},
        "leaves": {"problem": "ends the process with exit code 7"},
        "talks": {"version": "1.0"},
        "nowhere_to_be_found": {"problem": "missing"},
    }


def test_a_library_that_never_ends_is_given_up(monkeypatch):
    monkeypatch.setattr(loadable, "_PATIENCE_S", 1)
    assert loaded_facts(["waits"]) == {"waits": {"problem": "is not loaded after 1 s"}}


def test_what_is_installed_says_its_version():
    facts = loaded_facts(["numpy", "onnxruntime", "pyvips"])
    assert facts["numpy"]["version"]
    assert "CPUExecutionProvider" in facts["onnxruntime"]["providers"]
    assert facts["pyvips"]["libvips"].count(".") == 2


@pytest.mark.slow
def test_torch_says_what_it_computes_with():
    facts = loaded_facts(["torch"])["torch"]
    assert facts["threads"] >= 1
    assert isinstance(facts["instructions"], str)
    assert isinstance(facts["gpus"], list)
