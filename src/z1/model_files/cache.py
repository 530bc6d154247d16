"""The cache of converted models: folders in transformers' format that were made of other files.

They are below `$Z1_CACHE`, or `z1/models` in the user's cache folder, and may be deleted at any time. A folder is made
once, under a lock, in a hidden folder that is renamed when it is complete. A process that is killed leaves the hidden
folder, and the next one goes on with it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from z1.errors import UserError
from z1.runs import file_lock, write_json

VERSION = 1
"""Counts changes of the conversion: folders of other versions are not used."""

SOURCE = "z1_source.json"
"""In a folder of this cache: the name of the model and the files that it was made of."""


def cache_folder() -> Path:
    """The folder of all converted models."""
    if own := os.environ.get("Z1_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "z1" / "models"


def converted(name: str, variant: str, sources: Sequence[Path], make: Callable[[Path], None]) -> Path:
    """The folder that `make` fills from the files `sources`; made if it is not there.

    It is keyed by path, size and time of the sources, so another file of the same name is converted again.
    """
    states = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in sources]
    key = sha256(json.dumps([VERSION, variant, states]).encode()).hexdigest()[:10]
    folder = cache_folder() / f"{name}-{variant}-{key}"
    if folder.is_dir():
        return folder
    try:
        with file_lock(folder.with_name(f".{folder.name}.lock")):
            if not folder.is_dir():
                partial = folder.with_name(f".{folder.name}.partial")
                partial.mkdir(exist_ok=True)
                make(partial)
                write_json(partial / SOURCE, {"name": name, "sources": [str(path) for path in sources]})
                for path in partial.iterdir():  # safetensors creates files that only their owner can read
                    path.chmod(partial.stat().st_mode & 0o666)
                partial.rename(folder)
    except PermissionError as error:
        do = "set Z1_CACHE to a folder that you can write"
        raise UserError(f"cache of converted models {cache_folder()}", error.strerror, do) from None
    return folder


def source_name(folder: Path) -> str | None:
    """The name of the model that a folder of this cache was made of; None for other folders."""
    path = folder / SOURCE
    return str(json.loads(path.read_text("utf-8"))["name"]) if path.is_file() else None


def check_space(folder: Path, needed: int, name: str) -> None:
    """Raise UserError if the disk of `folder` has fewer than `needed` bytes left."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        got = f"{free / 1e9:.1f} GB free, and {needed / 1e9:.1f} GB are needed for {name}"
        raise UserError(f"cache of converted models {cache_folder()}", got, "free some space, or set Z1_CACHE")


def say(line: str) -> None:
    """Print a line of progress to standard error."""
    print(line, file=sys.stderr, flush=True)
