"""Cancelling a coroutine that an interrupted sample is waiting for.

An interrupted sample returns the tokens so far. `await_unless_cancelled` waits for the next chunk or for the
cancellation, whichever is first. If the cancellation is first, the coroutine is cancelled and has ended on return.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

CANCELLED = object()
"""Returned by `await_unless_cancelled` if the cancellation was first."""


async def await_unless_cancelled(
    cancelled: asyncio.Future[None], coroutine: Coroutine[Any, Any, Result]
) -> Result | object:
    """The result of `coroutine`, or CANCELLED. Raises what `coroutine` raises."""
    if cancelled.done():
        coroutine.close()
        return CANCELLED
    task = asyncio.ensure_future(coroutine)
    both: set[asyncio.Future[Any]] = {task, cancelled}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    return CANCELLED if task.cancelled() else task.result()
