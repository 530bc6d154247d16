"""A study is ordinary runs side by side; it goes on where it was, and says what is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.tiny import analyse
from tests import command_line
from z1 import evaluate, pipeline, report, runs
from z1 import recipe as recipes
from z1 import study as studies
from z1.errors import UserError
from z1.records import Problem
from z1.settings import PACKAGED

STUDY = """
name = "few"
problem_seed = 9
reference = "z1"
[arms]
z1 = {{ recipe = "{z1}", seeds = [3, 4] }}
full = {{ recipe = "{full}", seeds = [3] }}
[[evaluate]]
problems = 6
thinking_budgets = [4]
max_answer_tokens = 8
[[evaluate]]
benchmark = "word-problems"
problems = 3
thinking_budgets = []
max_answer_tokens = 8
[[evaluate]]
problems = 3
thinking_budgets = [4]
max_answer_tokens = 8
profile = "z1-tiny-bare"
arms = ["z1"]
[[criteria]]
name = "z1 is right"
metric = "accuracy"
arm = "z1"
at_least = 0.0
[[criteria]]
name = "z1 beats full"
metric = "accuracy_difference"
arm = "z1"
against = "full"
end = "low"
at_least = 0.5
"""


EXPERIMENTS = Path(__file__).parents[2] / "experiments"
STUDIES = sorted(EXPERIMENTS.glob("*/study.toml"))
RECIPES = {*PACKAGED.glob("*.toml"), *EXPERIMENTS.glob("*/*.toml")} - set(STUDIES)


def write(folder: Path) -> Path:
    base = command_line.recipe(folder)
    paths = {}
    for name, level in (("z1", "by_difficulty"), ("full", "full")):
        paths[name] = folder / f"{name}.toml"
        paths[name].write_text(command_line.ARM.format(name=f"{name}-arm", base=base, level=level), encoding="utf-8")
    path = folder / "few-study.toml"
    path.write_text(STUDY.format(**paths), encoding="utf-8")
    return path


Trained = tuple[studies.Study, Path, studies.EvaluationFolders]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("study")
    study, every = studies.load(write(folder)), folder / "runs"
    assert (
        studies.plan(study, every)
        == "3 models, 0 trained; the first one that is trained gives an estimate for the others"
    )
    return study, every, list(studies.carry_out(study, every, pipeline.NoProgress()))[-1]


def test_each_arm_and_seed_is_a_run_of_its_own_from_one_base(
    trained: Trained,
) -> None:
    _, every, done = trained
    assert {path.name for path in every.iterdir()} == {"micro", "z1-arm", "z1-arm-seed4", "full-arm"}
    assert len(list(every.glob("micro/train-*"))) == 1
    assert {key: len(paths) for key, paths in done.items()} == {
        **{("z1", 0): 2, ("full", 0): 1},  # all seeds; the other evaluations have the first seed only
        **{("z1", 1): 1, ("full", 1): 1, ("z1", 2): 1},  # the last evaluation is for z1 only
    }


def test_all_answer_the_same_problems(trained: Trained) -> None:
    _, _, done = trained
    first = {
        (path / "problems.jsonl").read_bytes() for (_, number), paths in done.items() for path in paths if not number
    }
    assert len(first) == 1


def test_a_finished_study_is_skipped(trained: Trained) -> None:
    study, every, done = trained
    before = {path: path.stat().st_mtime_ns for path in every.rglob("*.safetensors")}
    assert studies.plan(study, every) == "3 models, 3 trained"
    assert list(studies.carry_out(study, every, pipeline.NoProgress()))[-1] == done
    assert {path: path.stat().st_mtime_ns for path in every.rglob("*.safetensors")} == before


def test_the_plan_estimates_the_rest_from_what_is_trained(trained: Trained, tmp_path: Path) -> None:
    study, _, _ = trained
    runs.write_json(tmp_path / "z1-arm" / "train-1" / "model" / "z1.json", {"core_minutes": 4.0})
    assert studies.plan(study, tmp_path) == "3 models, 1 trained; the other 2 take about 8 core-minutes to train"


def test_the_core_minutes_of_a_model_include_those_of_its_bases(trained: Trained) -> None:
    study, every, done = trained
    path = next(every.glob("full-arm/train-*/model/z1.json"))
    before = path.read_text(encoding="utf-8")
    manifest = {
        **runs.read_json(path),
        "core_minutes": 4.0,
        "base": {"core_minutes": 2.0, "base": {"core_minutes": 1.0}},
    }
    runs.write_json(path, manifest)
    try:
        assert studies.numbers(study, every, done)["core_minutes"]["full"] == 7.0
    finally:
        path.write_text(before, encoding="utf-8")


def test_finished_evaluations_are_found_without_starting_anything(trained: Trained, tmp_path: Path) -> None:
    study, every, done = trained
    assert studies.finished(study, every) == (done, [])
    nothing, left = studies.finished(study, tmp_path)
    assert nothing == {}
    assert len(left) == 6
    assert left[:2] == ["z1, seed 3: programs", "z1, seed 3: word-problems"]
    assert "z1, seed 4: programs" in left
    assert list(tmp_path.iterdir()) == []


def test_the_arms_with_the_most_seeds_come_first_and_of_them_the_first_seeds(tmp_path: Path) -> None:
    path = write(tmp_path)
    arms = '[arms]\nfirst = { recipe = "z1.toml" }\n'
    path.write_text(path.read_text(encoding="utf-8").replace("[arms]\n", arms), encoding="utf-8")
    study = studies.load(path)
    assert [(one.arm, one.seed) for one in studies.members(study, tmp_path)] == [
        *(("z1", 3), ("z1", 4)),
        *(("first", 1), ("full", 3)),
    ]


def test_a_study_is_written_beside_others_with_page_pictures_and_manifests(trained: Trained, tmp_path: Path) -> None:
    study, every, done = trained
    runs.write_json(tmp_path / "results.json", {"other": 1})
    numbers = {"command": "z1 study", **studies.numbers(study, every, done), "not_run": ["x, seed 1: programs"]}
    path = studies.write(study, every, numbers, tmp_path, done)
    found = runs.read_json(path)
    assert found["other"] == 1
    assert found["few"]["accuracy"]["z1"] == list(numbers["accuracy"]["z1"])
    assert "- x, seed 1: programs" in (tmp_path / "results.md").read_text(encoding="utf-8")
    pictures = {path.name for path in tmp_path.glob("*.png")}
    assert pictures == {f"{name}{layout}.png" for name in report.PICTURES for layout in ("", "-narrow")}
    kept = {path.relative_to(tmp_path / "runs").parts[0] for path in (tmp_path / "runs").rglob("z1.json")}
    assert kept == {"z1-arm", "z1-arm-seed4", "full-arm"}
    names = {path.name for path in (tmp_path / "runs").rglob("*.*")}
    assert names == {"z1.json", "stage.json", "curve.json", "attempts.jsonl.gz", "problems.jsonl.gz"}


def test_a_record_gives_the_numbers_of_its_runs_without_their_texts(trained: Trained, tmp_path: Path) -> None:
    study, every, done = trained
    records, empty = tmp_path / "runs", tmp_path / "elsewhere"
    studies.record(study, every, records, done)
    assert studies.plan(study, empty, records) == "3 models, 3 trained"
    found, left = studies.finished(study, empty, records)
    assert left == [] and all(path.is_relative_to(records) for paths in found.values() for path in paths)
    assert studies.numbers(study, empty, found, records) == studies.numbers(study, every, done)
    assert list(studies.carry_out(study, empty, pipeline.NoProgress(), records))[-1] == found
    assert not empty.exists()
    texts = [text for path in found["z1", 0] for one in evaluate.read_attempts(path).values() for text in one.texts]
    assert texts and max(map(len, texts)) <= evaluate.runner.RECORDED_TEXT
    problems = runs.read_lines(found["z1", 0][0] / evaluate.PROBLEMS, Problem.from_json)
    asked = runs.read_lines(done["z1", 0][0] / evaluate.PROBLEMS, Problem.from_json)
    assert not any(one.question for one in problems)
    assert [one.answer for one in problems] == [evaluate.hash_answer(one.answer) for one in asked]


def test_a_record_of_another_training_or_evaluation_does_not_count(trained: Trained, tmp_path: Path) -> None:
    study, every, done = trained
    studies.record(study, every, tmp_path, done)
    arm = study.arms["full"].model_copy(update={"changes": ("train.adamw_lr=0.5",)})
    other = study.model_copy(update={"arms": {**study.arms, "full": arm}})
    other._folder = study._folder
    found, left = studies.finished(other, tmp_path / "none", tmp_path)
    assert ("z1", 0) in found and left == ["full, seed 3: programs", "full, seed 3: word-problems"]
    next(tmp_path.glob("z1-arm-seed4/evaluate-*/attempts.jsonl.gz")).unlink()
    assert studies.finished(study, tmp_path / "none", tmp_path)[1] == ["z1, seed 4: programs"]
    studies.record(study, every, tmp_path, done)
    assert studies.finished(study, tmp_path / "none", tmp_path)[1] == []
    other = study.model_copy(update={"problem_seed": 10})
    other._folder = study._folder
    assert studies.finished(other, tmp_path / "none", tmp_path)[0] == {}


def test_a_model_that_is_not_trained_is_measured_where_it_is_named(trained: Trained, tmp_path: Path) -> None:
    study, every, _ = trained
    model = next(every.glob("z1-arm/train-*/model"))
    path = tmp_path / "few.toml"
    arm = f'[arms]\nplain = {{{{ recipe = "{{full}}", changes = ["name=plain"], model = "{model}" }}}}\n'
    paths = {name: study._folder / f"{name}.toml" for name in ("z1", "full")}
    text = STUDY.replace("[arms]\n", arm).replace('arms = ["z1"]', 'arms = ["z1", "plain"]\nall_seeds = true')
    path.write_text(text.format(**paths), encoding="utf-8")
    other = studies.load(path)
    assert studies.finished(other, every)[1] == [
        "z1, seed 4: programs (z1-tiny-bare)",
        "plain, seed 1: programs (z1-tiny-bare)",
    ]
    *_, done = studies.carry_out(other, every, pipeline.NoProgress())
    assert len(done["z1", 2]) == 2 and ("plain", 0) not in done
    assert not list(every.glob("plain/train-*"))
    assert studies.finished(other, every) == (done, [])


def test_the_numbers_name_the_runs_that_made_them(trained: Trained) -> None:
    found = studies.numbers(*trained)
    for arm in ("z1", "full"):
        low, value, high = found["accuracy"][arm]
        assert low <= value <= high
    assert len(found["seeds"]["z1"]) == 2
    assert {one["runs"][0].split(" ")[0] for one in found["evaluations"]} == {"z1-arm", "full-arm"}
    assert all(minutes >= 0 for minutes in found["core_minutes"].values())
    assert [(one["arm"], one["against"]) for one in found["comparisons"]] == [("z1", "full")]


def test_criteria_are_met_or_not_by_the_end_of_the_interval_that_they_name(trained: Trained) -> None:
    found = studies.numbers(*trained)
    accuracy, difference = found["criteria"]
    assert (accuracy["found"], accuracy["is_met"]) == (found["accuracy"]["z1"][1], True)
    assert (difference["found"], difference["is_met"]) == (found["comparisons"][0]["accuracy_difference"][0], False)
    study, folder, done = trained
    ratio = studies.Criterion(name="x", metric="thinking_ratio", arm="full", against="z1", end="high", at_most=100.0)
    other = study.model_copy(update={"criteria": (ratio,)})
    assert other.pairs() == [("z1", "full"), ("full", "z1")]
    found = studies.numbers(other, folder, done)
    pair = next((one for one in found["comparisons"] if one["arm"] == "full"), None)
    assert [one["found"] for one in found["criteria"]] == ([pair["thinking_ratio"][2]] if pair else [])


def test_the_analyses_of_the_tiny_family_read_the_same_runs(trained: Trained, tmp_path: Path) -> None:
    study, folder, done = trained
    found = analyse.analyses(study, folder, done, programs=60)
    low, value, high = found["data_ratio"]["full"]
    assert 0 < low <= value <= high < 1
    assert [(one["arm"], one["profile"]) for one in found["forced_close"]] == [
        (arm, study.evaluate[index].profile) for arm, index in done
    ]
    assert all(one["shifted"] >= 0 for one in found["forced_close"])
    numbers = {"command": "z1 study", **studies.numbers(study, folder, done), **found, "not_run": []}
    studies.write(study, folder, numbers, tmp_path, done, analyse.sections(numbers))
    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "| by design |" in page
    for heading in ("Self-check", "Forced-close failures"):
        assert f"## {heading}\n" in page


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_that_ships_names_recipes_that_ship(path: Path) -> None:
    study = studies.load(path)
    assert studies.members(study, Path())
    assert {recipes.find(arm.recipe, path.parent) for arm in study.arms.values()} <= RECIPES


def test_an_arm_is_a_recipe_with_changes_and_has_a_run_of_its_own(tmp_path: Path) -> None:
    slow = 'slow = { recipe = "tiny", changes = ["name=slow", "train.muon_lr=0.001"] }'
    more = 'z1 = { recipe = "tiny", seeds = [1, 2] }\n' + slow
    (tmp_path / "few.toml").write_text(FEW.replace('z1 = { recipe = "tiny", seeds = [1, 2] }', more), encoding="utf-8")
    study = studies.load(tmp_path / "few.toml")
    names = {member.run.name: member.recipe.train for member in studies.members(study, tmp_path)}
    rates = {name: train.muon_lr for name, train in names.items() if train}
    assert rates["slow"] == 0.001 and rates["z1-tiny"] == rates["z1-tiny-seed2"] > 0.001


def test_the_prompt_of_an_arm_is_that_of_all_its_evaluations(tmp_path: Path) -> None:
    asked = 'z1 = { recipe = "tiny", seeds = [1], prompt = "Briefly: {question}" }\nplain = { recipe = "tiny-small" }'
    more = FEW.replace('z1 = { recipe = "tiny", seeds = [1, 2] }', asked)
    (tmp_path / "few.toml").write_text(more.replace("problems = 8", 'problems = 8\nprompt = "{question}?"'))
    study = studies.load(tmp_path / "few.toml")
    prompts = {
        member.arm: [settings.prompt for _, settings in studies.evaluations_of(study, member)]
        for member in studies.members(study, tmp_path)
    }
    assert prompts == {"z1": ["Briefly: {question}"], "plain": ["{question}?"]}


def test_two_arms_with_one_run_are_refused(tmp_path: Path) -> None:
    more = 'z1 = { recipe = "tiny", seeds = [1, 2] }\nslow = { recipe = "tiny", changes = ["train.muon_lr=0.001"] }'
    (tmp_path / "few.toml").write_text(FEW.replace('z1 = { recipe = "tiny", seeds = [1, 2] }', more), encoding="utf-8")
    with pytest.raises(UserError, match="arms: got z1 and slow, both with the run z1-tiny; give one another name"):
        studies.members(studies.load(tmp_path / "few.toml"), tmp_path)


FEW = """
name = "few"
reference = "z1"
[arms]
z1 = { recipe = "tiny", seeds = [1, 2] }
[[evaluate]]
problems = 8
thinking_budgets = [0]
max_answer_tokens = 8
[[criteria]]
name = "right"
metric = "accuracy"
arm = "z1"
at_least = 1.0
"""


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("seeds =", "seed =", ["the unknown key arms.z1.seed", "did you mean seeds?"]),
        ("[1, 2]", "[]", ["key arms.z1.seeds"]),
        ("[1, 2]", '[1, 2], prompt = "Think."', ["key arms.z1.prompt"]),
        (
            "thinking_budgets =",
            "thinking_budget =",
            ["the unknown key evaluate.0.thinking_budget", "did you mean thinking_budgets?"],
        ),
        ("[[evaluate]]", "[[evaluat]]", ["the unknown key evaluat", "did you mean evaluate?"]),
        ("[arms]", "[arm]", ["the unknown key arm", "did you mean arms?"]),
        ('reference = "z1"', "", ["no key reference", "add it"]),
        ('reference = "z1"', 'reference = "z2"', ["the unknown arm z2", "name one of z1"]),
        ("at_least = 1.0", "", ["no bound, or two", "give at_least or at_most"]),
        ("at_least = 1.0", "at_least = 1.0\nat_most = 1.0", ["no bound, or two", "give at_least or at_most"]),
        ('metric = "accuracy"', 'metric = "thinking_ratio"', ["against = None", "give against for pairs of arms"]),
        ("at_least = 1.0", 'at_least = 1.0\nagainst = "z1"', ["metric accuracy", "give against for pairs of arms"]),
        ('arm = "z1"', 'arm = "z2"', ["the unknown arm z2"]),
        ("problems = 8", 'problems = 8\narms = ["z1"]', ["a first evaluation for some arms only"]),
    ],
)
def test_a_fault_in_a_study_is_one_line_that_names_its_key(
    tmp_path: Path, old: str, new: str, parts: list[str]
) -> None:
    path = tmp_path / "few.toml"
    path.write_text(FEW.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        studies.load(path)
    assert [part for part in parts if part in str(caught.value)] == parts
    assert "\n" not in str(caught.value)
