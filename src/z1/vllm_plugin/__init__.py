"""Windows inside a stock vLLM server, as a logits processor.

`vllm serve MODEL --logits-processors z1.vllm_plugin:PROFILE`, where PROFILE is a row of `z1.profiles.PROFILES`.
"""

from __future__ import annotations


def __getattr__(name: str) -> type:
    if name.startswith("_"):
        raise AttributeError(name)
    from z1.vllm_plugin import logits_processor

    processor: type = getattr(logits_processor, name)
    return processor
