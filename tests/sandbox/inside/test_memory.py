"""The memory of a program: all of it counts, and what several processes share counts once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from z1.sandbox import Job, ProgramEnd, ResourceLimits, Sandbox
from z1.sandbox.inside import memory

LIMITS = ResourceLimits(wall_seconds=5, cpu_seconds=2, memory_bytes=200 << 20, max_processes=16)

FILL = (
    "import ctypes, mmap, os, time\n"
    "def fill(m): ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(m)), 1, len(m))\n"
)

HUNGRY = {
    "anonymous memory": "m = mmap.mmap(-1, 400 << 20, mmap.MAP_PRIVATE)\nfill(m)",
    "shared anonymous memory": "m = mmap.mmap(-1, 400 << 20)\nfill(m)",
    "a mapping of /dev/zero": "m = mmap.mmap(os.open('/dev/zero', os.O_RDWR), 400 << 20)\nfill(m)",
    "memory for a moment": "m = mmap.mmap(-1, 400 << 20)\nfill(m)\nm = None\ntime.sleep(0.2)\nprint('z1-expected')",
    "shared memory of many processes": (
        "for _ in range(3):\n    if os.fork() == 0: break\nm = mmap.mmap(-1, 100 << 20)\nfill(m)\ntime.sleep(1)"
    ),
    "shared memory that another process fills": (
        "m = mmap.mmap(-1, 400 << 20)\nif os.fork() == 0:\n    fill(m)\n    os._exit(0)\ntime.sleep(1)"
    ),
    "shared memory of which a part is unmapped": (
        "m = mmap.mmap(-1, 400 << 20)\nfill(m)\na = ctypes.addressof(ctypes.c_char.from_buffer(m))\n"
        "ctypes.CDLL(None).munmap(ctypes.c_void_p(a + 4096), (400 << 20) - 4096)\ntime.sleep(1)\nos._exit(0)"
    ),
    "memory of a program that may not be read": (
        "import shutil, sys\nshutil.copy(os.path.realpath(sys.executable), '/tmp/p')\nos.chmod('/tmp/p', 0o111)\n"
        "os.execv('/tmp/p', ['p', '-c', 'import mmap; m = mmap.mmap(-1, 600 << 20)\\n"
        "for i in range(0, len(m), 4096): m[i] = 1'])"
    ),
    "files and memory": (
        "for n in range(3): open(f'/tmp/{n}', 'wb').write(bytes(40 << 20))\n"
        "m = mmap.mmap(-1, 120 << 20)\nfill(m)\ntime.sleep(1)"
    ),
    "files in /tmp": "for n in range(5): open(f'/tmp/{n}', 'wb').write(bytes(45 << 20))\ntime.sleep(1)",
    "a deleted file in /tmp": (
        "f = [open(f'/tmp/{n}', 'wb') for n in range(5)]\nfor n in range(5):\n    os.unlink(f'/tmp/{n}')\n"
        "    f[n].write(bytes(45 << 20))\n    f[n].flush()\ntime.sleep(1)"
    ),
    "memory of a process that may not be inspected": (
        "c = ctypes.CDLL(None)\nc.prctl(4, 0, 0, 0, 0)\nm = mmap.mmap(-1, 400 << 20)\nfill(m)\ntime.sleep(1)"
    ),
    "private copies of a mapped file": (
        "f = open('/tmp/f', 'w+b')\nf.truncate(60 << 20)\n"
        "for _ in range(5):\n    m = mmap.mmap(f.fileno(), 60 << 20, mmap.MAP_PRIVATE)\n    fill(m)\n"
        "    globals().setdefault('kept', []).append(m)\ntime.sleep(1)"
    ),
    "full sockets": (
        "import socket\nfor _ in range(11):\n    if os.fork() == 0: break\nkept = []\nwhile len(kept) < 110:\n"
        "    kept.append(socket.socketpair())\n    for s in kept[-1]:\n        s.setblocking(False)\n"
        "        try:\n            while True: s.send(bytes(1 << 16))\n        except BlockingIOError: pass\n"
        "time.sleep(1)"
    ),
}

MODEST = {
    "memory that forks share": (
        "m = bytearray(120 << 20)\nfor _ in range(4):\n    if os.fork() == 0:\n"
        "        time.sleep(0.3)\n        os._exit(0)\ntime.sleep(0.3)\nprint('z1-expected')"
    ),
    "shared memory that several processes map": (
        "m = mmap.mmap(-1, 120 << 20)\nfill(m)\nfor _ in range(4):\n    if os.fork() == 0:\n        fill(m)\n"
        "        time.sleep(0.3)\n        os._exit(0)\ntime.sleep(0.3)\nprint('z1-expected')"
    ),
    "a mapped file": (
        "f = open('/tmp/f', 'w+b')\nf.truncate(60 << 20)\nm = mmap.mmap(f.fileno(), 60 << 20)\nfill(m)\n"
        "n = mmap.mmap(-1, 60 << 20)\nfill(n)\ntime.sleep(0.2)\nprint('z1-expected')"
    ),
    "most of the memory": "m = bytearray(170 << 20)\ntime.sleep(0.2)\nprint('z1-expected')",
    "a file of zeros that takes no memory": (
        "f = open('/tmp/f', 'w+b')\nf.truncate(60 << 20)\nm = mmap.mmap(f.fileno(), 60 << 20)\nprint('z1-expected')"
    ),
}


@pytest.mark.parametrize("name", HUNGRY)
def test_all_memory_counts(sandbox: Sandbox, name: str) -> None:
    outcome = sandbox.run(Job("program", FILL + HUNGRY[name], limits=LIMITS))
    assert outcome.end is ProgramEnd.MEMORY, outcome


@pytest.mark.parametrize("name", MODEST)
def test_shared_memory_counts_once(sandbox: Sandbox, name: str) -> None:
    outcome = sandbox.run(Job("program", FILL + MODEST[name], limits=LIMITS))
    assert (outcome.end, outcome.stdout) == (ProgramEnd.EXITED, b"z1-expected\n"), outcome


FORKS = """
import os, time
m = bytearray(60 << 20)
for _ in range(2):
    if (pid := os.fork()) == 0:
        time.sleep(60)
    print(pid, flush=True)
time.sleep(60)
"""


def test_a_process_that_ends_while_memory_is_read_does_not_count_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both children are read with a third of the pages each and end, unreaped; then their parent has all of them."""
    with subprocess.Popen([sys.executable, "-c", FORKS], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout
        children = [program.stdout.readline().strip() for _ in range(2)]
        read = memory._proportional_bytes

        def read_and_end(name: str) -> int:
            found = read(name)
            if name == children[1]:
                for child in children:
                    os.kill(int(child), signal.SIGKILL)
                    while "zombie" not in Path(f"/proc/{child}/status").read_text(encoding="ascii"):
                        time.sleep(0.01)
            return found

        monkeypatch.setattr(memory, "_proportional_bytes", read_and_end)
        try:
            assert 60 << 20 < memory._proportional_total([*children, str(program.pid)]) < 80 << 20
        finally:
            program.kill()
