"""A study is ordinary runs side by side; it goes on where it was, and says what is left."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import stories
from z1 import pipeline, runs
from z1 import recipe as recipes
from z1 import study as studies
from z1.errors import UserError

STUDY = """
name = "few"
problem_seed = 9
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
"""


EXPERIMENTS = Path(__file__).parent.parent / "experiments"
STUDIES = sorted(EXPERIMENTS.glob("*/study.toml"))
RECIPES = {*recipes.SHIPPED.glob("*.toml"), *EXPERIMENTS.glob("*/*.toml")} - set(STUDIES)


def write(folder: Path) -> Path:
    base = stories.recipe(folder)
    paths = {}
    for name in ("z1", "full"):
        paths[name] = folder / f"{name}.toml"
        paths[name].write_text(stories.ARM.format(name=f"{name}-arm", base=base, arm=name), encoding="utf-8")
    path = folder / "few-study.toml"
    path.write_text(STUDY.format(**paths), encoding="utf-8")
    return path


@pytest.fixture
def few_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the data's design gives is not looked at closely."""
    monkeypatch.setattr(studies, "PROGRAMS", 60)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[studies.Study, Path, studies.Done]:
    folder = tmp_path_factory.mktemp("study")
    study, every = studies.load(write(folder)), folder / "runs"
    assert studies.plan(study, every) == "3 models, 0 trained; how long one takes is said when the first is trained"
    return study, every, list(studies.carry_out(study, every, pipeline.Silent()))[-1]


def test_each_arm_and_seed_is_a_run_of_its_own_from_one_base(
    told: tuple[studies.Study, Path, studies.Done],
) -> None:
    _, every, done = told
    assert {path.name for path in every.iterdir()} == {"micro", "z1-arm", "z1-arm-seed4", "full-arm"}
    assert len(list(every.glob("micro/train-*"))) == 1
    assert {key: len(paths) for key, paths in done.items()} == {
        **{("z1", 0): 2, ("full", 0): 1},  # every seed, and what follows for the first seed alone
        **{("z1", 1): 1, ("full", 1): 1, ("z1", 2): 1, ("full", 2): 1},
    }


def test_all_answer_the_same_problems(told: tuple[studies.Study, Path, studies.Done]) -> None:
    _, _, done = told
    first = {
        (path / "problems.jsonl").read_bytes() for (_, number), paths in done.items() for path in paths if not number
    }
    assert len(first) == 1


def test_a_study_that_is_done_is_passed_over(told: tuple[studies.Study, Path, studies.Done]) -> None:
    study, every, done = told
    before = {path: path.stat().st_mtime_ns for path in every.rglob("*.safetensors")}
    assert studies.plan(study, every) == "3 models, 3 trained"
    assert list(studies.carry_out(study, every, pipeline.Silent()))[-1] == done
    assert {path: path.stat().st_mtime_ns for path in every.rglob("*.safetensors")} == before


def test_the_plan_says_what_is_left_by_what_is_done(
    told: tuple[studies.Study, Path, studies.Done], tmp_path: Path
) -> None:
    study, _, _ = told
    runs.write_json(tmp_path / "z1-arm" / "train-1" / "model" / "z1.json", {"core_minutes": 4.0})
    assert studies.plan(study, tmp_path) == "3 models, 1 trained; the other 2 take about 8 core-minutes to train"


def test_a_model_took_what_all_that_it_began_with_took_too(
    told: tuple[studies.Study, Path, studies.Done], few_programs: None
) -> None:
    study, every, done = told
    path = next(every.glob("full-arm/train-*/model/z1.json"))
    before = path.read_text(encoding="utf-8")
    said = {**runs.read_json(path), "core_minutes": 4.0, "base": {"core_minutes": 2.0, "base": {"core_minutes": 1.0}}}
    runs.write_json(path, said)
    try:
        assert studies.numbers(study, every, done)["core_minutes"]["full"] == 7.0
    finally:
        path.write_text(before, encoding="utf-8")


