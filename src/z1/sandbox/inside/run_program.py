"""Runs a program in a forked interpreter as a fresh interpreter would.

The program gets real pipes as descriptors 0, 1 and 2, with unused file objects on top, so that every idiom of reading
input works, and a `__main__` of its own. At its end it gets Python's shutdown: threads are joined, `atexit` functions
run, open files are flushed, an uncaught exception is printed and gives exit status 1.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
import traceback
from types import CodeType, ModuleType
from typing import Any, NoReturn

ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "TMPDIR": "/tmp",
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": "/tmp/.matplotlib",
    "TZ": "UTC",
}

PATH = "/tmp/program.py"
"""The file name of a program. There is no such file."""

MAX_INT_DIGITS = 50_000
"""Limit for converting integers to text, as in LiveCodeBench's runner."""


def run(job: dict[str, Any]) -> None:
    """Run `job["code"]` as `__main__`; ends the process."""
    os.close(3)
    exit_process(execute(job["code"], main_module("__main__")))


def open_standard_files() -> None:
    """Create new standard files over pipes, as an interpreter does at its start.

    The fork server does this once; its forks replace the pipes below them. The pipes made here are never used.
    """
    for ends, numbers in ((os.pipe(), (0,)), (os.pipe(), (1, 2))):
        for number in numbers:
            os.dup2(ends[number > 0], number)
        for end in ends:
            os.close(end)
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        errors = "backslashreplace" if name == "stderr" else "surrogateescape"
        buffering = 1 if number == 2 else -1
        file = open(number, mode, encoding="utf-8", errors=errors, closefd=False, buffering=buffering)  # noqa: SIM115
        file.buffer.raw.name = f"<{name}>"  # type: ignore[attr-defined]
        setattr(sys, name, file)
        setattr(sys, f"__{name}__", file)


def main_module(name: str) -> ModuleType:
    """Create module `name` as for a script in /tmp."""
    module = ModuleType(name)
    module.__dict__.update(__builtins__=sys.modules["builtins"], __file__=PATH)
    sys.modules[name] = module
    sys.argv = [PATH]
    sys.path.insert(0, "/tmp")
    sys.set_int_max_str_digits(MAX_INT_DIGITS)
    return module


def execute(source: str, module: ModuleType) -> int:
    """Run `source` in `module`; returns the exit status that an interpreter would have."""
    try:
        code: CodeType = compile(source, PATH, "exec", dont_inherit=True)
        exec(code, module.__dict__)
    except SystemExit as end:
        return exit_status(end)
    except BaseException as error:
        traceback.print_exception(error.with_traceback(_program_traceback(error)))
        return 1
    return 0


def exit_status(end: SystemExit) -> int:
    """The exit status for `sys.exit(code)`; a text is printed on stderr."""
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    print(end.code, file=sys.stderr)
    return 1


def _program_traceback(error: BaseException) -> Any:
    trace = error.__traceback__
    return trace.tb_next if trace else None


def exit_process(status: int) -> NoReturn:
    """End as an interpreter does: join threads, run `atexit` functions, close and flush files.

    Threads are joined only if there are any: each page that is written is a page copied.
    """
    try:
        if len(threading._active) > 1:  # type: ignore[attr-defined]
            threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        if (module := sys.modules.get("__main__")) is not None:
            module.__dict__.clear()
        gc.collect()
        for file in (sys.stdout, sys.__stdout__, sys.stderr):
            if file is not None and not file.closed:
                file.flush()
    except BaseException:
        status = status or 120
    finally:
        os._exit(status)
