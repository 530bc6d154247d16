"""How threads of the math libraries wait for each other: they sleep soon, because the cores may be shared.

By default a thread of OpenMP spins for milliseconds until the others arrive. Where another process needs the core (the
server beside its engine, a training beside an evaluation), it spins while the thread that it waits for is not running:
a decode step with two threads on two busy cores takes 5 to 40 times as long. On idle cores the limit costs models that
are large enough for several threads 0 to 4 % (`bench/decode_choices.py`).
"""

from __future__ import annotations

from collections.abc import MutableMapping

SPIN_LIMIT = {"GOMP_SPINCOUNT": "1000"}
"""Setting of GNU OpenMP, which torch uses on Linux; about 2 microseconds."""


def limit_spinning(environment: MutableMapping[str, str]) -> None:
    """Set the limit for this process, before it imports torch, and for its children; a user's own choice stays."""
    if "OMP_WAIT_POLICY" not in environment:
        for name, value in SPIN_LIMIT.items():
            environment.setdefault(name, value)
