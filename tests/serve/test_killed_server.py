"""A server that is killed at any moment: its ledger has what its clients received, to the token."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serve.scripts import ASK

CLIENTS = 10
SMALL = 3000
"""The budget of a session that is used up on the way; the other has no limit."""


@dataclass
class Received:
    """What a client received of one reply: tokens, and at the end its `budget` object and its completion tokens."""

    session: str
    tokens: int = 0
    budget: dict[str, Any] = field(default_factory=dict)


@dataclass
class Server:
    """A process that starts servers (`killed.py`)."""

    process: subprocess.Popen[str]

    def start(self) -> tuple[int, str]:
        """A server: its process id and its URL."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        number, url = self.process.stdout.readline().split()
        return int(number), url


@contextmanager
def servers(ledger: Path) -> Iterator[Server]:
    command = [sys.executable, "-m", "tests.serve.killed", str(ledger)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield Server(process)
        finally:
            process.kill()  # its last server is killed already


async def client(http: httpx.AsyncClient, rng: random.Random, received: dict[tuple[str, int], Received]) -> None:
    """Send requests, streamed and whole, until the server is gone."""
    while True:
        name = rng.choice(["small", "large"])
        session = {"id": name, "thinking_budget": SMALL if name == "small" else -1}
        body = {**ASK, "session": session, "n": rng.randrange(1, 3), "thinking_budget": rng.randrange(60)}
        body |= {"return_token_ids": True, "stream": rng.random() < 0.8}
        try:
            async with http.stream("POST", "/v1/chat/completions", json=body) as response:
                assert response.status_code == 200
                lines = response.aiter_lines() if body["stream"] else whole(response)
                async for line in lines:
                    if line.startswith("{"):
                        note(json.loads(line), name, received)
                    elif line not in ("", "data: [DONE]") and line.endswith("}"):
                        note(json.loads(line.removeprefix("data: ")), name, received)
        except httpx.HTTPError:
            return


async def whole(response: httpx.Response) -> Any:
    yield (await response.aread()).decode()


def note(event: dict[str, Any], session: str, received: dict[tuple[str, int], Received]) -> None:
    for choice in event["choices"]:
        one = received.setdefault((event["id"], choice["index"]), Received(session))
        one.tokens += len(choice.get("token_ids", ()))
        one.budget |= choice.get("budget", {})


def read_ledger(url: str, session: str) -> tuple[dict[str, Any], dict[tuple[str, int], dict[str, Any]]]:
    turns: list[dict[str, Any]] = []
    while True:
        after = turns[-1]["number"] if turns else 0
        response = httpx.get(f"{url}/v1/sessions/{session}?after={after}")
        if response.status_code == 404:  # killed before its first request
            return {"spent": 0, "held": 0}, {}
        page = response.json()
        turns += page["turns"]
        if not page["has_more"]:
            return page, {(turn["id"], turn["choice"]): turn for turn in turns}


def check(url: str, received: dict[tuple[str, int], Received]) -> None:
    """The ledger of a server that was started again, against what the clients received before."""
    for session in ("small", "large"):
        page, turns = read_ledger(url, session)
        assert page["spent"] == sum(turn["thinking_tokens"] for turn in turns.values()) and page["held"] == 0
        assert session == "large" or page["spent"] <= SMALL
        for at, one in received.items():
            if one.session != session or not one.tokens:
                continue
            turn, budget = turns[at], one.budget
            if not budget:  # broken off
                assert turn["completion_tokens"] >= one.tokens
                continue
            assert turn["thinking_tokens"] == budget["used"] and turn["hint_tokens"] == budget["hint_tokens"]
            assert turn["completion_tokens"] == one.tokens and turn["end"] == budget["end"]
            assert budget["session"]["spent"] <= page["spent"]


async def kill_again_and_again(server: Server, kills: int) -> tuple[int, int]:
    """Kill the server at random moments; returns the replies that were finished and broken off."""
    rng = random.Random(kills)
    received: dict[tuple[str, int], Received] = {}
    for _ in range(kills):
        number, url = server.start()
        before = len(received)
        async with httpx.AsyncClient(base_url=url, timeout=60, verify=False) as http:
            clients = [asyncio.create_task(client(http, rng, received)) for _ in range(CLIENTS)]
            while len(received) == before and not any(one.done() for one in clients):
                await asyncio.sleep(0.005)
            await asyncio.wait(clients, timeout=rng.uniform(0.0, 0.5), return_when=asyncio.FIRST_EXCEPTION)
            os.kill(number, signal.SIGKILL)
            await asyncio.gather(*clients)
        number, url = server.start()
        try:
            await asyncio.to_thread(check, url, received)
        finally:
            os.kill(number, signal.SIGKILL)
    complete = sum(bool(one.budget) for one in received.values())
    broken = sum(not one.budget and bool(one.tokens) for one in received.values())
    return complete, broken


def test_the_ledger_after_a_kill_is_what_the_replies_say(tmp_path: Path) -> None:
    with servers(tmp_path / "ledger.sqlite") as server:
        asyncio.run(kill_again_and_again(server, 3))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_ledger_after_50_kills_is_what_the_replies_say(tmp_path: Path) -> None:
    with servers(tmp_path / "ledger.sqlite") as server:
        complete, broken = asyncio.run(kill_again_and_again(server, 50))
    print(f"{complete} replies were finished and {broken} broken off")
    assert complete > 50 and broken > 50
