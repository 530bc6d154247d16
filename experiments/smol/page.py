"""The page of the study, results.md, from its recorded runs and those under `--runs`.

python -m experiments.smol.page
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.smol import answers, claims
from experiments.smol.claims import Scores
from experiments.smol.engines import ENGINES
from z1 import runs
from z1 import study as studies
from z1.evaluate import PROBLEMS, hash_answer, paired, read_attempts
from z1.grading import Verdict
from z1.records import Attempt, Problem
from z1.report import study_pictures
from z1.report.study_page import percent, picture, ratio, shown_arms, table, tokens
from z1.study import EvaluationFolders, Study

HERE = Path(__file__).parent

CARRY = {
    "svamp": "SVAMP (the endpoint)",
    "heldout-words-results": "word problems of our own",
    "gsm8k-test": "GSM8K, test",
}
"""The data of the carry-over, and their names on the page."""

CONTROLS = ("format", "direct", "unrelated", "base", "base-8")
CLAIMANTS = ("z1", "full", "shuffled")
CODE_ONLY = (*CLAIMANTS, "long", "short")
"""The arms that are trained on code alone, whose accuracy elsewhere is carry-over."""

ADAPTER = "adapter"
"""The arm that is in the package, trained with LoRA on programs and on word problems."""

PRIMARY = (
    ("full", claims.accuracy_difference, "accuracy of z1 minus full", "lower end above -1 point"),
    ("full", claims.thinking_ratio, "thinking tokens of z1 over full", "upper end below 1"),
    ("shuffled", claims.at_equal_thought, "accuracy of z1 minus shuffled at equal mean thought", "lower end above 0"),
)

BUILT_IN = """\
## What is built in

- z1's thoughts are short for problems with few calculations and long for others, because its training rows are. What is
  learned is to infer from the question how much thought it needs, and to be right with it.
- *full* writes every executed line. That z1 thinks less than *full* follows from the data; that it is as often right
  does not. *shuffled* has as many thoughts of each length as z1, given to problems at random.
- Programs and their split are generated: an arm trained on code knows the kinds of program that it is tested on.
- What SmolLM2 saw in its pretraining is unknown. SVAMP and GSM8K's test set are used here for the first time."""


def carry_over(study: Study, done: EvaluationFolders) -> dict[str, Any]:
    """By data and arm: lenient and strict accuracy, thinking tokens, and what is left of it against the controls."""
    found: dict[str, Any] = {}
    for data in CARRY:
        arms = {arm: folders for (arm, index), folders in done.items() if Path(study.evaluate[index].data).stem == data}
        if arms:
            found[data] = _carry_over(arms)
    return found


def _carry_over(arms: Mapping[str, list[Path]]) -> dict[str, Any]:
    first = next(iter(arms.values()))[0]
    problems = {one.id: one for one in runs.read_lines(first / PROBLEMS, Problem.from_json)}
    clusters = {name: one.kind or name for name, one in problems.items()}
    gold = {name: one.answer for name, one in problems.items()}
    if any(one.question for one in problems.values()):  # a run, whose answers are not hashed
        gold = {name: hash_answer(one) for name, one in gold.items()}
    seeds = {arm: [_unlimited(path) for path in folders] for arm, folders in arms.items()}
    lenient = {
        arm: claims.scores(one, lambda attempt: answers.is_right_leniently(attempt, gold[attempt.problem]))
        for arm, one in seeds.items()
    }
    strict = {arm: claims.scores(one, answers.is_right_strictly) for arm, one in seeds.items()}
    rows = {
        arm: {
            "n": len(one.problems),
            "seeds": len(one.right),
            "lenient": _clustered(one, clusters),
            "strict": _clustered(strict[arm], clusters),
            "thinking_tokens": float(one.thought.mean()),
        }
        for arm, one in lenient.items()
    }
    controls = [arm for arm in CONTROLS if arm in lenient]
    if not controls:
        return {"arms": rows}
    best = max(controls, key=lambda arm: float(lenient[arm].right[:, -1].mean()))
    against = {
        arm: claims.compare(claims.accuracy_difference, lenient[arm], lenient[best], clusters)
        for arm in lenient
        if arm in CODE_ONLY
    }
    compared = {arm: {"difference": one.interval, "smallest": one.smallest} for arm, one in against.items()}
    return {"arms": rows, "best_control": best, "against_best_control": compared}


