"""What does a study say, on a page of Markdown that people and git can read?

Takes the numbers of a study as they are and computes nothing but shares of 100. A number that the study does not
hold is not on the page: what was not run is listed as such. The bars are those that this project set itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Numbers = Mapping[str, Any]

ACCURACY, MARGIN, RATIO, MINUTES = 0.95, 0.01, 0.30, 60.0
"""The bars: right answers of z1; how far below *long*; share of *long*'s thought; core-minutes a model."""

WAYS = {"z1-tiny-bare": "bare cut", "z1-tiny-tag": "tag", "z1-tiny-hint": "hint", "z1-tiny": "hint and prefix"}
"""How a thought was closed by force, by profile."""

PLACES = {
    "programs-longer": "programs of 13 to 16 steps",
    "word-problems": "word problems, never seen in fine-tuning",
    "world-longer": "programs of 13 to 16 steps",
    "prose": "stories, never seen in fine-tuning",
}
"""What the other evaluations ask, by benchmark; the last two are the names in numbers recorded before a renaming."""

READING = """\
- **Difficulty is built in.** It is the number of executed steps, and trajectories at every level but *direct* have a
  row a step, so that they grow with it. z1 was taught to answer the simplest at once and to work out the rest.
  That thought grows with difficulty is what it was taught; that it can tell by the question alone how much is needed
  is what it learned.
- **Most of the ratio is built in.** *long* writes every line in full and everything again as a check, *full* writes
  it once, z1 writes only what is worked out. The column "by design" above is what the teacher's own texts for the two
  arms give, before any model has learned anything. What is found by training is whether a model that was taught the
  short texts is still right.
- **Intervals** are 95 %, over problems: normal for means, Wilson's by difficulty, the bootstrap where a curve is
  read. A problem counts once, with its mean over seeds; how far seeds lie apart stands beside them. Comparisons are
  paired by problem.
- **Fresh** means: programs whose syntax tree, names apart, no training can draw, and problems of a seed that nobody
  looked at while choosing. Of very short programs there are few, so those of one and two steps are much like those of
  other seeds."""


def page(study: str, numbers: Numbers) -> str:
    """The page about `study`, whose `numbers` stand under that name in results.json."""
    parts = [
        f"# Results: {study}",
        f"Every number stands in [results.json](results.json) under `{study}`, with the runs that made "
        f"it, whose manifests are in [runs](runs). `{numbers['command']}` wrote this page.",
        _headline(numbers),
        "![thought and accuracy by difficulty](difficulty.png)",
        _difficulty(numbers),
        "## The bars\n\n" + _bars(numbers),
        "![accuracy against tokens](curve.png)",
        "## The arms\n\n" + _arms(numbers),
        "## z1 against the others\n\n" + _against(numbers),
        "## The second look\n\n" + _second_look(numbers),
        "## Under a window\n\n" + _windows(numbers),
        "![accuracy by window and steps](cutoff.png)",
        "## Elsewhere\n\n" + _elsewhere(numbers),
        "## After a forced close\n\n" + _closes(numbers),
        "## What is built in, and how to read this\n\n" + READING,
        "## Not run\n\n"
        + ("\n".join(f"- {one}" for one in numbers["not_run"]) or "Everything that the study names was run."),
    ]
    return "\n\n".join(parts) + "\n"


def _headline(numbers: Numbers) -> str:
    said = []
    for arm in numbers["curves"]:
        free = numbers["curves"][arm][-1]
        said.append(f"{arm} {_share(free['accuracy'])} % with {_ids(free['thought'])} ids of thought")
    n = sum(row["n"] for row in next(iter(numbers["by_difficulty"].values())))
    return f"Right on {n:,} fresh programs of 1 to 12 steps, thinking freely: " + "; ".join(said[:4]) + "."


def _difficulty(numbers: Numbers) -> str:
    arms = list(numbers["by_difficulty"])[:4]
    rows = zip(*(numbers["by_difficulty"][arm] for arm in arms), strict=True)
    heads = [part for arm in arms for part in (f"{arm}: right %", "thought")]
    return _table(
        ["steps", "n", *heads],
        (
            [row[0]["steps"], row[0]["n"], *(part for c in row for part in (_share(c["accuracy"]), _ids(c["thought"])))]
            for row in rows
        ),
    )


def _bars(numbers: Numbers) -> str:
    rows = [_bar("z1 right, thinking freely", numbers["accuracy_z1"][1], ACCURACY, "at least 95 %", up=True)]
    if "long" in numbers["z1_against"]:
        against = numbers["z1_against"]["long"]
        low = against["difference"][0]
        rows.append(_bar("z1 less long, lower end", low, -MARGIN, "no more than 1 point below", up=True))
        high = numbers["thinking_ratio"][2]
        rows.append(
            _bar("thought of z1 over long's at matched accuracy, upper end", high, RATIO, "at most 30 %", up=False)
        )
    worst = max(minutes for arm, minutes in numbers["core_minutes"].items() if arm in ("z1", "long"))
    met = "met" if worst <= MINUTES else f"missed by {worst - MINUTES:.1f}"
    rows.append(["core-minutes of a shipped model, its base included", f"{worst:.1f}", "at most 60", met])
    return _table(["what", "found", "bar", ""], rows)


