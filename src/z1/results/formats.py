"""The formats of logs with one row per reply: lm-eval, OpenAI batch, LiveCodeBench, and rows with named columns."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from z1.benchmarks.rows import Row, read_rows
from z1.errors import UserError
from z1.grading import Verdict
from z1.results.log_reply import ForeignLog, ImportSettings, LogReply, split_text, verdict_of

NAMES: dict[str, tuple[str, ...]] = {
    "problem": ("problem", "problem_id", "id", "question_id", "task_id", "custom_id", "doc_id", "idx"),
    "thought": ("thought", "thinking", "reasoning", "reasoning_content", "cot", "think"),
    "answer": ("answer_text", "response", "completion", "output", "generation", "content", "model_output", "answer"),
    "verdict": ("verdict", "correct", "is_correct", "right", "passed", "score", "acc", "accuracy", "grade"),
    "thinking_budget": ("thinking_budget", "budget", "max_thinking_tokens"),
    "sample": ("sample", "sample_id", "seed", "trial", "epoch"),
    "thinking_tokens": ("thinking_tokens", "reasoning_tokens", "thought_tokens", "num_thinking_tokens"),
    "completion_tokens": ("completion_tokens", "output_tokens", "num_generated_tokens", "total_tokens"),
    "is_cut": ("is_cut", "truncated", "cut"),
    "question": ("question", "prompt", "input"),
    "reference": ("reference", "gold", "target", "expected", "ground_truth"),
}
"""Columns that are recognised without `--map`, by field of `LogReply`; the first that a row has is used."""

REQUIRED = ("problem", "answer")


def read(path: Path, settings: ImportSettings) -> ForeignLog:
    """The log in a JSONL, JSON, CSV or Parquet file. Raises UserError if no reader understands its rows."""
    rows = read_rows(path)
    if not rows:
        raise UserError(f"log {path}", "no rows", "give a log with one row per reply")
    for name, matches, reader in READERS:
        if not settings.columns and matches(rows[0]):
            found = _with_place(name, path, rows, settings, reader)
            return _with_names(found, path) if reader is _read_lm_eval else found
    return _with_place("rows with columns", path, rows, settings, _read_columns)


Reader = Callable[[Sequence[Row], ImportSettings], ForeignLog]


def _with_place(name: str, path: Path, rows: Sequence[Row], settings: ImportSettings, reader: Reader) -> ForeignLog:
    try:
        return reader(rows, settings)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        do = "name its columns with --map, such as --map problem=id --map answer=output --map verdict=score"
        raise UserError(f"log {path}, read as {name}", repr(error)[:80], do) from None


_SAMPLES = re.compile(r"samples_(?P<task>.+)_(?P<time>\d{4}-\d\d-\d\dT[\d.-]+)")
"""The name that lm-eval gives a file of samples."""


def _with_names(log: ForeignLog, path: Path) -> ForeignLog:
    """`log` with the task in the file's name and the model in the results beside it, as lm-eval writes both."""
    named = _SAMPLES.fullmatch(path.stem)
    if named is None:
        return log
    results = path.with_name(f"results_{named['time']}.json")
    model = json.loads(results.read_text("utf-8")).get("model_name") if results.is_file() else ""
    return replace(log, benchmark=named["task"], model=str(model or ""))


def _read_lm_eval(rows: Sequence[Row], settings: ImportSettings) -> ForeignLog:
    """Samples of `lm_eval --log_samples`: one row per document and filter; a name that ends in @256 is a budget."""
    filters = list(dict.fromkeys(str(row.get("filter", "none")) for row in rows))
    bases = list(dict.fromkeys(name.partition("@")[0] for name in filters))
    budgets = list(dict.fromkeys(name.partition("@")[2] for name in filters))
    base = settings.filter or bases[0]
    if base not in bases:
        raise UserError("filter of lm-eval", base, f"choose one of {', '.join(bases)}")
    metric = _metric(rows[0])
    replies = []
    for row in rows:
        name, _, budget = str(row.get("filter", "none")).partition("@")
        if name == base:
            replies.append(_lm_eval_reply(row, metric, budget, budgets.index(budget)))
    notes = (f"metric: {metric}; filter: {base}" + (f" of {', '.join(bases)}" if len(bases) > 1 else ""),)
    return ForeignLog("samples of lm-eval", replies, notes=notes)


