"""How is something that is being waited for given up?

An interrupted sample keeps what came and wants no more. `unless` waits for the next piece or for the cut, whichever is
first; a piece that loses is cancelled, and has ended when `unless` returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Piece = TypeVar("Piece")

CUT = object()
"""What `unless` returns where the cut came first."""


async def unless(cut: asyncio.Future[None], coming: Coroutine[Any, Any, Piece]) -> Piece | object:
    """What `coming` gives, or CUT. Raises what it raises."""
    if cut.done():
        coming.close()
        return CUT
    task = asyncio.ensure_future(coming)
    both: set[asyncio.Future[Any]] = {task, cut}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    return CUT if task.cancelled() else task.result()
