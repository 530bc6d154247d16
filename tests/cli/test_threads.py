"""Threads of the math libraries sleep soon, unless the user has chosen otherwise."""

from __future__ import annotations

import pytest

from z1.cli.threads import SPIN_LIMIT, limit_spinning


@pytest.mark.parametrize(
    ("before", "added"),
    [({}, SPIN_LIMIT), ({"GOMP_SPINCOUNT": "infinity"}, {}), ({"OMP_WAIT_POLICY": "active"}, {})],
)
def test_a_users_own_setting_stays(before: dict[str, str], added: dict[str, str]) -> None:
    environment = dict(before)
    limit_spinning(environment)
    assert environment == before | added