def _lm_eval_reply(row: Row, metric: str, budget: str, index: int) -> LogReply:
    """The reply that a row's filter took: the first, or the one at `budget`, which is number `index`."""
    texts = [text for request in row["resps"] for text in (request if isinstance(request, list) else [request])]
    thought, answer = split_text(str(texts[index]))
    return LogReply(
        str(row["doc_id"]),
        answer,
        thought,
        verdict_of(row[metric]),
        int(budget) if budget.isdecimal() else _requested_budget(row),
        question=str(next(iter(_arguments(row)), "")),
        reference=str(row.get("target", "")),
    )


def _metric(row: Row) -> str:
    named = [str(name) for name in row.get("metrics", ()) if name in row]
    known = [name for name in ("exact_match", "acc", "pass@1", "math_verify") if name in row]
    if not (named or known):
        raise KeyError("metrics")
    return (named or known)[0]


def _arguments(row: Row) -> Any:
    arguments = row.get("arguments")
    if isinstance(arguments, Mapping):
        arguments = [list(one.values()) for one in arguments.values()]
    return arguments[0] if isinstance(arguments, list) and arguments and isinstance(arguments[0], list) else []


def _requested_budget(row: Row) -> int | None:
    settings = next((one for one in _arguments(row) if isinstance(one, Mapping)), {})
    budget = settings.get("thinking_budget", settings.get("thinking_token_budget"))
    return budget if isinstance(budget, int) and budget >= 0 else None


def _read_batch(rows: Sequence[Row], settings: ImportSettings) -> ForeignLog:
    """Output files of OpenAI's batch API, for chat completions and for responses."""
    replies = []
    for row in rows:
        body = (row.get("response") or {}).get("body") or {}
        failed = row.get("error") or (None if "choices" in body or "output" in body else body.get("error") or "no body")
        name = str(row["custom_id"])
        if failed:
            replies.append(LogReply(name, "", verdict=Verdict.MISSING, fault=str(failed)[:200]))
        elif "choices" in body:
            replies += [_chat_reply(name, number, one, body) for number, one in enumerate(body["choices"])]
        else:
            replies.append(_response_reply(name, body))
    model = next(
        (body["model"] for row in rows if (body := (row.get("response") or {}).get("body") or {}).get("model")), ""
    )
    return ForeignLog("OpenAI batch output", replies, str(model), notes=("the log has no verdicts",))


def _chat_reply(name: str, number: int, choice: Mapping[str, Any], body: Mapping[str, Any]) -> LogReply:
    message, usage = choice["message"], body.get("usage") or {}
    thought, answer = message.get("reasoning_content") or message.get("reasoning"), str(message.get("content") or "")
    if thought is None:
        thought, answer = split_text(answer)
    details = usage.get("completion_tokens_details") or {}
    only = len(body["choices"]) == 1  # usage is that of all choices together
    return LogReply(
        name,
        answer,
        thought,
        sample=int(choice.get("index", number)),
        thinking_tokens=details.get("reasoning_tokens") if only else None,
        completion_tokens=usage.get("completion_tokens") if only else None,
        is_cut=choice.get("finish_reason") == "length",
    )


def _response_reply(name: str, body: Mapping[str, Any]) -> LogReply:
    parts = {"reasoning": "", "message": ""}
    for item in body["output"]:
        content = item.get("content") or item.get("summary") or ()
        parts[item["type"]] = parts.get(item["type"], "") + "".join(str(part.get("text", "")) for part in content)
    usage = body.get("usage") or {}
    return LogReply(
        name,
        parts["message"],
        parts["reasoning"] or None,
        thinking_tokens=(usage.get("output_tokens_details") or {}).get("reasoning_tokens"),
        completion_tokens=usage.get("output_tokens"),
        is_cut=body.get("status") == "incomplete",
    )


