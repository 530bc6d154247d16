"""Machines that allow a part of the isolation: the sandbox refuses to start, in one line and within five seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

PREPARE = """
import os, subprocess, sys
from z1.sandbox.inside import seccomp, syscalls

def become_root():
    user, group = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.NEW_USER | syscalls.NEW_MOUNT)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        open(f"/proc/self/{name}", "w").write(text)

def refuse(number, *conditions):
    syscalls.set_option(38, 1)
    begin = seccomp._instruction(seccomp.LOAD, seccomp.NUMBER_OFFSET)
    end = seccomp._instruction(seccomp.RETURN, seccomp.ALLOW)
    syscalls.SeccompFilter(begin + seccomp._rule(number, seccomp.EPERM, *conditions) + end).install()

CLONE, MOUNT, UNSHARE, PIVOT_ROOT, SETATTR = (56, 220), (165, 40), (272, 97), (155, 41), (442, 442)
"""

START = """
from z1.errors import Z1Error
from z1.sandbox import Sandbox
try:
    Sandbox().start()
except Z1Error as error:
    print(error)
else:
    print("started")
"""

REFUSALS = {
    "no further user namespaces": (
        "become_root()\nopen('/proc/sys/user/max_user_namespaces', 'w').write('0')",
        "unshare: No space left on device",
    ),
    "one user namespace, and none in it": (
        "become_root()\nopen('/proc/sys/user/max_user_namespaces', 'w').write('1')",
        "clone: No space left on device",
    ),
    "root of a user namespace, which is enough": ("become_root()", "started"),
    "no further mount namespaces": (
        "become_root()\nopen('/proc/sys/user/max_mnt_namespaces', 'w').write('0')",
        "unshare: No space left on device",
    ),
    "no further network namespaces": (
        "become_root()\nopen('/proc/sys/user/max_net_namespaces', 'w').write('1')",
        "clone: No space left on device",
    ),
    "a part of /proc is hidden": (
        "become_root()\nsyscalls.mount('/dev/null', '/proc/keys', '', syscalls.BIND)",
        "mount /new/proc: Operation not permitted",
    ),
    "clone into user namespaces": (
        "refuse(CLONE, (0, 'has any of', syscalls.NEW_USER))",
        "clone: Operation not permitted",
    ),
    "clone into process namespaces": (
        "refuse(CLONE, (0, 'has any of', syscalls.NEW_PID))",
        "clone: Operation not permitted",
    ),
    "unshare": ("refuse(UNSHARE)", "unshare: Operation not permitted"),
    "mount": ("refuse(MOUNT)", "mount /: Operation not permitted"),
    "pivot_root": ("refuse(PIVOT_ROOT)", "pivot_root: Operation not permitted"),
    "mount_setattr": ("refuse(SETATTR)", "mount_setattr: Operation not permitted"),
    "the mount of a program's own /proc/sys": (
        "refuse(MOUNT, (3, 'is', syscalls.BIND))",
        "Operation not permitted",
    ),
}
"""What a machine refuses: how it is imitated, and what the message names."""


@pytest.mark.skipif(os.geteuid() != 0, reason="imitates machines as root")
@pytest.mark.parametrize("name", REFUSALS)
def test_the_start_ends_with_one_line(name: str) -> None:
    prepare, expected = REFUSALS[name]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", f"{PREPARE}\n{prepare}\n{START}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1, done.stdout
    if expected == "started":
        assert done.stdout == "started\n"
        return
    assert done.stdout.startswith("the sandbox: got ") and expected in done.stdout, done.stdout
    assert "; allow user namespaces" in done.stdout
    assert time.monotonic() - began < 5
