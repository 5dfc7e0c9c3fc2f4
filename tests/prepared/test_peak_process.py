"""The process that measures memory: it runs none of the files where it happens to be."""

from __future__ import annotations

from heatmap.prepared.peak import measured_peak
from heatmap.prepared.session import SCORES


def test_nothing_is_imported_from_the_working_folder(network, tmp_path, monkeypatch):
    for name in ("numpy", "onnxruntime", "psutil", "heatmap"):
        (tmp_path / f"{name}.py").write_text("open('was_run', 'w').close()")
    monkeypatch.chdir(tmp_path)
    assert measured_peak(network.file, SCORES, [(1, 32, 32)]).fixed > 0
    assert not (tmp_path / "was_run").exists()
