"""How does a forked interpreter run a program as a fresh one would?

The program gets real pipes as descriptors 0, 1 and 2 below files that nobody has used, so that every idiom of reading
input works; a `__main__` of its own; and at its end what Python does at an end: threads are joined, `atexit` is
honoured, files that were left open are flushed, an uncaught exception is printed and gives exit status 1.
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

SURROUNDINGS = {
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

DIGITS = 50_000
"""Digits of the longest number that may become text; LiveCodeBench's runner allows as many."""


def run(job: dict[str, Any]) -> None:
    """Run `job["code"]` as `__main__`; ends the process."""
    os.close(3)
    leave(execute(job["code"], main_module("__main__")))


def files() -> None:
    """New standard files over pipes, as an interpreter makes them at its start.

    A server makes them once, and its forks put pipes of their own below them. Nobody uses the pipes made here.
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
    """A new module `name` that stands in for a script in /tmp."""
    module = ModuleType(name)
    module.__dict__.update(__builtins__=sys.modules["builtins"], __file__="/tmp/program.py")
    sys.modules[name] = module
    sys.argv = ["/tmp/program.py"]
    sys.path.insert(0, "/tmp")
    sys.set_int_max_str_digits(DIGITS)
    return module


def execute(source: str, module: ModuleType) -> int:
    """Run `source` in `module`; the exit status that an interpreter would give."""
    try:
        code: CodeType = compile(source, "/tmp/program.py", "exec", dont_inherit=True)
        exec(code, module.__dict__)
    except SystemExit as end:
        return exit_status(end)
    except BaseException as error:
        traceback.print_exception(error.with_traceback(_without_ours(error)))
        return 1
    return 0


def exit_status(end: SystemExit) -> int:
    """What `sys.exit(code)` means; a text goes to stderr."""
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    print(end.code, file=sys.stderr)
    return 1


def _without_ours(error: BaseException) -> Any:
    trace = error.__traceback__
    return trace.tb_next if trace else None


def leave(status: int) -> NoReturn:
    """End as an interpreter ends: threads, `atexit`, files left open, buffers.

    Threads only where there are any: each page that is touched is a page copied.
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
