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
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from z1.cli.engine_factory import ServeModel, make_engine, question_format
from z1.cli.options import Dtype, print_line, refuse_unused
from z1.errors import UserError

if TYPE_CHECKING:
    from z1.serve.runtime.service import ServerLimits

MODEL, BUDGETS, LIMITS = "Model and engine", "Budgets and sampling", "Limits"
NETWORK, LOGGING = "Network and chat page", "Logging"
"""Panels of `z1 serve --help`."""

NETWORKING = frozenset(
    {
        *("host", "port", "api_key", "allow_origin", "shutdown_timeout", "chat", "log_prompts"),
        *("max_concurrent_requests", "max_body_bytes", "stream_interval_ms", "shadow_budget"),
        *("thinking_budget", "reasoning_effort_map", "temperature", "served_model_name", "model", "engine"),
        *("max_model_len", "max_thinking_budget", "otlp_traces_endpoint"),
    }
)
"""Parameters that the server uses with every engine."""

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


ModelArgument = Annotated[
    str | None,
    typer.Argument(help="Model folder, GGUF file or hub id; z1-tiny by default.", metavar="MODEL", show_default=False),
]
EngineName = Annotated[
    str,
    typer.Option(
        help="local, vllm, remote (see --upstream-url), or scripted (MODEL is a JSON file of replies).",
        rich_help_panel=MODEL,
    ),
]
Profile = Annotated[
    str | None,
    typer.Option(
        help="Model family (template, think tags, hint); detected by default.",
        rich_help_panel=MODEL,
        metavar="PROFILE",
        show_default=False,
    ),
]
MaxNumSeqs = Annotated[int, typer.Option(help="Maximum number of sequences in a batch.", min=1, rich_help_panel=MODEL)]
MaxModelLen = Annotated[
    int | None,
    typer.Option(
        help="Maximum context length in tokens, prompt and reply.",
        min=1,
        rich_help_panel=MODEL,
        show_default="4096; with --engine remote the upstream's",
    ),
]
ServedModelName = Annotated[
    list[str] | None,
    typer.Option(
        help="Model name in the API; may be repeated. NAME=TOKENS has a default thinking budget of its own.",
        rich_help_panel=MODEL,
        metavar="NAME",
        show_default="the model's name",
    ),
]
UpstreamUrl = Annotated[
    str | None,
    typer.Option(
        help="With --engine remote: URL of the server that has the model, up to /v1.",
        rich_help_panel=MODEL,
        metavar="URL",
        show_default=False,
    ),
]
UpstreamModel = Annotated[
    str | None,
    typer.Option(
        help="With --engine remote: the upstream's name of the model.",
        rich_help_panel=MODEL,
        metavar="NAME",
        show_default="the first that it lists",
    ),
]
UpstreamApiKeyEnv = Annotated[
    str | None,
    typer.Option(
        help="With --engine remote: environment variable with the upstream's API key; without it no key is sent.",
        rich_help_panel=MODEL,
        metavar="VARIABLE",
        show_default=False,
    ),
]
Api = Annotated[
    Literal["completions", "chat"],
    typer.Option(
        help="With --engine remote: the upstream's route; chat for hosts that offer nothing else.",
        rich_help_panel=MODEL,
    ),
]
UpstreamHost = Annotated[
    str | None,
    typer.Option(
        help="With --api chat: kind of host (vllm, llama.cpp, openrouter, ...).",
        rich_help_panel=MODEL,
        metavar="HOST",
        show_default="by the URL",
    ),
]
PrintVllmFlags = Annotated[
    bool,
    typer.Option(
        "--print-vllm-flags",
        help="Print the command of a stock vLLM server with thinking budgets, and exit.",
        rich_help_panel=MODEL,
    ),
]
ThinkingBudget = Annotated[
    int | None,
    typer.Option(
        help="Default thinking budget in tokens; -1 = unlimited.",
        min=-1,
        rich_help_panel=BUDGETS,
        metavar="TOKENS",
        show_default="the model family's",
    ),
]
MaxThinkingBudget = Annotated[
    int | None,
    typer.Option(
        help="Ceiling of every thinking budget in tokens, whatever a request asks for.",
        min=0,
        rich_help_panel=BUDGETS,
        metavar="TOKENS",
        show_default="none",
    ),
]
ReasoningEffortMap = Annotated[
    Path | None,
    typer.Option(
        help="JSON file with the thinking budget of each reasoning effort (z1 calibrate writes one).",
        rich_help_panel=BUDGETS,
        metavar="FILE",
        show_default=False,
    ),
]
ShadowBudget = Annotated[
    list[int] | None,
    typer.Option(
        help="When idle, re-answer finished replies at this smaller budget (metrics only); may be repeated.",
        min=0,
        rich_help_panel=BUDGETS,
        metavar="TOKENS",
        show_default=False,
    ),
]
Temperature = Annotated[float, typer.Option(help="Default sampling temperature.", rich_help_panel=BUDGETS)]
MaxConcurrentRequests = Annotated[
    int,
    typer.Option(
        help="Maximum number of replies in progress; further requests get 429.",
        min=1,
        metavar="N",
        rich_help_panel=LIMITS,
    ),
]
MaxBodyBytes = Annotated[
    int, typer.Option(help="Maximum size of a request body in bytes.", min=1, metavar="BYTES", rich_help_panel=LIMITS)
]
StreamIntervalMs = Annotated[
    int, typer.Option(help="Streaming flush interval in milliseconds.", min=0, metavar="MS", rich_help_panel=LIMITS)
]
ShutdownTimeout = Annotated[
    int,
    typer.Option(
        help="Seconds for replies in progress to finish after SIGTERM.",
        min=0,
        metavar="SECONDS",
        rich_help_panel=LIMITS,
    ),
]
Host = Annotated[
    str,
    typer.Option(help="Address to listen on; all but loopback need --api-key.", rich_help_panel=NETWORK),
]
Port = Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535, rich_help_panel=NETWORK)]
ApiKey = Annotated[
    str | None,
    typer.Option(
        envvar="Z1_API_KEY",
        help="API key that clients must send.",
        rich_help_panel=NETWORK,
        metavar="KEY",
        show_default=False,
    ),
]
AllowOrigin = Annotated[
    list[str] | None,
    typer.Option(
        help="Origin of web pages that may use the server (CORS), such as https://example.com; may be repeated.",
        rich_help_panel=NETWORK,
        metavar="ORIGIN",
        show_default="none but its own",
    ),
]
Chat = Annotated[bool, typer.Option("--chat", help="Serve a chat page at / as well.", rich_help_panel=NETWORK)]
LogPrompts = Annotated[bool, typer.Option("--log-prompts", help="Write prompts into the log.", rich_help_panel=LOGGING)]
OtlpTracesEndpoint = Annotated[
    str | None,
    typer.Option(
        help="Send OpenTelemetry traces there, such as http://127.0.0.1:4318/v1/traces (extra trace).",
        rich_help_panel=LOGGING,
        metavar="URL",
        show_default=False,
    ),
]

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
    shadow_budget: ShadowBudget = None,
    temperature: Temperature = 1.0,
    max_concurrent_requests: MaxConcurrentRequests = 256,
    max_body_bytes: MaxBodyBytes = 1 << 20,
    stream_interval_ms: StreamIntervalMs = 50,
    shutdown_timeout: ShutdownTimeout = 30,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    api_key: ApiKey = None,
    allow_origin: AllowOrigin = None,
    chat: Chat = False,
    log_prompts: LogPrompts = False,
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
    origins = tuple(allow_origin or ())
    options = ServeOptions(
        host, port, shutdown_timeout, api_key, log_prompts, chat, origins, otlp_traces_endpoint=otlp_traces_endpoint
    )
    from z1.serve.runtime.service import ServerLimits

    settings: dict[str, Any] = {"thinking_budget": thinking_budget, "temperature": temperature}
    settings |= {"max_thinking_budget": max_thinking_budget, **read_model_names(served_model_name or [])}
    if reasoning_effort_map is not None:
        settings["reasoning_effort_map"] = read_effort_map(reasoning_effort_map)
    budgets = tuple(shadow_budget or ())
    limits = ServerLimits(max_concurrent_requests, max_body_bytes, stream_interval_ms / 1000, budgets)
    run_server(served, options, limits, settings)


