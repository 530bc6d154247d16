"""`z1 serve` starts the server that was typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from z1.cli import serve, serve_options
from z1.cli.engine_factory import ServeModel
from z1.cli.main import app
from z1.cli.serve import ServeOptions, read_api_keys, read_effort_map
from z1.errors import UserError
from z1.serve.runtime.service import ServerLimits

SCRIPT = {"why?": {"reply": "hm. The final answer is \\boxed{7}.", "answer": "8}."}}
LOCAL = ServeOptions("127.0.0.1", 0, 1, None, False)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.json"
    path.write_text(json.dumps(SCRIPT))
    return path


def test_a_scripted_model_is_served_from_a_file_until_sigterm(script: Path, tmp_path: Path) -> None:
    efforts = tmp_path / "efforts.json"
    efforts.write_text('{"efforts": {"low": 2}}')
    options = ["--engine", "scripted", "--port", "0", "--served-model-name", "sage"]
    options += ["--reasoning-effort-map", str(efforts), "--thinking-budget", "1"]
    command = [sys.executable, "-m", "z1.cli.main", "serve", str(script), *options]
    with subprocess.Popen(command, env=dict(os.environ), stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        name, _, url = server.stderr.readline().strip().partition(" at ")
        assert name == "sage"
        ask: dict[str, Any] = {"model": "sage", "messages": [{"role": "user", "content": "why?"}]}
        by_effort = httpx.post(url + "/chat/completions", json={**ask, "reasoning_effort": "low"}).json()
        by_default = httpx.post(url + "/chat/completions", json=ask).json()
        server.send_signal(signal.SIGTERM)
        lines = server.stderr.read().splitlines()
    assert by_effort["choices"][0]["budget"]["used"] == 2
    assert by_default["choices"][0]["budget"]["used"] == 1
    assert by_default["choices"][0]["message"]["content"].endswith("8}.")
    assert [json.loads(line)["thinking_tokens"] for line in lines] == [2, 1]


@pytest.mark.parametrize(
    ("what", "how", "said"),
    [
        (ServeModel(None, "abacus", None, 1, 9), LOCAL, "engine: got abacus; choose one of local"),
        (ServeModel(None, "remote", None, 1, 9), LOCAL, "--engine remote: got no upstream"),
        (ServeModel("nowhere.json", "scripted", None, 1, 9), LOCAL, 'give a JSON file: {"prompt"'),
        (ServeModel(None, "local", None, 1, 9), ServeOptions("0.0.0.0", 0, 1, None, False), "add --api-key"),
        (ServeModel(None, "local", None, 1, 9), ServeOptions("myhost", 0, 1, None, False), "add --api-key"),
        (ServeModel(None, "local", None, 1, 9), ServeOptions("127.0.0.1", 0, 1, "", False), "api_key: got nothing"),
        (
            ServeModel(None, "local", None, 1, 9),
            ServeOptions("127.0.0.1", 0, 1, None, False, allow_origin=("example.com/",)),
            "allow_origin: got example.com/; give scheme and host",
        ),
    ],
)
def test_impossible_settings_are_refused(what: ServeModel, how: ServeOptions, said: str) -> None:
    with pytest.raises(UserError) as caught:
        serve.run_server(what, how, ServerLimits(), {})
    assert said in str(caught.value)


def test_the_flags_of_a_stock_vllm_server_are_printed_and_nothing_is_served(capsys: pytest.CaptureFixture[str]) -> None:
    serve.print_vllm_command(ServeModel("models/my own", "local", "qwen3", 1, 9))
    path = "z1.vllm_plugin:qwen3"
    flags = f"--logits-processors {path} --middleware z1.vllm_plugin.middleware.RequestMiddleware"
    assert capsys.readouterr().out == f"vllm serve 'models/my own' {flags}\n"
    found = CliRunner().invoke(app, ["serve", "--print-vllm-flags"])
    assert "--logits-processors z1.vllm_plugin:z1-tiny " in found.output.replace("\n", " ")


def test_help_has_a_panel_for_each_kind_of_option() -> None:
    text = CliRunner().invoke(app, ["serve", "--help"]).output
    panels = ("MODEL", "BUDGETS", "LIMITS", "NETWORK", "LOGGING")
    for panel in (getattr(serve_options, name) for name in panels):
        assert f"─ {panel} ─" in text
    assert "Default thinking budget in tokens; -1 = unlimited." in text


def test_what_was_typed_reaches_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []
    monkeypatch.setattr(serve, "run_server", lambda *given: found.extend(given))
    limits = ["--max-concurrent-requests", "3", "--max-body-bytes", "9", "--stream-interval-ms", "40"]
    budgets = ["--shadow-budget", "7", "--shadow-budget", "8", "--thinking-budget", "-1", "--temperature", "0.5"]
    budgets += ["--max-thinking-budget", "9", "--end-loops", "--max-nudges", "2", "--soft-tokens", "8"]
    ledger = ["--ledger", "usage.sqlite", "--session-ttl", "60", "--item-ttl", "5", "--api-key-file", "keys.json"]
    network = ["--host", "::1", "--port", "1", "--shutdown-timeout", "2", "--api-key", "k", "--log-prompts"]
    model = ["m", "--max-num-seqs", "4", "--max-model-len", "99", "--profile", "qwen3", "--served-model-name", "n"]
    model += ["--served-model-name", "deep:8b=64"]
    done = CliRunner().invoke(serve.app, [*model, *limits, *budgets, *network, *ledger])
    assert done.exit_code == 0, done.output
    assert found == [
        ServeModel("m", "local", "qwen3", 4, 99),
        ServeOptions(
            "::1", 1, 2, "k", True, api_key_file=Path("keys.json"), ledger=Path("usage.sqlite"), session_ttl=60
        ),
        ServerLimits(3, 9, 0.04, (7, 8), item_ttl=5),
        {
            "thinking_budget": -1,
            "temperature": 0.5,
            "max_thinking_budget": 9,
            "repetition": True,
            "max_nudges": 2,
            "soft_tokens": 8,
            "grace_tokens": 0,
            "served_model_names": ("n", "deep:8b"),
            "model_budgets": {"deep:8b": 64},
        },
    ]


def test_nudges_need_an_end_of_loops() -> None:
    done = CliRunner().invoke(serve.app, ["m", "--max-nudges", "2"])
    assert "add --end-loops" in str(done.exception)


def test_the_effort_map_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "efforts.json"
    path.write_text('{"low": 5, "high": -1}')
    assert read_effort_map(path) == {"low": 5, "high": -1}
    for text in ("{", "[]", "{}", '{"low": -2}', '{"low": true}', '{"low": "5"}'):
        path.write_text(text)
        with pytest.raises(UserError, match="reasoning_effort_map"):
            read_effort_map(path)


def test_the_key_file_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text('{"alice": "a", "bob@x": "b"}')
    assert read_api_keys(path) == {"alice": "a", "bob@x": "b"}
    for text in (
        "{",
        "[]",
        "{}",
        '{"a": ""}',
        '{"a": 1}',
        '{"": "x"}',
        '{"a b": "x"}',
        '{"none": "x"}',
        '{"a":"x","b":"x"}',
    ):
        path.write_text(text)
        with pytest.raises(UserError, match="api_key_file"):
            read_api_keys(path)


def test_sessions_and_keys_of_a_server_that_was_started_from_the_command_line(script: Path, tmp_path: Path) -> None:
    keys, ledger = tmp_path / "keys.json", tmp_path / "ledger.sqlite"
    keys.write_text('{"alice": "sesame"}')
    options = ["--engine", "scripted", "--port", "0", "--ledger", str(ledger), "--api-key-file", str(keys)]
    command = [sys.executable, "-m", "z1.cli.main", "serve", str(script), *options]
    headers, spent = {"x-api-key": "sesame", "X-Z1-Session": "s; thinking_budget=3"}, []
    for stop in (signal.SIGKILL, signal.SIGTERM):
        with subprocess.Popen(command, env=dict(os.environ), stderr=subprocess.PIPE, text=True) as server:
            assert server.stderr is not None
            name, _, url = server.stderr.readline().strip().partition(" at ")
            ask = {"model": name, "messages": [{"role": "user", "content": "why?"}], "thinking_budget": 2}
            assert httpx.post(url + "/chat/completions", json=ask).status_code == 401
            reply = httpx.post(url + "/chat/completions", json=ask, headers=headers).json()
            spent.append(reply["choices"][0]["budget"]["session"]["spent"])
            turns = httpx.get(url + "/sessions/s", headers=headers).json()["turns"]
            server.send_signal(stop)
            server.stderr.read()
    assert spent == [2, 3] and [turn["thinking_tokens"] for turn in turns] == [2, 1]
