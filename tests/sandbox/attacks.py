"""Attacks on the sandbox: for each a name, and source that prints ESCAPED if it succeeds.

In the sources, SECRET is the path of a file outside the sandbox, PORT a port of 127.0.0.1 on which the test listens,
SOCKET the path of a Unix socket of the test, and PID the process of the test.
"""

from __future__ import annotations

NETWORK = {
    "tcp to the host's loopback": "import socket\nsocket.create_connection(('127.0.0.1', PORT), 1)\nprint('ESCAPED')",
    "tcp by number": "import socket\ns = socket.socket(2, 1)\ns.connect(('127.0.0.1', PORT))\nprint('ESCAPED')",
    "udp": "import socket\ns = socket.socket(2, 2)\ns.sendto(b'x', ('127.0.0.1', PORT))\nprint('ESCAPED')",
    "ipv6": "import socket\ns = socket.socket(10, 1)\ns.connect(('::1', PORT))\nprint('ESCAPED')",
    "names": (
        "import socket\n"
        "print('ESCAPED', socket.getaddrinfo('localhost', PORT)[0], socket.create_connection(('localhost', PORT)))"
    ),
    "a unix socket by path": "import socket\ns = socket.socket(1, 1)\ns.connect('SOCKET')\nprint('ESCAPED')",
    "an abstract unix socket": (
        "import socket\ns = socket.socket(1, 1)\ns.connect('\\0z1-attack-PORT')\nprint('ESCAPED')"
    ),
    "netlink": "import socket\nsocket.socket(16, 3, 0).bind((0, 0))\nprint('ESCAPED')",
    "raw packets": "import socket\nsocket.socket(17, 3, 768)\nprint('ESCAPED')",
    "vsock": "import socket\nsocket.socket(40, 1).connect((2, 1024))\nprint('ESCAPED')",
    "urllib": "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:PORT', timeout=1)\nprint('ESCAPED')",
    "interfaces": "n = open('/proc/net/dev').read().split()\nif any(x.startswith('eth') for x in n): print('ESCAPED')",
}

FILES = {
    "a file of the host": "print('ESCAPED', open('SECRET').read())",
    "the folder of it": "import os\nprint('ESCAPED', os.listdir(os.path.dirname('SECRET')))",
    "through /proc/1/root": "print('ESCAPED', open('/proc/1/root' + 'SECRET').read())",
    "through /proc/self/root": "print('ESCAPED', open('/proc/self/root' + 'SECRET').read())",
    "through /proc/1/cwd": "import os\nprint('ESCAPED', os.listdir('/proc/1/cwd'))",
    "by climbing": "print('ESCAPED', open('../' * 40 + 'SECRET').read())",
    "by a symbolic link": "import os\nos.symlink('SECRET', '/tmp/l')\nprint('ESCAPED', open('/tmp/l').read())",
    "by a hard link": "import os\nos.link('SECRET', '/tmp/l')\nprint('ESCAPED', open('/tmp/l').read())",
    "the old root": "import os\nprint('ESCAPED', os.listdir('/old'))",
    "the homes": (
        "import os\nn = [os.listdir(f) for f in ('/home', '/root') if os.path.isdir(f)]\n"
        "if {'.ssh', '.profile', '.bashrc', '.cache'} & set(sum(n, [])) or len(n) == 2: print('ESCAPED')"
    ),
    "passwords": "print('ESCAPED', open('/etc/shadow').read())",
    "the name of the host": "print('ESCAPED', open('/etc/hostname').read())",
    "the machine's id": "print('ESCAPED', open('/etc/machine-id').read())",
    "memory as a device": "print('ESCAPED', open('/dev/mem', 'rb').read(1))",
    "a disk": "import os\nif any(n.startswith(('sd', 'vd', 'nvme')) for n in os.listdir('/dev')): print('ESCAPED')",
    "a device of one's own": (
        "import os, stat\nos.mknod('/tmp/d', 0o666 | stat.S_IFBLK, os.makedev(254, 0))\nprint('ESCAPED')"
    ),
    "writing to the root": "open('/escaped', 'w').write('x')\nprint('ESCAPED')",
    "writing to /usr": "open('/usr/escaped', 'w').write('x')\nprint('ESCAPED')",
    "writing to /etc": "open('/etc/passwd', 'a').write('x')\nprint('ESCAPED')",
    "writing to the interpreter": "import sys\nopen(sys.prefix + '/escaped', 'w').write('x')\nprint('ESCAPED')",
    "writing to a module": "import json\nopen(json.__file__, 'a').write('#')\nprint('ESCAPED')",
    "mounting": (
        "import ctypes\nc = ctypes.CDLL(None)\n"
        "print('ESCAPED') if c.mount(b'none', b'/tmp', b'tmpfs', 0, 0) == 0 else 0"
    ),
    "unmounting": "import ctypes\nc = ctypes.CDLL(None)\nprint('ESCAPED') if c.umount2(b'/proc', 2) == 0 else 0",
    "chroot": "import os\nos.chroot('/tmp')\nprint('ESCAPED')",
    "set-user-id": "import os\nos.setuid(0)\nprint('ESCAPED')",
    "file handles": (
        "import ctypes\nc = ctypes.CDLL(None)\nprint('ESCAPED') if c.open_by_handle_at(3, b'0' * 64, 0) >= 0 else 0"
    ),
    "settings of the kernel": "open('/proc/sys/kernel/core_pattern', 'w').write('|/bin/sh')\nprint('ESCAPED')",
    "the switch of the machine": "open('/proc/sysrq-trigger', 'w').write('b')\nprint('ESCAPED')",
}

