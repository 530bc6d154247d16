"""Where do a run's results lie, and what is already done?

A run folder holds one folder a stage, named after the hash of the stage's settings and inputs: `curate-1a2b3c4d`.
Changed settings are another folder, so nothing is ever overwritten. `stage.json` is written last; a stage is done when
it is there. Code is recorded, not hashed: a fix does not throw finished work away. Logs are append-only JSONL with one
writer; a torn last line (a kill while writing) is dropped. Single files appear whole or not at all.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from io import FileIO
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from z1.errors import DISK_FULL, UserError

T = TypeVar("T")

BLOCK = 1 << 20
"""Bytes read at a time."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a run: its folder, and what it is made from."""

    folder: Path
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    """Name of each input, and the hash of its content."""

    @property
    def is_done(self) -> bool:
        """Whether the stage has ended well before."""
        return (self.folder / "stage.json").is_file()

    def finish(self, results: Mapping[str, Any]) -> None:
        """Say that the stage has ended well; `results` are the figures worth keeping."""
        facts = {"settings": self.settings, "inputs": self.inputs, "results": results, **provenance()}
        write_json(self.folder / "stage.json", facts)

    def results(self) -> dict[str, Any]:
        """The figures kept when the stage ended."""
        results: dict[str, Any] = read_json(self.folder / "stage.json")["results"]
        return results


def stage(run: Path, name: str, settings: Mapping[str, Any], inputs: Mapping[str, Path]) -> Stage:
    """The stage `name` of `run` for these settings and input files; its folder is made if need be."""
    hashes = {key: hash_file(path) for key, path in inputs.items()}
    key = sha256(json.dumps([settings, hashes], sort_keys=True).encode()).hexdigest()[:8]
    folder = run / f"{name}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    return Stage(folder, settings, hashes)


def provenance() -> dict[str, str]:
    """What made a result: the version of z1 and of Python, the system, and when."""
    try:
        own = version("z1")
    except PackageNotFoundError:
        own = "not installed"
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"z1": own, "python": platform.python_version(), "system": platform.system(), "finished": now}


def hash_file(path: Path) -> str:
    """16 hexadecimal digits of the SHA-256 of a file's content; of a folder's files, in order of name."""
    digest = sha256()
    try:
        for part in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
            if path.is_dir():  # names and sizes, so that no two folders read as the same run of bytes
                digest.update(f"{part.relative_to(path).as_posix()}\0{part.stat().st_size}\0".encode())
            with part.open("rb") as file:
                while block := file.read(BLOCK):
                    digest.update(block)
    except FileNotFoundError:
        raise UserError("an input of this stage", f"no file {path}", "run the stage before it first") from None
    return digest.hexdigest()[:16]


@contextmanager
def file_lock(name: Path) -> Iterator[None]:
    """Wait until no other process is here with this `name`, a file that is left behind."""
    name.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(name):
        yield


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path to write to; becomes `path` at the end, or vanishes if anything goes wrong.

    It has the permissions that a new file gets, which `tempfile`'s do not.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{token_hex(4)}")
    temporary.touch(exist_ok=False)
    try:
        with _named(path):
            yield temporary
        sync_file(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill; becomes `path` at the end (an older one is replaced), or vanishes.

    Its files get the permissions of new ones; safetensors makes files that nobody else may read.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{token_hex(4)}")
    temporary.mkdir()
    try:
        with _named(path):
            yield temporary
        for part in temporary.rglob("*"):
            if part.is_file():
                part.chmod(temporary.stat().st_mode & 0o666)
                sync_file(part)
        _swap(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """An error of the system without a name, such as that of a write to a full disk, gets the name of `path`."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def _swap(temporary: Path, path: Path) -> None:
    """`temporary` in the place of `path`; where that fails the older folder stays."""
    if not path.exists():
        temporary.replace(path)
        return
    older = path.with_name(f".{path.name}.older")
    shutil.rmtree(older, ignore_errors=True)
    path.replace(older)
    try:
        temporary.replace(path)
    except OSError:
        older.replace(path)
        raise
    shutil.rmtree(older, ignore_errors=True)


@contextmanager
def disk_full_as_os_error(path: Path) -> Iterator[None]:
    """safetensors and tokenizers write in Rust and name the system's error in their text alone."""
    try:
        yield
    except Exception as error:
        found = re.search(r"os error (\d+)", str(error))
        if isinstance(error, OSError) or found is None or int(found[1]) not in DISK_FULL:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from error


def sync_file(path: Path) -> None:
    """Wait until the content of a file is on the disk itself."""
    with path.open("rb") as file, suppress(OSError):
        os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    """`value` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """`text` in UTF-8, whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """A JSON object a line, whole or not at all; a file that grows is a `Log`."""
    write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def read_json(path: Path) -> Any:
    """The JSON value in `path`; a missing or broken file is named."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError("a file is missing", path, "run the stage that writes it first") from None
    except ValueError:
        raise UserError(f"file {path}", "no JSON", "delete it and run the stage that writes it again") from None


def read_lines(path: Path, parse: Callable[[Mapping[str, Any]], T]) -> list[T]:
    """Every whole line of a JSONL file; a torn last line is dropped, a broken line before it is refused."""
    return list(iterate_lines(path, parse))


def iterate_lines(path: Path, parse: Callable[[Mapping[str, Any]], T]) -> Iterator[T]:
    """As `read_lines`, one record at a time, for files that may be larger than memory."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n") and line != b"\n":
                yield _parse(path, number, line[:-1], parse)


def _parse(path: Path, number: int, line: bytes, parse: Callable[[Mapping[str, Any]], T]) -> T:
    try:
        return parse(json.loads(line.decode()))
    except UserError as error:
        raise UserError(f"file {path}, line {number}, {error.what}", error.got, "repair or delete it") from None
    except (ValueError, TypeError, KeyError):
        raise UserError(
            f"file {path}, line {number}", line[:60].decode(errors="replace"), "repair or delete it"
        ) from None


class Log:
    """The one writer of an append-only JSONL file. A line counts once `add` has returned.

    What is written outlives the process; after `sync` also the machine.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: FileIO | None = None
        self._lock = FileLock(path.with_suffix(".lock"), timeout=0)

    def __enter__(self) -> Log:
        try:
            self._lock.acquire()
        except Timeout:
            raise UserError(f"log {self.path}", "another process that writes it", "wait for it or end it") from None
        try:
            _drop_torn_line(self.path)
            self._file = FileIO(self.path, "ab")
        except OSError:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        self._lock.release()

    def add(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Append these records in one write; after a failure the file ends as it did before."""
        if self._file is None:
            raise ValueError("the log is not open")
        data = b"".join(json.dumps(r, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for r in records)
        size = os.fstat(self._file.fileno()).st_size
        try:
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            os.ftruncate(self._file.fileno(), size)
            error.filename = str(self.path)
            raise

    def sync(self) -> None:
        """Wait until what was added is on the disk itself: milliseconds, for what cost money."""
        if self._file is not None:
            os.fsync(self._file.fileno())


def _drop_torn_line(path: Path) -> None:
    if not path.exists():
        return
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - BLOCK)
            file.seek(begin)
            if (last := file.read(end - begin).rfind(b"\n")) >= 0:
                end = begin + last + 1
                break
            end = begin
        file.truncate(end)
