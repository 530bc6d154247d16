"""Control groups of version 2, on a tree of plain files with the kernel's names.

The kernel's part (limits, counting and killing) is imitated, so these tests show what z1 writes, reads and concludes.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.inside.test_supervisor import _kill_sleeping_program
from z1.errors import UserError
from z1.sandbox import Job, ProgramEnd, ResourceLimits, Sandbox, SandboxFault, control_groups
from z1.sandbox.control_groups import VARIABLE, ControlGroups

LIMITS = ResourceLimits(wall_seconds=3, cpu_seconds=2, memory_bytes=160 << 20)
SLEEPING = "import time\nprint('begun', flush=True)\ntime.sleep(1.5)"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of groups; a new folder in it has the files of a group."""

    def make_folder(folder: Path) -> None:
        folder.mkdir()
        for name in ("cgroup.procs", "memory.max", "memory.swap.max"):
            (folder / name).write_text("")
        (folder / "memory.events").write_text("low 0\nmax 7\noom 0\noom_kill 0\n")

    (tmp_path / "cgroup.subtree_control").write_text("cpu memory pids\n")
    monkeypatch.setattr(control_groups, "make_folder", make_folder)
    monkeypatch.setattr(control_groups, "remove_folder", shutil.rmtree)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture
def grouped(tree: Path) -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def groups(tree: Path) -> list[Path]:
    return sorted(tree.glob("z1-*"))


def test_each_program_joins_a_group_with_its_limit(grouped: Sandbox, tree: Path) -> None:
    assert grouped.layers["control_groups"] is True
    with grouped.open_process(Job("program", "print(input())", limits=LIMITS)) as process:
        (group,) = groups(tree)
        assert [outcome.stdout for outcome in process.run_each([b"1\n", b"2\n"])] == [b"1\n", b"2\n"]
        assert (group / "cgroup.procs").read_text() == "00"  # one program an input
        assert int((group / "memory.max").read_text()) == 180 << 20
        assert (group / "memory.swap.max").read_text() == "0"
    grouped.close()
    assert groups(tree) == []


@pytest.mark.parametrize(("events", "end"), [("oom_kill 1\n", ProgramEnd.MEMORY), ("oom 1\noom_kill 0\n", None)])
def test_a_kill_is_the_limit_only_if_the_group_counts_it(
    grouped: Sandbox, tree: Path, events: str, end: ProgramEnd | None
) -> None:
    def kill() -> None:
        (group,) = groups(tree)
        (group / "memory.events").write_text(events)
        _kill_sleeping_program()

    killer = threading.Timer(0.5, kill)
    with grouped.open_process(Job("program", SLEEPING, limits=LIMITS)) as process:
        killer.start()
        if end:
            outcome = process.run(b"")
            assert (outcome.end, outcome.exit_code, outcome.stdout) == (end, -signal.SIGKILL, b"begun\n")
        else:
            with pytest.raises(SandboxFault, match="killed from outside"):
                process.run(b"")
    killer.join()


def test_kills_of_an_earlier_input_do_not_count(grouped: Sandbox, tree: Path) -> None:
    with grouped.open_process(Job("program", "print(input())", limits=LIMITS)) as process:
        (group,) = groups(tree)
        (group / "memory.events").write_text("oom_kill 3\n")
        assert process.run(b"1\n").end is ProgramEnd.EXITED


def test_the_program_has_no_descriptor_of_its_group(grouped: Sandbox) -> None:
    source = (
        "import os\nfor n in range(3, 200):\n    try: print(n, os.readlink(f'/proc/self/fd/{n}'))\n"
        "    except OSError: pass"
    )
    outcome = grouped.run(Job("program", source, limits=LIMITS))
    assert b"cgroup" not in outcome.stdout
    assert b"memory" not in outcome.stdout


def test_a_group_in_use_is_removed_later(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(folder: Path) -> None:
        raise OSError(16, "Device or resource busy")

    made = ControlGroups()
    first = made.make(1 << 20)
    first.close()
    with monkeypatch.context() as patched:
        patched.setattr(control_groups, "remove_folder", busy)
        made.make(1 << 20).close()
        assert len(groups(tree)) == 2
    made.remove_empty()
    assert groups(tree) == []


def test_a_folder_that_limits_nothing_is_refused(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "cgroup.subtree_control").write_text("cpu\n")
    with pytest.raises(UserError, match=r"does not delegate memory; make it writable, and write \+memory to"):
        Sandbox().start()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    with pytest.raises(UserError, match="name a folder of a mounted cgroup2 file system"):
        Sandbox().start()


def test_a_program_that_cannot_join_is_refused_at_the_start(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make_folder(folder: Path) -> None:
        folder.mkdir()
        for name in ("memory.max", "memory.events"):
            (folder / name).write_text("")
        os.symlink("/dev/full", folder / "cgroup.procs")

    monkeypatch.setattr(control_groups, "make_folder", make_folder)
    began = time.monotonic()
    with pytest.raises(UserError, match=r"a first program failed: .*No space left"):
        Sandbox().start()
    assert time.monotonic() - began < 30
