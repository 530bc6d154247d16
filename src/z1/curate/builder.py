"""Dataset builder: turns the sources and teacher replies of a plan into a dataset folder.

Two passes over the candidates, one at a time: the first marks what is dropped (filters, decontamination, dedup, pairs,
token budget), the second writes the rest. Memory holds ids, lengths and marks, and the texts of unfinished pairs only.

The dataset is a folder that `datasets.load_dataset` reads
(https://huggingface.co/docs/hub/datasets-manual-configuration): rows under `data/`, preference pairs under `pairs/`, a
card, and a manifest with the drop reasons. The folder appears complete or not at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from z1 import dataset_io
from z1.curate import contamination_report, filters, pairs, sources, token_budget
from z1.curate.contamination import Contamination, held_out_items
from z1.curate.dataset_card import render_card
from z1.curate.dataset_statistics import DatasetStatistics, count_origins, quantiles_of
from z1.curate.dedup import ExactDedup, MinHashDedup
from z1.curate.measure import MeasureCache, MeasureSettings
from z1.curate.pairs import CandidateRow, Pair
from z1.curate.parallel import ParallelMap, Shard, in_process
from z1.curate.plan import CuratePlan
from z1.curate.sources import Candidate
from z1.curate.teacher_log import TeacherLog, TeacherReply, TeacherRequest, requests_for
from z1.dataset_rows import LeftOut, thoughts
from z1.errors import Fault, UserError
from z1.runs import atomic_folder, provenance, write_json, write_lines, write_text

DATASET = "dataset"

REPORT = "contamination.html"

BATCH = 64
"""Candidates measured together; at most so many are lost in a kill."""


OnProgress = Callable[[int, int], None]
"""Called with the number of candidates that are done, and how many there are; 0 if that is not known."""


def _ignore(_done: int, _total: int) -> None:
    pass


def batches(candidates: Iterator[Candidate]) -> Iterator[list[Candidate]]:
    """Candidates in lists of BATCH."""
    while batch := list(islice(candidates, BATCH)):
        yield batch


def teacher_requests(plan: CuratePlan) -> Iterator[TeacherRequest]:
    """All requests of a plan to its teacher."""
    for source in plan.source if plan.teacher else ():
        for problem in sources.read(source):
            if plan.teacher and not problem.response and not problem.left_out:
                yield from requests_for(problem, plan.teacher)


class DatasetBuilder:
    """Builds the dataset of `plan` under `folder`, which also holds the teacher's log."""

    def __init__(self, plan: CuratePlan, folder: Path, parallel_map: ParallelMap = in_process) -> None:
        self._plan, self._folder, self._parallel_map = plan, folder, parallel_map
        self._teacher_log = TeacherLog(folder)
        self._measures = MeasureCache(MeasureSettings.from_plan(plan), folder)

    def candidates(self) -> Iterator[Candidate]:
        """Trajectories of the sources, then those of the teacher, each with its measures."""
        for block in self._measures.measure_blocks(batches(self._unmeasured()), self._parallel_map):
            if uncounted := next((candidate for candidate in block if candidate.tokens is None), None):
                raise UserError(
                    f"tokens of {uncounted.id}", "no count", "set tokens.tokenizer, or map a column to tokens"
                )
            yield from block

    def count_incomplete(self) -> int:
        """The number of candidates with a missing measure."""
        cache = self._measures
        return sum(cache.is_incomplete(cache.with_cached(candidate)) for candidate in self._unmeasured())

    def measure_shard(self, shard: Shard, on_progress: OnProgress = _ignore) -> int:
        """Measure the candidates of `shard` into its own log; returns their number."""
        log = MeasureCache(MeasureSettings.from_plan(self._plan), self._folder, shard.log)
        candidates = islice(self._unmeasured(), shard.number - 1, None, shard.total)
        measured = 0
        for block in log.measure_blocks(batches(candidates), self._parallel_map):
            measured += len(block)
            on_progress(measured, 0)
        return measured

    def pending_requests(self, levels: int) -> Iterator[TeacherRequest]:
        """Requests at the first `levels` levels of the teacher; with `raise_levels`, only for problems that the earlier
        levels did not solve.
        """
        if not (teacher := self._plan.teacher):
            return
        names = list(teacher.levels)
        replies: Counter[tuple[str, str]] = Counter()
        solved: set[tuple[str, str]] = set()
        for candidate in self.candidates() if teacher.raise_levels and levels > 1 else ():
            replies[candidate.problem, candidate.level] += 1
            if not filters.drop_reason(candidate, self._plan.check):
                solved.add((candidate.problem, candidate.level))
        for request in teacher_requests(self._plan):
            before = [(request.problem.problem, name) for name in names[: names.index(request.level)]]
            is_unsolved = all(replies[key] >= teacher.samples and key not in solved for key in before)
            if len(before) < levels and (is_unsolved or not teacher.raise_levels):
                yield request

    def _unmeasured(self) -> Iterator[Candidate]:
        for source in self._plan.source:
            for candidate in sources.read(source):
                if candidate.response or candidate.left_out or not self._plan.teacher:
                    yield candidate
        for request, reply in self._teacher_log.replies_to(teacher_requests(self._plan)):
            yield _taught(request, reply)

    def build(self, on_progress: OnProgress = _ignore) -> dict[str, Any]:
        """Write the dataset; returns the manifest. Raises UserError if every candidate is dropped.

        Candidates are read twice, to filter them and to write them; `on_progress` is called after each.
        """
        settings = self._plan.decontaminate
        contamination = Contamination(settings, held_out_items(self._plan)) if settings else None
        rows = self._rows(contamination, on_progress)
        found = pairs.find_pairs(rows, self._plan.pair, self._plan.seed)
        tokens = token_budget.apply_budget(rows, self._plan.select, self._plan.seed)
        reasons = Counter(row.reason.split(":")[0] for row in rows if row.reason)
        if len(rows) == reasons.total():
            got = f"none; most dropped as {reasons.most_common(1)[0][0]!r}" if reasons else "none; no candidates"
            raise UserError(f"rows of plan {self._plan.name}", got, "relax its filters or add sources")
        manifest = self._manifest(rows, found, tokens, reasons)
        manifest["decontaminated"] = contamination.summary() if contamination else None
        with atomic_folder(self._folder / DATASET) as folder:
            statistics = DatasetStatistics()
            written = self._write(folder, rows, _PreferencePairs(found), statistics, on_progress)
            write_json(folder / "manifest.json", manifest)
            write_lines(folder / "dropped.jsonl", ({"id": r.id, "reason": r.reason} for r in rows if r.reason))
            if written + reasons.total() != len(rows):
                raise Fault(f"{len(rows)} candidates: {written} rows written and {reasons.total()} dropped")
            if contamination:
                write_text(folder / REPORT, contamination_report.render(self._plan.name, contamination))
            write_text(folder / "README.md", render_card(self._plan, manifest, statistics, pairs=bool(found)))
        return manifest

    def _rows(self, contamination: Contamination | None, on_progress: OnProgress) -> list[CandidateRow]:
        """Every candidate with the first reason to drop it."""
        plan = self._plan
        checks: list[Callable[[Candidate], str]] = [partial(filters.drop_reason, settings=plan.check)]
        if contamination:
            checks.append(contamination.drop_reason)
        checks.append(ExactDedup().drop_reason)
        if plan.duplicates.min_similarity is not None:
            checks.append(MinHashDedup(plan.duplicates, plan.seed).drop_reason)
        rows = []
        for count, one in enumerate(self.candidates(), 1):
            reason = next(filter(None, (check(one) for check in checks)), "")
            rows.append(
                CandidateRow(one.id, one.problem, one.tokens or 0, reason, one.difficulty, one.origin, one.repetition)
            )
            on_progress(count, 0)
        return rows

    def _manifest(
        self, rows: list[CandidateRow], found: list[Pair], tokens: int, reasons: Counter[str]
    ) -> dict[str, Any]:
        ratios = sorted(pair.ratio for pair in found)
        return {
            "plan": self._plan.model_dump(mode="json"),
            "tokenizer": self._measures.tokenizer or "counts of the sources and the teacher",
            "candidates": len(rows),
            "rows": len(rows) - reasons.total(),
            "tokens": tokens,
            "dropped": dict(reasons.most_common()),
            "repetition": quantiles_of([row.repetition for row in rows if row.repetition is not None]),
            **count_origins(rows),
            "held_out_files": [file.name for source in self._plan.source for file in source.table_files().held_out],
            "pairs": len(found),
            "median_ratio": round(ratios[len(ratios) // 2], 3) if ratios else None,
            **provenance(),
        }

    def _write(
        self,
        folder: Path,
        rows: list[CandidateRow],
        preferences: _PreferencePairs,
        statistics: DatasetStatistics,
        on_progress: OnProgress,
    ) -> int:
        """Write rows and pairs; returns the number of rows."""
        columns = {"id": str, "question": str, "response": str, self._plan.tokens.column: int}
        columns |= dict.fromkeys(["problem", "level", "end", "origin", "licence", "revision", "difficulty"], str)

        def kept_rows() -> Iterator[dict[str, Any]]:
            for count, (candidate, row) in enumerate(zip(self.candidates(), rows, strict=True), 1):
                on_progress(count, len(rows))
                preferences.add(row, candidate)
                if not row.reason:
                    statistics.add(candidate.response, row.tokens, candidate.difficulty)
                    yield {name: getattr(candidate, name, row.tokens) for name in columns}

        written = dataset_io.write(folder / "data" / "train-00000-of-00001.parquet", kept_rows(), columns)
        if preferences.complete:
            kinds = {"problem": str, "prompt": str, "chosen": str, "rejected": str, "ratio": float}
            dataset_io.write(folder / "pairs" / "train-00000-of-00001.parquet", preferences.complete, kinds)
        return written


def _taught(request: TeacherRequest, reply: TeacherReply) -> Candidate:
    """A teacher's reply as a candidate; its thought is written as a source's is."""
    left_out = ""
    thought, answer = reply.thought, reply.text
    try:
        if not thought:
            thought, answer = thoughts.split(answer)
    except LeftOut as why:
        left_out = str(why)
    return replace(
        request.problem,
        id=f"{request.problem.id}:{request.level}:{request.sample}",
        response=thoughts.join(thought, answer),
        level=request.level,
        sample=request.sample,
        end=reply.end,
        tokens=reply.completion_tokens,
        left_out=left_out,
    )


class _PreferencePairs:
    """Collects the texts of both sides of each pair."""

    def __init__(self, found: Iterable[Pair]) -> None:
        self._sides = {id(side): pair for pair in found for side in (pair.shortest, pair.longest)}
        self._texts: dict[int, str] = {}
        self.complete: list[dict[str, Any]] = []

    def add(self, row: CandidateRow, candidate: Candidate) -> None:
        """Take the text of a candidate that is a side of a pair."""
        if not (pair := self._sides.get(id(row))):
            return
        self._texts[id(row)] = candidate.response
        sides = [id(pair.shortest), id(pair.longest)]
        if all(side in self._texts for side in sides):
            chosen, rejected = (self._texts.pop(side) for side in sides)
            texts = {"problem": pair.problem, "prompt": candidate.question, "chosen": chosen, "rejected": rejected}
            self.complete.append({**texts, "ratio": pair.ratio})
