"""Control groups (version 2): Linux limits the memory of all processes of a program together.

Used where the operator names a folder for them, see `VARIABLE`; elsewhere, and beside it, `inside/memory.py` measures.
A group counts what that cannot see: memory that no process maps any more, and what is filled between two checks. It
also counts cached files and the kernel's own memory, so its limit is `SLACK` higher.
"""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from pathlib import Path

from z1.errors import UserError

VARIABLE = "Z1_SANDBOX_CGROUP"
"""Names a folder below /sys/fs/cgroup in which z1 may make groups."""

SLACK = 1.125
"""A group's limit over the program's."""

_NUMBERS = itertools.count()


class ControlGroup:
    """The group of one program, or none without a folder. `descriptors` are those of its `cgroup.procs` and
    `memory.events`, open until `close`.

    A process that writes 0 to the first one joins; the second one counts processes that were killed for memory.
    """

    def __init__(self, folder: Path | None, memory_bytes: int) -> None:
        self._folder = folder
        self.descriptors: tuple[int, ...] = ()
        if folder is None:
            return
        make_folder(folder)
        try:
            (folder / "memory.max").write_text(f"{int(memory_bytes * SLACK)}")
            if (folder / "memory.swap.max").exists():
                (folder / "memory.swap.max").write_text("0")
            procs = os.open(folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
            self.descriptors = (procs, os.open(folder / "memory.events", os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            self.close()
            self.remove()
            raise

    def close(self) -> None:
        """Close the descriptors."""
        for number in self.descriptors:
            os.close(number)
        self.descriptors = ()

    def remove(self) -> bool:
        """Remove the group; returns whether it is gone. It cannot be removed while a process is in it."""
        if self._folder is None:
            return True
        with suppress(OSError):
            remove_folder(self._folder)
        return not self._folder.exists()


class ControlGroups:
    """Makes groups in the folder that `VARIABLE` names, if it does, and removes those whose programs have ended."""

    def __init__(self) -> None:
        name = os.environ.get(VARIABLE)
        self._folder = Path(name) if name else None
        self._used: list[ControlGroup] = []

    def check(self) -> bool:
        """Whether groups are used. Raises UserError if they would not limit memory."""
        if self._folder is None:
            return False
        try:
            controllers = (self._folder / "cgroup.subtree_control").read_text().split()
        except OSError:
            raise UserError(VARIABLE, self._folder, "name a folder of a mounted cgroup2 file system") from None
        if "memory" not in controllers or not os.access(self._folder, os.W_OK):
            do = f"make it writable, and write +memory to {self._folder}/cgroup.subtree_control"
            raise UserError(VARIABLE, f"{self._folder}, which does not delegate memory", do)
        return True

    def make(self, memory_bytes: int) -> ControlGroup:
        """A group for one program. Raises OSError."""
        self.remove_empty()
        folder = self._folder / f"z1-{os.getpid()}-{next(_NUMBERS)}" if self._folder else None
        group = ControlGroup(folder, memory_bytes)
        self._used.append(group)
        return group

    def remove_empty(self) -> None:
        """Remove closed groups without processes."""
        self._used = [group for group in self._used if group.descriptors or not group.remove()]


def make_folder(folder: Path) -> None:
    """Make a group: Linux puts its files into the new folder."""
    folder.mkdir()


def remove_folder(folder: Path) -> None:
    """Remove a group: its files do not count as contents."""
    folder.rmdir()
