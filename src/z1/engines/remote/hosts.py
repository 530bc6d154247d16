"""Table of hosts that offer chat completions alone: how each takes a thinking budget, or continues a thought.

A host with a field for budgets keeps them itself, counted in its own tokens: the budget is *approximate*. A host that
continues an assistant's message lets z1 cut the thought and ask for the answer: the budget is *exact*. A host that
does neither gets no request with a budget.

Sources: the API references of the hosts (Alibaba Model Studio, SiliconFlow, OpenRouter, Anthropic, Gemini, DeepSeek),
`entrypoints/openai` of vLLM 0.32 and of SGLang 0.5.23, `tools/server` of llama.cpp (llama-cpp-python 0.3.36).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from z1.errors import UserError

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Host:
    """One kind of host, by name or by the domains of its URL.

    `budget` gives the fields of a request with a thinking budget (0: none) of at least `min_budget`; None: it has no
    such field. `message` and `body` are the fields with which it continues the last message; None: it cannot. A thought
    in that message is the field `thought`, or, if that is "", in think tags before the content.
    """

    name: str
    domains: tuple[str, ...] = ()
    budget: Callable[[int], Fields] | None = None
    min_budget: int = 0
    message: Fields | None = None
    body: Fields | None = None
    thought: str = ""

    @property
    def can_continue(self) -> bool:
        """Whether a thought can be cut: the host continues a message."""
        return self.message is not None or self.body is not None

    @property
    def keeps_budgets(self) -> bool:
        """Whether the host itself ends a thought at its budget."""
        return self.budget is not None and not self.can_continue


CONTINUE: Fields = {"continue_final_message": True, "add_generation_prompt": False}

OTHER = Host("other")
"""A host that is not in the table."""

HOSTS = (
    Host("vllm", body=CONTINUE),
    Host("sglang", body={"continue_final_message": True}),
    Host("llama.cpp", body=CONTINUE),
    Host("deepseek", ("api.deepseek.com",), message={"prefix": True}, thought="reasoning_content"),
    Host("z1", budget=lambda tokens: {"thinking_budget": tokens, "separate_reasoning": True}),
    Host(
        "qwen",
        ("dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com", "dashscope-us.aliyuncs.com"),
        lambda tokens: {"enable_thinking": True, "thinking_budget": tokens} if tokens else {"enable_thinking": False},
    ),
    Host(
        "siliconflow",
        ("api.siliconflow.cn", "api.siliconflow.com"),
        lambda tokens: {"enable_thinking": True, "thinking_budget": tokens} if tokens else {"enable_thinking": False},
    ),
    Host(
        "openrouter",
        ("openrouter.ai",),
        lambda tokens: {"reasoning": {"max_tokens": tokens} if tokens else {"enabled": False}},
    ),
    Host(
        "anthropic",
        ("api.anthropic.com",),
        lambda tokens: {"thinking": {"type": "enabled", "budget_tokens": tokens} if tokens else {"type": "disabled"}},
        min_budget=1024,
    ),
    Host(
        "gemini",
        ("generativelanguage.googleapis.com",),
        lambda tokens: {
            "extra_body": {"google": {"thinking_config": {"thinking_budget": tokens, "include_thoughts": True}}}
        },
    ),
    OTHER,
)


OWNERS = {"vllm": "vllm", "llamacpp": "llama.cpp", "sglang": "sglang", "z1": "z1"}
"""Rows by `owned_by` in a server's entry of its model."""


def find_host(url: str, name: str | None = None, owner: Any = None) -> Host:
    """The row called `name`, or that of the host in `url`, or that of `owner`; OTHER if there is none.

    Raises UserError.
    """
    if name is not None:
        if (found := next((host for host in HOSTS if host.name == name), None)) is None:
            raise UserError("upstream_host", name, f"choose one of {', '.join(host.name for host in HOSTS)}")
        return found
    given = urlsplit(url).hostname or ""
    ends = lambda domain: given == domain or given.endswith("." + domain)  # noqa: E731
    owned = next((host for host in HOSTS if host.name == OWNERS.get(str(owner))), OTHER)
    return next((host for host in HOSTS if any(map(ends, host.domains))), owned)
