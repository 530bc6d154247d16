"""Namespaces, mounts and identities: the part of the machine that a program under test can access.

It has a root file system in memory, with the interpreter and the system's libraries read-only, a few devices and an
empty /tmp, and sees its own processes only. `enter` and `finish_root` isolate the fork server once; `isolate_process`
isolates one sandbox process further.

As root, the mounts are made first and the identity of user nobody is taken afterwards, since nobody may lack access to
the interpreter; as another user, or as a root that has no other user, a user namespace is made first.
Inside, every process is user 65534 in both cases.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable

from z1.sandbox.inside import syscalls as k

NOBODY = 65534
NAMESPACES = k.NEW_MOUNT | k.NEW_PID | k.NEW_NET | k.NEW_IPC | k.NEW_UTS
SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
ETC_FOLDERS = ("/etc/alternatives", "/etc/fonts")
ETC_FILES = ("/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types")
"""Copied rather than mounted, since every sandbox process copies and removes every mount."""
DEVICES = ("null", "zero", "full", "random", "urandom")
LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
MAX_TMP_BYTES = 256 << 20
"""Limit for all files of one program together; they are kept in memory."""
ETC_TEXTS = {
    "passwd": "nobody:x:65534:65534:nobody:/tmp:/bin/false\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\nhosts: files\n",
}
"""Files of /etc with fixed contents."""
OLD, NEW, STASH = "/old", "/new", "/.readable"
_PATHS_IN_TMP: list[str] = []
"""Readable paths below /tmp. A program has a /tmp of its own, so they are mounted in STASH too and bound again."""


def enter(readable: Iterable[str]) -> None:
    """Move this process to new namespaces and build its root, in which the files and folders `readable` are visible
    read-only. Fork afterwards, and call `finish_root` in the child.
    """
    if not (_can_become_nobody() and _unshare_as_root()):
        user, group = os.geteuid(), os.getegid()
        k.unshare(k.NEW_USER | NAMESPACES)
        _become_nobody(user, group)
    k.mount("none", "/", "", k.RECURSIVE | k.PRIVATE)
    k.mount("tmpfs", "/tmp", "tmpfs", k.NO_SUID | k.NO_DEV, "mode=755")
    os.mkdir("/tmp" + OLD)
    os.mkdir("/tmp" + NEW)
    k.pivot_root("/tmp", "/tmp" + OLD)
    os.chdir("/")
    k.mount("tmpfs", NEW, "tmpfs", k.NO_SUID | k.NO_DEV, "mode=755")
    _build_root(readable)


def _unshare_as_root() -> bool:
    """Whether root may make namespaces; in a container it may be allowed to make them in a user namespace only."""
    try:
        k.unshare(NAMESPACES)
    except PermissionError:
        return False
    return True


def _can_become_nobody() -> bool:
    """Whether this process is root, with user and group nobody: root of a user namespace may have no other user."""

    def has_nobody(name: str) -> bool:
        with open(f"/proc/self/{name}") as file:
            return any(int(first) <= NOBODY < int(first) + int(count) for first, _, count in map(str.split, file))

    with open("/proc/self/setgroups") as file:
        return os.geteuid() == 0 and "allow" in file.read() and has_nobody("uid_map") and has_nobody("gid_map")


def _build_root(readable: Iterable[str]) -> None:
    os.mkdir(NEW + "/tmp")
    # the /tmp of the fork server, for the modules that it preloads
    k.mount("tmpfs", NEW + "/tmp", "tmpfs", k.NO_SUID | k.NO_DEV, "mode=1777")
    for path in (*SYSTEM_FOLDERS, *ETC_FOLDERS, *readable):
        _mount_read_only(path, path)
        if path.startswith("/tmp/") and os.path.lexists(OLD + path):
            _mount_read_only(path, f"{STASH}/{len(_PATHS_IN_TMP)}")
            _PATHS_IN_TMP.append(path)
    os.mkdir(NEW + "/dev")
    _make_devices()
    os.makedirs(NEW + "/etc", exist_ok=True)
    for name, text in ETC_TEXTS.items():
        with open(f"{NEW}/etc/{name}", "w") as file:
            file.write(text)
    for path in ETC_FILES:
        with contextlib.suppress(OSError), open(OLD + path, "rb") as file, open(NEW + path, "wb") as copy:
            copy.write(file.read())  # without `shutil`, whose modules every fork would copy
    os.mkdir(NEW + "/proc")


def _make_devices() -> None:
    """Root creates the devices in one mount; another user binds the machine's devices one by one."""
    k.mount("tmpfs", NEW + "/dev", "tmpfs", k.NO_SUID | k.NO_EXEC, "mode=755")
    for name in DEVICES:
        path = f"{NEW}/dev/{name}"
        try:
            os.mknod(path, 0o666 | stat.S_IFCHR, os.stat(f"{OLD}/dev/{name}").st_rdev)
            os.chmod(path, 0o666)
        except PermissionError:
            open(path, "w").close()
            k.mount(f"{OLD}/dev/{name}", path, "", k.BIND)
    os.symlink("/tmp", NEW + "/dev/shm")
    for name, target in LINKS.items():
        os.symlink(target, f"{NEW}/dev/{name}")
    k.make_read_only(NEW + "/dev", deep=False, devices=True)


