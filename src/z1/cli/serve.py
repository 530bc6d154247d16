"""`z1 serve`: OpenAI's API with a thinking budget for every request.

Makes the engine and the server from what was typed, and prints where the server listens.
"""

from __future__ import annotations

import ipaddress
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from z1.cli.engine_factory import ServeModel, make_engine, question_format
from z1.cli.options import Dtype, EndLoops, GraceTokens, SoftTokens, print_line, refuse_unused
from z1.cli.serve_options import (
    AllowOrigin,
    Api,
    ApiKey,
    ApiKeyFile,
    Chat,
    EngineName,
    ExitPolicyFile,
    FullThoughtShare,
    Host,
    ItemTtl,
    LedgerPath,
    LogPrompts,
    MaxBodyBytes,
    MaxConcurrentRequests,
    MaxModelLen,
    MaxNudges,
    MaxNumSeqs,
    MaxThinkingBudget,
    ModelArgument,
    OtlpTracesEndpoint,
    Port,
    PrintVllmFlags,
    Profile,
    ReasoningEffortMap,
    ServedModelName,
    SessionTtl,
    ShadowBudget,
    ShutdownTimeout,
    StreamIntervalMs,
    Temperature,
    ThinkingBudget,
    UpstreamApiKeyEnv,
    UpstreamHost,
    UpstreamModel,
    UpstreamUrl,
)
from z1.errors import UserError

if TYPE_CHECKING:
    from z1.exit_policy import CalibratedPolicy
    from z1.serve.runtime.service import ServerLimits

NETWORKING = frozenset(
    {
        *("host", "port", "api_key", "allow_origin", "shutdown_timeout", "chat", "log_prompts"),
        *("max_concurrent_requests", "max_body_bytes", "stream_interval_ms", "shadow_budget"),
        *("thinking_budget", "reasoning_effort_map", "temperature", "served_model_name", "model", "engine"),
        *("max_model_len", "max_thinking_budget", "otlp_traces_endpoint", "exit_policy", "full_thought_share"),
        *("api_key_file", "ledger", "session_ttl", "item_ttl"),
        *("end_loops", "max_nudges", "soft_tokens", "grace_tokens"),
    }
)
"""Parameters that the server uses with every engine."""

RESERVED_NAMES = ("default", "none")
"""Names of the key of --api-key, and of requests to a server without keys."""

USED = {
    "--print-vllm-flags": frozenset({"model", "profile", "print_vllm_flags"}),
    "--engine local": NETWORKING | {"profile", "max_num_seqs", "dtype"},
    "--engine vllm": NETWORKING | {"profile", "max_num_seqs"},
    "--engine remote": NETWORKING
    | {"profile", "upstream_url", "upstream_model", "upstream_api_key_env", "api", "upstream_host"},
    "--engine scripted": NETWORKING,
}
"""Parameters that each mode uses; others are refused."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Where the server listens, and who may use it."""

    host: str
    port: int
    shutdown_timeout: int
    api_key: str | None
    log_prompts: bool
    chat: bool = False
    allow_origin: tuple[str, ...] = ()
    otlp_traces_endpoint: str | None = None
    api_key_file: Path | None = None
    ledger: Path | None = None
    session_ttl: int = 86_400
    exit_policy: Path | None = None


app = typer.Typer(add_completion=False)


