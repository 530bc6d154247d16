"""The links beside a picture hold its numbers."""

import base64
import csv
import json
from dataclasses import replace
from io import StringIO
from math import nan

import pytest

from z1.records import Interval
from z1.report.downloads import KINDS, downloads
from z1.report.load import Evaluation


@pytest.mark.parametrize("picture", KINDS)
def test_csv_and_json_hold_every_number_of_the_picture(evaluations: tuple[Evaluation, ...], picture: str) -> None:
    (one,) = evaluations
    files = {file.name: base64.b64decode(file.url.partition(",")[2]).decode() for file in downloads(picture, [one])}
    rows = json.loads(files[f"{picture}.json"])
    table = list(csv.DictReader(StringIO(files[f"{picture}.csv"])))
    shown = {"curve": one.points, "difficulty": one.head_cells, "cutoff": one.cells}[picture]
    assert len(rows) == len(table) == len(shown)
    for row, line in zip(rows, table, strict=True):
        assert {key: "" if value is None else str(value) for key, value in row.items()} == line
    assert rows[0]["model"] == "tiny" and rows[-1]["thinking_budget"] is None
    assert {"accuracy", "accuracy_low", "accuracy_high"} <= rows[0].keys()


def test_an_unknown_number_is_empty(evaluations: tuple[Evaluation, ...]) -> None:
    unknown = replace(evaluations[0].points[0], accuracy=Interval(nan, nan, nan))
    (table, _) = downloads("curve", [replace(evaluations[0], points=(unknown,))])
    assert ",,,," in base64.b64decode(table.url.partition(",")[2]).decode()
