"""A short soak test (LOG.md has the long run)."""

from __future__ import annotations

import pytest

from tests.serve.soak import soak


@pytest.mark.parametrize("count", [60, pytest.param(300, marks=pytest.mark.slow)])
def test_no_errors_and_no_open_sessions_after_hostile_requests(count: int) -> None:
    result = soak(count, batches=count // 30)
    assert not result.errors
    assert (result.open, result.running) == (0, 0)
    ledger = result.session
    assert ledger["held"] == 0 and ledger["spent"] == sum(turn["thinking_tokens"] for turn in ledger["turns"]) <= 5000
    assert not [status for status in result.statuses if status[-3:] in ("500", "502", "503", "504") or "hung" in status]
    assert set(result.statuses) >= {"good 200", "400", "disconnected"}
    assert result.statuses["good 200"] > count / 3
