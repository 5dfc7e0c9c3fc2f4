"""Photos are read in forked processes, or refused at once."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import threading
import time

import numpy as np
import pytest
import pyvips
import torch
from torch.utils.data import DataLoader, Dataset

import heatmap
from heatmap.photo.photo import read_photo
from heatmap.photo.photo_file import PhotoFile
from heatmap.photo.rows import READING

FORK = multiprocessing.get_context("fork")
# What hangs is ended after so many seconds.
LONGEST_S = 20


@pytest.fixture
def photos(tmp_path):
    """Photos that libvips' threads decode: interlaced PNGs."""
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for number, path in enumerate(paths):
        pixels = np.random.default_rng(number).integers(0, 255, (300, 400, 3)).astype(np.uint8)
        pyvips.Image.new_from_array(pixels).pngsave(str(path), interlace=True)
    return [str(path) for path in paths]


def in_fork(function, *given):
    """What a function returns in a forked process; the line of its error if it refuses."""
    receiving, sending = FORK.Pipe(duplex=False)

    def answer():
        try:
            sending.send(function(*given))
        except heatmap.HeatmapError as error:
            sending.send(str(error))

    process = FORK.Process(target=answer)
    process.start()
    try:
        assert receiving.poll(LONGEST_S), "hangs"
        return receiving.recv()
    finally:
        process.kill()
        process.join()


def total(path):
    return int(heatmap.read_photo(path).pixels.sum())


class Totals(Dataset):
    """The sum of the pixels of each photo."""

    def __init__(self, paths):
        self.paths = paths

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return total(self.paths[index])


def test_a_data_loader_reads_photos_in_forked_workers(photos):
    expected = [total(path) for path in photos]
    loader = DataLoader(
        Totals(photos), num_workers=2, multiprocessing_context="fork", timeout=LONGEST_S
    )
    assert torch.cat(list(loader)).tolist() == expected


def test_reading_works_after_many_reads_of_the_parent(photos):
    """Each of libvips' own threads has been started, and waits for the next image."""
    expected = [total(path) for path in photos]
    assert [in_fork(total, path) for path in photos] == expected
    # The child of a child.
    assert in_fork(in_fork, total, photos[0]) == expected[0]


def test_a_fork_waits_for_a_read_in_another_thread(photos):
    expected, held = total(photos[0]), threading.Event()

    def hold():
        with READING:
            held.set()
            time.sleep(0.2)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    assert in_fork(total, photos[0]) == expected
    thread.join()


def test_a_fork_during_a_long_read_is_refused_with_the_way_out(photos):
    held, done = threading.Event(), threading.Event()

    def hold():
        with READING:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        started = time.monotonic()
        line = in_fork(total, photos[0])
    finally:
        done.set()
        thread.join()
    assert "forked while its parent was reading" in line
    assert "spawn" in line
    assert time.monotonic() - started < LONGEST_S / 2
    # The parent reads on.
    assert total(photos[0])


def test_an_open_photo_on_disk_is_opened_again_in_a_fork(tmp_path):
    """Processes would share one place in the file, and read each other's rows."""
    pixels = np.random.default_rng(0).integers(0, 255, (600, 700, 3)).astype(np.uint8)
    path = tmp_path / "tiled.tif"
    pyvips.Image.new_from_array(pixels).tiffsave(
        str(path), tile=True, tile_width=64, tile_height=64, compression="deflate"
    )
    opened = PhotoFile(path)

    def rows():
        return np.concatenate(list(opened.strips()))

    def differ(times):
        return [bool((rows() != pixels).any()) for _ in range(times)]

    reader = threading.Thread(target=differ, args=(20,))
    reader.start()
    assert not any(in_fork(differ, 10))
    reader.join()
    assert not any(differ(1))


def test_nothing_is_collected_while_libvips_works(tmp_path):
    """Its threads log through Python; an image that is freed in one of them ends the process."""
    collecting = []

    class Listening(logging.Handler):
        def emit(self, record):
            collecting.append(gc.isenabled())

    image = pyvips.Image.gaussnoise(300, 200).cast("uchar").bandjoin([1, 2])
    content = image.copy(interpretation="srgb").jpegsave_buffer()
    (tmp_path / "half.jpg").write_bytes(content[: len(content) // 2])
    listening = Listening()
    logging.getLogger("pyvips").addHandler(listening)
    try:
        assert read_photo(tmp_path / "half.jpg").notes == ("damaged, partly made up",)
    finally:
        logging.getLogger("pyvips").removeHandler(listening)
    assert collecting
    assert not any(collecting)
    assert gc.isenabled()


def test_a_caller_that_collects_nothing_goes_on_so(tmp_path):
    pyvips.Image.black(9, 9).pngsave(str(tmp_path / "a.png"))
    gc.disable()
    try:
        read_photo(tmp_path / "a.png")
        assert not gc.isenabled()
    finally:
        gc.enable()
