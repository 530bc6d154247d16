"""The sandbox: isolation, limits, and resistance to attacks and cheats."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.sandbox import attacks
from z1.errors import UserError
from z1.grading import Verdict, stdio
from z1.sandbox import Job, ResourceLimits, Sandbox, SandboxFault
from z1.sandbox.sandbox import MAX_WAITING_FACTOR, SUPERVISOR_TIMEOUT, ProgramEnd

VISIBLE_IN_TMP = sorted({Path(path).parts[2] for path in (sys.prefix, sys.base_prefix) if path.startswith("/tmp/")})
"""The initial contents of a program's /tmp: empty, unless the interpreter itself is below /tmp."""

SHORT = ResourceLimits(wall_seconds=0.5, cpu_seconds=1, memory_bytes=200 << 20, output_bytes=1 << 20, max_processes=16)


@dataclass
class Host:
    """The targets of the attacks."""

    secret: Path
    port: int
    path: Path
    called: list[str]

    def fill_in(self, source: str) -> str:
        words = {"SECRET": str(self.secret), "PORT": str(self.port), "SOCKET": str(self.path), "PID": str(os.getpid())}
        return re.sub("|".join(words), lambda found: words[found[0]], source)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    (folder / "secret").write_text("z1-attack-secret")
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix, socket.socket(socket.AF_UNIX) as hidden:
        tcp.bind(("127.0.0.1", 0))
        port = tcp.getsockname()[1]
        unix.bind(str(folder / "s"))
        hidden.bind(f"\0z1-attack-{port}")
        for one in (tcp, unix, hidden):
            one.listen()
            one.setblocking(False)
        found = Host(folder / "secret", port, folder / "s", [])
        yield found
        for one in (tcp, unix, hidden):
            with pytest.raises(BlockingIOError):
                one.accept()
    assert (folder / "secret").read_text() == "z1-attack-secret"


HARMLESS = {**attacks.NETWORK, **attacks.FILES, **attacks.PROCESSES}


def test_there_are_more_than_eighty_attacks() -> None:
    assert len(HARMLESS) + len(attacks.RUNAWAY) + len(attacks.CHEATS) >= 80


@pytest.mark.parametrize("name", HARMLESS)
def test_no_attack_escapes(sandbox: Sandbox, host: Host, name: str) -> None:
    outcome = sandbox.run(Job("program", host.fill_in(HARMLESS[name]), b"z1-input\n", limits=SHORT))
    output = outcome.stdout + outcome.stderr
    assert b"ESCAPED" not in outcome.stdout, output
    assert b"z1-attack-secret" not in output
    assert b"SyntaxError" not in output and b"NameError" not in output, output  # the attack has to be valid source


@pytest.mark.parametrize("name", attacks.NETWORK)
def test_loopback_of_its_own_reaches_nothing_else(sandbox: Sandbox, host: Host, name: str) -> None:
    outcome = sandbox.run(Job("program", host.fill_in(attacks.NETWORK[name]), limits=SHORT, network=True))
    if name not in ("udp", "netlink"):  # both may send; nothing receives
        assert b"ESCAPED" not in outcome.stdout, outcome.stdout + outcome.stderr


def test_loopback_of_its_own_works(sandbox: Sandbox) -> None:
    source = (
        "import socket\na = socket.create_server(('127.0.0.1', 0))\n"
        "b = socket.create_connection(('localhost', a.getsockname()[1]))\n"
        "c, _ = a.accept()\nb.sendall(b'hello')\nprint(c.recv(9).decode())"
    )
    assert sandbox.run(Job("program", source, network=True)).stdout == b"hello\n"


@pytest.mark.parametrize("name", attacks.RUNAWAY)
def test_runaway_programs_are_stopped(sandbox: Sandbox, name: str) -> None:
    began = time.monotonic()
    outcome = sandbox.run(Job("program", attacks.RUNAWAY[name], limits=SHORT))
    assert outcome.end is not ProgramEnd.EXITED, outcome
    assert (
        time.monotonic() - began
        < (1 + MAX_WAITING_FACTOR) * SHORT.wall_seconds * sandbox.layers["slowdown"] + SUPERVISOR_TIMEOUT
    )
    assert b"ESCAPED" not in outcome.stdout
    assert sandbox.run(Job("program", "import os\nprint(os.listdir('/tmp'))")).stdout.decode() == f"{VISIBLE_IN_TMP}\n"


