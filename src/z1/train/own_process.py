"""A training in a process of its own, so that all its memory is free when it ends.

glibc keeps most of what a fine-tuning frees, in pieces of all sizes that it searches at each allocation: an evaluation
after it in the same process had 2 GB less and took 1.7 times the processor time (see LOG.md). What torch holds of a GPU
is free, too.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from z1.errors import Fault, Z1Error
from z1.train.preemption import STATUS, catch_sigterm

INTERRUPTED = 128 + signal.SIGINT
"""The exit status that a shell shows for a process ended by Ctrl-C."""

CALLS = ("start", "update", "finish")
"""The methods of a reporter of progress."""

_RESULT, _ERROR = "result", "error"


def call(train: Callable[..., Any], *given: Any, progress: Any, **options: Any) -> Any:
    """What `train(*given, progress, **options)` returns, computed in a new process; `progress` stays in this one.

    The arguments, the result and the errors of z1 are pickled. SIGTERM is passed on, so that a training saves and ends.
    Raises the training's error, SystemExit with its status if it was stopped, and Fault if its process was killed.
    """
    context = get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(train, given, options, writer), name="z1-train")
    process.start()
    writer.close()
    try:
        with catch_sigterm(process.terminate) as is_stopped:
            while True:
                kind, values = reader.recv()
                if kind == _RESULT and is_stopped():
                    raise SystemExit(STATUS)
                if kind == _RESULT:
                    return values
                if kind == _ERROR:
                    raise values
                getattr(progress, kind)(*values)
    except EOFError:
        process.join()
        status = process.exitcode or 0
        if status in (INTERRUPTED, STATUS, -signal.SIGTERM):
            raise SystemExit(STATUS if status < 0 else status) from None
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        raise Fault(f"the training's process was {how}; run the same command again to continue") from None
    finally:
        if process.is_alive():
            process.terminate()
        process.join()
        reader.close()


class _Relay:
    """A reporter of progress that sends its calls to the process that started this one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name not in CALLS:
            raise AttributeError(name)
        return lambda *values: self._connection.send((name, values))


def _run(train: Callable[..., Any], given: tuple[Any, ...], options: dict[str, Any], connection: Connection) -> None:
    try:
        connection.send((_RESULT, train(*given, _Relay(connection), **options)))
    except BrokenPipeError:  # the process that started this one has ended
        raise SystemExit(1) from None
    except (Z1Error, OSError) as error:
        connection.send((_ERROR, error))
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
