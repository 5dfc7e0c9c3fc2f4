"""Whatever a user gives as a file may be a named pipe: refused in a line, never waited for."""

import os

import pytest

from heatmap.class_groups import read_groups
from heatmap.classes import ClassList
from heatmap.errors import HeatmapError
from heatmap.grid.read import load
from heatmap.localization.formats.coco import CocoIds
from heatmap.names import MANIFEST
from heatmap.networks.checkpoint import check_target, read_checkpoint
from heatmap.networks.class_names import read_class_names
from heatmap.networks.weights_file import read_weights
from heatmap.photo.annotations import read_boxes, read_mapping
from heatmap.photo.photo import read_photo
from heatmap.runs.manifest import read_manifest
from heatmap.runs.saved import saved_results
from heatmap.runs.sources import gather

READERS = {
    "a.jpg": read_photo,
    "boxes.json": read_boxes,
    "mapping.json": read_mapping,
    "groups.json": lambda path: read_groups(path, ClassList(("cat",))),
    "names.txt": read_class_names,
    "coco.json": CocoIds.read,
    "grid.npz": load,
    "result.json": saved_results,
    "list.txt": lambda path: gather([path], path.parent / "out"),
    "a.safetensors": read_weights,
    "description.safetensors": lambda path: read_checkpoint(path),
    "target.safetensors": check_target,
    MANIFEST: lambda path: read_manifest(path.parent),
}


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_refused_by_every_reader(tmp_path, name):
    pipe = tmp_path / name
    # Of a checkpoint it is the description beside it.
    if name in ("description.safetensors", "target.safetensors"):
        pipe.write_bytes(b"{}")
        os.mkfifo(pipe.with_suffix(".json"))
    else:
        os.mkfifo(pipe)
    with pytest.raises(HeatmapError) as refusal:
        READERS[name](pipe)
    assert str(tmp_path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