@app.command()
def serve(
    context: typer.Context,
    model: ModelArgument = None,
    engine: EngineName = "local",
    profile: Profile = None,
    max_num_seqs: MaxNumSeqs = 64,
    max_model_len: MaxModelLen = None,
    dtype: Dtype = "auto",
    served_model_name: ServedModelName = None,
    upstream_url: UpstreamUrl = None,
    upstream_model: UpstreamModel = None,
    upstream_api_key_env: UpstreamApiKeyEnv = None,
    api: Api = "completions",
    upstream_host: UpstreamHost = None,
    print_vllm_flags: PrintVllmFlags = False,
    thinking_budget: ThinkingBudget = None,
    max_thinking_budget: MaxThinkingBudget = None,
    reasoning_effort_map: ReasoningEffortMap = None,
    exit_policy: ExitPolicyFile = None,
    full_thought_share: FullThoughtShare = 0.05,
    end_loops: EndLoops = False,
    max_nudges: MaxNudges = 0,
    soft_tokens: SoftTokens = 0,
    grace_tokens: GraceTokens = 0,
    shadow_budget: ShadowBudget = None,
    temperature: Temperature = 1.0,
    max_concurrent_requests: MaxConcurrentRequests = 256,
    max_body_bytes: MaxBodyBytes = 1 << 20,
    stream_interval_ms: StreamIntervalMs = 50,
    shutdown_timeout: ShutdownTimeout = 30,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    api_key: ApiKey = None,
    api_key_file: ApiKeyFile = None,
    allow_origin: AllowOrigin = None,
    chat: Chat = False,
    log_prompts: LogPrompts = False,
    ledger: LedgerPath = None,
    session_ttl: SessionTtl = 86_400,
    item_ttl: ItemTtl = 3600,
    otlp_traces_endpoint: OtlpTracesEndpoint = None,
) -> None:
    """Serve a model with OpenAI's API: a thinking budget per request, deadlines, answer now."""
    served = ServeModel(
        model, engine, profile, max_num_seqs, max_model_len, upstream_url, upstream_model, upstream_api_key_env,
        api, upstream_host, dtype,
    )  # fmt: skip
    if print_vllm_flags:
        refuse_unused(context, "--print-vllm-flags", USED["--print-vllm-flags"])
        return print_vllm_command(served)
    if f"--engine {engine}" in USED:
        refuse_unused(context, f"--engine {engine}", USED[f"--engine {engine}"])
    options = ServeOptions(
        host, port, shutdown_timeout, api_key, log_prompts, chat, tuple(allow_origin or ()), otlp_traces_endpoint,
        api_key_file, ledger, session_ttl, exit_policy,
    )  # fmt: skip
    run_server(served, options, read_limits(context.params), read_defaults(context.params))


def run_server(served: ServeModel, options: ServeOptions, limits: ServerLimits, defaults: Mapping[str, Any]) -> None:
    """Serve until a signal arrives; `defaults` are fields of `RequestDefaults`. Raises UserError."""
    from z1.serve.api.request_parser import RequestDefaults
    from z1.serve.app import make_app
    from z1.serve.runtime.ledger_file import LedgerFile
    from z1.serve.runtime.service import ChatService
    from z1.serve.server import Address, run

    check(options)
    keys = {} if options.api_key_file is None else read_api_keys(options.api_key_file)
    ledger = LedgerFile(options.ledger, options.session_ttl)
    engine = make_engine(served)
    request_defaults = RequestDefaults(**defaults, format_question=question_format(served, engine))
    exits = None if options.exit_policy is None else read_exit_policy(options.exit_policy)
    service = ChatService(engine, request_defaults, limits, ledger, exits)
    name = service.served_model_names[0]
    settings: dict[str, Any] = {"log_prompts": options.log_prompts, "allowed_origins": options.allow_origin}
    app = make_app(service, options.api_key, named_keys=keys, **settings)
    if options.otlp_traces_endpoint is not None:
        from z1.serve.tracing import Tracing

        Tracing(options.otlp_traces_endpoint).attach(app, service)
    if options.chat:
        from z1.serve.chat_ui import mount

        mount(app, service)
    page = ", chat at {}/" if options.chat else ""
    address = Address(options.host, options.port, options.shutdown_timeout)
    run(app, address, lambda url: typer.echo(f"{name} at {url}/v1{page.format(url)}", err=True))


def read_limits(params: Mapping[str, Any]) -> ServerLimits:
    """The limits that the parameters of `serve` set."""
    from z1.serve.runtime.service import ServerLimits

    names = ("max_concurrent_requests", "max_body_bytes", "full_thought_share", "item_ttl")
    interval, budgets = params["stream_interval_ms"] / 1000, tuple(params["shadow_budget"] or ())
    return ServerLimits(**{name: params[name] for name in names}, stream_interval=interval, shadow_budgets=budgets)


