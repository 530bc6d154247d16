"""The page of a study, as Markdown that people and git can read.

Formats the numbers of a study and computes nothing but percentages. A missing number is left out, and evaluations that
were not run are listed. Texts of one study come from its `[page]` table (`StudyPage`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import Field

from z1.settings import Settings

Numbers = Mapping[str, Any]

INTERVALS = """\
- **Intervals** are 95 %, over problems: normal for means, Wilson's by difficulty, the bootstrap for numbers read off a
  curve. A problem counts once, with its mean over seeds; the results of the seeds are listed beside it. Comparisons are
  paired by problem."""


class StudyPage(Settings):
    """`[page]`: the selection and the texts of a study's page."""

    arms: tuple[str, ...] = ()
    """The arms in the headline and in the wide tables; all if not given."""
    against: str = ""
    """The arm that the page compares the reference with first."""
    sampling: str = ""
    """How the problems of the first evaluation were drawn."""
    benchmarks: dict[str, str] = Field(default_factory=dict)
    """What the problems of each benchmark are, in words."""
    out_of_distribution: str = ""
    """A note on the evaluations after the first."""
    caveats: str = ""
    """Markdown list of what a reader has to know about the numbers."""


MATCHED = "thinking_ratio_at_matched_accuracy"


def page(study: str, numbers: Numbers, settings: StudyPage, sections: Sequence[str] = ()) -> str:
    """The page about `study`, whose `numbers` are in results.json; `sections` are Markdown put before the caveats."""
    reference = numbers["reference"]
    parts = [
        f"# Results: {study}",
        f"All numbers are in [results.json](results.json) under `{study}`, with the names of their runs; the manifests "
        f"of the runs are in [runs](runs). This page was written by `{numbers['command']}`.",
        _headline(numbers, settings),
        *_by_steps(numbers, "difficulty", "thinking tokens and accuracy by difficulty"),
        _shares(numbers, settings, "by_difficulty", "steps"),
        _shares(numbers, settings, "by_kind", "kind"),
        settings.sampling.strip("\n"),
        "## Acceptance criteria\n\n" + _criteria(numbers),
        picture("curve", "accuracy against tokens"),
        "## Arms\n\n" + _arms(numbers),
        f"## {reference} compared with the other arms\n\n" + _comparisons(numbers),
        "## Thinking budgets\n\n" + _budgets(numbers, settings),
        *_by_steps(numbers, "cutoff", "accuracy by thinking budget and steps"),
        "## Out of distribution\n\n" + _out_of_distribution(numbers, settings),
        *sections,
        "## Caveats\n\n" + "\n".join(filter(None, (settings.caveats.strip("\n"), INTERVALS))),
        "## Not run\n\n"
        + ("\n".join(f"- {one}" for one in numbers["not_run"]) or "Everything that the study names was run."),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _by_steps(numbers: Numbers, name: str, alternative: str) -> list[str]:
    """The picture, which is there only if the problems have steps."""
    rows = (row for each in numbers["by_difficulty"].values() for row in each)
    return [picture(name, alternative)] if any(row["steps"] for row in rows) else []


def picture(name: str, alternative: str) -> str:
    """A picture of the study, which has a narrow layout for phones."""
    narrow = f'<source media="(max-width: 640px)" srcset="{name}-narrow.png">'
    return f'<picture>{narrow}<img src="{name}.png" alt="{alternative}" width="720"></picture>'


def shown_arms(numbers: Numbers, settings: StudyPage) -> list[str]:
    """The arms in the headline, the wide tables and the pictures."""
    return [arm for arm in settings.arms or numbers["curves"] if arm in numbers["curves"]]


def _headline(numbers: Numbers, settings: StudyPage) -> str:
    clauses = []
    for arm in shown_arms(numbers, settings):
        unlimited = numbers["curves"][arm][-1]
        clauses.append(
            f"{arm} {percent(unlimited['accuracy'])} % with {tokens(unlimited['thinking_tokens'])} thinking tokens"
        )
    n = sum(row["n"] for row in next(iter(numbers["by_difficulty"].values())))
    problems = next((_problems(one["benchmark"], settings) for one in numbers["evaluations"]), "problems")
    each = f"Accuracy with unlimited thinking on {n:,} {problems}: " + "; ".join(clauses) + "."
    return "\n\n".join(filter(None, (_first_comparison(numbers, settings), each)))


def _first_comparison(numbers: Numbers, settings: StudyPage) -> str:
    """The reference beside the arm that the page leads with, then beside the other arms of the headline."""
    pairs = {one["against"]: one for one in numbers["comparisons"] if one["arm"] == numbers["reference"]}
    order = dict.fromkeys((settings.against, *settings.arms)) if settings.against else {}
    lines = []
    for arm in (one for one in order if one in pairs):
        difference, matched = percent(pairs[arm]["accuracy_difference"]), pairs[arm][MATCHED]
        thought = f"{ratio(matched)} of its thinking tokens at matched accuracy{_by_design(numbers, arm)}"
        lines.append(f"- {numbers['reference']} against *{arm}*: {difference} points of accuracy, {thought}.")
    return "\n".join(lines)


def _by_design(numbers: Numbers, arm: str) -> str:
    found = numbers.get("data_ratio", {}).get(arm)
    return f" (by the design of the data: {ratio(found)})" if found else ""


def _problems(benchmark: str, settings: StudyPage) -> str:
    return settings.benchmarks.get(benchmark, f"problems of {benchmark}")


def _shares(numbers: Numbers, settings: StudyPage, key: str, group: str) -> str:
    """Accuracy and thinking tokens of each arm by steps or by kind of the problems."""
    if not numbers.get(key):
        return ""
    arms = shown_arms(numbers, settings)
    rows = zip(*(numbers[key][arm] for arm in arms), strict=True)
    heads = [part for arm in arms for part in (f"{arm}: accuracy %", "thinking tokens")]
    return table(
        [group, "n", *heads],
        (
            [
                row[0][group],
                row[0]["n"],
                *(part for c in row for part in (percent(c["accuracy"]), tokens(c["thinking_tokens"]))),
            ]
            for row in rows
        ),
    )


def _criteria(numbers: Numbers) -> str:
    rows = [_criterion(one) for one in numbers["criteria"]]
    return table(["criterion", "found", "bound", ""], rows) if rows else "The study names none."


def _criterion(one: Numbers) -> list[str]:
    """Shares and ratios are printed in percent, differences in points, core-minutes as they are."""
    scale, unit = {"core_minutes": (1, ""), "accuracy_difference": (100, " points")}.get(one["metric"], (100, " %"))
    is_lower = "at_least" in one
    bound = one["at_least"] if is_lower else one["at_most"]
    missed = f"missed by {scale * abs(bound - one['found']):.1f}{' points' * (scale > 1)}"
    words = f"at {'least' if is_lower else 'most'} {scale * bound:g}{unit}"
    return [one["name"], f"{scale * one['found']:.1f}{unit}", words, "met" if one["is_met"] else missed]


def _arms(numbers: Numbers) -> str:
    return table(
        ["arm", "accuracy %", "each seed", "thinking tokens", "all tokens", "core-minutes"],
        (
            [
                arm,
                percent(curve[-1]["accuracy"]),
                ", ".join(f"{100 * seed[1]:.1f}" for seed in numbers["seeds"][arm]),
                tokens(curve[-1]["thinking_tokens"]),
                tokens(curve[-1]["paid_tokens"]),
                f"{numbers['core_minutes'][arm]:.1f}",
            ]
            for arm, curve in numbers["curves"].items()
        ),
    )


def _comparisons(numbers: Numbers) -> str:
    ratios = {
        "thinking_ratio": "thinking tokens, unlimited",
        "thinking_ratio_at_matched_accuracy": "at matched accuracy",
        "thinking_ratio_within_1_point": "within 1 point of it",
    }
    design = numbers.get("data_ratio", {})
    rows = [
        [one["arm"], one["against"], percent(one["accuracy_difference"]), *(ratio(one[key]) for key in ratios)]
        + [ratio(design[one["against"]]) if one["against"] in design else ""] * bool(design)
        for one in numbers["comparisons"]
    ]
    note = "Differences are in points; ratios are tokens of the arm over tokens of the other arm.\n\n"
    if design:
        note = note.replace("\n\n", " *By design*: the ratio of the teacher's own texts, before any training.\n\n")
    heads = ["arm", "against", "accuracy difference", *ratios.values(), *["by design"] * bool(design)]
    return note + table(heads, rows) if rows else "Not run."


def _budgets(numbers: Numbers, settings: StudyPage) -> str:
    arms = shown_arms(numbers, settings)
    rows = zip(*(numbers["curves"][arm] for arm in arms), strict=True)
    heads = [part for arm in arms for part in (f"{arm}: accuracy %", "truncated", "thinking tokens")]
    note = "*truncated*: accuracy if the unlimited reply is cut off after that many tokens.\n\n"
    return note + table(
        ["thinking budget", *heads],
        (
            ["unlimited" if row[0]["thinking_budget"] is None else row[0]["thinking_budget"]]
            + [part for p in row for part in (percent(p["accuracy"]), _truncated(p), tokens(p["thinking_tokens"]))]
            for row in rows
        ),
    )


def _truncated(point: Numbers) -> str:
    return percent(point["truncated_accuracy"]) if "truncated_accuracy" in point else ""


def _out_of_distribution(numbers: Numbers, settings: StudyPage) -> str:
    """Evaluations on benchmarks other than the first evaluation's."""
    main = next((one["benchmark"] for one in numbers["evaluations"]), "")
    rows = [
        [
            _problems(one["benchmark"], settings),
            one["arm"],
            one["unlimited"]["n"],
            percent(one["unlimited"]["accuracy"]),
            tokens(one["unlimited"]["thinking_tokens"]),
        ]
        for one in numbers["evaluations"]
        if one["benchmark"] != main
    ]
    note = f"{settings.out_of_distribution}\n\n" if settings.out_of_distribution else ""
    return note + table(["problems", "arm", "n", "accuracy %", "thinking tokens"], rows) if rows else "Not run."


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def percent(interval: Sequence[float]) -> str:
    """[0.963, 0.967, 0.971] as 96.7 [96.3, 97.1]."""
    low, value, high = (100 * one for one in interval)
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def tokens(interval: Sequence[float]) -> str:
    """Mean tokens with their interval, one decimal."""
    low, value, high = interval
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def ratio(interval: Sequence[float]) -> str:
    """A ratio with its interval, three decimals."""
    low, value, high = interval
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"
