"""How does a typed command become a server?

Picks the engine, reads the table of efforts, and says where the server listens.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import typer

from z1 import profiles
from z1.engines import Engine
from z1.errors import UserError
from z1.generation import builtin_question
from z1.models import SHIPPED, shipped


@dataclass(frozen=True, slots=True)
class ServeModel:
    """What is served: a model, the engine that computes it, and the engine's settings."""

    model: str | None
    engine: str
    profile: str | None
    max_num_seqs: int
    max_model_len: int
    upstream_url: str | None = None


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Where it is served, and to whom."""

    host: str
    port: int
    shutdown_timeout: int
    api_key: str | None
    log_prompts: bool
    chat: bool = False


def serve(
    what: ServeModel,
    how: ServeOptions,
    limits: Mapping[str, Any],
    manners: Mapping[str, Any],
    efforts: Path | None = None,
) -> None:
    """Serve until a signal comes. Raises UserError for what cannot be served."""
    from z1.serve.api.request_parser import RequestDefaults
    from z1.serve.app import make_app
    from z1.serve.runtime.service import ChatService, ServerLimits
    from z1.serve.server import Address, run

    _check(how)
    if what.engine not in ENGINES:
        raise UserError("engine", what.engine, f"choose one of {', '.join(ENGINES)}")
    table: dict[str, Any] = {} if efforts is None else {"reasoning_effort_map": read_efforts(efforts)}
    engine = ENGINES[what.engine](what)
    question = builtin_question if engine.profile == SHIPPED and what.engine != "scripted" else str
    desk = ChatService(engine, RequestDefaults(**manners, **table, format_question=question), ServerLimits(**limits))
    app = make_app(desk, how.api_key, log_prompts=how.log_prompts)
    if how.chat:
        from z1.serve.chat_ui import mount

        app = mount(app, desk.served_model_names[0], desk.count_tokens, what.max_model_len // 2)
    page = ", chat at {}/" if how.chat else ""
    run(
        app,
        Address(how.host, how.port, how.shutdown_timeout),
        lambda url: typer.echo(f"{desk.served_model_names[0]} at {url}/v1{page.format(url)}", err=True),
    )


def read_efforts(path: Path) -> dict[str, int]:
    """The table of efforts in a JSON file: {"low": 512, ...}, or under "efforts" in what a calibration wrote."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise UserError(f"efforts {path}", error, "give a JSON object of efforts and ids") from None
    table = found.get("efforts", found) if isinstance(found, dict) else None
    if not table or not all(type(ids) is int and ids >= -1 for ids in table.values()):
        raise UserError(f"efforts {path}", str(found)[:60], 'give {"low": 512, ...}, in ids; -1 is free')
    return dict(table)


def _local(what: ServeModel) -> Engine:
    from z1.engines.local.worker import SubprocessEngine

    return SubprocessEngine(partial(_computed, what))


def _computed(what: ServeModel) -> Engine:
    """In the process that computes."""
    from z1.engines.local.engine import LocalSettings, load

    return load(what.model or shipped(), LocalSettings(what.max_num_seqs, what.max_model_len), what.profile)


def _scripted(what: ServeModel) -> Engine:
    """A model whose replies stand in a file: {"prompt": {"reply": "...", "answer": "..."}}."""
    from z1.engines.scripted import Script, ScriptedEngine

    try:
        lines = json.loads(Path(what.model or "").read_text("utf-8"))
        replies = {prompt: line["reply"] for prompt, line in lines.items()}
        answers = {prompt: line["answer"] for prompt, line in lines.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        do = 'give a JSON file: {"prompt": {"reply": "...", "answer": "..."}}'
        raise UserError(f"script {what.model}", error, do) from None
    prefix = profiles.get_profile(SHIPPED).answer_prefix
    return ScriptedEngine(Script(replies, answers, prefix), max_model_len=what.max_model_len, profile=SHIPPED)


def _vllm(what: ServeModel) -> Engine:
    from z1.engines.vllm_engine import VllmSettings, load

    settings = VllmSettings(what.max_model_len, (("max_num_seqs", what.max_num_seqs),))
    return load(what.model or shipped(), settings, what.profile)


def _remote(what: ServeModel) -> Engine:
    """A model that an upstream has; its tokenizer is read here. OPENAI_API_KEY is what the upstream has to be told."""
    from z1.engines.remote import Upstream, load

    if what.upstream_url is None:
        raise UserError("engine remote", "no upstream", "add --upstream http://127.0.0.1:8000/v1")
    upstream = Upstream(what.upstream_url, api_key=os.environ.get("OPENAI_API_KEY"))
    return load(upstream, str(what.model or shipped()), what.profile)


ENGINES: dict[str, Callable[[ServeModel], Engine]] = {
    "local": _local,
    "vllm": _vllm,
    "remote": _remote,
    "scripted": _scripted,
}
"""How each engine is made. It is opened and closed by the server."""


def print_vllm_flags(what: ServeModel) -> None:
    """Show the command of a stock vLLM server that keeps windows of the model's profile."""
    from z1.engines.vllm_params import serve_flags
    from z1.model_files import names

    model = str(what.model or shipped())
    typer.echo(shlex.join(["vllm", "serve", model, *serve_flags(names(model, what.profile)[1])]))


def _check(how: ServeOptions) -> None:
    if how.chat and how.api_key is not None:
        raise UserError("chat page", "an api key beside it", "leave one of them out: the page would ask nobody for it")
    if how.api_key == "":
        raise UserError("api key", "nothing", "give one, or leave it out")
    try:
        loopback = how.host == "localhost" or ipaddress.ip_address(how.host).is_loopback
    except ValueError:
        loopback = False
    if not loopback and how.api_key is None:
        raise UserError("host", f"{how.host} without a key", "add --api-key (or Z1_API_KEY), or listen at 127.0.0.1")
