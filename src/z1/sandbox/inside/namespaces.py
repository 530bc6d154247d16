"""What does a program under test see of the machine?

A root of its own in memory: the interpreter and the system's libraries read-only, a few devices, an empty /tmp, its own
processes and nothing else. `enter` and `settle` move the server behind the walls once; `partition` gives one
program a part of its own.

As root the mounts are made first and the identity of nobody is taken afterwards, since an interpreter may stand where
nobody cannot go; as another user, a user namespace comes first. Inside, everybody is user 65534 either way.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable

from z1.sandbox.inside import syscalls as k

NOBODY = 65534
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
BOUND = ("/etc/alternatives", "/etc/fonts")
COPIED = ("/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types")
"""Files that are copied and not mounted, since every room copies and unmakes every mount."""
DEVICES = ("null", "zero", "full", "random", "urandom")
LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
ROOM = 256 << 20
"""Bytes of all files of one program together; they live in memory."""
WRITTEN = {
    "passwd": "nobody:x:65534:65534:nobody:/tmp:/bin/false\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\nhosts: files\n",
}
"""What /etc holds beside a part of the machine's own."""
OLD, NEW, STASH = "/old", "/new", "/.shown"
_IN_TMP: list[str] = []
"""What is shown below /tmp. A program has a /tmp of its own, so it is kept in STASH too and bound there again."""


def enter(shown: Iterable[str]) -> None:
    """Move behind the walls, `shown` (files and folders) visible read-only. Fork after it, then call `settle`."""
    if os.geteuid() == 0:
        k.unshare(k.NEW_MOUNT | k.NEW_PID | k.NEW_NET | k.NEW_IPC | k.NEW_HOST)
    else:
        user, group = os.geteuid(), os.getegid()
        k.unshare(k.NEW_USER | k.NEW_MOUNT | k.NEW_PID | k.NEW_NET | k.NEW_IPC | k.NEW_HOST)
        _become_nobody(user, group)
    k.mount("none", "/", "", k.RECURSIVE | k.PRIVATE)
    k.mount("tmpfs", "/tmp", "tmpfs", k.NO_SUID | k.NO_DEV, "mode=755")
    os.mkdir("/tmp" + OLD)
    os.mkdir("/tmp" + NEW)
    k.pivot_root("/tmp", "/tmp" + OLD)
    os.chdir("/")
    k.mount("tmpfs", NEW, "tmpfs", k.NO_SUID | k.NO_DEV, "mode=755")
    _furnish(shown)


def _furnish(shown: Iterable[str]) -> None:
    os.mkdir(NEW + "/tmp")
    k.mount("tmpfs", NEW + "/tmp", "tmpfs", k.NO_SUID | k.NO_DEV, "mode=1777")  # the server's own, for what it warms
    for path in (*SYSTEM, *BOUND, *shown):
        _show(path, path)
        if path.startswith("/tmp/") and os.path.lexists(OLD + path):
            _show(path, f"{STASH}/{len(_IN_TMP)}")
            _IN_TMP.append(path)
    os.mkdir(NEW + "/dev")
    _make_devices()
    os.makedirs(NEW + "/etc", exist_ok=True)
    for name, text in WRITTEN.items():
        with open(f"{NEW}/etc/{name}", "w") as file:
            file.write(text)
    for path in COPIED:
        with contextlib.suppress(OSError), open(OLD + path, "rb") as file, open(NEW + path, "wb") as copy:
            copy.write(file.read())  # by hand: what `shutil` loads, every fork would copy
    os.mkdir(NEW + "/proc")


def _make_devices() -> None:
    """Root may make the few devices in one mount; another user binds the machine's, one by one."""
    k.mount("tmpfs", NEW + "/dev", "tmpfs", k.NO_SUID | k.NO_EXEC, "mode=755")
    for name in DEVICES:
        place = f"{NEW}/dev/{name}"
        try:
            os.mknod(place, 0o666 | stat.S_IFCHR, os.stat(f"{OLD}/dev/{name}").st_rdev)
            os.chmod(place, 0o666)
        except PermissionError:
            open(place, "w").close()
            k.mount(f"{OLD}/dev/{name}", place, "", k.BIND)
    os.symlink("/tmp", NEW + "/dev/shm")
    for name, target in LINKS.items():
        os.symlink(target, f"{NEW}/dev/{name}")
    k.lock(NEW + "/dev", deep=False, devices=True)


def _bind(source: str, target: str) -> bool:
    """What is at `source` appears at `target` too, a link as a link of its own; whether there is a mount now."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
        return False
    if os.path.isdir(source):
        os.mkdir(target)
    else:
        open(target, "w").close()
    k.mount(source, target, "", k.BIND | k.RECURSIVE)
    return True


def _show(path: str, place: str) -> None:
    """Bind `path` of the old root at `place` of the new one, read-only; links are copied, what does not exist is left
    out.
    """
    source, target = OLD + path, NEW + place
    if os.path.lexists(target) or not os.path.lexists(source):
        return
    if _bind(source, target):
        k.lock(target, deep=True)


def settle() -> bool:
    """In the first process behind the walls: its own /proc, no way back, nobody's identity. False without /proc."""
    seen = True
    try:
        k.mount("proc", NEW + "/proc", "proc", k.NO_SUID | k.NO_DEV | k.NO_EXEC)
    except PermissionError:  # where a container hides parts of /proc, nobody inside may have a whole one
        seen = False
    os.chdir(NEW)
    k.pivot_root(".", ".")
    k.unmount(".")
    os.chdir("/")
    k.lock("/", deep=False)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        k.be_dumpable(True)  # changing identity took that away, and with it our own files in /proc
    return seen


def flags(*, network: bool) -> int:
    """The namespaces of a program's partition.

    Without a network of its own it shares the walls', which has no interface; then the filter has to refuse sockets.
    """
    return k.NEW_USER | k.NEW_MOUNT | k.NEW_PID | k.NEW_IPC | (k.NEW_NET if network else 0)


def partition(outer: tuple[int, int], flags: int, *, processes: bool) -> None:
    """In the first process of a partition: nobody's identity (`outer`: user and group outside), a /tmp of `ROOM` bytes
    with nothing in it but what is shown there, a /proc of its own, and no further namespaces for anybody.
    """
    _become_nobody(*outer)
    k.mount("tmpfs", "/tmp", "tmpfs", k.NO_SUID | k.NO_DEV, f"size={ROOM},nr_inodes=16384,mode=1777")
    for number, path in enumerate(_IN_TMP):
        _bind(f"{STASH}/{number}", path)
    if flags & k.NEW_NET:
        k.loopback_up()
    if processes:
        k.mount("proc", "/proc", "proc", k.NO_SUID | k.NO_DEV | k.NO_EXEC)
        _write("/proc/sys/user/max_user_namespaces", b"0")


def _become_nobody(user: int, group: int) -> None:
    _write("/proc/self/setgroups", b"deny")
    _write("/proc/self/uid_map", b"%d %d 1" % (NOBODY, user))
    _write("/proc/self/gid_map", b"%d %d 1" % (NOBODY, group))


def _write(path: str, text: bytes) -> None:
    number = os.open(path, os.O_WRONLY)
    try:
        os.write(number, text)
    finally:
        os.close(number)
