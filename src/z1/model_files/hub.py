"""Models of the Hugging Face hub, by id and revision: `org/name` or `org/name@revision`.

One request with a short deadline finds out whether the hub answers, before its library would retry for minutes. Then
the library downloads what is missing, with its own progress and resume. Without an answer a copy in the library's cache
is used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from z1.errors import UserError

DEADLINE = 4.0
"""Seconds in which the hub has to answer."""

_ID = re.compile(r"(?P<name>[\w.-]+(/[\w.-]+)?)(@(?P<revision>[\w./-]+))?")

SETTINGS = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken")
"""The files of a model that are not weights."""

IGNORED = ("*/*", "consolidated*")
"""Weights in other formats, and files of other tools."""


def download_model(model: str, *, weights: bool = True) -> Path:
    """The local folder of a model of the hub; what is not in the library's cache is downloaded. Raises UserError."""
    match = _ID.fullmatch(model)
    if match is None:
        raise UserError("model", model, "give a model folder, a GGUF file, or a hub id: org/name or org/name@revision")
    name, revision = match["name"], match["revision"]
    info, error = _ask_hub(name, revision)
    if info is None:
        return _cached(model, name, revision, weights, error)
    from huggingface_hub import snapshot_download

    files = [file.rfilename for file in info.siblings or ()]
    wanted = [*SETTINGS, *(_weight_files(model, files) if weights else ())]
    try:
        folder = snapshot_download(name, revision=revision, allow_patterns=wanted, ignore_patterns=[*IGNORED])
    except Exception as failed:  # the hub's library and its HTTP client have many
        do = "run the command again: the download goes on where it stopped"
        raise UserError(f"model {model}", f"a download that failed ({_first_line(failed)})", do) from None
    return Path(folder)


def _weight_files(model: str, files: Sequence[str]) -> list[str]:
    """The files with weights at the top of a repository: safetensors, else GGUF."""
    top = [file for file in files if "/" not in file]
    if found := [file for file in top if file.endswith(".safetensors") and not file.startswith("consolidated")]:
        return found
    ggufs = [file for file in top if file.endswith(".gguf") and not file.startswith("mmproj")]
    firsts = [file for file in ggufs if "-of-" not in file or "-00001-of-" in file]
    if len(firsts) == 1:
        return ggufs
    if not firsts:
        raise UserError(f"model {model}", "no safetensors and no GGUF file", "choose another")
    got = f"{len(firsts)} GGUF models ({', '.join(firsts)})"
    raise UserError(f"model {model}", got, "download one of the files, and give its path")


@cache
def _ask_hub(name: str, revision: str | None) -> tuple[Any, str]:
    """What the hub says of a model, or None and why not."""
    from huggingface_hub import HfApi

    answers: SimpleQueue[tuple[Any, str]] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put((HfApi().model_info(name, revision=revision, timeout=DEADLINE), ""))
        except Exception as error:  # the hub's library and its HTTP client have many
            answers.put((None, _first_line(error)))

    Thread(target=ask, daemon=True).start()  # a name that does not resolve takes longer than any timeout of the client
    try:
        return answers.get(timeout=DEADLINE)
    except Empty:
        return None, f"no answer in {DEADLINE:.0f} s"


def _cached(model: str, name: str, revision: str | None, weights: bool, error: str) -> Path:
    """The copy in the library's cache. Raises UserError if there is none."""
    from huggingface_hub import snapshot_download

    for ending in ("*.safetensors", "*.gguf") if weights else (SETTINGS[0],):
        wanted = partial(snapshot_download, allow_patterns=[*SETTINGS, ending], ignore_patterns=[*IGNORED])
        with suppress(Exception):  # as above: there is no copy, or not all of one
            folder = Path(wanted(name, revision=revision, local_files_only=True))
            if any(folder.glob(ending)):
                return folder
    do = "download it where there is a network, and give its folder"
    raise UserError(f"model {model}", f"no copy here, and the hub did not give one ({error})", do)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].strip() or type(error).__name__