def _bar(what: str, found: float, bar: float, said: str, *, up: bool) -> list[str]:
    short = bar - found if up else found - bar
    return [what, f"{100 * found:.1f} %", said, "met" if short <= 0 else f"missed by {100 * short:.1f} points"]


def _arms(numbers: Numbers) -> str:
    return _table(
        ["arm", "right %", "each seed", "thought ids", "all ids", "core-minutes"],
        (
            [
                arm,
                _share(curve[-1]["accuracy"]),
                ", ".join(f"{100 * seed[1]:.1f}" for seed in numbers["seeds"][arm]),
                _ids(curve[-1]["thought"]),
                _ids(curve[-1]["paid"]),
                f"{numbers['core_minutes'][arm]:.1f}",
            ]
            for arm, curve in numbers["curves"].items()
        ),
    )


def _against(numbers: Numbers) -> str:
    names = {
        "difference": "right, points",
        "thinking_ratio": "thought, both free",
        "thinking_ratio_on_curves": "at matched accuracy",
        "thinking_ratio_on_curves_within_1_point": "within 1 point of it",
        "thinking_ratio_by_design": "by design",
    }
    rows = []
    for arm, found in numbers["z1_against"].items():
        said = [_share(found["difference"])]
        said += [_ratio(found[key]) if key in found else "" for key in list(names)[1:]]
        rows.append([arm, *said])
    return _table(["against", *names.values()], rows)


def _second_look(numbers: Numbers) -> str:
    heads = {
        "first": "right after the first pass %",
        "last": "in the end %",
        "mended": "mended %",
        "harmed": "harmed %",
        "gained": "gained, points",
        "above_first": "z1 less the first pass, points",
    }
    looks = numbers.get("second_look", {})
    said = (
        "What the check changes in thoughts that hold one. *First pass*: what had been found where the check begins. "
        "A check that harms more than it mends would make *long* easier to match; the last column matches its first "
        "pass instead.\n\n"
    )
    rows = [[arm, look["checked"], *(_share(look[key]) for key in heads)] for arm, look in looks.items()]
    return said + _table(["arm", "checked", *heads.values()], rows) if rows else "No arm checks."


def _windows(numbers: Numbers) -> str:
    arms = [arm for arm in ("z1", "long", "full", "short") if arm in numbers["curves"]]
    rows = zip(*(numbers["curves"][arm] for arm in arms), strict=True)
    heads = [part for arm in arms for part in (f"{arm}: right %", "off", "thought")]
    said = "*off*: right without the window, where a free reply is cut after as many ids.\n\n"
    return said + _table(
        ["window", *heads],
        (
            ["free" if row[0]["window"] is None else row[0]["window"]]
            + [part for p in row for part in (_share(p["accuracy"]), _off(p), _ids(p["thought"]))]
            for row in rows
        ),
    )


def _off(point: Numbers) -> str:
    return _share(point["off"]) if "off" in point else ""


def _elsewhere(numbers: Numbers) -> str:
    rows = [
        [
            PLACES[one["benchmark"]],
            one["arm"],
            one["free"]["n"],
            _share(one["free"]["accuracy"]),
            _ids(one["free"]["thought"]),
        ]
        for one in numbers["evaluations"]
        if one["benchmark"] in PLACES
    ]
    said = "*base* is the model before any fine-tuning; the arms saw programs alone.\n\n"
    return said + _table(["asked", "arm", "n", "right %", "thought ids"], rows) if rows else "Not run."


def _closes(numbers: Numbers) -> str:
    rows = [
        [one["arm"], WAYS[one["profile"]], shut["shifted"], *(_share(shut[key]) for key in ("leaks", "loops"))]
        for one in numbers["evaluations"]
        if one["profile"] in WAYS and (shut := one["after_a_forced_close"])["shifted"]
    ]
    said = (
        "A window of 32 ids, then room for 64: how often does the answer hold rows of a thought, and how often does it "
        "go round until it is cut?\n\n"
    )
    return said + _table(["arm", "closed by", "closed", "leaks %", "loops %"], rows) if rows else "Not run."


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _share(interval: Sequence[float]) -> str:
    low, value, high = (100 * one for one in interval)
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def _ids(interval: Sequence[float]) -> str:
    low, value, high = interval
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def _ratio(interval: Sequence[float]) -> str:
    low, value, high = interval
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"