def run_server(served: ServeModel, options: ServeOptions, limits: ServerLimits, defaults: Mapping[str, Any]) -> None:
    """Serve until a signal arrives; `defaults` are fields of `RequestDefaults`. Raises UserError."""
    from z1.serve.api.request_parser import RequestDefaults
    from z1.serve.app import make_app
    from z1.serve.runtime.service import ChatService
    from z1.serve.server import Address, run

    check(options)
    engine = make_engine(served)
    service = ChatService(engine, RequestDefaults(**defaults, format_question=question_format(served, engine)), limits)
    name = service.served_model_names[0]
    settings: dict[str, Any] = {"log_prompts": options.log_prompts, "allowed_origins": options.allow_origin}
    app = make_app(service, options.api_key, **settings)
    if options.otlp_traces_endpoint is not None:
        from z1.serve.tracing import Tracing

        Tracing(options.otlp_traces_endpoint).attach(app, service)
    if options.chat:
        from z1.serve.chat_ui import mount

        half = served.context_tokens // 2
        app = mount(app, name, service.count_tokens, min(half, service.defaults.max_thinking_budget or half))
    page = ", chat at {}/" if options.chat else ""
    address = Address(options.host, options.port, options.shutdown_timeout)
    run(app, address, lambda url: typer.echo(f"{name} at {url}/v1{page.format(url)}", err=True))


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


def print_vllm_command(served: ServeModel) -> None:
    """Print the command of a stock vLLM server that applies thinking budgets of the model's profile."""
    from z1.engines.vllm_params import serve_flags
    from z1.model_files import name_and_profile
    from z1.models import shipped

    model = str(served.model or shipped())
    print_line(shlex.join(["vllm", "serve", model, *serve_flags(name_and_profile(model, served.profile)[1])]))


def check(options: ServeOptions) -> None:
    """Refuse an address and a key that do not go together. Raises UserError."""
    if options.chat and options.api_key is not None:
        raise UserError("--chat", "--api-key beside it", "omit one: the chat page does not ask users for the key")
    if options.api_key == "":
        raise UserError("api_key", "nothing", "give a key, or omit it")
    for origin in options.allow_origin:
        if origin not in ("*", "null") and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s]+", origin):
            raise UserError("allow_origin", origin, "give scheme and host without a path, such as https://example.com")
    try:
        is_loopback = options.host == "localhost" or ipaddress.ip_address(options.host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback and options.api_key is None:
        do = "add --api-key (or Z1_API_KEY), or listen on 127.0.0.1"
        raise UserError("host", f"{options.host} without an API key", do)
