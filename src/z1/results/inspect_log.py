"""Logs of inspect_ai: `.eval` files (a zip of JSON) and `.json` files.

A sample has one reply, or one per thinking budget if the solver `z1/budget_sweep` ran: those attempts are in its store,
with their token ids. The verdict is the value of the first scorer, or of the one that the user names.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from z1.errors import UserError
from z1.grading import Verdict
from z1.records import Attempt, Problem
from z1.results.log_reply import ForeignLog, ImportSettings, LogReply, split_text, verdict_of

ATTEMPTS = "z1_attempts"
"""The key of a sample's store that holds the attempts of a budget sweep."""

AT_BUDGET = "@"
"""Separates a scorer's name from the thinking budget in the scores of a budget sweep."""

STARTS = ("_journal/start.json", "header.json")
"""Members with the settings of the evaluation; the header is written when it ends."""


def matches(path: Path) -> bool:
    """Whether the file is a log of inspect_ai."""
    if path.suffix == ".eval":
        return True
    if path.suffix != ".json":
        return False
    try:
        value = json.loads(path.read_bytes())
    except ValueError:
        return False
    return isinstance(value, dict) and {"eval", "version"} <= value.keys()


def read(path: Path, settings: ImportSettings) -> ForeignLog:
    """The replies in the log. Raises UserError for a file that is damaged, or not a log."""
    try:
        header, samples = _members(path)
        spec = header["eval"]
        replies, attempts, problems = _contents(samples, spec, settings)
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(f"log {path}", f"no log of inspect_ai ({error!r})"[:120], "give a complete log") from None
    names = sorted({name.partition(AT_BUDGET)[0] for sample in samples for name in sample.get("scores") or {}})
    notes = [
        f"task: {spec['task']}, status {header.get('status', 'started')}",
        f"scorers: {', '.join(names) or 'none'}",
    ]
    return ForeignLog(
        "log of inspect_ai", replies, str(spec["model"]), str(spec["task"]), tuple(notes), attempts, problems
    )


def _members(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The header and all samples."""
    if path.suffix == ".json":
        value = json.loads(path.read_bytes())
        return value, list(value.get("samples") or ())
    with _open_zip(path) as archive:
        names = archive.namelist()
        header: dict[str, Any] = {}
        for name in STARTS:
            header |= json.loads(archive.read(name)) if name in names else {}
        inner = [name for name in names if name.startswith("samples/") and name.endswith(".json")]
        return header, [json.loads(archive.read(name)) for name in sorted(set(inner))]


def _open_zip(path: Path) -> zipfile.ZipFile:
    """The archive. inspect_ai compresses with zstd, which Python reads from 3.14 on or with zipfile-zstd."""
    archive = zipfile.ZipFile(path)
    if any(info.compress_type == ZSTD for info in archive.infolist()) and not hasattr(zipfile, "ZIP_ZSTANDARD"):
        try:
            import zipfile_zstd  # noqa: F401
        except ModuleNotFoundError:
            do = "pip install zipfile-zstd, or write JSON with `inspect log dump`"
            raise UserError(f"log {path}", "members compressed with zstd", do) from None
    return archive


ZSTD = 93
"""The number of zstd in the zip format."""


def _contents(
    samples: Sequence[Mapping[str, Any]], spec: Mapping[str, Any], settings: ImportSettings
) -> tuple[list[LogReply], list[Attempt], list[Problem]]:
    replies: list[LogReply] = []
    attempts: list[Attempt] = []
    problems: list[Problem] = []
    for sample in samples:
        own = [Attempt.from_json(one) for one in (sample.get("store") or {}).get(ATTEMPTS, ())]
        if own:
            attempts += own
            problems.append(Problem(own[0].problem, _input(sample), _target(sample), str(spec["task"])))
        else:
            replies.append(_reply(sample, spec, settings))
    return replies, attempts, problems


def _reply(sample: Mapping[str, Any], spec: Mapping[str, Any], settings: ImportSettings) -> LogReply:
    output = sample.get("output") or {}
    choices = list(output.get("choices") or ())
    thought, answer = _texts(choices[0]["message"]["content"] if choices else "")
    usage = output.get("usage") or {}
    verdict, fault = _verdict(sample, settings)
    return LogReply(
        str(sample["id"]),
        answer,
        thought,
        verdict,
        _budget(spec),
        int(sample.get("epoch", 1)) - 1,
        usage.get("reasoning_tokens"),
        usage.get("output_tokens"),
        bool(choices) and choices[0].get("stop_reason") in ("max_tokens", "model_length"),
        fault=fault,
        question=_input(sample),
        reference=_target(sample),
    )


def _texts(content: Any) -> tuple[str | None, str]:
    """Thought and answer of a message: its reasoning blocks and texts, or a text with think tags."""
    if isinstance(content, str):
        return split_text(content)
    kinds = {kind: [part for part in content if part.get("type") == kind] for kind in ("reasoning", "text")}
    answer = "".join(str(part["text"]) for part in kinds["text"])
    if not kinds["reasoning"]:
        return split_text(answer)
    return "".join(str(part.get("reasoning") or part.get("summary") or "") for part in kinds["reasoning"]), answer


def _verdict(sample: Mapping[str, Any], settings: ImportSettings) -> tuple[str | None, str]:
    scores = sample.get("scores") or {}
    if sample.get("error") and not scores:
        return Verdict.MISSING, str(sample["error"].get("message", "error"))[:200]
    if settings.filter and settings.filter not in scores:
        raise UserError("scorer", settings.filter, f"choose one of {', '.join(scores)}")
    value = scores[settings.filter or next(iter(scores))]["value"] if scores else None
    if isinstance(value, Mapping):
        value = next(iter(value.values()))
    return (None if value is None else verdict_of(value)), ""


def _budget(spec: Mapping[str, Any]) -> int | None:
    """The thinking budget of the whole log: of z1's provider, or Inspect's own `reasoning_tokens`."""
    given = (spec.get("model_args") or {}).get("thinking_budget")
    found = given if given is not None else (spec.get("model_generate_config") or {}).get("reasoning_tokens")
    return found if isinstance(found, int) and found >= 0 else None


def _input(sample: Mapping[str, Any]) -> str:
    given = sample.get("input", "")
    if isinstance(given, str):
        return given
    return "\n\n".join(_plain(turn.get("content", "")) for turn in given)


def _plain(content: Any) -> str:
    return content if isinstance(content, str) else "".join(_iterate_texts(content))


def _iterate_texts(content: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for part in content:
        yield str(part.get("text", ""))


def _target(sample: Mapping[str, Any]) -> str:
    target = sample.get("target", "")
    return target if isinstance(target, str) else "; ".join(map(str, target))