def test_hostile_programs_leave_no_process_behind() -> None:
    """Only the fork server, its process 1 and the waiting sandbox processes remain."""
    with Sandbox() as made:
        assert made._server is not None
        time.sleep(0.3)
        before = len(_descendants(made._server.pid))
        for name in ("a fork bomb", "a child that stays", "a child that holds the pipes", "a bomb of threads"):
            made.run(Job("program", attacks.RUNAWAY[name], limits=SHORT))
        for _ in range(50):
            if len(_descendants(made._server.pid)) <= before:
                return
            time.sleep(0.1)
        pytest.fail(f"{len(_descendants(made._server.pid)) - before} processes are left")


def _descendants(parent: int) -> set[int]:
    above: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            above[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
    found = {parent}
    while more := {pid for pid, its in above.items() if its in found} - found:
        found |= more
    return found - {parent}


@pytest.mark.parametrize("name", attacks.CHEATS)
def test_no_cheat_is_graded_right(sandbox: Sandbox, name: str) -> None:
    grade = stdio.grade(sandbox, attacks.CHEATS[name], [("z1-input\n", "z1-expected\n")], SHORT)
    assert grade.verdict is Verdict.WRONG, grade


def test_the_attacks_succeed_without_isolation(host: Host) -> None:
    """The attacks are real: without namespaces and filter, the same sources escape."""
    for name in ("a file of the host", "the folder of it", "by climbing", "signalling the test"):
        command = [sys.executable, "-c", host.fill_in(HARMLESS[name])]
        assert "ESCAPED" in subprocess.run(command, capture_output=True, text=True, check=False).stdout, name
    with Sandbox(strict=False) as limited:
        assert limited.layers["isolated"] is False
        outcome = limited.run(Job("program", host.fill_in(attacks.FILES["a file of the host"])))
        assert outcome.stdout == b"ESCAPED z1-attack-secret\n"


def test_programs_do_not_see_each_other(sandbox: Sandbox) -> None:
    write = "import time\nopen('/tmp/mine', 'w').write('x')\ntime.sleep(0.3)"
    look = "import os, time\ntime.sleep(0.15)\nprint(os.listdir('/tmp'), sum(n.isdigit() for n in os.listdir('/proc')))"
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(sandbox.run, Job("program", write))
        second = threads.submit(sandbox.run, Job("program", look))
        assert first.result().end is ProgramEnd.EXITED
        assert second.result().stdout.decode() == f"{VISIBLE_IN_TMP} 2\n"


def test_many_threads_share_one_sandbox(sandbox: Sandbox) -> None:
    def one(number: int) -> bytes:
        return sandbox.run(Job("program", "print(int(input()) ** 2)", str(number).encode())).stdout

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(one, range(60))) == [b"%d\n" % (n * n) for n in range(60)]


def test_each_input_runs_in_a_fresh_process(sandbox: Sandbox) -> None:
    source = "import builtins\nprint(getattr(builtins, 'seen', 'fresh'), input())\nbuiltins.seen = 'stale'"
    with sandbox.open_process(Job("program", source)) as process:
        outputs = [outcome.stdout for outcome in process.run_each(str(n).encode() for n in range(9))]
    assert outputs == [b"fresh %d\n" % n for n in range(9)]


def test_input_and_output_may_exceed_the_size_of_a_pipe(sandbox: Sandbox) -> None:
    data = b"".join(b"%d\n" % n for n in range(300_000))
    with sandbox.open_process(Job("program", "import sys\nsys.stdout.write(sys.stdin.read())")) as process:
        for outcome in process.run_each([data, b"small\n", data]):
            assert outcome.stdout in (data, b"small\n")
    assert sandbox.run(Job("program", "print('does not read')", data)).end is ProgramEnd.EXITED


def test_missing_isolation_is_a_one_line_error_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("z1.sandbox.sandbox.BOOT", _REFUSING)
    with pytest.raises(UserError, match=r"the sandbox: got unshare: no; allow user namespaces") as caught:
        Sandbox().start()
    assert "\n" not in str(caught.value)


_REFUSING = """
import json, socket, sys
socket.socket(fileno=json.loads(sys.argv[2])[0]).sendall(json.dumps({"refused": "unshare: no"}).encode() + b"\\n")
"""


