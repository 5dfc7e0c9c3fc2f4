"""The memory that a control group of Linux, such as a container, allows its processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# A limit above this is none: an exabyte. Version 1 has numbers near 2^63 for none.
_NONE = 2**60
# In each version: the file of the limit, that of the use, and a line of memory.stat.
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = ("memory.max", "memory.current", "inactive_file")


@dataclass(frozen=True)
class GroupMemory:
    """What a group allows all of its processes together, and what they use, in bytes."""

    limit: int
    used: int

    @property
    def free(self) -> int:
        """Bytes that they may still take."""
        return max(0, self.limit - self.used)


def group_memory(root: Path = Path("/")) -> GroupMemory | None:
    """The memory of the group of this process that has the least left; None where none limits it.

    Args:
        root: the folder that holds ``proc`` and ``sys``.
    """
    found = [
        memory
        for mounted, names, path in _hierarchies(root)
        for folder in (mounted / path, *(mounted / path).parents)
        if folder.is_relative_to(mounted) and (memory := _read(folder, *names)) is not None
    ]
    return min(found, key=lambda memory: memory.free, default=None)


def _hierarchies(root: Path) -> Iterator[tuple[Path, tuple[str, str, str], str]]:
    """Where groups with memory are mounted, the names of their files, and the path of our own."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8", "replace").splitlines()
    # Other systems have none.
    except OSError:
        return
    mounted = root / "sys/fs/cgroup"
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            yield mounted / "memory", _V1, path.lstrip("/")
        elif not controllers:
            yield mounted, _V2, path.lstrip("/")


def _read(folder: Path, limit: str, usage: str, reclaimable: str) -> GroupMemory | None:
    """The memory of one group; None where it is not limited, or has no files."""
    try:
        most = int((folder / limit).read_text())
        if most >= _NONE:
            return None
        used = int((folder / usage).read_text())
        pairs = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
        # Files that were read are dropped where memory is needed.
        dropped = sum(int(count) for name, count in pairs if name == reclaimable)
    # ValueError: "max" is no limit.
    except (OSError, ValueError):
        return None
    return GroupMemory(most, max(0, used - dropped))
