"""Does a typed command become the server that it means?"""

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

from z1.cli import serve
from z1.cli.main import app
from z1.cli.serve import ServeModel, ServeOptions, read_efforts
from z1.errors import UserError

SCRIPT = {"why?": {"reply": "hm. The final answer is \\boxed{7}.", "answer": "8}."}}
LOCAL = ServeOptions("127.0.0.1", 0, 1, None, False)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.json"
    path.write_text(json.dumps(SCRIPT))
    return path


def test_a_scripted_model_is_served_from_a_file_until_a_signal_comes(script: Path, tmp_path: Path) -> None:
    efforts = tmp_path / "efforts.json"
    efforts.write_text('{"efforts": {"low": 2}}')
    options = ["--engine", "scripted", "--port", "0", "--name", "sage", "--efforts", str(efforts), "--budget", "1"]
    command = [sys.executable, "-m", "z1.cli.main", "serve", str(script), *options]
    with subprocess.Popen(command, env=dict(os.environ), stderr=subprocess.PIPE, text=True) as made:
        assert made.stderr is not None
        name, _, url = made.stderr.readline().strip().partition(" at ")
        assert name == "sage"
        ask: dict[str, Any] = {"model": "sage", "messages": [{"role": "user", "content": "why?"}]}
        by_effort = httpx.post(url + "/chat/completions", json={**ask, "reasoning_effort": "low"}).json()
        by_default = httpx.post(url + "/chat/completions", json=ask).json()
        made.send_signal(signal.SIGTERM)
        lines = made.stderr.read().splitlines()
    assert by_effort["choices"][0]["budget"]["used"] == 2
    assert by_default["choices"][0]["budget"]["used"] == 1
    assert by_default["choices"][0]["message"]["content"].endswith("8}.")
    assert [json.loads(line)["thought"] for line in lines] == [2, 1]


@pytest.mark.parametrize(
    ("what", "how", "said"),
    [
        (ServeModel(None, "abacus", None, 1, 9), LOCAL, "engine: got abacus; choose one of local"),
        (ServeModel(None, "remote", None, 1, 9), LOCAL, "engine remote: got no upstream"),
        (ServeModel("nowhere.json", "scripted", None, 1, 9), LOCAL, 'give a JSON file: {"prompt"'),
        (ServeModel(None, "local", None, 1, 9), ServeOptions("0.0.0.0", 0, 1, None, False), "add --api-key"),
        (ServeModel(None, "local", None, 1, 9), ServeOptions("myhost", 0, 1, None, False), "add --api-key"),
        (ServeModel(None, "local", None, 1, 9), ServeOptions("127.0.0.1", 0, 1, "", False), "api key: got nothing"),
    ],
)
def test_what_cannot_be_served_is_refused(what: ServeModel, how: ServeOptions, said: str) -> None:
    with pytest.raises(UserError) as caught:
        serve.serve(what, how, {}, {})
    assert said in str(caught.value)


def test_the_flags_of_a_stock_vllm_server_are_printed_and_nothing_is_served(capsys: pytest.CaptureFixture[str]) -> None:
    serve.print_vllm_flags(ServeModel("models/my own", "local", "qwen3", 1, 9))
    path = "z1.vllm_plugin:qwen3"
    assert capsys.readouterr().out == f"vllm serve 'models/my own' --logits-processors {path}\n"
    found = CliRunner().invoke(app, ["serve", "--print-vllm-flags"])
    assert found.output.strip().endswith("z1.vllm_plugin:z1-tiny")


def test_a_remote_engine_has_the_tokenizer_and_profile_of_the_model_here() -> None:
    made = serve.ENGINES["remote"](ServeModel(None, "remote", None, 1, 9, "http://127.0.0.1:9/v1"))
    assert (made.name, made.profile) == ("z1-tiny", "z1-tiny")


def test_the_table_of_efforts_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "efforts.json"
    path.write_text('{"low": 5, "high": -1}')
    assert read_efforts(path) == {"low": 5, "high": -1}
    for text in ("{", "[]", "{}", '{"low": -2}', '{"low": true}', '{"low": "5"}'):
        path.write_text(text)
        with pytest.raises(UserError, match="efforts"):
            read_efforts(path)
