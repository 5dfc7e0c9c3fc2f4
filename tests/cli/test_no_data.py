"""What commands say of photos of which a part is no photo."""

from __future__ import annotations

import numpy as np
import pyvips
import skimage.data

from tests.support.command_line import POOLED, assert_one_line


def transparent(path, columns):
    """A photo whose first columns are transparent."""
    pixels = skimage.data.chelsea()[60:160, 100:220]
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    alpha[:, :columns] = 0
    pyvips.Image.new_from_array(np.dstack([pixels, alpha])).pngsave(path)


def test_windows_without_a_photo_are_counted_in_a_note(call):
    transparent("part.png", 50)
    said = call("run", "part.png", *POOLED, "--scale", 1, "-o", "out")
    assert said.code == 0
    lines = " ".join(said.out.split())
    assert "note: transparency laid over white" in lines
    assert "windows show mostly no data and were not scored" in lines
    assert "windows skipped" not in lines


def test_a_photo_without_any_is_refused_before_scoring(call, tmp_path):
    transparent("none.png", 120)
    said = call("run", "none.png", *POOLED, "-o", "out")
    assert_one_line(said, "none.png: all ", "windows show mostly no data")
    assert not (tmp_path / "out").exists()