def _bind(source: str, target: str) -> bool:
    """Bind `source` at `target`, or copy it if it is a symbolic link. Returns whether a mount was made."""
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


def _mount_read_only(path: str, new_path: str) -> None:
    """Bind `path` of the old root at `new_path` of the new one, read-only; copies links, skips missing paths."""
    source, target = OLD + path, NEW + new_path
    if os.path.lexists(target) or not os.path.lexists(source):
        return
    if _bind(source, target):
        k.make_read_only(target, deep=True)


def finish_root() -> None:
    """In process 1 of the new namespaces: mount /proc, unmount the old root, become user nobody."""
    k.mount("proc", NEW + "/proc", "proc", k.NO_SUID | k.NO_DEV | k.NO_EXEC)
    os.chdir(NEW)
    k.pivot_root(".", ".")
    k.unmount(".")
    os.chdir("/")
    k.make_read_only("/", deep=False)
    if os.geteuid() == 0:  # with nobody, see `_can_become_nobody`
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        k.set_dumpable(True)  # a change of identity clears it, and with it access to our own files in /proc


def process_namespaces(*, network: bool) -> int:
    """The flags for the namespaces of one sandbox process.

    Without `network` it shares the fork server's network namespace, which has no interface; then the seccomp filter has
    to refuse sockets.
    """
    return k.NEW_USER | k.NEW_MOUNT | k.NEW_PID | k.NEW_IPC | (k.NEW_NET if network else 0)


def isolate_process(user_group: tuple[int, int], flags: int) -> None:
    """In process 1 of a sandbox process: become user nobody (`user_group` are the ids outside), mount an empty /tmp of
    `MAX_TMP_BYTES` with the readable paths below it, and a /proc of its own, and forbid further namespaces.
    """
    _become_nobody(*user_group)
    k.mount("tmpfs", "/tmp", "tmpfs", k.NO_SUID | k.NO_DEV, f"size={MAX_TMP_BYTES},nr_inodes=16384,mode=1777")
    for number, path in enumerate(_PATHS_IN_TMP):
        _bind(f"{STASH}/{number}", path)
    if flags & k.NEW_NET:
        k.loopback_up()
    k.mount("proc", "/proc", "proc", k.NO_SUID | k.NO_DEV | k.NO_EXEC)
    _write("/proc/sys/user/max_user_namespaces", b"0")
    k.mount("/proc/sys", "/proc/sys", "", k.BIND)  # everyone may write to some of its files
    k.make_read_only("/proc/sys", deep=False)
    _hide_mounts()


def _hide_mounts() -> None:
    """Empty the lists of mounts in /proc, which name paths and devices of the machine.

    They list the mounts of a process's namespace below its root. So the process moves to a copy of the namespace and
    keeps its root in the original, which stays alive by an open descriptor.
    """
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    os.open("/proc/self/ns/mnt", os.O_RDONLY)  # left open
    k.unshare(k.NEW_MOUNT)
    os.fchdir(root)
    os.chroot(".")
    os.close(root)


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