def test_other_systems_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UserError, match="darwin; grade on Linux"):
        Sandbox().start()


def test_a_missing_interpreter_is_named() -> None:
    with pytest.raises(UserError, match="the interpreter for programs: got /nowhere/python"):
        Sandbox("/nowhere/python").start()


def test_what_warms_up_is_in_every_process_and_its_failure_is_none_of_a_job() -> None:
    warm_up = "import decimal\ndecimal.warm = 7\nraise ValueError"
    with Sandbox(warm_up=warm_up) as sandbox:
        for _ in range(2):
            read = "import decimal\nprint(decimal.warm)\ndecimal.warm = 8"
            assert sandbox.run(Job("program", read)).stdout == b"7\n"


def test_a_dead_fork_server_raises_a_fault_and_is_restarted() -> None:
    made = Sandbox()
    with made:
        assert made._server is not None
        process = made.open_process(Job("program", "import time\ntime.sleep(9)"))
        threading.Timer(0.2, made._server.kill).start()
        with pytest.raises(SandboxFault), process:
            process.run(b"")
        assert made.run(Job("program", "print(1)")).stdout == b"1\n"


def test_a_failing_sandbox_gives_missing_and_not_wrong() -> None:
    made = Sandbox()
    with made:
        assert made._server is not None
        threading.Timer(0.2, made._server.kill).start()
        grade = stdio.grade(made, "import time\ntime.sleep(9)", [("", "")])
    assert grade.verdict is Verdict.MISSING
    assert grade.reason


def test_killing_the_grader_ends_every_program(tmp_path: Path) -> None:
    source = (
        "import sys, threading\nfrom z1.sandbox import Job, Sandbox\n"
        "s = Sandbox()\ns.start()\nprint('ready', flush=True)\n"
        "s.run(Job('program', 'import time\\ntime.sleep(99)'))"
    )
    process = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, env={**os.environ, **_path()})
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.3)
    left = _descendants(process.pid)
    assert len(left) >= 3
    process.kill()
    process.wait()
    process.stdout.close()
    for _ in range(50):
        if not any(Path(f"/proc/{pid}/exe").exists() for pid in left):
            return
        time.sleep(0.1)
    pytest.fail("programs outlived their grader")


def _path() -> dict[str, str]:
    return {"PYTHONPATH": str(Path(__file__).parent.parent.parent / "src")}


def test_limits_are_extended_on_a_slow_machine(sandbox: Sandbox) -> None:
    assert sandbox.layers["slowdown"] >= 1
    before = sandbox.layers["slowdown"]
    try:
        sandbox.layers["slowdown"] = 3.0
        slow = sandbox.run(Job("program", "import time\ntime.sleep(0.6)", limits=ResourceLimits(wall_seconds=0.4)))
    finally:
        sandbox.layers["slowdown"] = before
    assert slow.end is ProgramEnd.EXITED


def test_layers_are_reported(sandbox: Sandbox) -> None:
    assert sandbox.layers["isolated"] is True
    assert set(sandbox.layers) == {"isolated", "seccomp", "slowdown", "control_groups"}


BUSY = "import os\nos.sched_setaffinity(0, {%d})\nprint(flush=True)\nwhile True: pass"


def test_waiting_for_a_busy_processor_does_not_count(sandbox: Sandbox) -> None:
    """0.65 s of CPU time under a wall limit of 0.8 s, beside three busy processes on the same processor."""
    where = min(os.sched_getaffinity(0))
    code = (
        f"import os, time\nos.sched_setaffinity(0, {{{where}}})\nwhile time.process_time() < 0.65: pass\nprint('done')"
    )
    others = [subprocess.Popen([sys.executable, "-c", BUSY % where], stdout=subprocess.PIPE) for _ in range(3)]
    try:
        for one in others:
            assert one.stdout is not None
            one.stdout.readline()
        outcome = sandbox.run(Job("program", code, limits=ResourceLimits(wall_seconds=0.8)))
    finally:
        for one in others:
            one.kill()
            one.communicate()
    assert (outcome.end, outcome.stdout) == (ProgramEnd.EXITED, b"done\n")
    assert outcome.wall_seconds > 0.8 * sandbox.layers["slowdown"]
