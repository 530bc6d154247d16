"""`z1 chat` keeps a conversation, changes its budget, and answers when a key is pressed."""

from __future__ import annotations

import os
import pty
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.paged import QUESTION, next_token
from z1.cli import chat
from z1.engines.scripted import ScriptedEngine
from z1.llm import LLM

CHAT = """
from tests.serve.paged import next_token
from z1.cli import chat
from z1.engines.scripted import ScriptedEngine
from z1 import generation
from z1.llm import LLM
generation.builtin_question = str
with LLM.of(ScriptedEngine(next_token, max_model_len=16384, token_delay_s=0.002)) as llm:
    chat.converse(llm, {})
"""


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch) -> Iterator[LLM]:
    monkeypatch.setattr("z1.generation.builtin_question", str)  # the script knows the prompts as they are
    with LLM.of(ScriptedEngine(next_token, max_model_len=16384)) as made:
        yield made


def said(llm: LLM, lines: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    given = iter(lines)

    def read(_: str) -> str:
        if (line := next(given, None)) is None:
            raise EOFError
        return line

    monkeypatch.setattr("builtins.input", read)
    chat.converse(llm, {})
    return capsys.readouterr().out


def test_a_budget_several_lines_and_commands(
    llm: LLM, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = [chat.QUOTES, *QUESTION.split("\n"), chat.QUOTES]
    lines = ["", "/help", "/budget few", "what?", "/budget 16", *program, "/quit", "turn 1"]
    shown = said(llm, lines, monkeypatch, capsys)
    assert "/budget N" in shown and "/budget: got few; give tokens" in shown
    assert "the script has no such prompt" in shown
    assert "16 thinking + " in shown and "its budget was used up" in shown and "turn 1" not in shown


def test_every_reply_has_its_account(
    llm: LLM, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = said(llm, ["turn 1", "turn 2", "/new", "turn 3"], monkeypatch, capsys)
    assert shown.count("thinking stopped: by itself") == 3
    assert all(f"boxed{{{at}}}" in shown for at in (1, 2, 3))


def read_until(terminal: int, words: str) -> str:
    shown, until = "", time.monotonic() + 120
    while words not in shown:
        assert time.monotonic() < until, shown
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 4096).decode(errors="replace")
    return shown


def test_enter_asks_for_the_answer_and_the_terminal_is_as_before() -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(Path(__file__).parents[2])
        os.execv(sys.executable, [sys.executable, "-c", CHAT])
    try:
        read_until(terminal, "> ")
        os.write(terminal, b'"""\n' + QUESTION.encode() + b'\n"""\n')
        read_until(terminal, "and think")
        os.write(terminal, b"\n")
        shown = read_until(terminal, "> ")
        assert "the answer was asked for" in shown.replace("\r\n", " ")
        os.write(terminal, b"/quit\n")
        assert "/quit" in read_until(terminal, "/quit")  # echoed: the terminal is as before
    finally:
        os.waitpid(child, 0)
        os.close(terminal)