def _read_livecodebench(rows: Sequence[Row], settings: ImportSettings) -> ForeignLog:
    """Outputs of LiveCodeBench's runner: per problem a list of outputs, of programs, and of verdicts."""
    replies = []
    for row in rows:
        outputs = row.get("output_list") or row["code_list"]
        verdicts = row.get("graded_list") or [None] * len(outputs)
        for sample, (text, value) in enumerate(zip(outputs, verdicts, strict=True)):
            thought, answer = split_text(str(text))
            verdict = None if value is None else verdict_of(value)
            name, question = str(row["question_id"]), str(row.get("question_content", ""))
            replies.append(LogReply(name, answer, thought, verdict, sample=sample, question=question))
    return ForeignLog("LiveCodeBench outputs", replies, benchmark="livecodebench")


def _read_columns(rows: Sequence[Row], settings: ImportSettings) -> ForeignLog:
    """Rows with columns that are named by the user or recognised by their names."""
    if unknown := sorted(set(settings.columns) - set(NAMES)):
        raise UserError("--map", unknown[0], f"give one of {', '.join(NAMES)}")
    present = {name for row in rows[:50] for name in row}
    columns = {field: next((name for name in names if name in present), "") for field, names in NAMES.items()}
    columns |= settings.columns
    if absent := [name for name in settings.columns.values() if name not in present]:
        raise UserError("--map", f"no column {absent[0]}", f"choose one of {', '.join(sorted(present))}")
    if lacking := [field for field in REQUIRED if not columns[field]]:
        do = f"name it with --map {lacking[0]}=COLUMN; the columns are {', '.join(sorted(present))}"
        raise UserError(f"column of {lacking[0]}", "none recognised", do)
    used = {field: name for field, name in columns.items() if name}
    notes = ("columns: " + ", ".join(f"{field} from {name}" for field, name in used.items()),)
    return ForeignLog("rows with columns", [_column_reply(row, used) for row in rows], notes=notes)


def _column_reply(row: Row, columns: Mapping[str, str]) -> LogReply:
    values = {field: row.get(name) for field, name in columns.items()}
    thought, answer = values.get("thought"), str(values["answer"] or "")
    if thought is None:
        thought, answer = split_text(answer)
    value = values.get("verdict")
    if value is not None and verdict_of(value) is None:
        raise UserError(f"column {columns['verdict']}", value, "give true or false, 1 or 0, correct or incorrect")
    return LogReply(
        str(values["problem"]),
        answer,
        None if thought is None else str(thought),
        None if value is None else verdict_of(value),
        _count(values.get("thinking_budget")),
        _count(values.get("sample")) or 0,
        _count(values.get("thinking_tokens")),
        _count(values.get("completion_tokens")),
        is_cut=verdict_of(values.get("is_cut")) == Verdict.RIGHT,
        question=str(values.get("question") or ""),
        reference=str(values.get("reference") or ""),
    )


def _count(value: Any) -> int | None:
    """A count; None for an absent one, and for -1 and words such as unlimited."""
    text = "" if value is None else str(value).strip()
    return int(float(text)) if re.fullmatch(r"\d+(\.0*)?", text) else None


READERS: tuple[tuple[str, Callable[[Row], bool], Reader], ...] = (
    ("samples of lm-eval", lambda row: "doc_id" in row and "resps" in row, _read_lm_eval),
    ("OpenAI batch output", lambda row: "custom_id" in row and "response" in row, _read_batch),
    (
        "LiveCodeBench outputs",
        lambda row: "question_id" in row and ("code_list" in row or "output_list" in row),
        _read_livecodebench,
    ),
)