PROCESSES = {
    "seeing the host's processes": (
        "import os\nif len([n for n in os.listdir('/proc') if n.isdigit()]) > 3: print('ESCAPED')"
    ),
    "signalling the test": "import os\nos.kill(PID, 0)\nprint('ESCAPED')",
    "killing the supervisor": "import os\nos.kill(1, 9)\nimport time\ntime.sleep(0.1)\nraise SystemExit(3)",
    "stopping the supervisor": "import os\nos.kill(1, 19)\nimport time\ntime.sleep(0.1)\nraise SystemExit(3)",
    "the supervisor's memory": "print('ESCAPED', open('/proc/1/mem', 'rb'))",
    "the supervisor's environment": "print('ESCAPED', open('/proc/1/environ').read())",
    "the supervisor's descriptors": "import os\nprint('ESCAPED', os.listdir('/proc/1/fd'))",
    "the supervisor's limits": "import resource\nresource.prlimit(1, resource.RLIMIT_CPU, (0, 0))\nprint('ESCAPED')",
    "tracing the supervisor": "import ctypes\nprint('ESCAPED') if ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0 else 0",
    "tracing itself": "import ctypes\nprint('ESCAPED') if ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0 else 0",
    "reading another's memory": (
        "import ctypes\nc = ctypes.CDLL(None)\nprint('ESCAPED') if c.process_vm_readv(1, 0, 0, 0, 0, 0) == 0 else 0"
    ),
    "another's descriptors": (
        "import ctypes, os\nc = ctypes.CDLL(None)\nf = os.pidfd_open(1)\n"
        "print('ESCAPED') if c.syscall(438, f, 0, 0) >= 0 else 0"
    ),
    "a user namespace": "import ctypes\nprint('ESCAPED') if ctypes.CDLL(None).unshare(0x10000000) == 0 else 0",
    "a mount namespace": "import ctypes\nprint('ESCAPED') if ctypes.CDLL(None).unshare(0x20000) == 0 else 0",
    "cloning into a user namespace": (
        "import ctypes\nprint('ESCAPED') if ctypes.CDLL(None).syscall(56, 0x10000011, 0, 0, 0, 0) >= 0 else 0"
    ),
    "entering a namespace": (
        "import ctypes, os\nf = os.open('/proc/self/ns/net', 0)\n"
        "print('ESCAPED') if ctypes.CDLL(None).setns(f, 0) == 0 else 0"
    ),
    "raising a limit": "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))\nprint('ESCAPED')",
    "keys of the kernel": (
        "import ctypes\nc = ctypes.CDLL(None)\n"
        "print('ESCAPED') if c.syscall(248, b'user', b'a', b'b', 1, -3) >= 0 else 0"
    ),
    "programs for the kernel": "import ctypes\nprint('ESCAPED') if ctypes.CDLL(None).syscall(321, 0, 0, 0) >= 0 else 0",
    "io_uring": (
        "import ctypes\nb = ctypes.create_string_buffer(120)\n"
        "print('ESCAPED') if ctypes.CDLL(None).syscall(425, 8, b) >= 0 else 0"
    ),
    "performance counters": (
        "import ctypes\nprint('ESCAPED') if ctypes.CDLL(None).syscall(298, 0, 0, -1, -1, 0) >= 0 else 0"
    ),
    "shared memory of System V": (
        "import ctypes\nprint('ESCAPED') if ctypes.CDLL(None).shmget(1, 4096, 0o1666) >= 0 else 0"
    ),
    "anonymous files": "import os\nos.memfd_create('x')\nprint('ESCAPED')",
    "privileges": "t = open('/proc/self/status').read()\nif 'CapEff:\\t0000000000000000' not in t: print('ESCAPED')",
    "secrets in the environment": "import os\nif any('z1-attack' in v for v in os.environ.values()): print('ESCAPED')",
    "secrets in /proc": "if 'z1-attack' in open('/proc/self/environ').read(): print('ESCAPED')",
    "descriptors that stayed open": (
        "import os\nfor n in range(3, 300):\n"
        "    try: os.fstat(n)\n    except OSError: continue\n    print('ESCAPED', n)"
    ),
    "modules of the harness": "import sys\nif [n for n in sys.modules if n.startswith('z1')]: print('ESCAPED')",
    "the terminal": "open('/dev/tty').read()\nprint('ESCAPED')",
    "typing on a terminal": "import fcntl\nfcntl.ioctl(0, 0x5412, b'x')\nprint('ESCAPED')",
}

