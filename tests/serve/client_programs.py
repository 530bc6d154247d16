"""Programs that talk to the server with unmodified clients, and the requests that they sent.

`clients/` has the programs; `make test-real` runs each in an environment of its own. The bodies of their requests are
in a file of `clients/`, and the quick tests send them again. RECORD_REQUESTS=1 with `make test-real` writes them anew.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CLIENTS = Path(__file__).parent / "clients"
MODES = ("whole", "streamed")
QUESTIONS = ["why?", "and so?", "really?"]
ANSWERS = ["It is 1.", "It is 2.", "It is 3."]


class Client(NamedTuple):
    """A program, the environment that it needs, and what it keeps of a reply or asks for."""

    program: str
    environment: str
    variants: tuple[str, ...]


class Row(NamedTuple):
    """One run of a program."""

    program: str
    environment: str
    variant: str
    mode: str

    @property
    def name(self) -> list[str]:
        """What names it."""
        return [self.program, self.variant, self.mode]


def rows(table: Sequence[Client]) -> list[Any]:
    """The runs of a table of clients, as parameters of a test."""
    found = [Row(*client[:2], variant, mode) for client in table for variant in client.variants for mode in MODES]
    return [pytest.param(row, id="-".join(row.name)) for row in found]


def converse(url: str, model: str, row: Row, questions: Sequence[str]) -> dict[str, Any]:
    """What the program of a row prints, in the environment of its client."""
    name = "NPM_CLIENTS" if row.environment == "npm" else f"PYTHON_WITH_{row.environment.upper()}"
    if (environment := os.environ.get(name)) is None:
        pytest.skip(f"needs {name}: make test-real")
    path, folder = CLIENTS / row.program, None
    if row.environment == "npm":  # node looks for packages beside the program
        folder = Path(environment).resolve()
        command = ["node", shutil.copy(path, folder)]
    else:
        command = [str(Path(environment).absolute()), "-P", str(path)]
    done = subprocess.run(
        [*command, url, model, row.variant, row.mode, json.dumps(questions)],
        cwd=folder,
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


class Recorder:
    """An application that keeps the path and the body of every request to `app` that has a body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.requests: list[tuple[str, Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts: list[bytes] = []

        async def recorded() -> Message:
            message = await receive()
            parts.append(message.get("body", b""))
            return message

        await self._app(scope, recorded, send)
        if scope["type"] == "http" and scope["method"] == "POST" and not scope["path"].endswith("count_tokens"):
            self.requests.append((scope["path"], json.loads(b"".join(parts))))


@dataclass
class Recordings:
    """The recorded requests of the rows of `table`, in a file of `clients/`."""

    file: str
    table: Sequence[Client]
    new: list[dict[str, Any]] = field(default_factory=list)

    def read(self) -> list[dict[str, Any]]:
        """The rows of the file."""
        return [json.loads(line) for line in (CLIENTS / self.file).read_text().splitlines()]

    def parameters(self) -> list[Any]:
        """The rows of the file, as parameters of a test."""
        return [pytest.param(row["requests"], id="-".join(row["row"])) for row in self.read()]

    def check_rows(self) -> None:
        """Every row of the table is recorded."""
        assert [row["row"] for row in self.read()] == [one.values[0].name for one in rows(self.table)]

    def converse(self, url: str, recorder: Recorder, row: Row) -> list[str]:
        """The answers of a conversation with the scripted model, whose requests are recorded."""
        recorder.requests.clear()
        found = converse(url + "/v1", "scripted", row, QUESTIONS)
        self.new.append({"row": row.name, "version": found["version"], "requests": list(recorder.requests)})
        return list(found["answers"])

    def write(self) -> None:
        """Let the new rows replace the older ones, if RECORD_REQUESTS is set."""
        if os.environ.get("RECORD_REQUESTS"):
            by_name = {tuple(row["row"]): row for row in (*self.read(), *self.new)}
            kept = [by_name[key] for one in rows(self.table) if (key := tuple(one.values[0].name)) in by_name]
            (CLIENTS / self.file).write_text("".join(json.dumps(row) + "\n" for row in kept))
