"""The options of `z1 serve`: their types, help texts and panels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from z1.cli.options import BUDGETS, MODEL_KINDS

MODEL, LIMITS = "Model and engine", "Limits"
NETWORK, LOGGING = "Network and chat page", "Logging"
"""Panels of `z1 serve --help`, with `BUDGETS`."""

ModelArgument = Annotated[
    str | None,
    typer.Argument(help=f"{MODEL_KINDS}; z1-tiny by default.", metavar="MODEL", show_default=False),
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
MaxNudges = Annotated[
    int,
    typer.Option(
        help="With --end-loops: loops of a thought that a forced nudge follows; the next one ends it.",
        min=0,
        rich_help_panel=BUDGETS,
        metavar="N",
    ),
]
ExitPolicyFile = Annotated[
    Path | None,
    typer.Option(
        help="JSON file of z1 calibrate: when a thought ends early, and the bound on the answers that this changes.",
        rich_help_panel=BUDGETS,
        metavar="FILE",
        show_default=False,
    ),
]
FullThoughtShare = Annotated[
    float,
    typer.Option(
        help="With --exit-policy: share of the requests that keep their whole thought, to watch its bound.",
        min=0,
        max=1,
        rich_help_panel=BUDGETS,
        metavar="SHARE",
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
ApiKeyFile = Annotated[
    Path | None,
    typer.Option(
        help='JSON file {"NAME": "KEY"} of more API keys; each has its own sessions and usage.',
        rich_help_panel=NETWORK,
        metavar="FILE",
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
LedgerPath = Annotated[
    Path | None,
    typer.Option(
        "--ledger",
        help="SQLite file of session budgets and usage, which survive a restart.",
        rich_help_panel=LOGGING,
        metavar="FILE",
        show_default="in memory",
    ),
]
SessionTtl = Annotated[
    int,
    typer.Option(
        help="Seconds after its last use until a session is deleted.",
        min=1,
        rich_help_panel=LOGGING,
        metavar="SECONDS",
    ),
]
ItemTtl = Annotated[
    int,
    typer.Option(
        help="Seconds after its last use until an item of a response cannot be named by its id any more; 0 keeps none.",
        min=0,
        rich_help_panel=LOGGING,
        metavar="SECONDS",
    ),
]
OtlpTracesEndpoint = Annotated[
    str | None,
    typer.Option(
        help="Send OpenTelemetry traces there, such as http://127.0.0.1:4318/v1/traces (extra trace).",
        rich_help_panel=LOGGING,
        metavar="URL",
        show_default=False,
    ),
]
