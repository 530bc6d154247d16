"""Counters of the plug-in, in vLLM's own /metrics.

vLLM's HTTP server and its engine are different processes. The server counts in `prometheus_client`'s registry, which
vLLM exports. The engine's processes write theirs into a file each, in a folder of this vLLM instance, from which the
server takes the increase whenever its metrics are read. With several HTTP servers vLLM sets PROMETHEUS_MULTIPROC_DIR,
and `prometheus_client` joins the processes by itself.
"""

from __future__ import annotations

import atexit
import os
import tempfile
from collections import Counter as Count
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from prometheus_client import Counter
from prometheus_client.mmap_dict import MmapedDict

REQUESTS = Counter("z1_plugin_requests", "Requests to vLLM by model and by what z1 did.", ["model", "decision"])
WINDOWS = Counter(
    "z1_plugin_windows",
    "Windows: forced (z1 ended the thought), repetition (z1 ended a loop), nudge, impossible (dropped).",
    ["outcome"],
)
ERRORS = Counter("z1_plugin_errors", "Exceptions of z1, after which vLLM served the request without it.", ["where"])

COUNTERS: Mapping[str, Counter] = {"windows": WINDOWS, "errors": ERRORS}
"""The counters that the engine's processes increase, each with one label."""


class EngineCounters:
    """Counts in a process of the engine. `folder` None: in this process's registry."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / f"{os.getpid()}.db"
        self._file = None if self._path is None else MmapedDict(str(self._path))
        atexit.register(self.close)

    def add(self, name: str, label: str) -> None:
        """Add 1 to the counter `name` of `COUNTERS`. Never raises: counting must not end a reply."""
        with suppress(Exception):
            if self._file is None:
                COUNTERS[name].labels(label).inc()
            else:
                key = f"{name} {label}"
                value, _ = self._file.read_value(key)
                self._file.write_value(key, value + 1, 0.0)

    def close(self) -> None:
        """Remove the file, and the folder after its last one."""
        if self._file is not None and self._path is not None:
            self._file.close()
            self._file = None
            with suppress(OSError):
                self._path.unlink()
                self._path.parent.rmdir()


class EngineTotals:
    """The counts of the engine's processes, added to the server's registry."""

    def __init__(self) -> None:
        self._seen: Count[tuple[str, str]] = Count()

    def collect(self, folder: Path) -> None:
        """Add what the files in `folder` have more than at the last call."""
        for path in sorted(folder.glob("*.db")):
            for key, value, *_ in MmapedDict.read_all_values_from_file(str(path)):
                name, _, label = key.partition(" ")
                new = value - self._seen[path.name, key]
                self._seen[path.name, key] += new
                if new and name in COUNTERS:
                    COUNTERS[name].labels(label).inc(new)


def engine_folder(instance_id: str) -> Path | None:
    """The folder of a vLLM instance, made for this user alone; None if `prometheus_client` joins the processes.

    Raises OSError if somebody else has made it.
    """
    if not instance_id or "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        return None
    folder = Path(tempfile.gettempdir()) / f"z1-vllm-{os.getuid()}-{instance_id}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or folder.is_symlink():
        raise PermissionError(f"{folder} belongs to somebody else")
    return folder
