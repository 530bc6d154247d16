"""z1 lets a language model think only as long as the problem needs, and proves what the thinking bought.

    import z1
    reply = z1.think("What does this program print?\\nprint(3 + 4)\\n", window=64)
    print(reply.answer, reply.ledger.thought, reply.shift)

Importing z1 loads nothing heavy. `z1.think` is both the heart of the project (a package, see `z1/think/`) and its first
verb: calling it asks a model.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from z1.llm import think as think
else:
    from z1 import think


class _Verb(ModuleType):
    """The package `z1.think`, callable as the verb: see `z1.llm.think` for its arguments and result."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from z1.llm import think as ask_once

        return ask_once(*arguments, **options)


if not TYPE_CHECKING:
    think.__class__ = _Verb

__all__ = ["think"]