def _unlimited(folder: Path) -> list[Attempt]:
    return [one for one in read_attempts(folder).values() if one.thinking_budget is None]


def _clustered(one: Scores, clusters: Mapping[str, str]) -> tuple[float, float, float]:
    groups: dict[str, list[float]] = {}
    for problem, value in zip(one.problems, one.right[:, -1].mean(0), strict=True):
        groups.setdefault(clusters[problem], []).append(float(value))
    return paired.bootstrap(list(groups.values()))


def primary(done: EvaluationFolders) -> list[dict[str, Any]]:
    """The primary claims whose arms are measured, each with its interval and whether it holds."""
    seeds = {
        arm: claims.scores([list(read_attempts(path).values()) for path in done[arm, 0]], _is_right)
        for arm in CLAIMANTS
        if (arm, 0) in done
    }
    found = []
    for other, measure, name, bound in PRIMARY:
        if "z1" in seeds and other in seeds:
            one = claims.compare(measure, seeds["z1"], seeds[other])
            low, _, high = one.interval
            holds = {"full": low > -0.01, "shuffled": low > 0}[other]
            if measure is claims.thinking_ratio:
                holds = high < 1
            counts = [len(seeds[arm].right) for arm in ("z1", other)]
            found.append({"claim": name, "bound": bound, "found": one.interval, "holds": holds, "seeds": counts})
    return found


def _is_right(attempt: Attempt) -> bool:
    return attempt.verdict == Verdict.RIGHT


