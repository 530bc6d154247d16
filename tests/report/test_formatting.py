"""Numbers as text, and a headline that states what was measured and nothing more."""

from dataclasses import replace
from pathlib import Path

from z1.records import Interval
from z1.report import formatting
from z1.report.load import Evaluation, read

NAN = float("nan")


def test_numbers() -> None:
    assert [formatting.share(one) for one in (0.962, 0.0, NAN)] == ["96.2", "0.0", "\u2013"]
    assert [formatting.tokens(one) for one in (61.04, 1234.5, NAN)] == ["61.0", "1,234", "\u2013"]
    assert formatting.bracket(Interval(0.945, 0.962, 0.974), "share") == "[94.5,\u00a097.4]"
    assert formatting.bracket(Interval(NAN, NAN, NAN)) == ""
    assert [formatting.about(one) for one in (0.0, 6.04, 61.04)] == ["0", "6.0", "61"]
    assert [formatting.budget(one) for one in (None, 0, 4096)] == ["unlimited", "0", "4,096"]


def test_one_model(evaluations: tuple[Evaluation, ...]) -> None:
    assert formatting.headline(evaluations).replace("\u00a0", " ") == (
        "tiny has an accuracy of 70.1 % [60.1, 80.1] on 1,189 programs (11 more are missing), with 51 thinking tokens "
        "on average; a thinking budget of 32 reaches at least half: 50.1 % [40.1, 60.1] with 31 thinking tokens."
    )


def test_several_models(folder: Path, other: Path) -> None:
    assert formatting.headline(read([folder, other])).replace("\u00a0", " ") == (
        "On 1,189 programs (11 more are missing), tiny has an accuracy of 70.1 % [60.1, 80.1] with 51 thinking tokens "
        "on average, other <model> of 70.1 % [60.1, 80.1] with 51."
    )


def test_the_headline_omits_what_is_unknown(evaluations: tuple[Evaluation, ...]) -> None:
    (one,) = evaluations
    poor = [
        replace(point, accuracy=Interval(0, 0.01 + 0.9 * (point.thinking_budget is None), 1)) for point in one.points
    ]
    assert formatting.headline([replace(one, points=tuple(poor))]).endswith(
        "no smaller thinking budget reaches half of that."
    )
    alone = replace(one, points=one.points[-1:], count=300, benchmark="gpqa")
    assert "on 1,189 replies to 300 problems of gpqa (11 more are missing), with 51" in formatting.headline([alone])
    assert ";" not in formatting.headline([alone])
    assert formatting.headline([replace(one, points=one.points[:1])]).startswith(
        "tiny, with a thinking budget of 0 tokens, has an accuracy"
    )
    single = replace(one.head, missing=1)
    assert "(1 more is missing)" in formatting.headline([replace(one, points=(single,))])
    nothing = replace(one.head, n=0, missing=600, accuracy=Interval(NAN, NAN, NAN))
    assert formatting.headline([replace(one, points=(nothing,))]) == "tiny has no graded reply (600 are missing)."
    assert "other has no" in formatting.headline([one, replace(one, label="other", points=(nothing,))])
