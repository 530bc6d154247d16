"""The prompt is a text, a file, or stdin; the reply is shown in parts, or as JSON."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from z1.cli import think
from z1.errors import UserError
from z1.generation import Reply
from z1.llm import LLM
from z1.think import Ledger


def test_a_text_is_itself() -> None:
    for text in ("print(3)", "a = 1\nprint(a)", "what is 2.5?", "x" * 5000):
        assert think.read_prompt(text) == text


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_text("print(1)\n", encoding="utf-8")
    assert think.read_prompt(str(path)) == "print(1)\n"


def test_a_dash_is_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("print(2)"))
    assert think.read_prompt("-") == "print(2)"


def test_a_missing_file_is_refused() -> None:
    for name in ("nope.py", "a/b.txt", "./c.md"):
        with pytest.raises(UserError, match="no such file"):
            think.read_prompt(name)


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.bin"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="UTF-8"):
        think.read_prompt(str(path))


@pytest.mark.parametrize("flag", ["--seed", "--top-p", "--top-k"])
def test_a_sampling_parameter_needs_a_temperature(flag: str) -> None:
    error = CliRunner().invoke(think.app, ["print(3)", flag, "1"]).exception
    assert isinstance(error, UserError)
    assert str(error) == f"{flag}: got greedy decoding, which has no use for it; add --temperature 0.7, or omit it"


def test_sampling_parameters_reach_the_sampler() -> None:
    options = ["--temperature", "2", "--top-k", "400", "--thinking-budget", "20", "--json"]
    replies: dict[str, list[str]] = {}
    for seed in ("1", "1", "2"):
        found = CliRunner().invoke(think.app, ["print(3 + 4)", *options, "--seed", seed])
        reply = json.loads(found.output)
        replies.setdefault(seed, []).append(reply["thinking"] + reply["answer"])
    assert replies["1"][0] == replies["1"][1] != replies["2"][0]


def test_loops_and_soft_landings_are_options(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}
    generate = LLM.generate

    def noted(llm: LLM, prompt: str, **settings: Any) -> Any:
        seen.update(settings)
        return generate(llm, prompt, **settings)

    monkeypatch.setattr(LLM, "generate", noted)
    options = ["--end-loops", "--soft-tokens", "2", "--grace-tokens", "12", "--thinking-budget", "16", "--json"]
    assert CliRunner().invoke(think.app, ["print(3 + 4)", *options]).exit_code == 0
    assert (seen["repetition"], seen["soft_tokens"], seen["grace_tokens"]) == (True, 2, 12)


@pytest.mark.parametrize(
    ("shift", "end", "said"),
    [
        ("repetition", "stop", "thinking stopped: it repeated itself;"),
        ("natural", "repetition", "by itself; the answer repeated itself;"),
        ("budget", "cut", "its budget was used up; the answer was cut off;"),
    ],
)
def test_why_thought_and_answer_ended_is_said(shift: str, end: str, said: str) -> None:
    shown = io.StringIO()
    think._print_counts(Console(file=shown, width=200), Reply("", "", "", Ledger(), shift, end, 1.0, "tiny"))
    assert said in shown.getvalue()
