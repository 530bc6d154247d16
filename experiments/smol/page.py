"""The page of the study, results.md, from its recorded runs and those under `--runs`.

python -m experiments.smol.page
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.smol import answers, brief, claims
from experiments.smol.claims import Scores
from experiments.smol.design import DESIGN
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

PROGRAMS, WORDS = "heldout-code-results", "heldout-words-results"

CARRY = {
    "svamp": "SVAMP (the endpoint)",
    WORDS: "word problems of our own",
    "gsm8k-test": "GSM8K, test",
}
"""The data of the carry-over, and their names on the page."""

CONTROLS = ("format", "direct", "unrelated", "base", "base-8")
CLAIMANTS = ("z1", "full", "shuffled")
CODE_ONLY = (*CLAIMANTS, "long", "short")
"""The arms that are trained on code alone, whose accuracy elsewhere is carry-over."""

ADAPTERS = {"z1": "adapter", "full": "full-adapter", "shuffled": "shuffled-adapter"}
"""The arms with the recipe of the adapter in the package, which is the first: LoRA on programs and on word problems."""

PRIMARY = (
    ("full", claims.accuracy_difference, "accuracy of z1 minus full", "lower end above -1 point"),
    ("full", claims.thinking_ratio, "thinking tokens of z1 over full", "upper end below 1"),
    ("shuffled", claims.at_equal_thought, "accuracy of z1 minus shuffled at equal mean thought", "lower end above 0"),
)

RIVALS = ("full", "shuffled", "long", "short", "direct", "format", "unrelated")
"""The arms that z1 is compared with on programs; all are trained on equal tokens."""

SHORT_BUDGET = 32
"""The thinking budget of the table of programs, besides none."""

BUILT_IN = """\
## What is built in

- z1's thoughts are short for problems with few calculations and long for others, because its training rows are. What is
  learned is to infer from the question how much thought it needs, and to be right with it.
- *full* writes every executed line. That z1 thinks less than *full* follows from the data; that it is as often right
  does not. *shuffled* has as many thoughts of each length as z1, given to problems at random.
- Programs and their split are generated: an arm trained on code knows the kinds of program that it is tested on.
- What SmolLM2 saw in its pretraining is unknown. No row, setting or checkpoint was chosen on SVAMP or GSM8K's
  test set."""


def carry_over(study: Study, done: EvaluationFolders) -> dict[str, Any]:
    """By data and arm: lenient and strict accuracy, thinking tokens, and what is left of it against the controls."""
    measured = {data: _measured(study, done, data) for data in CARRY}
    return {data: _carry_over(arms) for data, arms in measured.items() if arms}


def _measured(study: Study, done: EvaluationFolders, data: str) -> dict[str, list[Path]]:
    """By arm: its evaluations on `data`."""
    return {arm: folders for (arm, index), folders in done.items() if Path(study.evaluate[index].data).stem == data}


def _problems(folder: Path) -> dict[str, Problem]:
    return {one.id: one for one in runs.read_lines(folder / PROBLEMS, Problem.from_json)}


def _clusters(problems: Mapping[str, Problem]) -> dict[str, str]:
    return {name: one.kind or name for name, one in problems.items()}


def _carry_over(arms: Mapping[str, list[Path]]) -> dict[str, Any]:
    problems = _problems(next(iter(arms.values()))[0])
    clusters = _clusters(problems)
    seeds = {arm: [_unlimited(path) for path in folders] for arm, folders in arms.items()}
    lenient = {arm: claims.scores(one, _lenient(problems)) for arm, one in seeds.items()}
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


def _lenient(problems: Mapping[str, Problem]) -> Callable[[Attempt], bool]:
    """Whether an attempt at one of `problems` is right, read leniently."""
    gold = {name: one.answer for name, one in problems.items()}
    if any(one.question for one in problems.values()):  # a run, whose answers are not hashed
        gold = {name: hash_answer(one) for name, one in gold.items()}
    return lambda attempt: answers.is_right_leniently(attempt, gold[attempt.problem])


def _unlimited(folder: Path) -> list[Attempt]:
    return [one for one in read_attempts(folder).values() if one.thinking_budget is None]


def _clustered(one: Scores, clusters: Mapping[str, str]) -> tuple[float, float, float]:
    groups: dict[str, list[float]] = {}
    for problem, value in zip(one.problems, one.right[:, -1].mean(0), strict=True):
        groups.setdefault(clusters[problem], []).append(float(value))
    return paired.bootstrap(list(groups.values()))


def rivals(programs: Mapping[str, Scores]) -> dict[str, dict[str, Any]]:
    """By arm: the difference of accuracy and the thinking ratio of z1 to it on programs, without a budget."""
    measures = (claims.accuracy_difference, claims.thinking_ratio)
    return {
        arm: {one.__name__: claims.compare(one, programs["z1"], programs[arm]).interval for one in measures}
        for arm in RIVALS
        if {"z1", arm} <= programs.keys()
    }


def adapters(programs: Mapping[str, Scores], words: Mapping[str, list[Path]]) -> list[dict[str, Any]]:
    """The primary claims for the arms with the adapter's recipe, on programs and on word problems."""
    found = {"programs": _claims({role: programs[arm] for role, arm in ADAPTERS.items() if arm in programs})}
    if z1 := words.get(ADAPTERS["z1"]):
        problems = _problems(z1[0])
        is_right = _lenient(problems)
        read = {role: _scores(words[arm], is_right) for role, arm in ADAPTERS.items() if arm in words}
        found["word problems"] = _claims(read, _clusters(problems))
    return [one | {"claim": f"{name}: {one['claim']}"} for name, claimed in found.items() for one in claimed]