def test_what_is_done_is_found_without_beginning_anything(
    told: tuple[studies.Study, Path, studies.Done], tmp_path: Path
) -> None:
    study, every, done = told
    assert studies.found(study, every) == (done, [])
    nothing, left = studies.found(study, tmp_path)
    assert nothing == {}
    assert len(left) == 7
    assert left[:2] == ["z1, seed 3: programs", "z1, seed 3: word-problems"]
    assert "z1, seed 4: programs" in left
    assert list(tmp_path.iterdir()) == []


def test_the_arms_with_the_most_seeds_come_first_and_of_them_the_first_seeds(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace("full = {", "long = {", 1), encoding="utf-8")
    arms = '[arms]\nfull = { recipe = "z1.toml" }\n'.replace("z1.toml", str(tmp_path / "z1.toml"))
    study = studies.load(path)
    path.write_text(path.read_text(encoding="utf-8").replace("[arms]\n", arms), encoding="utf-8")
    study = studies.load(path)
    assert [(one.arm, one.seed) for one in studies.members(study, tmp_path)] == [
        *(("z1", 3), ("z1", 4)),
        *(("full", 1), ("long", 3)),
    ]


def test_a_study_is_written_beside_others_with_page_pictures_and_manifests(
    told: tuple[studies.Study, Path, studies.Done], tmp_path: Path, few_programs: None
) -> None:
    study, every, done = told
    runs.write_json(tmp_path / "results.json", {"other": 1})
    picture = every / study.name / "report" / "curve.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"picture")
    numbers = {"command": "z1 study", **studies.numbers(study, every, done), "not_run": ["x, seed 1: programs"]}
    try:
        path = studies.write(study, every, numbers, tmp_path)
    finally:
        shutil.rmtree(every / study.name)
    found = runs.read_json(path)
    assert found["other"] == 1
    assert found["few"]["accuracy_z1"] == numbers["accuracy_z1"]
    assert "- x, seed 1: programs" in (tmp_path / "results.md").read_text(encoding="utf-8")
    assert (tmp_path / "curve.png").read_bytes() == b"picture"
    kept = {path.relative_to(tmp_path / "runs").parts[0] for path in (tmp_path / "runs").rglob("z1.json")}
    assert kept == {"z1-arm", "z1-arm-seed4", "full-arm"}
    assert {path.name for path in (tmp_path / "runs").rglob("*.*")} == {"z1.json", "stage.json"}


def test_the_numbers_name_the_runs_that_made_them(
    told: tuple[studies.Study, Path, studies.Done], few_programs: None
) -> None:
    study, every, done = told
    found = studies.numbers(study, every, done)
    for key in ("accuracy_z1", "accuracy_full"):
        low, value, high = found[key]
        assert low <= value <= high
    assert len(found["seeds"]["z1"]) == 2
    assert {one["runs"][0].split(" ")[0] for one in found["evaluations"]} == {"z1-arm", "full-arm"}
    assert all(minutes >= 0 for minutes in found["core_minutes"].values())
    low, value, high = found["z1_against"]["full"]["thinking_ratio_by_design"]
    assert 0 < low <= value <= high < 1


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_that_ships_names_recipes_that_ship(path: Path) -> None:
    study = studies.load(path)
    assert {recipes.find(arm.recipe, path.parent) for arm in study.arms.values()} <= RECIPES


FEW = """
name = "few"
[arms]
z1 = { recipe = "tiny", seeds = [1, 2] }
[[evaluate]]
problems = 8
thinking_budgets = [0]
max_answer_tokens = 8
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seeds =", "seed =", ["the unknown key arms.z1.seed", "did you mean seeds?"]),
        ("[1, 2]", "[]", ["key arms.z1.seeds"]),
        (
            "thinking_budgets =",
            "thinking_budget =",
            ["the unknown key evaluate.0.thinking_budget", "did you mean thinking_budgets?"],
        ),
        ("[[evaluate]]", "[[evaluat]]", ["the unknown key evaluat", "did you mean evaluate?"]),
        ("[arms]", "[arm]", ["the unknown key arm", "did you mean arms?"]),
    ],
)
def test_a_fault_in_a_study_is_one_line_that_names_its_key(tmp_path: Path, old: str, new: str, said: list[str]) -> None:
    path = tmp_path / "few.toml"
    path.write_text(FEW.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        studies.load(path)
    assert [part for part in said if part in str(caught.value)] == said
    assert "\n" not in str(caught.value)
