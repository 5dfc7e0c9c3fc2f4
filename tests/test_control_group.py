"""The memory that a container allows, in both versions of control groups."""

from __future__ import annotations

import pytest

from heatmap import memory
from heatmap.control_group import GroupMemory, group_memory


def group(root, folder: str, **content: object) -> None:
    home = root / "sys/fs/cgroup" / folder
    home.mkdir(parents=True, exist_ok=True)
    for name, text in content.items():
        (home / f"memory.{name}").write_text(f"{text}\n")


def of_process(root, *lines: str) -> None:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("\n".join(lines))


def test_version_2(tmp_path):
    of_process(tmp_path, "0::/user/own")
    group(tmp_path, "user/own", max="max", current=10, stat="inactive_file 1")
    group(tmp_path, "user", max=1000, current=700, stat="anon 5\ninactive_file 200")
    group(tmp_path, "", max=900, current=100, stat="inactive_file 0")
    assert group_memory(tmp_path) == GroupMemory(1000, 500)


def test_version_1(tmp_path):
    of_process(tmp_path, "5:cpu,cpuacct:/x", "4:hugetlb,memory:/docker/a", "0::/")
    files = {"limit_in_bytes": 2000, "usage_in_bytes": 1500}
    group(tmp_path, "memory/docker/a", **files, stat="inactive_file 9\ntotal_inactive_file 300")
    group(tmp_path, "memory", limit_in_bytes=2**63 - 4096, usage_in_bytes=0, stat="")
    assert group_memory(tmp_path) == GroupMemory(2000, 1200)


def test_a_container_that_is_over_its_limit_has_nothing_free():
    assert GroupMemory(100, 150).free == 0


@pytest.mark.parametrize("lines", [[], ["0::/gone"], ["nonsense"], ["4:memory:/gone"]])
def test_without_a_limit_there_is_none(tmp_path, lines):
    of_process(tmp_path, *lines)
    assert group_memory(tmp_path) is None


def test_other_systems_have_no_groups(tmp_path):
    assert group_memory(tmp_path) is None


def test_activations_stay_within_the_container(monkeypatch):
    monkeypatch.setattr(memory, "group_memory", lambda: GroupMemory(5000, 1000))
    assert memory.available_memory() == 4000
    assert memory.free_memory() == 2000
    monkeypatch.setattr(memory, "group_memory", lambda: None)
    assert memory.available_memory() > 4000
