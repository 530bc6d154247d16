"""Where do a benchmark's rows come from, and are they what they were?

A file of the Hugging Face hub at a pinned revision, or a local file or folder of exactly the hub's format. Rows are
read without running any code of the data set. What cannot be had is one line that says what to do.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from z1.errors import UserError

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What a person can choose about a benchmark's problems.

    `data` is a local file or folder ("" asks the hub), `since` and `until` dates as YYYY-MM-DD, both included, and
    `release` a name that the benchmark knows.
    """

    data: str = ""
    since: str = ""
    until: str = ""
    release: str = ""


NO_OPTIONS = LoadOptions()


@dataclass(frozen=True, slots=True)
class HubFiles:
    """Files of one data set of the hub at one revision."""

    id: str
    revision: str
    files: tuple[str, ...]

    def __str__(self) -> str:
        return f"https://huggingface.co/datasets/{self.id} at {self.revision}"


_AWAY = threading.Event()
"""The hub could not be reached; it is not tried again, since every try takes half a minute."""


def paths(hub: HubFiles, data: str) -> list[Path]:
    """The files of `hub`, from `data` where it is given. Raises UserError where one cannot be had."""
    if not data:
        return [_fetched(hub, name) for name in hub.files]
    given = Path(data)
    if given.is_file():
        return [given]
    found = [given / name if (given / name).is_file() else given / Path(name).name for name in hub.files]
    for path in found:
        if not path.is_file():
            raise UserError("data of a benchmark", f"no {path}", f"put {path.name} of {hub} there, or give a file")
    return found


def _fetched(hub: HubFiles, name: str) -> Path:
    from huggingface_hub import hf_hub_download

    with _reached(
        f"{hub.id}", f"download {name} at revision {hub.revision[:12]} where there is a network, then set data"
    ) as near:
        return Path(hf_hub_download(hub.id, name, repo_type="dataset", revision=hub.revision, local_files_only=near))


def download_dataset(hub: HubFiles) -> Path:
    """The folder of a data set for which `hub.files` are patterns, downloaded where it is not here yet."""
    from huggingface_hub import snapshot_download

    do = f"download it at revision {hub.revision[:12]} where there is a network, then give its folder as path"
    with _reached(hub.id, do, "data set of the hub") as near:
        wanted = partial(snapshot_download, hub.id, repo_type="dataset", revision=hub.revision)
        return Path(wanted(allow_patterns=list(hub.files), local_files_only=near))


def download_model(model: str) -> Path:
    """The folder of a model of the hub, downloaded where it is not here yet."""
    from huggingface_hub import snapshot_download

    with _reached(model, "download it where there is a network, then give its folder as --model") as near:
        return Path(snapshot_download(model, local_files_only=near))


@contextmanager
def _reached(wanted: str, do: str, what: str = "data of a benchmark") -> Iterator[bool]:
    """Whether to look on this machine alone."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        yield _AWAY.is_set()
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError) as error:
        if isinstance(error, LocalEntryNotFoundError):
            _AWAY.set()
        got = f"{wanted} is not here and the hub does not give it ({type(error).__name__})"
        raise UserError(what, got, do) from None


def rows(hub: HubFiles, data: str) -> list[Row]:
    """All rows of all files, in order."""
    return [row for path in paths(hub, data) for row in read(path)]


def read(path: Path) -> list[Row]:
    """The rows of one .jsonl, .json, .csv (each also with .gz) or .parquet file."""
    kind = "".join(path.suffixes[-2:]).removesuffix(".gz")[-8:].rpartition(".")[2]
    if kind == "parquet":
        import pyarrow.parquet

        return list(pyarrow.parquet.read_table(path).to_pylist())
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    try:
        if kind == "csv":
            return list(csv.DictReader(io.StringIO(text.decode("utf-8"), newline="")))
        if kind == "json":
            return list(json.loads(text))
        return [json.loads(line) for line in text.split(b"\n") if line.strip()]
    except (ValueError, csv.Error) as error:
        raise UserError(f"data in {path}", f"no {kind} ({error})", "download the file again") from None


def lines(path: Path) -> Iterator[tuple[int, Row]]:
    """The rows of a .jsonl file with the byte at which each begins."""
    with path.open("rb") as file:
        at = 0
        for line in file:
            if line.strip():
                yield at, json.loads(line)
            at += len(line)


def column(row: Row, *names: str) -> Any:
    """The first of the columns `names` that `row` has. Raises UserError where it has none."""
    for name in names:
        if row.get(name) is not None:
            return row[name]
    raise UserError("a row of a benchmark", f"no column {' or '.join(names)}", "give a file of the hub's own format")
