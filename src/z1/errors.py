"""What can go wrong, and whose fault is it?

    Z1Error                 anything z1 raises on purpose; str() is one line
    ├── UserError           the input is at fault: what, got, do this   (exit status 2)
    └── Fault               z1 or its surroundings are at fault         (exit status 1)
        └── EngineFault     an engine failed; its result is missing, never wrong

A model's failure (wrong, unparsed, cut) is data and never an exception.
"""

from __future__ import annotations

import errno

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where something cannot be written for want of room."""


class Z1Error(Exception):
    """Root of every exception that z1 raises on purpose."""

    exit_status = 1


class UserError(Z1Error):
    """The input is at fault. Says what, what was got, and what to do, in one line."""

    exit_status = 2

    def __init__(self, what: str, got: object, do: str) -> None:
        self.what, self.got, self.do = what, got, do
        super().__init__(what, got, do)

    def __str__(self) -> str:
        return f"{self.what}: got {_one_line(self.got)}; {self.do}"


class Fault(Z1Error):
    """z1 or its surroundings are at fault."""


class EngineFault(Fault):
    """An engine failed. The attempt it was working on is missing, not wrong."""


def from_os_error(error: OSError) -> Z1Error:
    """The one border where the operating system's errors become ours."""
    name = error.filename or "to the disk"
    if error.errno in DISK_FULL:
        do = "free some space and run the same command again; what was finished is kept"
        return UserError(f"no room to write {name}", error.strerror, do)
    if isinstance(error, FileNotFoundError):
        return UserError("a file is missing", name, "check the path")
    if isinstance(error, PermissionError):
        return UserError("no permission", name, "choose a path that you may read and write")
    return Fault(f"the operating system refused: {_one_line(error)}")


def _one_line(value: object) -> str:
    return " ".join(str(value).split()) or "nothing"
