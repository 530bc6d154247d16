"""Given models are evaluated side by side, each in its own folder, and resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.serve.conftest import serving
from z1 import comparison, pipeline
from z1.engines.local.engine import LocalEngine, LocalSettings
from z1.engines.local.engine import load as load_engine
from z1.errors import UserError
from z1.evaluate import read_attempts
from z1.models import shipped
from z1.runs import read_json
from z1.settings import PACKAGED

TEXT = """
name = "two"
seed = 3
[models]
one = {{ path = "{model}" }}
bare = {{ path = "{model}", profile = "z1-tiny-bare" }}
[[evaluate]]
problems = 4
thinking_budgets = [4]
max_answer_tokens = 8
[[evaluate]]
problems = 2
thinking_budgets = []
max_answer_tokens = 8
benchmark = "word-problems"
[evaluate.sampling]
samples = 2
temperature = 0.8
"""

PAPER = sorted((Path(__file__).parent.parent / "experiments" / "paper").glob("*.toml"))


def load(folder: Path, text: str = TEXT) -> comparison.Comparison:
    path = folder / "two.toml"
    path.write_text(text.format(model=shipped()), encoding="utf-8")
    assert comparison.is_comparison(path)
    return comparison.load(path)


def test_every_model_is_evaluated_once_on_everything(tmp_path: Path) -> None:
    chosen = load(tmp_path)
    comparison.check(chosen)
    steps = list(comparison.carry_out(chosen, tmp_path / "runs", pipeline.NoProgress()))
    done = steps[-1]
    assert [len(read_attempts(done[name, 0])) for name in ("one", "bare")] == [8, 8]
    assert {a.sample for a in read_attempts(done["one", 1]).values()} == {0, 1}
    assert {path.parent.name for path in done.values()} == {"one", "bare"}
    assert len(set(done.values())) == 4
    written = comparison.write(chosen, tmp_path / "runs", done)
    programs, words = read_json(written)["evaluations"]
    assert (programs["benchmark"], programs["reference"], list(programs["comparisons"])) == (
        "programs",
        "one",
        ["bare"],
    )
    assert [row["thinking_budget"] for row in programs["comparisons"]["bare"]["thinking_budgets"]] == [4, None]
    assert set(words["models"]["one"]["points"][0]["pass_at"]) == {"1", "2"}
    for page in ("1-programs", "2-word-problems"):
        shown = (written.parent / "report" / page / "index.html").read_text(encoding="utf-8")
        assert "bare</th>" in shown and str(shipped()) not in shown  # the table's names, not the models' own
    before = {path: (path / "attempts.jsonl").read_bytes() for path in done.values()}
    assert list(comparison.carry_out(chosen, tmp_path / "runs", pipeline.NoProgress()))[-1] == done
    assert before == {path: (path / "attempts.jsonl").read_bytes() for path in done.values()}


def test_an_evaluation_chooses_the_type_of_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = load(tmp_path, TEXT.replace("problems = 2", 'problems = 2\ndtype = "bfloat16"'))
    dtypes: list[str] = []

    def load_noted(model: Path, settings: LocalSettings, profile: str | None) -> LocalEngine:
        dtypes.append(settings.dtype)
        return load_engine(model, settings, profile)

    monkeypatch.setattr("z1.engines.local.engine.load", load_noted)
    list(comparison.carry_out(chosen, tmp_path / "runs", pipeline.NoProgress()))
    assert dtypes == ["auto", "bfloat16"] * 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"word-problems"', '"proze"', "benchmark: got proze"),
        ("z1-tiny-bare", "bear", "profile: got bear"),
        ("temperature", "temprature", "did you mean temperature"),
        ("bare =", "Bare =", "Bare"),
    ],
)
def test_a_wrong_name_is_refused_before_anything_runs(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        comparison.check(load(tmp_path, TEXT.replace(old, new)))


@pytest.mark.parametrize("path", PAPER, ids=[path.stem for path in PAPER])
def test_the_recipes_of_the_papers_tables_are_valid(path: Path) -> None:
    chosen = comparison.load(path)
    comparison.check(chosen)
    assert chosen.name == f"paper-{path.stem}"
    for settings in chosen.evaluate:
        assert settings.max_model_len is not None
        assert settings.max_model_len > max(settings.thinking_budgets) + settings.max_answer_tokens


def test_each_table_has_a_recipe() -> None:
    assert [path.stem for path in PAPER] == ["table-1", "table-2", "table-6"]
    assert not comparison.is_comparison(PACKAGED / "tiny.toml")


ELSEWHERE = """
name = "elsewhere"
[models]
here = {{ path = "{model}" }}
there = {{ path = "{model}", upstream_url = "{address}" }}
[[evaluate]]
problems = 4
thinking_budgets = [0, 8]
max_answer_tokens = 12
separate_runs = true
concurrency = 2
"""


def test_a_model_behind_a_server_gives_the_same_replies(tmp_path: Path) -> None:
    with serving(load_engine(shipped(), LocalSettings(max_num_seqs=4, max_model_len=1024))) as served:
        path = tmp_path / "elsewhere.toml"
        path.write_text(ELSEWHERE.format(model=shipped(), address=f"{served.url}/v1"), encoding="utf-8")
        chosen = comparison.load(path)
        comparison.check(chosen)
        *_, done = comparison.carry_out(chosen, tmp_path / "runs", pipeline.NoProgress())
    here, there = (read_attempts(done[name, 0]) for name in ("here", "there"))
    assert here.keys() == there.keys() and len(here) == 12
    assert [a.prompt_token_ids for a in here.values()] == [there[key].prompt_token_ids for key in here]
    same = sum(a.texts == there[key].texts and a.ledger == there[key].ledger for key, a in here.items())
    assert same >= 10  # outside deterministic mode a near tie may fall either way


def test_a_key_that_is_not_set_is_refused_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    path = tmp_path / "elsewhere.toml"
    text = ELSEWHERE.replace('"{address}"', '"http://127.0.0.1:1/v1", api_key_env = "SOME_KEY"')
    path.write_text(text.format(model=shipped()), encoding="utf-8")
    with pytest.raises(UserError, match="no environment variable SOME_KEY"):
        comparison.check(comparison.load(path))
    monkeypatch.setenv("SOME_KEY", "k")
    upstream = comparison.load(path).models["there"].upstream()
    assert upstream is not None and upstream.api_key == "k"