def read_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `RequestDefaults` among the parameters of `z1 serve`. Raises UserError."""
    if given["max_nudges"] and not given["end_loops"]:
        raise UserError("--max-nudges", given["max_nudges"], "add --end-loops")
    same = ("thinking_budget", "max_thinking_budget", "temperature", "max_nudges", "soft_tokens", "grace_tokens")
    settings = {name: given[name] for name in same} | {"repetition": given["end_loops"]}
    if given["reasoning_effort_map"] is not None:
        settings["reasoning_effort_map"] = read_effort_map(given["reasoning_effort_map"])
    return settings | read_model_names(given["served_model_name"] or [])


def read_model_names(names: Sequence[str]) -> dict[str, Any]:
    """The served names, and the default thinking budgets of those that were given as NAME=TOKENS."""
    parts = [re.fullmatch(r"(.+?)(?:=(-1|\d+))?", name, re.DOTALL) for name in names]
    if not all(parts):
        raise UserError("served_model_name", "nothing", "give a name")
    found = {part[1]: part[2] for part in parts if part}
    budgets = {name: int(tokens) for name, tokens in found.items() if tokens is not None}
    return {"served_model_names": tuple(found), "model_budgets": budgets}


def read_effort_map(path: Path) -> dict[str, int]:
    """The effort map in a JSON file: {"low": 512, ...}, or under "efforts" in the file of `z1 calibrate`."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise UserError(f"reasoning_effort_map {path}", error, "give a JSON object of efforts and tokens") from None
    efforts = found.get("efforts", found) if isinstance(found, dict) else None
    if not efforts or not all(type(tokens) is int and tokens >= -1 for tokens in efforts.values()):
        do = 'give {"low": 512, ...}, in tokens; -1 = unlimited'
        raise UserError(f"reasoning_effort_map {path}", str(found)[:60], do)
    return dict(efforts)


def read_exit_policy(path: Path) -> CalibratedPolicy:
    """The exit policy that `z1 calibrate` wrote. Raises UserError."""
    from z1 import runs
    from z1.exit_policy import CalibratedPolicy

    return CalibratedPolicy.from_json(runs.read_json(path), str(path))


def read_api_keys(path: Path) -> dict[str, str]:
    """The API keys in a JSON file, by name. Raises UserError."""
    try:
        keys = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise UserError(f"api_key_file {path}", f"no JSON ({error})", 'give {"NAME": "KEY", ...}') from None
    if not isinstance(keys, dict) or not keys or not all(isinstance(key, str) and key for key in keys.values()):
        raise UserError(f"api_key_file {path}", "no object of names and keys", 'give {"NAME": "KEY", ...}')
    wrong = [name for name in keys if name in RESERVED_NAMES or not re.fullmatch(r"[A-Za-z0-9_.@-]{1,64}", name)]
    if wrong:
        do = f"give letters, digits and _ . @ -, and none of {', '.join(RESERVED_NAMES)}"
        raise UserError(f"api_key_file {path}", f"the name {wrong[0][:80]}", do)
    if len(set(keys.values())) < len(keys):
        raise UserError(f"api_key_file {path}", "one key under two names", "give each name a key of its own")
    return keys


def print_vllm_command(served: ServeModel) -> None:
    """Print the command of a stock vLLM server that applies thinking budgets of the model's profile."""
    from z1.engines.vllm_params import serve_flags
    from z1.model_files import hub_id_or_folder, name_and_profile
    from z1.models import shipped

    model = str(served.model or shipped())
    flags = serve_flags(name_and_profile(model, served.profile)[1])
    print_line(shlex.join(["vllm", "serve", hub_id_or_folder(model), *flags]))


def check(options: ServeOptions) -> None:
    """Refuse an address and a key that do not go together. Raises UserError."""
    has_key = options.api_key is not None or options.api_key_file is not None
    if options.api_key == "":
        raise UserError("api_key", "nothing", "give a key, or omit it")
    for origin in options.allow_origin:
        if origin not in ("*", "null") and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s]+", origin):
            raise UserError("allow_origin", origin, "give scheme and host without a path, such as https://example.com")
    try:
        is_loopback = options.host == "localhost" or ipaddress.ip_address(options.host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback and not has_key:
        do = "add --api-key (or Z1_API_KEY), or listen on 127.0.0.1"
        raise UserError("host", f"{options.host} without an API key", do)
