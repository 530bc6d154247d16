"""Run folders: stages keyed by settings and inputs, atomic files and folders, append-only logs.

A run folder has one folder per stage, named after the hash of the stage's settings and inputs: `curate-1a2b3c4d`.
Changed settings get another folder, so nothing is overwritten. `stage.json` is written last; a stage is done when
it exists. The code's version is recorded and not hashed, so a fix does not discard finished work. Logs are append-only
JSONL with one writer; an incomplete last line (from a kill while writing) is dropped. Single files are written
atomically. JSON escapes what UTF-8 cannot hold (`surrogates.py`), so every record can be written and read back.
"""

from __future__ import annotations

import gzip
import json
import os
import platform
import re
import shutil
from codecs import BOM_UTF8
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
from z1.surrogates import encode_json, replace_surrogates

T = TypeVar("T")

BLOCK = 1 << 20
"""Bytes per read."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a run: its folder, settings and inputs."""

    folder: Path
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    """Hash of the content of each input, by name."""

    @property
    def is_done(self) -> bool:
        """Whether the stage has finished."""
        return (self.folder / "stage.json").is_file()

    @contextmanager
    def claim(self, *, is_main: bool = True) -> Iterator[bool]:
        """Hold the stage for this process; yields whether there is work left. Raises UserError if another has it.

        Of several processes that work together, only the one that `is_main` holds it.
        """
        if self.is_done or not is_main:
            yield not self.is_done
            return
        with exclusive(self.folder / ".lock", f"stage {self.folder}"):
            yield not self.is_done

    def finish(self, results: Mapping[str, Any]) -> None:
        """Mark the stage as done, with its `results`."""
        facts = {"settings": self.settings, "inputs": self.inputs, "results": results, **provenance()}
        write_json(self.folder / "stage.json", facts)

    def results(self, **kinds: type) -> dict[str, Any]:
        """The results of the finished stage, of these kinds by name. Raises UserError for a file without them."""
        path = self.folder / "stage.json"
        results = read_json(path, "results")["results"]
        if not isinstance(results, dict) or not all(isinstance(results.get(key), kind) for key, kind in kinds.items()):
            raise _wrong_json(path, results)
        return results


def stage(run: Path, name: str, settings: Mapping[str, Any], inputs: Mapping[str, Path]) -> Stage:
    """The stage `name` of `run` for these settings and input files; its folder is created if needed."""
    hashes = {key: hash_file(path) for key, path in inputs.items()}
    key = sha256(json.dumps([settings, hashes], sort_keys=True).encode()).hexdigest()[:8]
    folder = run / f"{name}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    return Stage(folder, settings, hashes)


def provenance() -> dict[str, str]:
    """Provenance of a result: versions of z1 and Python, system, and time."""
    try:
        z1_version = version("z1")
    except PackageNotFoundError:
        z1_version = "not installed"
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"z1": z1_version, "python": platform.python_version(), "system": platform.system(), "finished": now}


