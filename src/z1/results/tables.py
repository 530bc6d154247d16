"""The attempts of a run as a table: one row per attempt, as a pandas frame, a CSV file or a Parquet file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from z1 import runs
from z1.errors import UserError
from z1.evaluate import ATTEMPTS, PROBLEMS, read_attempts
from z1.grading import Verdict
from z1.records import Attempt, Problem
from z1.runs import atomic_file, read_lines
from z1.think import Bucket

if TYPE_CHECKING:
    import pandas

COLUMNS = (
    *("run", "model", "benchmark", "problem", "kind", "steps", "thinking_budget", "sample", "verdict", "right"),
    *("thinking_tokens", "hint_tokens", "answer_tokens", "probe_tokens", "paid_tokens", "shift", "end", "fault"),
    *("thought", "hint", "answer"),
)
"""The columns, in order. `right` is null for a missing or ungraded attempt, `thinking_budget` if it is unlimited."""


def evaluations(run: Path) -> list[Path]:
    """The evaluation folders at or below `run`. Raises UserError if there is none."""
    if (run / ATTEMPTS).is_file():
        return [run]
    found = sorted(path.parent for path in run.rglob(ATTEMPTS))
    if not found:
        raise UserError("run", f"no {ATTEMPTS} in {run}", "give the folder of a run, of an evaluation, or of an import")
    return found


def read_table(run: Path | str) -> list[dict[str, Any]]:
    """One dictionary per attempt of all evaluations in `run`, with the keys of `COLUMNS`."""
    return [row for folder in evaluations(Path(run)) for row in _rows(folder)]


def frame(run: Path | str) -> pandas.DataFrame:
    """The attempts of all evaluations in `run` as a pandas frame with `COLUMNS`; counts are nullable integers."""
    import pandas

    table = pandas.DataFrame(read_table(run), columns=list(COLUMNS))
    counts = [name for name in COLUMNS if name.endswith("_tokens") or name in ("steps", "thinking_budget", "sample")]
    return table.astype({**dict.fromkeys(counts, "Int64"), "right": "boolean"})


def write_table(run: Path | str, path: Path) -> int:
    """Write the table of `run` to `path`, a .csv or .parquet file; returns the number of rows."""
    rows = read_table(run)
    writers = {".csv": _write_csv, ".parquet": _write_parquet}
    if path.suffix not in writers:
        raise UserError("file to export to", path.name, f"give a name that ends in {' or '.join(writers)}")
    with atomic_file(path) as temporary:
        writers[path.suffix](rows, temporary)
    return len(rows)


def _write_csv(rows: Sequence[dict[str, Any]], path: Path) -> None:
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(rows: Sequence[dict[str, Any]], path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)


def _rows(folder: Path) -> list[dict[str, Any]]:
    names = runs.read_json(folder / "curve.json", "run", "model", "benchmark")
    problems = {problem.id: problem for problem in read_lines(folder / PROBLEMS, Problem.from_json)}
    return [_row(names, problems.get(one.problem), one) for one in read_attempts(folder).values()]


def _row(names: dict[str, Any], problem: Problem | None, attempt: Attempt) -> dict[str, Any]:
    counts, graded = attempt.counts(), attempt.verdict not in (Verdict.MISSING, Verdict.UNGRADED)
    values = (
        *(names[key] for key in ("run", "model", "benchmark")),
        *(attempt.problem, problem.kind if problem else "", problem.steps if problem else None),
        *(attempt.thinking_budget, attempt.sample, attempt.verdict),
        attempt.verdict == Verdict.RIGHT if graded else None,
        *(counts.thought, counts.hint, counts.answer, counts.probe, counts.paid_tokens),
        *(attempt.shift, attempt.end, attempt.fault),
        *(attempt.text(*buckets) for buckets in ((Bucket.THOUGHT, Bucket.CLOSE), (Bucket.HINT,), (Bucket.ANSWER,))),
    )
    return dict(zip(COLUMNS, values, strict=True))