def brief_thoughts(programs: Mapping[str, Scores], steps: Mapping[str, int]) -> dict[str, list[dict[str, Any]]]:
    """By arm: how often it thinks briefly about programs, beside *full* of its family, and is then right."""
    pairs = [("z1", "full"), ("shuffled", "full")]
    pairs += [(ADAPTERS[arm], ADAPTERS[full]) for arm, full in pairs]
    return {
        arm: brief.shares(programs[arm], programs[full], steps) for arm, full in pairs if {arm, full} <= programs.keys()
    }


def _claims(seeds: Mapping[str, Scores], clusters: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    found = []
    for other, measure, name, bound in PRIMARY:
        if not {"z1", other} <= seeds.keys():
            continue
        if measure is claims.at_equal_thought and seeds["z1"].thought.shape[1] == 1:
            continue  # one budget is no curve
        one = claims.compare(measure, seeds["z1"], seeds[other], clusters)
        low, _, high = one.interval
        holds = {"full": low > -0.01, "shuffled": low > 0}[other]
        if measure is claims.thinking_ratio:
            holds = high < 1
        counts = [len(seeds[arm].right) for arm in ("z1", other)]
        found.append({"claim": name, "bound": bound, "found": one.interval, "holds": holds, "seeds": counts})
    return found


def _scores(folders: Sequence[Path], is_right: Callable[[Attempt], bool]) -> Scores:
    return claims.scores([list(read_attempts(path).values()) for path in folders], is_right)


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
        "## Programs\n\n" + _programs(numbers),
        "## Carry-over\n\n" + _carry(study, numbers),
        "## Thinking against difficulty\n\n" + _difficulty(study, numbers),
        picture("curve", "accuracy against tokens") if numbers.get("curves") else "",
        "## Adapters\n\n" + _adapters(numbers),
        "## Brief thoughts\n\n" + _brief(numbers),
        "## Forgetting\n\n" + _forgetting(numbers),
        "## Core-minutes\n\n" + _minutes(numbers),
        "## Not run\n\n" + _not_run(numbers["not_run"]),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


CUT = "The other 819 problems of GSM8K's test set, sampling at temperature 0.6, the hint on and off, arms with tags."
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
    found = {one["claim"]: one for one in numbers["primary"]}
    absent: dict[str, Any] = {"found": None, "seeds": [], "holds": None}
    note = (
        "Accuracies in points; 95 % intervals by a bootstrap over problems and seeds. The interval of an arm with one "
        "seed is too narrow: it has no spread of seeds. *Seeds*: of z1, and of the other arm."
    )
    rows = [found.get(name, {"claim": name, "bound": bound} | absent) for _, _, name, bound in PRIMARY]
    return f"{note}\n\n" + _claim_table(rows)


def _programs(numbers: Mapping[str, Any]) -> str:
    """Every arm that is trained on code alone, or on other text, with and without a budget, and z1 beside it."""
    rows: list[list[object]] = []
    for arm in ("z1", *RIVALS):
        if arm not in numbers.get("curves", {}):
            continue
        *_, whole = points = numbers["curves"][arm]
        short = [percent(one["accuracy"]) for one in points if one["thinking_budget"] == SHORT_BUDGET]
        compared: list[object] = ["", "", ""]
        if found := numbers["rivals"].get(arm):
            design = numbers.get("design", {"ratio": {}})["ratio"].get(arm)
            compared = [percent(found["accuracy_difference"]), ratio(found["thinking_ratio"])]
            compared.append(ratio(design) if design else "")
        shares = ["".join(short), percent(whole["accuracy"]), tokens(whole["thinking_tokens"])]
        rows.append([arm, len(numbers["seeds"][arm]), *shares, *compared])
    if not rows:
        return "Not run."
    note = (
        f"The {sum(row['n'] for row in numbers['by_difficulty']['z1'])} held-out programs; with at most {SHORT_BUDGET} "
        "thinking tokens, and without a budget. *z1 less this arm* and *z1 over this arm* are without a budget, with a "
        "bootstrap over problems and seeds. *By design* is that ratio in the thoughts that the interpreter writes for "
        "such programs: a check of the data. A reply without a thought is counted as thinking tokens: its answer has "
        "about 11. Arms that are missing were not run."
    )
    heads = ["arm", "seeds", f"accuracy at {SHORT_BUDGET}, %", "accuracy, %", "thinking tokens"]
    more = ["z1 less this arm, points", "thinking tokens, z1 over this arm", "by design"]
    return f"{note}\n\n" + table([*heads, *more], rows)


def _claim_table(claimed: Sequence[Mapping[str, Any]]) -> str:
    """`claimed` as `primary` returns them; one that was not run has None for what was found."""
    rows = []
    for one in claimed:
        form = ratio if "tokens" in one["claim"] else percent
        value = "not run" if one["found"] is None else form(one["found"])
        verdict = {None: "", True: "shown", False: "not shown"}[one["holds"]]
        rows.append([one["claim"], one["bound"], value, " and ".join(map(str, one["seeds"])), verdict])
    return table(["claim", "bound", "found", "seeds", ""], rows)


def _carry(study: Study, numbers: Mapping[str, Any]) -> str:
    note = (
        "Accuracy without a thinking budget, in %. *Lenient* reads the last box or number of a reply, *strict* the "
        "form that was asked for; of a reply that goes on with questions of its own, as those of base-8 do, or up to "
        "the end of the context, the grader's verdict counts in both. *Against the best control* of those that were "
        "run: lenient points, with the smallest difference that would be seen four times in five. Intervals of SVAMP "
        "are clustered by body without its numbers. Arms that are missing were not run."
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


def _adapters(numbers: Mapping[str, Any]) -> str:
    """What `--model smol` is: its accuracy beside that of its rivals and the base, and its replies in other engines."""
    rows: list[list[object]] = []
    for arm in (arm for arm in ADAPTERS.values() if arm in numbers.get("curves", {})):
        whole, n = numbers["curves"][arm][-1], sum(row["n"] for row in numbers["by_difficulty"][arm])
        shares = [percent(whole["accuracy"]), tokens(whole["thinking_tokens"])]
        rows.append(["held-out programs", arm, n, len(numbers["seeds"][arm]), *shares])
    for data, name in CARRY.items():
        arms = numbers["carry_over"].get(data, {"arms": {}})["arms"]
        for arm in (arm for arm in (*ADAPTERS.values(), "base") if arm in arms):
            one = arms[arm]
            shares = [percent(one["lenient"]), f"{one['thinking_tokens']:.0f}"]
            rows.append([name, arm, one["n"], one["seeds"], *shares])
    if not any(row[1] != "base" for row in rows):
        return "Not run."
    note = (
        "`--model smol` is *adapter*: z1 with LoRA of rank 16, trained on programs and on word problems with 1,000,000 "
        "tokens (`adapter.toml`). *full-adapter* and *shuffled-adapter* have the same recipe and other thoughts, as "
        "*full* and *shuffled* do; without a row they were not run. The held-out programs and word problems are of "
        "the kinds that all three were trained on; SVAMP is not. Accuracy without a thinking budget; answers of word "
        "problems are read leniently."
    )
    parts = [note, table(["problems", "arm", "n", "seeds", "accuracy %", "thinking tokens"], rows)]
    if claimed := numbers.get("adapters"):
        parts += ["The primary claims for these arms; word problems are resampled by kind.", _claim_table(claimed)]
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


def _brief(numbers: Mapping[str, Any]) -> str:
    rows = [
        [arm, one["lines"], one["n"], *("" if one[key] is None else percent(one[key]) for key in brief.SHARES)]
        for arm, found in numbers["brief"].items()
        for one in found
    ]
    note = (
        f"A thought is brief here if it has fewer than {brief.BRIEF} times the tokens of *full* (*full-adapter* for "
        "the adapters) on the same program. Training rows of *shuffled* have brief and full thoughts for any program; "
        "greedy decoding takes the likelier one. A model may choose brief thoughts where they suffice, so the last two "
        "columns do not compare equal programs."
    )
    header = ["arm", "executed lines", "n", "brief thoughts %", "right after a brief one %", "right after another %"]
    return f"{note}\n\n" + table(header, rows) if rows else "Not run."


def _forgetting(numbers: Mapping[str, Any]) -> str:
    rows = [
        [name, f"{one['loss']:.3f}", percent(one["instructions"]), percent(one["thought"]), one["checks"]]
        for name, one in numbers["forgetting"].items()
    ]
    note = (
        "Loss in nats a token on documentation of Python's standard library, and the share of short instructions that "
        "are followed; *thinks first*: the share of replies to them that do not begin with the answer. *unrelated* was "
        "trained on other text about Python, so its loss does not compare with those of the other arms."
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
    folders = _measured(study, done, PROGRAMS)
    programs = {arm: _scores(paths, _is_right) for arm, paths in folders.items()}
    steps = {name: one.steps or 0 for paths in folders.values() for name, one in _problems(paths[0]).items()}
    more = {
        "primary": _claims({arm: programs[arm] for arm in CLAIMANTS if arm in programs}),
        "rivals": rivals(programs),
        "adapters": adapters(programs, _measured(study, done, WORDS)),
        "brief": brief_thoughts(programs, steps),
        "carry_over": carry_over(study, done),
        "forgetting": texts,
    }
    for name in (ENGINES, DESIGN):
        if (HERE / name).is_file():
            more[Path(name).stem] = runs.read_json(HERE / name)
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