def page(study: Study, numbers: Mapping[str, Any]) -> str:
    """The page, in Markdown."""
    parts = [
        "# Results: SmolLM2-135M that thinks as long as it needs",
        picture("difficulty", "thinking tokens and accuracy by difficulty") if numbers.get("curves") else "",
        "All numbers are in [results.json](results.json), with the names of their runs; the runs are recorded in "
        "[runs](runs). [plan.md](plan.md) was written before. This page was written by "
        "`python -m experiments.smol.page`.",
        BUILT_IN,
        "## Primary claims\n\n" + _primary(numbers),
        "## Carry-over\n\n" + _carry(study, numbers),
        "## Thinking against difficulty\n\n" + _difficulty(study, numbers),
        picture("curve", "accuracy against tokens") if numbers.get("curves") else "",
        "## The adapter\n\n" + _adapter(numbers),
        "## Forgetting\n\n" + _forgetting(numbers),
        "## Core-minutes\n\n" + _minutes(numbers),
        "## Not run\n\n" + _not_run(numbers["not_run"]),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


CUT = "GSM8K's test set, sampling at temperature 0.6, the hint on and off, arms with tags."
"""What the plan names and the study's file does not have."""


def _not_run(left: list[str]) -> str:
    """What is left of the study, a line for each arm; `left` has lines such as `full, seed 2: svamp`."""
    arms: dict[str, dict[str, list[str]]] = {}
    for one in left:
        run, _, data = one.partition(": ")
        arm, _, seed = run.partition(", ")
        arms.setdefault(arm, {}).setdefault(seed, []).append(data)
    lines = [
        f"- {arm}: " + "; ".join(f"{seed} ({', '.join(data)})" for seed, data in s.items()) for arm, s in arms.items()
    ]
    return "\n".join([*lines, f"- {CUT}"])


def _primary(numbers: Mapping[str, Any]) -> str:
    shown = {one["claim"]: one for one in numbers["primary"]}
    rows = []
    for _, measure, name, bound in PRIMARY:
        one = shown.get(name)
        form = ratio if measure is claims.thinking_ratio else percent
        cells = ["not run", "", ""]
        if one is not None:
            cells = [form(one["found"]), " and ".join(map(str, one["seeds"])), _verdict(one["holds"])]
        rows.append([name, bound, *cells])
    note = (
        "Accuracies in points; 95 % intervals by a bootstrap over problems and seeds. The interval of an arm with one "
        "seed is too narrow: it has no spread of seeds. *Seeds*: of z1, and of the other arm."
    )
    return f"{note}\n\n" + table(["claim", "bound", "found", "seeds", ""], rows)


def _verdict(holds: bool) -> str:
    return "shown" if holds else "not shown"


def _carry(study: Study, numbers: Mapping[str, Any]) -> str:
    note = (
        "Accuracy without a thinking budget, in %. *Lenient* reads the last box or number of a reply, *strict* the "
        "form that was asked for. *Against the best control* of those that were run: lenient points, with the "
        "smallest difference that would be seen four times in five. Intervals of SVAMP are clustered by body without "
        "its numbers. Arms that are missing were not run."
    )
    heads = ["problems", "arm", "n", "seeds", "lenient", "strict", "thinking tokens", "against the best control"]
    return f"{note}\n\n" + table([*heads, "smallest seen"], _carry_rows(study, numbers))


def _carry_rows(study: Study, numbers: Mapping[str, Any]) -> Iterator[list[object]]:
    for data, name in CARRY.items():
        found = numbers["carry_over"].get(data, {"arms": {}})
        against = found.get("against_best_control", {})
        for arm in (*CODE_ONLY, *CONTROLS):
            row = found["arms"].get(arm)
            if row is None:
                continue
            last: list[object] = ["", ""]
            if arm in against:
                last = [percent(against[arm]["difference"]), f"{100 * against[arm]['smallest']:.1f}"]
            elif arm == found.get("best_control"):
                last = ["the best control", ""]
            shares = [percent(row["lenient"]), percent(row["strict"])]
            yield [name, arm, row["n"], row["seeds"], *shares, f"{row['thinking_tokens']:.0f}", *last]


def _difficulty(study: Study, numbers: Mapping[str, Any]) -> str:
    arms = shown_arms(numbers, study.page) if numbers.get("curves") else []
    if not arms:
        return "Not run."
    heads = [part for arm in arms for part in (f"{arm}: accuracy %", "thinking tokens")]
    rows = [
        [row[0]["steps"], row[0]["n"]]
        + [cell for one in row for cell in (percent(one["accuracy"]), tokens(one["thinking_tokens"]))]
        for row in zip(*(numbers["by_difficulty"][arm] for arm in arms), strict=True)
    ]
    whole = [numbers["curves"][arm][-1] for arm in arms]
    rows.append(
        ["all", sum(row[1] for row in rows)]
        + [cell for one in whole for cell in (percent(one["accuracy"]), tokens(one["thinking_tokens"]))]
    )
    note = (
        "z1's rows have short thoughts up to 4 calculations, however many lines are executed. Half of the programs of "
        "6 lines loop over a list of one number, with few calculations: hence the dip."
    )
    return note + "\n\n" + table(["executed lines", "n", *heads], rows)


def _adapter(numbers: Mapping[str, Any]) -> str:
    """What `--model smol` is: its accuracy beside that of the base, and its replies in other engines."""
    rows: list[list[object]] = []
    if ADAPTER in numbers.get("curves", {}):
        whole, n = numbers["curves"][ADAPTER][-1], sum(row["n"] for row in numbers["by_difficulty"][ADAPTER])
        rows.append(["held-out programs", n, percent(whole["accuracy"]), tokens(whole["thinking_tokens"]), ""])
    for data, name in CARRY.items():
        arms = numbers["carry_over"].get(data, {"arms": {}})["arms"]
        if one := arms.get(ADAPTER):
            base = percent(arms["base"]["lenient"]) if "base" in arms else ""
            rows.append([name, one["n"], percent(one["lenient"]), f"{one['thinking_tokens']:.0f}", base])
    if not rows:
        return "Not run."
    note = (
        "`--model smol` is z1 with LoRA of rank 16, trained on programs and on word problems with 1,000,000 tokens "
        "(`adapter.toml`). The held-out programs and word problems are of the kinds that it was trained on; SVAMP is "
        "not. Accuracy without a thinking budget; answers of word problems are read leniently."
    )
    parts = [note, table(["problems", "n", "accuracy %", "thinking tokens", "base %"], rows)]
    return "\n\n".join([*parts, _engines(numbers["engines"])] if "engines" in numbers else parts)


def _engines(found: Mapping[str, Any]) -> str:
    names = {"local": "z1's local engine on the merged model", "vllm": "vLLM with LoRA"}
    clauses = []
    for engine, different in found["different"].items():
        clause = f"{names[engine]}: {len(different)} of {found['replies']} differ"
        if different:
            margin = max(one["margin"] for one in different)
            clause += f", where PEFT's two best logits are at most {margin:.2g} apart"
        clauses.append(clause)
    return (
        f"Greedy replies in float32 against transformers with PEFT ({found['replies']} problems, {found['tokens']:,} "
        f"tokens): {'; '.join(clauses)}. `python -m experiments.smol.engines` wrote [{ENGINES}]({ENGINES})."
    )


def _forgetting(numbers: Mapping[str, Any]) -> str:
    rows = [
        [name, f"{one['loss']:.3f}", percent(one["instructions"]), percent(one["thought"]), one["checks"]]
        for name, one in numbers["forgetting"].items()
    ]
    note = (
        "Loss in nats a token on documentation of Python's standard library, and the share of short instructions that "
        "are followed; *thinks first*: the share of replies to them that do not begin with the answer."
    )
    return f"{note}\n\n" + table(["run", "loss", "instructions %", "thinks first %", "n"], rows) if rows else "Not run."


def _minutes(numbers: Mapping[str, Any]) -> str:
    minutes = numbers["core_minutes"]
    if not minutes:
        return "Not run."
    total = f"Training of all recorded models, in all: {sum(minutes.values()):.0f} core-minutes of steps."
    return total + "\n\n" + table(["run", "core-minutes"], [[name, f"{one:.1f}"] for name, one in minutes.items()])


def make_numbers(study: Study, folder: Path, records: Path) -> tuple[dict[str, Any], EvaluationFolders]:
    """All numbers of the page, and the folders of the evaluations that they come from."""
    done, left = studies.finished(study, folder, records)
    found: dict[str, Any] = {"command": "python -m experiments.smol.page", "not_run": left}
    if any(index == 0 for _, index in done):
        found |= studies.numbers(study, folder, done, records)
    every = [one for one in studies.members(study, folder, records) if not one.model]
    minutes = {one.run.name: manifest["core_minutes"] for one in every if (manifest := one.manifest())}
    texts = {path.parent.name: runs.read_json(path) for path in sorted(records.glob("*/forgetting.json"))}
    more = {"primary": primary(done), "carry_over": carry_over(study, done), "forgetting": texts}
    if (HERE / ENGINES).is_file():
        more["engines"] = runs.read_json(HERE / ENGINES)
    return {**found, **more, "core_minutes": minutes}, done


def main() -> None:
    """Write results.json, results.md, the pictures, and the records of runs that have none."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="Folder of all runs.")
    given = parser.parse_args()
    study, records = studies.load(HERE / "study.toml"), HERE / studies.RECORDS
    numbers, done = make_numbers(study, given.runs, records)
    runs.write_json(HERE / "results.json", {study.name: numbers})
    runs.write_text(HERE / "results.md", page(study, numbers))
    if numbers.get("curves"):
        for name, content in study_pictures.draw(numbers, study.page).items():
            runs.write_bytes(HERE / name, content)
    studies.record(study, given.runs, records, done)
    print(HERE / "results.md")


if __name__ == "__main__":
    main()
