"""A program in the sandbox behaves as with an interpreter of its own.

Each program runs both ways; output, exit status and the last line of stderr have to be the same.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from z1.sandbox import Job, Sandbox

INPUT = b"3 4\nhello w\xc3\xb6rld\n\n5"

ROWS: dict[str, str] = {
    "input()": "print(input(), input())",
    "input() to the end": "while True:\n    try: print(input())\n    except EOFError: break",
    "a loop over stdin": "import sys\nfor line in sys.stdin: print(line, end='')",
    "sys.stdin.read": "import sys\nprint(sys.stdin.read())",
    "sys.stdin.readline": "import sys\nprint(sys.stdin.readline(), sys.stdin.readlines())",
    "sys.stdin.buffer.read": "import sys\nprint(sys.stdin.buffer.read())",
    "sys.stdin.buffer.readline": "import sys\nprint(sys.stdin.buffer.readline())",
    "sys.stdin.buffer.readlines": "import sys\nprint(sys.stdin.buffer.readlines())",
    "a loop over the buffer": "import sys\nfor line in sys.stdin.buffer: print(line)",
    "open(0)": "print(open(0).read())",
    "open(0) line by line": "print([line for line in open(0)])",
    "os.read(0)": "import os\nprint(os.read(0, 100))",
    "os.fdopen(0)": "import os\nprint(os.fdopen(0).readline())",
    "io.BytesIO of os.fstat": "import io, os\nprint(io.BytesIO(os.read(0, 10**6)).readline())",
    "/dev/stdin": "print(open('/dev/stdin').read())",
    "fileinput": "import fileinput\nprint(list(fileinput.input()))",
    "input = sys.stdin.readline": "import sys\ninput = sys.stdin.readline\nprint(input().split())",
    "map and splat": "a, b = map(int, input().split())\nprint(a * b)",
    "a changed stdin": "import io, sys\nsys.stdin = io.StringIO('other')\nprint(input())",
    "sys.stdout.write": "import sys\nsys.stdout.write('a\\n')",
    "sys.stdout.buffer": "import sys\nsys.stdout.buffer.write(b'a\\n')",
    "os.write(1)": "import os\nos.write(1, b'a\\n')",
    "open(1) left open": "f = open(1, 'w')\nf.write('not flushed\\n')",
    "a changed stdout": (
        "import io, sys\nout = sys.stdout\nsys.stdout = io.StringIO()\nprint('lost')\nsys.stdout = out\nprint('a')"
    ),
    "a changed stdout left so": (
        "import io, os, sys\nsys.stdout = io.TextIOWrapper(os.fdopen(1, 'wb', closefd=False))\nprint('a')"
    ),
    "print with flush": "print('a', flush=True)",
    "letters beyond ascii": "print('ö', '\\U0001f600')",
    "bytes that are no text": "import sys\nsys.stdout.buffer.write(bytes(range(256)))",
    "atexit": "import atexit\natexit.register(print, 'bye')\nprint('hi')",
    "a thread that ends later": (
        "import threading, time\n"
        "threading.Thread(target=lambda: (time.sleep(0.05), print('late'))).start()\nprint('soon')"
    ),
    "a deep recursion in a thread": (
        "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(64 << 20)\n"
        "def f(n): return 0 if n == 0 else 1 + f(n - 1)\n"
        "t = threading.Thread(target=lambda: print(f(50000)))\nt.start()\nt.join()"
    ),
    "a deep recursion": (
        "import sys\nsys.setrecursionlimit(10**6)\ndef f(n): return 0 if n == 0 else 1 + f(n - 1)\nprint(f(50000))"
    ),
    "the name of the module": "print(__name__)\nif __name__ == '__main__': print('main')",
    "a class that is pickled": "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))).__name__)",
    "a dataclass": "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\nprint(A(1))",
    "from __future__": "from __future__ import annotations\ndef f(x: no_such): pass\nprint(f.__annotations__)",
    "arguments": "import sys\nprint(len(sys.argv))",
    "sys.exit()": "import sys\nprint('a')\nsys.exit()",
    "sys.exit(3)": "import sys\nsys.exit(3)",
    "sys.exit(True)": "import sys\nsys.exit(True)",
    "sys.exit('words')": "import sys\nsys.exit('words')",
    "exit()": "print('a')\nexit()",
    "os._exit without a flush": "import os\nprint('lost')\nos._exit(0)",
    "an exception": "print('a')\n1 / 0",
    "an exception at the end": "class A:\n    def __del__(self): print('gone')\na = A()",
    "an exception with a cause": "try: 1 / 0\nexcept ZeroDivisionError as e: raise LookupError('x') from e",
    "a syntax error": "print('a'\n",
    "tabs and spaces": "if True:\n\tprint(1)\n        print(2)",
    "a signal": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)",
    "a child": "import os\nif os.fork() == 0:\n    print('child')\n    raise SystemExit\nos.wait()\nprint('parent')",
    "a subprocess": "import subprocess\nprint(subprocess.run(['/bin/echo', 'a'], capture_output=True).stdout)",
    "a pool": (
        "import multiprocessing as m\nif __name__ == '__main__':\n"
        "    with m.get_context('fork').Pool(2) as p: print(p.map(abs, [-1, -2]))"
    ),
    "asyncio": "import asyncio\nasync def f(): return 1\nprint(asyncio.run(f()))",
    "random numbers by a seed": "import random\nrandom.seed(1)\nprint(random.random())",
    "globals of a function": (
        "x = 1\ndef f():\n    global x\n    x += 1\nf()\nprint(x, sorted(k for k in globals() if k[0] != '_'))"
    ),
    "what the standard files say of themselves": (
        "import sys\nfor f in (sys.stdin, sys.stdout, sys.stderr, sys.__stdin__):\n"
        "    print(f.fileno(), f.name, f.mode, f.seekable(), f.isatty(), f.encoding, f.line_buffering)\n"
        "    print(type(f.buffer).__name__)\n"
        "try: sys.stdin.seek(0)\nexcept OSError as e: print(e.errno)"
    ),
    "locks and threads": (
        "import threading, queue\nq = queue.Queue()\nlock = threading.RLock()\n"
        "def f(n):\n    with lock: q.put(n)\n"
        "ts = [threading.Thread(target=f, args=(n,)) for n in range(4)]\n"
        "for t in ts: t.start()\nfor t in ts: t.join()\n"
        "print(sorted(q.queue), threading.main_thread() is threading.current_thread(), threading.active_count())"
    ),
    "a temporary file": (
        "import tempfile\nwith tempfile.TemporaryFile('w+') as f:\n    f.write('a')\n    f.seek(0)\n    print(f.read())"
    ),
}


def last_line(text: bytes) -> bytes:
    """The last line of a traceback, without the path of the program."""
    return (text.strip().splitlines() or [b""])[-1]


@pytest.mark.parametrize("name", ROWS)
def test_a_program_behaves_as_in_an_interpreter_of_its_own(sandbox: Sandbox, name: str, tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(ROWS[name], encoding="utf-8")
    settings = {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    real = subprocess.run([sys.executable, "-I", path], input=INPUT, capture_output=True, check=False, env=settings)
    ours = sandbox.run(Job("program", ROWS[name], INPUT))
    assert (ours.stdout, ours.exit_code) == (real.stdout, real.returncode), (ours.stderr, real.stderr)
    assert last_line(ours.stderr) == last_line(real.stderr)


def test_random_numbers_differ_between_runs(sandbox: Sandbox) -> None:
    job = Job("program", "import random\nprint(random.random(), hash(object()))")
    with sandbox.open_process(job) as process:
        assert len({outcome.stdout for outcome in process.run_each([b""] * 4)}) == 4


def test_integers_convert_to_text_up_to_the_limit_of_livecodebench(sandbox: Sandbox) -> None:
    assert sandbox.run(Job("program", "print(len(str(10**40_000)))")).stdout == b"40001\n"
    assert b"ValueError" in sandbox.run(Job("program", "print(len(str(10**60_000)))")).stderr
