"""The supervisor: no program chooses *missing*, and one that is killed from outside is missing."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from z1.grading import Verdict, stdio
from z1.sandbox import ResourceLimits, Sandbox

LIMITS = ResourceLimits(wall_seconds=2, cpu_seconds=1, memory_bytes=200 << 20, output_bytes=1 << 20, max_processes=16)
TWO_INPUTS = [("", "z1-expected\n")] * 2

ON_THE_SUPERVISOR = {
    "every signal": (
        "import os, time\nfor n in range(1, 65):\n    try: os.kill(1, n)\n    except OSError: pass\ntime.sleep(0.1)"
    ),
    "every signal by a descriptor": (
        "import os, signal, time\nf = os.pidfd_open(1)\nfor n in {*range(1, 65)} - {9}:\n"
        "    try: signal.pidfd_send_signal(f, n)\n    except OSError: pass\ntime.sleep(0.1)"
    ),
    "every signal with a value": (
        "import ctypes, time\nc = ctypes.CDLL(None)\n"
        "for n in {*range(1, 65)} - {9}: c.sigqueue(1, n, 7)\ntime.sleep(0.1)"
    ),
    "signals of a descriptor that it owns": (
        "import fcntl, os, signal, time\nr, w = os.pipe()\nfcntl.fcntl(r, fcntl.F_SETOWN, 1)\n"
        "for n in range(1, 32):\n    try: fcntl.fcntl(r, 10, n)\n    except OSError: continue\n"
        "    fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)\n    os.write(w, b'x')\ntime.sleep(0.1)"
    ),
    "a group of signals": "import os\nfor n in (1, 2, 3, 15): os.kill(-1, n)",
    "its scheduling": (
        "import os, time\nfor f in (lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)),\n"
        "    lambda: os.setpriority(os.PRIO_PROCESS, 1, 19), lambda: os.setpriority(os.PRIO_USER, 0, 19),\n"
        "    lambda: os.sched_setaffinity(1, {0})):\n    try: f()\n    except PermissionError: continue\n"
        "    print('z1-expected')"
    ),
}

ON_THE_NEXT_INPUT = {
    "no access to /tmp": "import os\nos.chmod('/tmp', 0)",
    "a full /tmp": (
        "import os\nfor n in range(9):\n    try: open(f'/tmp/{n}', 'wb').write(bytes(60 << 20))\n"
        "    except OSError: pass\n    "
    ),
    "zombies": (
        "import os, time\nfor _ in range(40):\n    try:\n        if os.fork() == 0: os._exit(0)\n"
        "    except OSError: break\ntime.sleep(0.1)"
    ),
    "children that stay": (
        "import os, time\nfor _ in range(40):\n    try:\n        if os.fork() == 0:\n            os.setsid()\n"
        "            time.sleep(99)\n    except OSError: break\n"
    ),
    "every descriptor closed": "import os\nos.closerange(0, 256)",
    "modules in /tmp": (
        "import os\nfor n in ('random', 'traceback', 'signal', 'os'): open(f'/tmp/{n}.py', 'w').write('1 / 0')"
    ),
}

KILLING_ITSELF = {
    "kill": "os.kill(os.getpid(), 9)",
    "killing its group": "os.killpg(0, 9)",
    "killing everything": "os.kill(-1, 9)",
    "a child kills it": "pid = os.getpid()\nif os.fork() == 0: os.kill(pid, 9)\ntime.sleep(0.2)",
    "tkill": "c.syscall(200, threading.get_native_id(), 9)",
    "tgkill": "c.syscall(234, os.getpid(), threading.get_native_id(), 9)",
    "pthread_kill": "signal.pthread_kill(threading.get_ident(), 9)",
    "a descriptor": "signal.pidfd_send_signal(os.pidfd_open(os.getpid()), 9)",
    "a value": "c.sigqueue(os.getpid(), 9, 1)",
    "a descriptor that becomes ready": (
        "r, w = os.pipe()\nfcntl.fcntl(r, fcntl.F_SETOWN, os.getpid())\nfcntl.fcntl(r, 10, 9)\n"
        "fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)\nos.write(w, b'x')\ntime.sleep(0.2)"
    ),
    "the end of its child": "c.syscall(56, 9, 0, 0, 0, 0) == 0 and os._exit(0)\ntime.sleep(0.2)",
    "a timer": (
        "import struct\ne = struct.pack('=Qii48x', 0, 9, 0)\nt = ctypes.c_long()\n"
        "c.syscall(222, 1, e, ctypes.byref(t))\n"
        "c.syscall(223, t.value, 0, struct.pack('=4Q', 0, 0, 0, 1), None)\ntime.sleep(0.2)"
    ),
    "its own limit of CPU time": "resource.setrlimit(resource.RLIMIT_CPU, (0, 0))\nwhile True: pass",
    "a lower limit of CPU time": "resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass",
    "the end of its parent": "c.prctl(1, 9)",
    "seccomp's strict mode": "c.prctl(22, 1, 0, 0, 0)\nos.getpid()\nopen('/dev/null')",
    "all of the CPU time": "signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
    "all of the memory": "x = []\nwhile True: x.append(bytes(1 << 20))",
}
IMPORTS = "import ctypes, fcntl, os, resource, signal, threading, time\nc = ctypes.CDLL(None)\n"

PROGRAMS = {
    **ON_THE_SUPERVISOR,
    **ON_THE_NEXT_INPUT,
    **{f"itself: {name}": IMPORTS + source for name, source in KILLING_ITSELF.items()},
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_program_is_missing(sandbox: Sandbox, name: str) -> None:
    began = time.monotonic()
    found = stdio.grade(sandbox, PROGRAMS[name], TWO_INPUTS, LIMITS)
    assert found.verdict is Verdict.WRONG, found
    right = PROGRAMS[name] + "\nprint('z1-expected', flush=True)"
    assert stdio.grade(sandbox, right, TWO_INPUTS, LIMITS).verdict is not Verdict.MISSING
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("name", [name for name in ON_THE_SUPERVISOR if name.startswith("every")])
def test_a_signal_to_the_supervisor_changes_nothing(sandbox: Sandbox, name: str) -> None:
    right = PROGRAMS[name] + "\nprint('z1-expected', flush=True)"
    assert stdio.grade(sandbox, right, TWO_INPUTS, LIMITS).verdict is Verdict.RIGHT


def test_an_interrupt_is_delivered_as_in_any_program(sandbox: Sandbox) -> None:
    source = "import os\ntry: os.kill(os.getpid(), 2)\nexcept KeyboardInterrupt: print('z1-expected')"
    assert stdio.grade(sandbox, source, TWO_INPUTS, LIMITS).verdict is Verdict.RIGHT


def test_a_program_that_was_killed_from_outside_is_missing(sandbox: Sandbox) -> None:
    """As by Linux when memory is short."""
    waiting = "import time\nprint(open('/proc/self/status').read(), flush=True)\ntime.sleep(1.5)"
    killer = threading.Timer(0.5, _kill_sleeping_program)
    killer.start()
    found = stdio.grade(sandbox, f"MARK = 'z1-killed'\n{waiting}", [("", "z1-expected\n")], LIMITS)
    killer.join()
    assert found.verdict is Verdict.MISSING
    assert "killed from outside" in found.reason


def _kill_sleeping_program() -> None:
    """Kill the innermost descendants of this process: the program, as nothing else runs."""
    inner = level = [str(os.getpid())]
    while level:
        inner, level = level, [child for pid in level for child in _children(pid)]
    for pid in inner:
        os.kill(int(pid), signal.SIGKILL)


def _children(pid: str) -> list[str]:
    with suppress(OSError):
        return [child for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]
    return []
