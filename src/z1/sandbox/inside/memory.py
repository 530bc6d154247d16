"""The memory that all processes of a sandbox process hold together.

Counted are anonymous pages, shared anonymous memory (`mmap` with MAP_SHARED, mappings of /dev/zero) by its size, files
in /tmp, which are kept in memory, and what the kernel may keep in pipes and sockets. Not counted are pages of files
outside /tmp, such as libraries, which are shared with other processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

TMP = "/tmp"
SHARED_MEMORY = b"/dev/zero (deleted)"
"""What /proc/PID/maps calls shared anonymous memory."""

FREE_DESCRIPTORS, DESCRIPTOR_BYTES = 64, 208 << 10
"""A process's descriptors that count for nothing, and what each further one counts for: the default maximum of the data
in one socket, which belongs to no process.
"""


class MemoryMeter:
    """Measures the other processes of this process namespace."""

    def __init__(self) -> None:
        self._largest: dict[bytes, int] = {}
        self.file_bytes = 0
        """The most pages of files that one process had mapped, in bytes."""
        self.trusted = ""
        """A process that may hide what it has mapped."""

    def used_bytes(self, limit: int) -> int:
        """Bytes in use. Up to `limit` it is an upper bound: a page counts once for each process that shares it.

        Above it no more is measured than shows that the limit is exceeded: hungry processes do not wait.
        """
        names = _processes()
        private = sum(map(self._private_bytes, names))
        if private > limit and (exact := _proportional_total(names)) > limit:
            return exact
        elsewhere = _bytes_in_tmp() + self._shared_bytes(names) + sum(map(_kernel_bytes, names))
        return elsewhere + (private if elsewhere + private <= limit else _proportional_total(names))

    def _private_bytes(self, name: str) -> int:
        with suppress(OSError):
            anonymous, files = _read_bytes(f"/proc/{name}/status", b"RssAnon", b"RssFile")
            self.file_bytes = max(self.file_bytes, files)
            return anonymous
        return 0

    def _shared_bytes(self, names: list[str]) -> int:
        """Shared anonymous memory that is mapped now; of each, the most that was seen, since a part may be unmapped."""
        present: dict[bytes, int] = {}
        hidden = 0
        for name in names:
            try:
                for inode, size in _shared_mappings(name):
                    present[inode] = max(present.get(inode, 0), size)
            except PermissionError:  # a process may refuse to be looked at
                hidden += _mapped_bytes(name) if name != self.trusted else 0
            except OSError:  # it has ended
                continue
        for inode, size in present.items():
            self._largest[inode] = max(self._largest.get(inode, 0), size)
        return hidden + sum(self._largest[inode] for inode in present)


def _read_bytes(path: str, *names: bytes) -> list[int]:
    """The values of the lines of `path` that begin with `names`, in bytes; 0 where there is no such line."""
    with open(path, "rb") as file:
        text = b"\n" + file.read()
    found = []
    for name in names:
        _, _, rest = text.partition(b"\n" + name + b":")
        found.append(int(rest.split(None, 1)[0]) << 10 if rest else 0)
    return found


def file_bytes_of_self() -> int:
    """Pages of files that this process has mapped, in bytes."""
    return _read_bytes("/proc/self/status", b"RssFile")[0]


def _bytes_in_tmp() -> int:
    found = os.statvfs(TMP)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def _processes() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit() and name != "1"]


def _proportional_total(names: list[str]) -> int:
    """Private memory, in which pages that several processes share count once."""
    total = sum(map(_proportional_bytes, names))
    if all(map(_mapped_bytes, names)):
        return total
    # a process ended meanwhile, so its part of what it shared may have been read twice
    return min(total, sum(map(_proportional_bytes, names)))


def _proportional_bytes(name: str) -> int:
    with suppress(OSError):
        return _read_bytes(f"/proc/{name}/smaps_rollup", b"Pss_Anon")[0]
    return 0  # what hides is counted already


def _mapped_bytes(name: str) -> int:
    """All that a process has mapped; 0 if it has ended, even if its parent has not waited for it."""
    with suppress(OSError):
        return _read_bytes(f"/proc/{name}/status", b"VmSize")[0]
    return 0


def _kernel_bytes(name: str) -> int:
    with suppress(OSError):
        return max(0, len(os.listdir(f"/proc/{name}/fd")) - FREE_DESCRIPTORS) * DESCRIPTOR_BYTES
    return 0


def _shared_mappings(name: str) -> Iterator[tuple[bytes, int]]:
    """The shared anonymous memory that a process has mapped: its number, and bytes from its start."""
    with open(f"/proc/{name}/maps", "rb") as file:
        text = file.read()
    if SHARED_MEMORY not in text:
        return
    for line in text.splitlines():
        if line.endswith(SHARED_MEMORY):
            addresses, _, offset, _, inode, *_ = line.split()
            start, end = (int(address, 16) for address in addresses.split(b"-"))
            yield inode, int(offset, 16) + end - start