def hash_file(path: Path) -> str:
    """16 hexadecimal digits of the SHA-256 of a file's content, or of a folder's files in order of name."""
    digest = sha256()
    try:
        for part in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
            if path.is_dir():  # names and sizes, so that other files with the same bytes differ
                digest.update(f"{part.relative_to(path).as_posix()}\0{part.stat().st_size}\0".encode())
            with part.open("rb") as file:
                while block := file.read(BLOCK):
                    digest.update(block)
    except FileNotFoundError:
        raise UserError(f"input {path}", "no such file", "run the previous stage first") from None
    return digest.hexdigest()[:16]


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, waiting for other processes; the file stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):
        yield


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path`, or raise UserError if another process has it; the file stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(what, "another process is working on it", "wait for it, or end it") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path to write to; renamed to `path` at the end, or deleted on an error.

    It has the permissions of a new file, unlike files from `tempfile`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{token_hex(4)}")
    temporary.touch(exist_ok=False)
    try:
        with _name_errors(path):
            yield temporary
        sync_file(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill; replaces `path` at the end, or is deleted on an error.

    Its files get the permissions of new files; safetensors creates files that only their owner can read.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{token_hex(4)}")
    temporary.mkdir()
    try:
        with _name_errors(path):
            yield temporary
        for part in (path for path in temporary.rglob("*") if path.is_file()):
            part.chmod(temporary.stat().st_mode & 0o666)
            sync_file(part)
        _replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _name_errors(path: Path) -> Iterator[None]:
    """Add the name `path` to an OSError without one, such as that of a write to a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def _replace(temporary: Path, path: Path) -> None:
    """Replace `path` by `temporary`; on an error the older folder stays."""
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
    """Raise OSError for a full disk, which safetensors and tokenizers (in Rust) report only as text."""
    try:
        yield
    except Exception as error:
        found = re.search(r"os error (\d+)", str(error))
        if isinstance(error, OSError) or found is None or int(found[1]) not in DISK_FULL:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from error


def sync_file(path: Path) -> None:
    """Flush the content of a file to disk."""
    with path.open("rb") as file, suppress(OSError):
        os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_bytes(path, encode_json(json.dumps(value, indent=1, ensure_ascii=False) + "\n"))


def write_text(path: Path, text: str) -> None:
    """Write `text` in UTF-8, atomically; lone surrogates are replaced."""
    write_bytes(path, replace_surrogates(text).encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data`, atomically."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object per line, atomically, packed if the name ends in .gz; for a file that grows use `Log`."""
    data = b"".join(encode_json(json.dumps(record, ensure_ascii=False)) + b"\n" for record in records)
    write_bytes(path, gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def read_json(path: Path, *keys: str) -> Any:
    """The JSON value in `path`, an object with these `keys` if any are given. Raises UserError if the file is missing,
    invalid or of another kind.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"file {path}", "no such file", "run the stage that writes it first") from None
    except (ValueError, RecursionError):
        raise UserError(f"file {path}", "invalid JSON", "delete it and run the stage that writes it again") from None
    if keys and not (isinstance(value, dict) and value.keys() >= set(keys)):
        raise _wrong_json(path, value)
    return value


def _wrong_json(path: Path, value: Any) -> UserError:
    got = f"JSON of another kind, {json.dumps(value)[:40]}"
    return UserError(f"file {path}", got, "delete it and run the stage that writes it again")


def read_lines(path: Path, parse: Callable[[Mapping[str, Any]], T]) -> list[T]:
    """The lines of a JSONL file, the last one with or without a line end. An invalid line raises UserError."""
    return list(iterate_lines(path, parse))


def iterate_lines(path: Path, parse: Callable[[Mapping[str, Any]], T]) -> Iterator[T]:
    """As `read_lines`, one record at a time, for files larger than memory."""
    for number, line in _numbered_lines(path):
        yield _parse(path, number, line, parse)


def read_log(path: Path, parse: Callable[[Mapping[str, Any]], T]) -> list[T]:
    """The lines of a `Log`; an incomplete last line, from a kill while writing, is left out."""
    return list(iterate_log(path, parse))


def iterate_log(path: Path, parse: Callable[[Mapping[str, Any]], T]) -> Iterator[T]:
    """As `read_log`, one record at a time."""
    for number, line in _numbered_lines(path):
        if line.endswith(b"\n") or _is_json(line):
            yield _parse(path, number, line, parse)


def _numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, without a byte order mark, of the file or of the one that gzip made of it; none if
    there is neither.
    """
    packed = path.with_name(f"{path.name}.gz")
    if not path.exists() and not packed.exists():
        return
    with path.open("rb") if path.exists() else gzip.open(packed) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, line.removeprefix(BOM_UTF8) if number == 1 else line


def _is_json(line: bytes) -> bool:
    """Whether a line without a line end is complete: no beginning of a JSON object is JSON."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _parse(path: Path, number: int, line: bytes, parse: Callable[[Mapping[str, Any]], T]) -> T:
    try:
        value = json.loads(line.decode())
        if not isinstance(value, dict):
            raise ValueError("not a JSON object")
        return parse(value)
    except UserError as error:
        raise UserError(f"file {path}, line {number}, {error.what}", error.got, "repair or delete it") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UserError(
            f"file {path}, line {number}", line[:60].decode(errors="replace"), "repair or delete it"
        ) from None


class Log:
    """The only writer of an append-only JSONL file. A line is written once `add` has returned.

    Written lines survive a crash of the process; after `sync` also one of the machine.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: FileIO | None = None
        self._lock = FileLock(path.with_suffix(".lock"), timeout=0)

    def __enter__(self) -> Log:
        try:
            self._lock.acquire()
        except Timeout:
            raise UserError(f"log {self.path}", "another process is writing it", "wait for it, or end it") from None
        try:
            _end_last_line(self.path)
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
        """Append these records in one write; after a failure the file is as before."""
        if self._file is None:
            raise ValueError("the log is not open")
        lines = (encode_json(json.dumps(record, ensure_ascii=False, separators=(",", ":"))) for record in records)
        data = b"".join(line + b"\n" for line in lines)
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
        """Flush added lines to disk: takes milliseconds, for results that cost money."""
        if self._file is not None:
            os.fsync(self._file.fileno())


def _end_last_line(path: Path) -> None:
    """Drop an incomplete last line; a complete one without a line end gets it."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        size = end = file.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - BLOCK)
            file.seek(begin)
            if (last := file.read(end - begin).rfind(b"\n")) >= 0:
                end = begin + last + 1
                break
            end = begin
        file.seek(end)
        if end < size and _is_json(file.read()):
            file.write(b"\n")
        else:
            file.truncate(end)
