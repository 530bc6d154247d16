"""Files of benchmarks, data sets and models from the Hugging Face hub or a local path.

Benchmarks are pinned to a revision; a local file or folder has to have exactly the hub's format (read in `rows.py`). A
missing file raises a one-line UserError that says what to do.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from z1.errors import UserError


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Which problems of a benchmark to load.

    `data` is a local file or folder ("" for the hub), `since` and `until` are dates as YYYY-MM-DD, both included, and
    `release` is a release name of the benchmark.
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


_UNREACHABLE = threading.Event()
"""Set once the hub could not be reached: later calls use the local cache only, since each try takes half a minute."""


def find_files(hub: HubFiles, data: str) -> list[Path]:
    """The files of `hub`, below `data` or, if that is empty, from the hub. Raises UserError if one is missing."""
    if not data:
        return [_download_file(hub, name) for name in hub.files]
    folder = Path(data)
    if folder.is_file():
        return [folder]
    found = [folder / name if (folder / name).is_file() else folder / Path(name).name for name in hub.files]
    for path in found:
        if not path.is_file():
            raise UserError("data of a benchmark", f"no {path}", f"put {path.name} of {hub} there, or give a file")
    return found


def _download_file(hub: HubFiles, name: str) -> Path:
    from huggingface_hub import hf_hub_download

    advice = f"download {name} at revision {hub.revision[:12]} where there is a network, then set data"
    with _hub_access(hub.id, advice) as offline:
        return Path(hf_hub_download(hub.id, name, repo_type="dataset", revision=hub.revision, local_files_only=offline))


def download_dataset(hub: HubFiles) -> Path:
    """The local folder of a data set, downloaded if it is not cached; `hub.files` are patterns here."""
    from huggingface_hub import snapshot_download

    advice = f"download it at revision {hub.revision[:12]} where there is a network, then give its folder as path"
    with _hub_access(hub.id, advice, "data set of the hub") as offline:
        snapshot = partial(snapshot_download, hub.id, repo_type="dataset", revision=hub.revision)
        return Path(snapshot(allow_patterns=list(hub.files), local_files_only=offline))


@contextmanager
def _hub_access(name: str, advice: str, what: str = "data of a benchmark") -> Iterator[bool]:
    """Yields whether to use the local cache only; turns the hub's errors into a UserError with `advice`."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        yield _UNREACHABLE.is_set()
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError) as error:
        if isinstance(error, LocalEntryNotFoundError):
            _UNREACHABLE.set()
        got = f"{name} is not cached and the hub did not return it ({type(error).__name__})"
        raise UserError(what, got, advice) from None
