"""Thinking budgets inside a stock vLLM server, as a logits processor.

    logits_processor.py   WindowLogitsProcessor: the classes that vLLM loads, one a profile
    batch_state.py        V1BatchRows, V2BatchSlots: the token constraints of a batch, for vLLM's two runners
    token_constraint.py   TokenConstraint: the next forced token of one reply
    middleware.py         RequestMiddleware: gives requests of unchanged clients a window
    request_rewriter.py   the change to the body of one request
    settings.py           defaults, ceiling, canary share and kill switch, from a file or the environment
    counters.py           counters in vLLM's own /metrics

`vllm serve MODEL --logits-processors z1.vllm_plugin:PROFILE`, where PROFILE is a name in `z1.profiles.PROFILES`, such
as `qwen3` or `r1-distill`. vLLM resolves the name with `getattr`, so a hyphen is allowed.
"""

from __future__ import annotations

from importlib import import_module

from z1.profiles import PROFILES


def __getattr__(name: str) -> type:
    """The logits processor of the profile `name`. Imports vLLM."""
    if name not in PROFILES:
        raise AttributeError(f"module {__name__} has no profile {name}; choose one of {', '.join(PROFILES)}")
    processor: type = import_module("z1.vllm_plugin.logits_processor").processor(name)
    return processor
