"""Is nothing lost, broken or left behind, whoever comes? (The long run is in LOG.md.)"""

from __future__ import annotations

from tests.serve.soak import soak


def test_a_crowd_of_whom_a_third_is_up_to_no_good() -> None:
    found = soak(300)
    assert not found.errors
    assert (found.open, found.running) == (0, 0)
    assert not [status for status in found.statuses if status[-3:] in ("500", "502", "503", "504") or "hung" in status]
    assert set(found.statuses) >= {"good 200", "400", "left"}
    assert found.statuses["good 200"] > 100
