"""`z1 power` prints how many problems show a difference."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from z1.cli import power
from z1.errors import UserError


def test_how_many_problems_are_needed() -> None:
    assert "1,570" in CliRunner().invoke(power.app, ["5"]).output
    found = json.loads(CliRunner().invoke(power.app, ["5", "--json"]).output)
    assert {"accuracy": 0.5, "agreement": 0.0, "problems": 1570} in found["rows"] and len(found["rows"]) == 9


@pytest.mark.parametrize("points", ["0", "100"])
def test_a_difference_out_of_range_is_refused(points: str) -> None:
    error = CliRunner().invoke(power.app, [points]).exception
    assert isinstance(error, UserError) and "give points between 0 and 100" in str(error)
