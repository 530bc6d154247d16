"""How do sources and replies become a dataset?

Twice over the candidates, one at a time: once to mark what stays (checks, duplicates, pairing, budget), once to write
it. Only ids, lengths and marks are held, no texts but those of open pairs. The dataset is a folder that
`datasets.load_dataset` reads (https://huggingface.co/docs/hub/datasets-manual-configuration): rows under `data/`,
preference pairs under `pairs/`, a card, and a manifest with the reason for every candidate left out. It appears whole
or not at all.
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
from z1.curate import contamination_report, filters, joins, pairs, sources, token_budget
from z1.curate.contamination import Contamination
from z1.curate.dataset_card import card
from z1.curate.dataset_statistics import Description, spread_of
from z1.curate.dedup import MinHashDedup
from z1.curate.duplicates import ExactDedup
from z1.curate.measure import MeasureSettings
from z1.curate.measured import MeasureCache
from z1.curate.pairs import CandidateRow, Pair
from z1.curate.parallel import ParallelMap, here
from z1.curate.plan import CuratePlan
from z1.curate.shard import Shard
from z1.curate.sources import Candidate
from z1.curate.teacher_log import TeacherLog, TeacherRequest, asks
from z1.errors import UserError
from z1.runs import atomic_folder, provenance, write_json, write_lines, write_text

DATASET = "dataset"

AUDIT = "contamination.html"

BATCH = 64
"""Candidates that are measured together; a kill loses at most so many."""


def blocks(every: Iterator[Candidate]) -> Iterator[list[Candidate]]:
    """Candidates in blocks of BATCH."""
    while block := list(islice(every, BATCH)):
        yield block


def wanted(plan: CuratePlan) -> Iterator[TeacherRequest]:
    """Every reply that the plan's teacher owes."""
    for source in plan.source if plan.teacher else ():
        for problem in sources.read(source):
            if plan.teacher and not problem.response:
                yield from asks(problem, plan.teacher)


