"""Each engine is made from what was typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from z1.cli.engine_factory import ENGINES, ServeModel, make_engine, question_format, upstream_key
from z1.errors import UserError
from z1.generation import builtin_question


def test_a_remote_engine_has_the_tokenizer_and_profile_of_the_local_model() -> None:
    made = make_engine(ServeModel(None, "remote", None, 1, 9, "http://127.0.0.1:9/v1"))
    assert (made.name, made.profile) == ("z1-tiny", "z1-tiny")


def test_an_engine_that_is_not_known_is_refused() -> None:
    with pytest.raises(UserError, match="engine: got abacus; choose one of local, vllm, remote, scripted"):
        make_engine(ServeModel(None, "abacus", None, 1))
    assert set(ENGINES) == {"local", "vllm", "remote", "scripted"}


@pytest.mark.parametrize(
    "url", ["127.0.0.1:9", "http://127.0.0.1:99999/v1", "http://127.0.0.1:x/v1", "ftp://a/v1", "http://"]
)
def test_an_upstream_without_a_valid_address_is_refused(url: str) -> None:
    with pytest.raises(UserError, match=r"--upstream-url: got .*; give http://HOST:PORT/v1"):
        make_engine(ServeModel(None, "remote", None, 1, upstream_url=url))


def test_a_scripted_engine_has_the_replies_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"why?": {"reply": "hm.", "answer": "8}."}}))
    served = ServeModel(str(path), "scripted", None, 1, 77)
    engine = make_engine(served)
    assert engine.profile == "z1-tiny"
    assert question_format(served, engine) is str
    with pytest.raises(UserError, match="--engine scripted: got no MODEL"):
        make_engine(ServeModel(None, "scripted", None, 1))
    path.write_text("{}]")
    with pytest.raises(UserError, match="give a JSON file"):
        make_engine(served)


def test_only_questions_to_the_shipped_model_are_rewritten() -> None:
    remote = ServeModel(None, "remote", None, 1, upstream_url="http://127.0.0.1:9/v1")
    assert question_format(remote, make_engine(remote)) is builtin_question
    other = ServeModel(None, "remote", "qwen3", 1, upstream_url="http://127.0.0.1:9/v1")
    assert question_format(other, make_engine(other)) is str


def test_the_context_has_a_default() -> None:
    assert ServeModel(None, "local", None, 1).context_tokens == 4096
    assert ServeModel(None, "local", None, 1, 99).context_tokens == 99


def test_a_key_is_sent_only_if_its_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    assert upstream_key(None) is None
    assert upstream_key("OPENAI_API_KEY") == "sk-openai"
    with pytest.raises(UserError, match="upstream_api_key_env: got MISSING; name an environment variable"):
        upstream_key("MISSING")
