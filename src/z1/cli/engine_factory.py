"""Makes the engine that `z1 serve` runs; a new engine is a function here and its row in `ENGINES`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from z1.errors import UserError

if TYPE_CHECKING:
    from z1.engines import Engine


@dataclass(frozen=True, slots=True)
class ServeModel:
    """What is served: a model, the engine that runs it, and the engine's settings."""

    model: str | None
    engine: str
    profile: str | None
    max_num_seqs: int
    max_model_len: int | None = None
    upstream_url: str | None = None
    upstream_model: str | None = None
    upstream_api_key_env: str | None = None
    upstream_api: Literal["completions", "chat"] = "completions"
    upstream_host: str | None = None
    dtype: str = "auto"

    @property
    def context_tokens(self) -> int:
        """`max_model_len`, 4096 by default."""
        return self.max_model_len or 4096


def make_engine(served: ServeModel) -> Engine:
    """The engine for a model; the server opens and closes it. Raises UserError for one that is not known."""
    if served.engine not in ENGINES:
        raise UserError("engine", served.engine, f"choose one of {', '.join(ENGINES)}")
    return ENGINES[served.engine](served)


def question_format(served: ServeModel, engine: Engine) -> Callable[[str], str]:
    """How a question is rewritten for the model: only for the model in the package."""
    from z1.generation import builtin_question
    from z1.models import SHIPPED

    return builtin_question if engine.profile == SHIPPED and served.engine != "scripted" else str


def _local(served: ServeModel) -> Engine:
    from z1.engines.local.worker import SubprocessEngine

    return SubprocessEngine(partial(_in_worker, served))


def _in_worker(served: ServeModel) -> Engine:
    """The engine in the worker process."""
    from z1.engines.local.engine import LocalSettings, load
    from z1.models import shipped

    settings = LocalSettings(served.max_num_seqs, served.context_tokens, dtype=served.dtype)
    return load(served.model or shipped(), settings, served.profile)


def _scripted(served: ServeModel) -> Engine:
    """A model with the replies of a JSON file: {"prompt": {"reply": "...", "answer": "..."}}."""
    from z1 import profiles
    from z1.engines.scripted import Script, ScriptedEngine
    from z1.models import SHIPPED

    do = 'give a JSON file: {"prompt": {"reply": "...", "answer": "..."}}'
    if served.model is None:
        raise UserError("--engine scripted", "no MODEL", do)
    try:
        lines = json.loads(Path(served.model).read_text("utf-8"))
        replies = {prompt: line["reply"] for prompt, line in lines.items()}
        answers = {prompt: line["answer"] for prompt, line in lines.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"script {served.model}", error, do) from None
    prefix = profiles.get_profile(SHIPPED).answer_prefix
    return ScriptedEngine(Script(replies, answers, prefix), max_model_len=served.context_tokens, profile=SHIPPED)


def _vllm(served: ServeModel) -> Engine:
    from z1.engines.vllm_engine import VllmSettings, load
    from z1.models import shipped

    settings = VllmSettings(served.context_tokens, (("max_num_seqs", served.max_num_seqs),))
    return load(served.model or shipped(), settings, served.profile)


def _remote(served: ServeModel) -> Engine:
    """A model on an upstream server; its tokenizer is read here."""
    from z1.engines.remote import Upstream, load
    from z1.models import shipped

    if served.upstream_url is None:
        raise UserError("--engine remote", "no upstream", "add --upstream-url http://127.0.0.1:8000/v1")
    if not _is_http_url(served.upstream_url):
        raise UserError("--upstream-url", served.upstream_url, "give http://HOST:PORT/v1")
    key = upstream_key(served.upstream_api_key_env)
    upstream = Upstream(
        served.upstream_url,
        served.upstream_model,
        key,
        served.max_model_len,
        api=served.upstream_api,
        host=served.upstream_host,
    )
    return load(upstream, str(served.model or shipped()), served.profile)


def upstream_key(variable: str | None) -> str | None:
    """The upstream's API key from the environment `variable`; none is sent that was not named. Raises UserError."""
    if variable is None:
        return None
    if not (key := os.environ.get(variable, "").strip()):
        raise UserError("upstream_api_key_env", variable, "name an environment variable that holds the upstream's key")
    return key


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of `port`: no number, or more than 65535
        return False


ENGINES: dict[str, Callable[[ServeModel], Engine]] = {
    "local": _local,
    "vllm": _vllm,
    "remote": _remote,
    "scripted": _scripted,
}
"""How each engine is made."""
