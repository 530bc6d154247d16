"""Precision of answer markers, and savings of early exit, on real trajectories.

On 690 trajectories of DeepSeek-R1 (KodCode's demo, ../shared/data/kodcode_demo.jsonl.gz) without their tags, as a model
without think tags would write them. *Markers*: `AnswerDetector` with the markers of every profile and with candidates,
compared with `bench/answer_labels.json` (60 replies labelled by hand; the file contains the rule) and, for all 690,
with the position of the tag. A detection is correct if it is not before the answer; a marker finds an answer if it
fires inside it. *AnswerExit*: the thought ends when the same draft of a function (apart from comments) has been
written `k` times, or when no new draft followed for some length; the drafts are then the answer. Reports the saved
share of the thoughts, in characters, and the lost verdicts, with the last drafts of all functions after LeetCode's
imports as the program; a model that may still write its answer loses no more. The last line is JSON; `--quick` takes
every 20th problem for convergence.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import random
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from statistics import median
from textwrap import dedent
from typing import Any

from z1.curate import verification
from z1.curate.sources import Candidate
from z1.evaluate.intervals import middle, share
from z1.grading import Verdict, function_tests
from z1.profiles import PROFILES
from z1.records import Interval
from z1.sandbox import pool
from z1.think.answer_detector import AnswerDetector

DATA = Path(__file__).parent.parent.parent / "shared" / "data" / "kodcode_demo.jsonl.gz"
LABELS = Path(__file__).parent / "answer_labels.json"

CANDIDATES = {
    "a fence of Python": ("```python",),
    "headings of an answer": ("### Solution", "### Approach"),
    "headings or a fence": ("### Solution", "### Approach", "```python"),
    "final answer in bold": ("**Final Answer**",),
    "boxed": ("\\boxed",),
    "a definition": ("def ",),
}

DEF = re.compile(r"^([ \t]*)def[ \t]+(\w+)[ \t]*\(", re.MULTILINE)

RESAMPLES = 1_000
"""Resamples of a bootstrap."""


@dataclass(frozen=True)
class Reply:
    """One trajectory without its tags; `thought` is the number of characters before the closing tag."""

    candidate: Candidate
    text: str
    thought: int

    @property
    def key(self) -> str:
        """The key of its label."""
        return sha256(self.text.encode()).hexdigest()[:16]


def replies(step: int = 1) -> Iterator[Reply]:
    """The trajectories of every `step`-th problem."""
    with gzip.open(DATA, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    for row in rows[::step]:
        entry = row["entry_points"][0] if len(row["entry_points"]) == 1 else ""
        for number, trace in enumerate(row["traces"]):
            thought, _, answer = trace.removeprefix("<think>").partition("</think>")
            name = f"{row['id']}/{number}"
            one = Candidate(name, row["id"], row["question"], trace, tests=row["tests"], entry=entry)
            yield Reply(one, thought + answer, len(thought))


def fires(text: str, markers: tuple[str, ...]) -> int | None:
    """The character at which the detector finds the start of the answer; one byte is one token here."""
    data = text.encode()
    detector = AnswerDetector([marker.encode() for marker in markers], lambda byte: bytes([byte]))
    at = detector.feed(data)
    return None if at is None else len(data[:at].decode())


def first(text: str, markers: tuple[str, ...]) -> int | None:
    """The same by text search; `detected` checks that both agree on the labelled replies."""
    found = [at for at in map(text.find, markers) if at >= 0]
    return min(found, default=None)


def detected(every: list[Reply], labels: dict[str, int], markers: tuple[str, ...]) -> dict[str, Any]:
    """Precision and recall of some markers."""
    sample = [reply for reply in every if reply.key in labels]
    fired = [(labels[reply.key], at) for reply in sample if (at := fires(reply.text, markers)) is not None]
    if [at for _, at in fired] != [at for reply in sample if (at := first(reply.text, markers)) is not None]:
        raise AssertionError("the detector does not fire at the marker")
    right = [at - label for label, at in fired if at >= label]
    everywhere = [(reply.thought, at) for reply in every if (at := first(reply.text, markers)) is not None]
    return {
        "fires": len(fired),
        "precision": share(len(right), len(fired)) if fired else None,
        "recall": share(len(right), len(sample)),
        "late_characters": median(right) if right else None,
        "all_fires": len(everywhere),
        "all_precision": share(sum(at >= tag for tag, at in everywhere), len(everywhere)) if everywhere else None,
        "all_recall": share(sum(at >= tag for tag, at in everywhere), len(every)),
    }


@dataclass(frozen=True)
class Draft:
    """One function as written in a thought, up to character `end`."""

    name: str
    source: str
    shape: str
    end: int


def drafts(thought: str) -> Iterator[Draft]:
    """Every function that parses, in order: a line `def` and all following lines that are deeper or empty."""
    for found in DEF.finditer(thought):
        lines, deep = thought[found.start() :].splitlines(keepends=True), len(found[1].expandtabs())
        size = 1
        while size < len(lines) and (not lines[size].strip() or _depth(lines[size]) > deep):
            size += 1
        whole = "".join(lines[:size]).rstrip()
        try:
            tree = ast.parse(dedent(whole))
        except (SyntaxError, ValueError):
            continue
        if deep == 0 or not _inside(thought, found):
            yield Draft(found[2], dedent(whole), ast.dump(tree), found.start() + len(whole))


def _depth(line: str) -> int:
    line = line.expandtabs()
    return len(line) - len(line.lstrip())


def _inside(thought: str, found: re.Match[str]) -> bool:
    """Whether an indented `def` is inside another block: the last shallower line before it ends in a colon."""
    before = [line for line in thought[: found.start()].splitlines() if line.strip()]
    shallower = next((line for line in reversed(before) if _depth(line) < len(found[1].expandtabs())), "")
    return shallower.rstrip().endswith(":") and shallower.lstrip().startswith(("def ", "class ", "if ", "for ", "else"))


Rule = Callable[[list[Draft], int], int | None]


def same_times(times: int) -> Rule:
    """A rule: the character at which the same draft of a function was written `times` in a row."""

    def rule(found: list[Draft], _: int) -> int | None:
        runs: dict[str, tuple[str, int]] = {}
        for draft in found:
            shape, count = runs.get(draft.name, ("", 0))
            count = count + 1 if shape == draft.shape else 1
            runs[draft.name] = draft.shape, count
            if count >= times:
                return draft.end
        return None

    return rule


def unchanged_for(characters: int) -> Rule:
    """A rule: the character after which no new or changed draft was written for `characters`."""

    def rule(found: list[Draft], thought: int) -> int | None:
        last: dict[str, str] = {}
        since: int | None = None
        for draft in found:
            if since is not None and draft.end - len(draft.source) - since >= characters:
                return since + characters
            if last.get(draft.name) != draft.shape:
                since = draft.end
            last[draft.name] = draft.shape
        return since + characters if since is not None and since + characters < thought else None

    return rule


RULES: dict[str, Rule] = {
    "the first draft": same_times(1),
    "the same draft twice": same_times(2),
    "the same draft three times": same_times(3),
    "unchanged for 1,000 characters": unchanged_for(1_000),
    "unchanged for 2,000 characters": unchanged_for(2_000),
    "unchanged for 4,000 characters": unchanged_for(4_000),
}


def program(found: list[Draft], until: int) -> str:
    """The last draft of each function before character `until`, in the order of writing."""
    last: dict[str, str] = {}
    for draft in found:
        if draft.end <= until:
            last.pop(draft.name, None)
            last[draft.name] = draft.source
    return f"{function_tests.PRELUDE}\n" + "\n\n".join(last.values())


@dataclass(frozen=True)
class Cut:
    """One trajectory under one rule: saved characters of its thought, and its verdicts whole and cut."""

    problem: str
    thought: int
    saved: int
    whole: Verdict
    cut: Verdict


def verdict(one: Candidate) -> Verdict:
    return verification.grade(one).verdict


def cuts(every: list[Reply], threads: int) -> dict[str, list[Cut]]:
    """Every trajectory under every rule; each program is graded once."""
    todo: dict[str, Candidate] = {}
    plans = []
    for reply in every:
        found = list(drafts(reply.text[: reply.thought]))
        todo[reply.candidate.response] = reply.candidate
        for name, rule in RULES.items():
            at = rule(found, reply.thought)
            text = reply.candidate.response if at is None else f"```python\n{program(found, at)}\n```"
            todo[text + reply.candidate.problem] = replace(reply.candidate, response=text)
            plans.append((name, reply, at, text + reply.candidate.problem))
    with ThreadPoolExecutor(threads) as workers:
        verdicts = dict(zip(todo, workers.map(verdict, todo.values()), strict=True))
    result: dict[str, list[Cut]] = {name: [] for name in RULES}
    for name, reply, at, key in plans:
        whole = verdicts[reply.candidate.response]
        saved = 0 if at is None else reply.thought - at
        result[name].append(Cut(reply.candidate.problem, reply.thought, saved, whole, verdicts[key] if at else whole))
    return result


def summary(found: list[Cut]) -> dict[str, Any]:
    """Savings and losses of a rule; intervals by a bootstrap over problems."""
    known = [cut for cut in found if Verdict.MISSING not in (cut.whole, cut.cut)]
    right = [cut for cut in known if cut.whole is Verdict.RIGHT]
    return {
        "trajectories": len(known),
        "fires": sum(cut.saved > 0 for cut in known),
        "saved": bootstrap(known, lambda cuts: sum(cut.saved for cut in cuts) / sum(cut.thought for cut in cuts)),
        "right": len(right),
        "lost": bootstrap(right, lambda cuts: sum(cut.cut is not Verdict.RIGHT for cut in cuts) / len(cuts)),
        "won": sum(cut.whole is not Verdict.RIGHT and cut.cut is Verdict.RIGHT for cut in known),
    }


def bootstrap(found: list[Cut], value: Callable[[list[Cut]], float]) -> Interval:
    """`value` of the trajectories, with a bootstrap interval over problems."""
    problems: dict[str, list[Cut]] = {}
    for cut in found:
        problems.setdefault(cut.problem, []).append(cut)
    groups, rng = list(problems.values()), random.Random(0)
    resamples = ([cut for group in rng.choices(groups, k=len(groups)) for cut in group] for _ in range(RESAMPLES))
    return middle(value(found), [value(resample) for resample in resamples])


def percent(interval: Interval | None) -> str:
    """An interval as text for a table."""
    return "" if interval is None else f"{interval[1]:.1%} [{interval[0]:.1%}, {interval[2]:.1%}]"


def main() -> None:
    """Print both tables as Markdown, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description="Precision of answer markers, and savings of early exit.")
    parser.add_argument("--quick", action="store_true", help="every 20th problem for convergence")
    parser.add_argument("--threads", type=int, default=2, help="programs at once")
    given = parser.parse_args()
    if not DATA.is_file() or not sys.platform.startswith("linux"):
        sys.exit(f"needs {DATA} and, to grade programs, Linux")
    labels: dict[str, int] = json.loads(LABELS.read_text())["labels"]
    profiles = {f"profile {name}": one.markers for name, one in PROFILES.items() if one.markers}
    every = list(replies())
    found = {name: detected(every, labels, markers) for name, markers in {**profiles, **CANDIDATES}.items()}
    print("| markers | fires of 60 | precision | recall | characters late | fires of 690 | precision by the tag |")
    print("|---|---|---|---|---|---|---|")
    for name, one in found.items():
        late = "" if one["late_characters"] is None else f"{one['late_characters']:.0f}"
        print(
            f"| {name} | {one['fires']} | {percent(one['precision'])} | {percent(one['recall'])} | {late} | "
            f"{one['all_fires']} | {percent(one['all_precision'])} |"
        )
    converged = {
        name: summary(cut) for name, cut in cuts(list(replies(20 if given.quick else 1)), given.threads).items()
    }
    print("\n| rule | fires | thought saved | passing verdicts lost | won |\n|---|---|---|---|---|")
    for name, rule in converged.items():
        print(
            f"| {name} | {rule['fires']} of {rule['trajectories']} | {percent(rule['saved'])} | "
            f"{percent(rule['lost'])} of {rule['right']} | {rule['won']} |"
        )
    pool.close_all()
    print(json.dumps({"bench": "answers", "markers": found, "convergence": converged}))


if __name__ == "__main__":
    main()