class DatasetBuilder:
    """One dataset of `plan` under `folder`, where the replies lie."""

    def __init__(self, plan: CuratePlan, folder: Path, spread: ParallelMap = here) -> None:
        self._plan, self._folder, self._spread = plan, folder, spread
        self._shelf = TeacherLog(folder)
        self._measured = MeasureCache(MeasureSettings.of(plan), folder)

    def candidates(self) -> Iterator[Candidate]:
        """Trajectories of the sources, then those of the teacher, each with its measures."""
        for block in self._measured.fill(blocks(self._every()), self._spread):
            if without := next((one for one in block if one.tokens is None), None):
                raise UserError(
                    f"tokens of {without.id}", "no count", "set tokens.tokenizer, or map a column to tokens"
                )
            yield from block

    def lacking(self) -> int:
        """How many candidates have something left to be measured."""
        return sum(self._measured.lacks(self._measured.filled(one)) for one in self._every())

    def shard(self, part: Shard) -> int:
        """Measure every candidate of `part` and keep that in a log of its own; returns how many they are."""
        log = MeasureCache(MeasureSettings.of(self._plan), self._folder, part.log)
        mine = islice(self._every(), part.number - 1, None, part.of)
        return sum(len(block) for block in log.fill(blocks(mine), self._spread))

    def due(self, levels: int) -> Iterator[TeacherRequest]:
        """The replies owed at the first `levels` levels of the teacher; where it raises levels, those of a problem
        that the levels before did not solve.
        """
        if not (teacher := self._plan.teacher):
            return
        names = list(teacher.levels)
        here: Counter[tuple[str, str]] = Counter()
        solved: set[tuple[str, str]] = set()
        for one in self.candidates() if teacher.raise_levels and levels > 1 else ():
            here[one.problem, one.level] += 1
            if not filters.wrong(one, self._plan.check):
                solved.add((one.problem, one.level))
        for ask in wanted(self._plan):
            before = [(ask.problem.problem, name) for name in names[: names.index(ask.level)]]
            needed = all(here[at] >= teacher.samples and at not in solved for at in before)
            if len(before) < levels and (needed or not teacher.raise_levels):
                yield ask

    def _every(self) -> Iterator[Candidate]:
        for source in self._plan.source:
            yield from (one for one in sources.read(source) if one.response)
        for ask, reply in self._shelf.take(wanted(self._plan)):
            yield replace(
                ask.problem,
                id=f"{ask.problem.id}:{ask.level}:{ask.sample}",
                response=f"{reply.thought}\n\n{reply.text}" if reply.thought else reply.text,
                level=ask.level,
                sample=ask.sample,
                end=reply.end,
                tokens=reply.completion_tokens,
            )

    def make(self) -> dict[str, Any]:
        """Write the dataset; returns the manifest. Raises UserError where nothing stays."""
        settings = self._plan.decontaminate
        contamination = Contamination(settings) if settings else None
        entries = self._entries(contamination)
        found = pairs.keep(entries, self._plan.pair, self._plan.seed)
        taken = token_budget.select(entries, self._plan.select, self._plan.seed)
        reasons = Counter(entry.why.split(":")[0] for entry in entries if entry.why)
        if len(entries) == reasons.total():
            why = f"{reasons.most_common(1)[0][0]!r} most often" if reasons else "no candidates"
            raise UserError(f"rows of plan {self._plan.name}", f"none; {why}", "loosen its checks or add sources")
        manifest = self._manifest(entries, found, taken, reasons)
        manifest["decontaminated"] = contamination.facts() if contamination else None
        with atomic_folder(self._folder / DATASET) as folder:
            description = Description()
            self._write(folder, entries, found, description)
            write_json(folder / "manifest.json", manifest)
            write_lines(folder / "left_out.jsonl", ({"id": e.id, "why": e.why} for e in entries if e.why))
            if contamination:
                write_text(folder / AUDIT, contamination_report.page(self._plan.name, contamination))
            write_text(folder / "README.md", card(self._plan, manifest, description, pairs=bool(found)))
        return manifest

    def _entries(self, contamination: Contamination | None) -> list[CandidateRow]:
        """Every candidate, with the first thing that is wrong with it."""
        plan = self._plan
        tests: list[Callable[[Candidate], str]] = [partial(filters.wrong, settings=plan.check)]
        if contamination:
            tests.append(contamination.wrong)
        tests.append(ExactDedup().wrong)
        if plan.duplicates.near is not None:
            tests.append(MinHashDedup(plan.duplicates, plan.seed).wrong)
        entries = []
        for one in self.candidates():
            why = next(filter(None, (wrong(one) for wrong in tests)), "")
            entries.append(
                CandidateRow(one.id, one.problem, one.tokens or 0, why, one.difficulty, one.origin, one.repetition)
            )
        return entries

    def _manifest(
        self, entries: list[CandidateRow], found: list[Pair], taken: int, reasons: Counter[str]
    ) -> dict[str, Any]:
        ratios = sorted(pair.ratio for pair in found)
        return {
            "plan": self._plan.model_dump(mode="json"),
            "tokenizer": self._measured.tokenizer or "as the sources and the teacher count",
            "candidates": len(entries),
            "rows": len(entries) - reasons.total(),
            "tokens": taken,
            "left_out": dict(reasons.most_common()),
            "repetition": spread_of([entry.repetition for entry in entries if entry.repetition is not None]),
            **joins.facts(entries),
            "pairs": len(found),
            "median_ratio": round(ratios[len(ratios) // 2], 3) if ratios else None,
            **provenance(),
        }

    def _write(self, folder: Path, entries: list[CandidateRow], found: list[Pair], description: Description) -> None:
        columns = {"id": str, "question": str, "response": str, self._plan.tokens.column: int}
        columns |= dict.fromkeys(["problem", "level", "end", "origin", "licence", "revision", "difficulty"], str)
        open_pairs = _OpenPairs(found)

        def rows() -> Iterator[dict[str, Any]]:
            for one, entry in zip(self.candidates(), entries, strict=True):
                open_pairs.meet(entry, one)
                if not entry.why:
                    description.add(one.response, entry.tokens, one.difficulty)
                    yield {name: getattr(one, name, entry.tokens) for name in columns}

        dataset_io.write(folder / "data" / "train-00000-of-00001.parquet", rows(), columns)
        if open_pairs.whole:
            kinds = {"problem": str, "prompt": str, "chosen": str, "rejected": str, "ratio": float}
            dataset_io.write(folder / "pairs" / "train-00000-of-00001.parquet", open_pairs.whole, kinds)


class _OpenPairs:
    """Waits for the texts of both sides of each pair."""

    def __init__(self, found: Iterable[Pair]) -> None:
        self._sides = {id(side): pair for pair in found for side in (pair.shortest, pair.longest)}
        self._met: dict[int, str] = {}
        self.whole: list[dict[str, Any]] = []

    def meet(self, entry: CandidateRow, one: Candidate) -> None:
        """Take the text of a candidate that is a side of a pair."""
        if not (pair := self._sides.get(id(entry))):
            return
        self._met[id(entry)] = one.response
        sides = [id(pair.shortest), id(pair.longest)]
        if all(side in self._met for side in sides):
            chosen, rejected = (self._met.pop(side) for side in sides)
            texts = {"problem": pair.problem, "prompt": one.question, "chosen": chosen, "rejected": rejected}
            self.whole.append({**texts, "ratio": pair.ratio})
