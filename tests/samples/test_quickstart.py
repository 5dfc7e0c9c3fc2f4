"""The notebook of samples/: its code at a glance, and (slow) run as a user runs it."""

from __future__ import annotations

import ast
import base64
import json

import cv2
import numpy as np
import pytest
import skimage.data

import heatmap
from tests.support.paths import ROOT, SAMPLES
from tests.support.trainings import tables_of

NOTEBOOK = SAMPLES / "quickstart.ipynb"


def code_cells() -> list[dict]:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_it_calls_public_names_only_and_keeps_no_output():
    assert 4 <= len(code_cells()) <= 8
    for cell in code_cells():
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        for node in ast.walk(ast.parse("".join(cell["source"]))):
            if isinstance(node, ast.Attribute):
                assert not node.attr.startswith("_")
                if isinstance(node.value, ast.Name) and node.value.id == "heatmap":
                    assert node.attr in heatmap.__all__


@pytest.fixture(scope="module")
def executed(tmp_path_factory) -> list[dict]:
    """The cells of code, run in a kernel of their own that leaves nothing behind."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
            patch.setenv(name, str(folder / name))
        book = nbformat.read(NOTEBOOK, as_version=4)
        client = nbclient.NotebookClient(
            book, timeout=None, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        )
        client.execute()
    return [cell for cell in book.cells if cell.cell_type == "code"]


def shown(cell: dict) -> dict[str, str]:
    """What the last line of a cell shows, by type."""
    (output,) = cell["outputs"]
    return output["data"]


@pytest.mark.slow
def test_nothing_is_written_to_the_error_stream(executed):
    outputs = [output for cell in executed for output in cell["outputs"]]
    assert [output["text"] for output in outputs if output.get("name") == "stderr"] == []


@pytest.mark.slow
def test_run_as_a_user_does_each_cell_shows_what_the_text_says(executed):
    run, listed, drawn, grid, verified = executed
    html = shown(run)["text/html"]
    ((_, *rows),) = tables_of(html)
    assert {row[0] for row in rows} == {"cat"}
    assert "zebra: not found" in html
    (printed,) = listed["outputs"]
    assert len(printed["text"].splitlines()) == len(rows)
    png = np.frombuffer(base64.b64decode(shown(drawn)["image/png"]), np.uint8)
    picture, photo = cv2.imdecode(png, cv2.IMREAD_COLOR)[..., ::-1], skimage.data.chelsea()
    painted = np.abs(picture[: len(photo)].astype(int) - photo).max(axis=2) > 20
    # Tabby is what the nose is called, and not the background.
    assert painted[180:240, 260:340].mean() > 0.8
    assert painted[:100, 380:].mean() < 0.2
    assert shown(grid)["text/plain"].startswith("ScoreGrid 23 rows x 37 columns x 1000 classes")
    assert "tabby" in shown(grid)["text/html"]
    assert "compare sliding scores with each other" in shown(verified)["text/html"]
