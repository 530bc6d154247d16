"""Exceptions of z1, and their exit statuses.

    Z1Error                 any error that z1 raises; str() is one line
    ├── UserError           invalid input: what, got, do this    (exit status 2)
    │   └── ContextOverflow the prompt is too long for the context
    └── Fault               a failure of z1 or its environment   (exit status 1)
        └── EngineFault     an engine failed; its result is missing, never wrong
            └── UpstreamFault   a server behind z1 refused a request or failed

A model's failure (a wrong, unparsed or truncated answer) is data and never an exception.
"""

from __future__ import annotations

import errno
from pathlib import Path

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The system's error numbers for a full disk."""

MAX_DESCRIPTION = 300
"""Characters of an unexpected error's text that are shown."""


class Z1Error(Exception):
    """Base of all exceptions that z1 raises."""

    exit_status = 1


class UserError(Z1Error):
    """Invalid input. The message has one line: what, the value, and what to do."""

    exit_status = 2

    def __init__(self, what: str, got: object, do: str) -> None:
        self.what, self.got, self.do = what, got, do
        super().__init__(what, got, do)

    def __str__(self) -> str:
        return f"{self.what}: got {_one_line(self.got)}; {self.do}"


class ContextOverflow(UserError):
    """A prompt and the tokens reserved for its reply exceed the context length."""


class Fault(Z1Error):
    """A failure of z1 or its environment."""


class EngineFault(Fault):
    """An engine failed. The attempt that it was computing is missing, not wrong."""


class UpstreamFault(EngineFault):
    """A server behind z1 refused a request or failed. `status`, `kind` (OpenAI's `type`), `code` and `retry_after` are
    what the client of z1 gets.
    """

    def __init__(
        self, message: str, status: int = 502, kind: str = "", code: str | None = None, retry_after: str | None = None
    ) -> None:
        self.status, self.kind, self.code, self.retry_after = status, kind or "engine_error", code, retry_after
        super().__init__(message)


def from_os_error(error: OSError) -> Z1Error:
    """The operating system's error as an error of z1."""
    file = f"file {error.filename}" if error.filename else "a file"
    if error.errno in DISK_FULL:
        do = "free some space and run the command again; finished work is kept"
        return UserError(f"writing {error.filename or 'to the disk'}", error.strerror, do)
    if isinstance(error, FileNotFoundError):
        return UserError(file, "no such file", "check the path")
    if isinstance(error, PermissionError):
        return UserError(file, "permission denied", "choose a path that you can read and write")
    return Fault(f"operating system error: {_one_line(error)}")


def leading_error(error: BaseException) -> BaseException:
    """The error of a group to report, an error of z1 if it holds one; any other error as it is."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [leading_error(inner) for inner in error.exceptions]
    return next((leaf for leaf in leaves if isinstance(leaf, Z1Error)), leaves[0])


def describe(error: BaseException) -> str:
    """An unexpected error in one line: its type, its text and where it was raised."""
    try:
        text = _one_line(error)[:MAX_DESCRIPTION]
    except Exception:  # its __str__ may be at fault too
        text = "no description"
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})" if trace else ""
    return f"{type(error).__name__}: {text}{where}"


def install_hint(extra: str) -> str:
    """How to install an extra of z1, which no package index has."""
    return f"install the extra {extra}: pip install '.[{extra}]' in a checkout, or pip install 'z1-….whl[{extra}]'"


def _one_line(value: object) -> str:
    return " ".join(str(value).split()) or "nothing"
