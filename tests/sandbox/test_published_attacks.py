"""The attacks of ../shared/attacks, each against what it tries; skipped where they are absent.

The first word of a file's name is what is tried: `leak`, `survive`, `hungry`, or to be called right or missing in
`stdio`, `calls` and `units`. A program gains nothing if it prints no ESCAPED, leaves no process, stays below its memory
limit and a quarter, and gets a verdict that can be written, which is not *missing*.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.grading.test_unit_tests import TESTS
from z1.grading import Grade, Verdict, function_tests, stdio, unit_tests
from z1.sandbox import Job, Outcome, ResourceLimits, Sandbox

FOLDER = Path(__file__).parents[3] / "shared" / "attacks"
ATTACKS = {path.stem: path for path in sorted(FOLDER.glob("*.py"))}
LIMITS = ResourceLimits(wall_seconds=3, cpu_seconds=2, memory_bytes=200 << 20, output_bytes=1 << 20, max_processes=16)
TEST_LIMITS = ResourceLimits(wall_seconds=2, cpu_seconds=2, memory_bytes=512 << 20, max_processes=64)

HONEST = {
    "calls__bool_for_int",
    "calls__eval_input_globals",
    "calls__fork_in_call",
    "stdio__zombies_honest",
    "units__recursion_bomb_line",
}
"""Their answers are right, so they may be called right."""

pytestmark = pytest.mark.skipif(not ATTACKS, reason=f"needs {FOLDER}")


def kind(name: str) -> str:
    return name.partition("__")[0]


def of(*kinds: str) -> list[str]:
    return [name for name in ATTACKS if kind(name) in kinds]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A file and a port that no program may reach."""
    path = tmp_path_factory.mktemp("outside") / "secret"
    path.write_text("z1-attack-secret")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(path), str(listener.getsockname()[1])


def source(name: str, target: tuple[str, str]) -> str:
    words = dict(zip(("SECRET", "PORT"), target, strict=True))
    return re.sub("|".join(words), lambda found: words[found[0]], ATTACKS[name].read_text())


@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("name", of("leak"))
def test_nothing_leaks(sandbox: Sandbox, target: tuple[str, str], name: str, network: bool) -> None:
    if network and name == "leak__all_families":
        pytest.skip("a program with a network may open sockets")
    outcome = sandbox.run(Job("program", source(name, target), limits=LIMITS, network=network))
    assert not escaped(outcome), outcome.stdout[:2000]
    assert b"z1-attack-secret" not in outcome.stdout + outcome.stderr


@pytest.mark.parametrize("name", of("hungry"))
def test_no_memory_beyond_the_limit(sandbox: Sandbox, target: tuple[str, str], name: str) -> None:
    with peak_memory() as peak:
        outcome = sandbox.run(Job("program", source(name, target), limits=LIMITS))
    assert not escaped(outcome), outcome.stdout[:500]
    assert peak[0] < 1.25 * LIMITS.memory_bytes, peak[0] >> 20


def escaped(outcome: Outcome) -> bool:
    """Whether a line begins with ESCAPED; the word may also be in what a program prints of its own source.

    A list of the sandbox's own root is no escape: it has the folders above the interpreter, such as /home or /work.
    """
    lines = [line for line in outcome.stdout.splitlines() if line.startswith(b"ESCAPED")]
    return any(line != b"ESCAPED" and not is_own_root(line) for line in lines) or b"ESCAPED" in lines


def is_own_root(line: bytes) -> bool:
    """Whether what a program found is a list of folders that every sandbox has."""
    found = line.decode().removeprefix("ESCAPED ")
    if not re.fullmatch(r"\['[\w.-]+'(, '[\w.-]+')*\]", found):
        return False
    ours = {"proc", "dev", "etc", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "tmp"}
    interpreter = {Path(prefix).resolve().parts[1] for prefix in (sys.prefix, sys.base_prefix)}
    return set(re.findall(r"[\w.-]+", found)) <= ours | interpreter


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """The most memory that the descendants of this process held together, without shared files and without what the
    sandbox's own processes hold before a program runs; sampled.
    """
    peak, ended = [0], threading.Event()
    own = sum(map(_anonymous_bytes, _descendants()))

    def sample() -> None:
        while not ended.wait(0.002):
            peak[0] = max(peak[0], sum(map(_anonymous_bytes, _descendants())) - own)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield peak
    finally:
        ended.set()
        sampler.join()


def _anonymous_bytes(pid: str) -> int:
    with suppress(OSError):
        found = re.findall(r"^Pss_(?:Anon|Shmem): +(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        return 1024 * sum(map(int, found))
    return 0


def _descendants() -> list[str]:
    found, remaining = [], ["self"]
    while remaining:
        pid = remaining.pop()
        with suppress(OSError):
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                remaining += children.read_text().split()
        found.append(pid)
    return found[1:]


@pytest.mark.parametrize("name", of("survive"))
def test_nothing_survives(sandbox: Sandbox, target: tuple[str, str], name: str) -> None:
    text = source(name, target)
    written(stdio.grade(sandbox, text, [("", "z1-expected\n")] * 2, LIMITS))
    number = re.findall(r"'(\d{5})'", text)[0]
    for _ in range(50):
        if not any(number in _command(path) for path in Path("/proc").glob("[0-9]*")):
            return
        time.sleep(0.1)
    pytest.fail(f"sleep {number} survived")


def _command(process: Path) -> list[str]:
    with suppress(OSError):
        return (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    return []


@pytest.mark.parametrize("name", of("stdio", "calls", "units"))
def test_no_program_chooses_its_verdict(sandbox: Sandbox, target: tuple[str, str], name: str) -> None:
    began = time.monotonic()
    found = written(graded(sandbox, source(name, target), name))
    allowed = (Verdict.WRONG, Verdict.RIGHT) if name in HONEST else (Verdict.WRONG,)
    assert found.verdict in allowed, found
    assert time.monotonic() - began < 45


def graded(sandbox: Sandbox, code: str, name: str) -> Grade:
    if kind(name) == "calls":
        return function_tests.grade(sandbox, code, "f", [([1, 2], 3), ([2, 3], 5)], LIMITS)
    if kind(name) == "units":
        return unit_tests.grade(sandbox, code, TESTS, TEST_LIMITS)
    expected = "3\n" if "expected 3" in code else "z1-expected\n"
    return stdio.grade(sandbox, code, [("z1-input\n", expected)] * 2, LIMITS)


def written(grade: Grade) -> Grade:
    """The grade, after it was written and read as text."""
    json.dumps({"reason": grade.reason}, ensure_ascii=False).encode()
    return grade