RUNAWAY = {
    "a loop": "while True: pass",
    "a loop that catches everything": "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    "a loop that ignores signals": (
        "import signal\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\nwhile True: pass"
    ),
    "sleep": "import time\ntime.sleep(10**6)",
    "waiting for input that has ended": "import sys, time\nwhile True:\n    sys.stdin.read()\n    time.sleep(0.01)",
    "a fork bomb": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "a bomb of threads": (
        "import threading, time\nwhile True:\n"
        "    try: threading.Thread(target=time.sleep, args=(99,), daemon=True).start()\n    except RuntimeError: pass"
    ),
    "memory": "x = []\nwhile True: x.append(bytearray(10**7))",
    "memory in many processes": (
        "import os\nfor _ in range(9):\n    if os.fork() == 0: break\n"
        "x = []\nwhile True:\n    try: x.append(bytearray(10**6))\n    except MemoryError: pass"
    ),
    "one great piece of memory": "x = bytearray(10**13)",
    "output": "while True: print('x' * 10**5)",
    "output on stderr": "import sys\nwhile True: print('x' * 10**5, file=sys.stderr)",
    "a great file": "f = open('/tmp/f', 'wb')\nwhile True: f.write(bytes(10**7))",
    "many files": "n = 0\nwhile True:\n    open(f'/tmp/{n}', 'w').close()\n    n += 1",
    "a deep folder": "import os\nwhile True:\n    os.mkdir('d')\n    os.chdir('d')",
    "recursion": "import sys\nsys.setrecursionlimit(10**9)\ndef f(n): return f(n + 1) + 1\nf(0)",
    "a regular expression": "import re\nre.match('(a+)+$', 'a' * 40 + 'b')",
    "a great number": "print(len(str(9**9**8)))",
    "a deep expression": "eval('(' * 10**5)",
    "a child that stays": (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        time.sleep(0.3)\n        print('ESCAPED', flush=True)\n    time.sleep(99)\nraise SystemExit(1)"
    ),
    "a child that holds the pipes": "import os, time\nif os.fork() == 0: time.sleep(10**6)\nraise SystemExit(1)",
    "killing everything": "import os\nos.kill(-1, 9)",
    "stopping itself": "import os\nos.kill(os.getpid(), 19)",
    "crashing": "import ctypes\nctypes.string_at(0)",
    "aborting": "import os\nos.abort()",
}
"""Programs that must be stopped soon, count as failed, and leave nothing behind."""

CHEATS = {
    "saying nothing": "",
    "exit status 0": "import os\nos._exit(0)",
    "sys.exit(0)": "import sys\nsys.exit(0)",
    "SystemExit": "raise SystemExit",
    "quit": "quit()",
    "saying PASSED": "print('PASSED')\nprint('All tests passed')",
    "repeating the input": "print(input())",
    "a traceback with the right word": "raise ValueError('z1-expected')",
    "right on stderr": "import sys\nprint('z1-expected', file=sys.stderr)",
    "right, and then a crash": "print('z1-' + 'expected', flush=True)\n1 / 0",
    "right, and then a signal": "import os\nprint('z1-' + 'expected', flush=True)\nos.kill(os.getpid(), 9)",
    "right, and then more": "print('z1-' + 'expected')\nprint('x')",
    "right, and never an end": "print('z1-' + 'expected', flush=True)\nwhile True: pass",
    "patching print": "import builtins\nbuiltins.print = lambda *a, **k: None\nprint('z1-' + 'expected')",
    "writing to every descriptor": (
        "import os\nfor n in range(64):\n    if n != 1:\n        try: os.write(n, b'{}\\n')\n"
        "        except OSError: pass"
    ),
    "expected outputs on the stack": (
        "import re, sys\nf = sys._getframe()\nwhile f:\n"
        "    m = re.search('z1-exp' + 'ected', repr(f.f_locals) + repr(f.f_globals))\n"
        "    if m: print(m[0])\n    f = f.f_back"
    ),
    "expected outputs in memory": (
        "import gc\nfor o in gc.get_objects():\n"
        "    if isinstance(o, dict) and 'z1-exp' + 'ected\\n' in [v for v in list(o.values()) if isinstance(v, str)]:\n"
        "        print('z1-exp' + 'ected')"
    ),
    "closing everything": "import os\nos.closerange(0, 64)",
}
"""Programs that must not be graded right; the right output is z1-expected."""
