"""z1 caps the reasoning of a language model at a token budget, and reports accuracy against tokens spent.

    import z1

    with z1.LLM() as llm:                                   # z1-tiny, which is in the package
        reply = llm.generate("print(3 + 4)", thinking_budget=64)
    print(reply.answer, reply.ledger.thought, reply.shift)

Importing z1 loads nothing heavy; the names below are loaded when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from z1.generation import GenerationOptions, Reply, ReplyDelta
    from z1.llm import LLM, ReplyStream
    from z1.think import Bucket, Ledger, Window

    __version__: str

_MODULES = {
    **dict.fromkeys(["LLM", "ReplyStream"], "z1.llm"),
    **dict.fromkeys(["GenerationOptions", "Reply", "ReplyDelta"], "z1.generation"),
    **dict.fromkeys(["Bucket", "Ledger", "Window"], "z1.think"),
}

__all__ = [
    "LLM",
    "Bucket",
    "GenerationOptions",
    "Ledger",
    "Reply",
    "ReplyDelta",
    "ReplyStream",
    "Window",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("z1")
    if name in _MODULES:
        from importlib import import_module

        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'z1' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
