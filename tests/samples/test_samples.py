"""The samples that train: what they write, and the figures that they must reach."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import heatmap
from tests.support.examples import load_sample
from tests.support.paths import SAMPLES


@pytest.fixture(scope="module")
def textures() -> ModuleType:
    return load_sample("textures")


def main(script: ModuleType, monkeypatch: pytest.MonkeyPatch, *given: object) -> None:
    monkeypatch.setattr(sys, "argv", ["script", *map(str, given)])
    script.main()


def test_tiles_are_cut_from_the_left_halves_alone(textures, tmp_path):
    assert textures.write_tiles(tmp_path) == 3 * 15 * 7
    for name in ("brick", "grass", "gravel"):
        photo = getattr(skimage.data, name)()
        paths = sorted((tmp_path / name).iterdir())
        assert len(paths) == 15 * 7
        for path in paths:
            top, left = map(int, path.stem.split("-"))
            assert left + 64 <= 256
            assert np.array_equal(
                np.asarray(Image.open(path)), photo[top : top + 64, left : left + 64]
            )


def test_the_mosaic_holds_the_right_halves_and_the_truth_says_where(textures, tmp_path):
    truth = textures.write_mosaic(tmp_path)
    mosaic = np.asarray(Image.open(tmp_path / "mosaic.png"))
    assert mosaic.shape == truth.shape == (512, 768)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "mosaic.truth.png")), truth)
    for label, photo in enumerate((skimage.data.brick, skimage.data.grass, skimage.data.gravel)):
        # Each half stands there once, its upper part in the upper row.
        assert np.array_equal(mosaic[truth == label].reshape(512, 256), photo()[:, 256:])


def test_data_only_trains_nothing(textures, tmp_path, monkeypatch):
    monkeypatch.setattr(textures, "STEP_PX", 96)
    main(textures, monkeypatch, tmp_path, "--data-only")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "mosaic.png",
        "mosaic.truth.png",
        "textures",
    ]


@pytest.mark.slow
def test_in_small_the_mosaic_is_scored_and_drawn(textures, tmp_path, monkeypatch, capsys):
    """A few tiles, and two epochs: what is written, and that it stands for what is right."""
    monkeypatch.setattr(textures, "STEP_PX", 96)
    monkeypatch.setattr(textures, "STRIDE_PX", 32)
    train = heatmap.train
    monkeypatch.setattr(
        heatmap, "train", lambda *given, **named: train(*given, **named, epochs=2, views=1)
    )
    textures.write_tiles(tmp_path / "textures")
    truth = textures.write_mosaic(tmp_path)
    right = textures.train_and_score(tmp_path, truth)
    assert right > 0.5  # of three classes; nobody would get more than a third without looking
    assert f"all     {right:.1%}" in capsys.readouterr().out
    assert Image.open(tmp_path / "mosaic.winners.png").size == (2 * 768 + 16, 512 + 56)


@pytest.mark.slow
def test_nine_of_ten_pixels_of_the_mosaic_get_the_right_class(
    textures, tmp_path, monkeypatch, capsys
):
    reached = []
    trained = textures.train_and_score
    monkeypatch.setattr(
        textures, "train_and_score", lambda *given: reached.append(trained(*given)) or reached[0]
    )
    with pytest.raises(SystemExit) as ended:
        main(textures, monkeypatch, tmp_path)
    assert ended.value.code == 0
    assert reached[0] >= 0.9
    assert f"all     {reached[0]:.1%}" in capsys.readouterr().out
    assert Image.open(tmp_path / "mosaic.winners.png").size == (2 * 768 + 16, 512 + 56)


def test_too_few_right_pixels_fail(textures, tmp_path, monkeypatch):
    monkeypatch.setattr(textures, "STEP_PX", 96)
    monkeypatch.setattr(textures, "train_and_score", lambda *_: 0.89)
    with pytest.raises(SystemExit) as ended:
        main(textures, monkeypatch, tmp_path)
    assert ended.value.code == 1


def test_borders_are_drawn_where_blocks_meet(textures):
    lined = textures.with_borders(np.zeros((512, 768, 3), np.uint8))
    rows, columns = (np.flatnonzero((lined == 255).all(axis=axis)[..., 0]) for axis in (1, 0))
    assert rows.tolist() == [254, 255, 256, 257]
    assert columns.tolist() == [254, 255, 256, 257, 510, 511, 512, 513]


@pytest.fixture
def faces(monkeypatch) -> Iterator[ModuleType]:
    # The script puts the root of the repository there, and takes one thread.
    monkeypatch.setattr(sys, "path", list(sys.path))
    threads = torch.get_num_threads()
    yield load_sample("faces")
    torch.set_num_threads(threads)


@pytest.mark.slow
def test_in_small_faces_are_trained_and_searched(faces, tmp_path, monkeypatch, capsys):
    """Every step once; the figures that it must reach take minutes, and stand below."""
    train = faces.train
    monkeypatch.setattr(
        faces, "train", lambda photos, checkpoint, **_: train(photos, checkpoint, epochs=1, views=1)
    )
    monkeypatch.setattr(faces, "FACELESS", ("coffee",))
    monkeypatch.setattr(faces, "SCALES", (0.2,))
    monkeypatch.setattr(faces, "QUARTERS", (0,))
    with pytest.raises(SystemExit):
        main(faces, monkeypatch, tmp_path)
    said = capsys.readouterr().out
    assert "false alarms become examples of what is no face" in said
    assert float(said.partition("largest difference ")[2].split()[0]) <= faces.LARGEST_DIFFERENCE
    for name in ("first.safetensors", "faces.safetensors", "astronaut.face.png"):
        assert (tmp_path / name).exists()


@pytest.mark.slow
def test_the_exit_code_says_whether_the_hottest_pixel_is_on_her_face_and_sliding_is_cropping(
    faces, tmp_path, monkeypatch
):
    """Where it is depends on the processor: training from scratch multiplies rounding."""
    with pytest.raises(SystemExit) as ended:
        main(faces, monkeypatch, tmp_path)
    monkeypatch.chdir(SAMPLES.parent)
    model = heatmap.prepare(tmp_path / "faces.safetensors", architecture=faces.NETWORK)
    photo = skimage.data.astronaut()
    heat = heatmap.score(photo, model, scale=0.22).heatmap("face")
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    # Her skin, from brow to chin.
    on_face = 172 <= x < 274 and 76 <= y < 190
    assert ended.value.code == (0 if on_face else 1)
    assert heat[76:190, 172:274].max() > 0.9
    report = heatmap.verify(photo, model, scales=0.22)
    assert report.padded == ()
    assert report.difference <= 1e-5
    assert (tmp_path / "astronaut.face.png").exists()


@pytest.mark.parametrize(("place", "found"), [((130, 220), True), ((300, 220), False)])
def test_a_face_found_elsewhere_fails(faces, tmp_path, monkeypatch, place, found):
    heat = np.zeros((512, 512), np.float32)
    heat[place] = 1
    report = SimpleNamespace(
        worst=SimpleNamespace(grid=SimpleNamespace(heatmap=lambda _: heat)),
        difference=1e-7,
        windows=1,
    )
    monkeypatch.setattr(heatmap, "prepare", lambda _: None)
    monkeypatch.setattr(heatmap, "verify", lambda *_, **__: report)
    monkeypatch.setattr(heatmap, "overlay", lambda *_, **__: skimage.data.astronaut())
    assert faces.find_face(tmp_path, SimpleNamespace(classifier=None)) is found
    report.difference = 2e-5
    assert not faces.find_face(tmp_path, SimpleNamespace(classifier=None))


def test_faces_and_others_are_told_apart_and_old_alarms_go(faces, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "alarm-0000.png").touch()
    faces.write_examples(tmp_path)
    patches = skimage.data.lfw_subset()
    for name, numbers in (("face", range(100)), ("other", range(100, 200))):
        paths = sorted((tmp_path / name).iterdir())
        assert [path.stem for path in paths] == [f"{number:03}" for number in numbers]
        written = np.stack([np.asarray(Image.open(path)) for path in paths])
        assert np.abs(written / 255 - patches[numbers]).max() <= 0.5 / 255 + 1e-6
