"""A repeated item is found whatever stands between its words; boilerplate and chance are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from z1.curate.ngram_overlap import BenchmarkItem, BenchmarkItems, Overlap
from z1.curate.plan import DecontaminateSettings

ASKED = "Return the number of *beautiful* pairs in `nums`, where a pair is beautiful if its ends are coprime."
SHORT = "Evaluate $\\log_264$."


def items(*texts: str, **settings: float) -> BenchmarkItems:
    return BenchmarkItems(
        [BenchmarkItem("b", str(n), text) for n, text in enumerate(texts)],
        DecontaminateSettings.model_validate(settings),
    )


def words(first: int, count: int) -> str:
    return " ".join(f"w{n}" for n in range(first, first + count))


def found(overlap: Overlap | None, text: str) -> tuple[str, str, str]:
    assert overlap is not None
    item = overlap.item
    return item.name, text[slice(*overlap.of_text)], item.text[slice(*overlap.of_item)]


def test_an_item_in_other_layout_is_found_and_the_run_is_shown_as_it_stands_in_both() -> None:
    text = f"Problem 3.\n\n{ASKED.upper().replace(' ', '  ').replace('`', '')}\nExample 1: 2"
    overlap = items("Something else is asked here, and in quite other words than those.", ASKED).best(text)
    assert overlap is not None and overlap.share == 1
    name, of_text, of_item = found(overlap, text)
    assert (name, of_item) == ("1", ASKED.rstrip("."))
    assert of_text.startswith("RETURN  THE") and of_text.endswith("ARE  COPRIME")


def test_the_share_and_the_words_decide() -> None:
    item = words(0, 100)
    assert items(item, least=1, share=0.1).best(f"x {words(20, 10)} y") is not None
    assert items(item, least=1, share=0.11).best(f"x {words(20, 10)} y") is None
    assert items(item, least=11, share=0.1).best(f"x {words(20, 10)} y") is None
    assert items(item, least=1, share=0.01).best(f"x {words(20, 7)} y") is None
    two = items(item, least=1).best(f"{words(20, 10)} and {words(50, 15)} and {words(22, 8)}")
    assert two is not None and two.share == pytest.approx(0.25)
    assert found(two, f"{words(20, 10)} and {words(50, 15)}")[2] == words(50, 15)
    assert items(words(0, 9)).best(words(0, 9)) is not None
    assert items(words(0, 9)).best(words(0, 8)) is None


def test_of_equally_long_runs_the_first_is_shown() -> None:
    text = f"{words(40, 9)} and {words(10, 9)}"
    assert found(items(words(0, 60), least=1).best(text), text)[1] == words(40, 9)


def test_the_item_with_the_largest_share_is_named_and_of_equals_the_first() -> None:
    overlap = items(words(0, 60), words(0, 30), words(0, 30) + "!", common=4).best(words(0, 30))
    assert overlap is not None and (overlap.item.name, overlap.share) == ("1", 1)


def test_what_many_items_of_one_benchmark_share_is_boilerplate() -> None:
    shared = "You are given an integer array and have to return the answer modulo a large prime"
    texts = [f"{shared}. {words(30 * n, 20)}" for n in range(3)]
    assert items(*texts).best(f"{shared}, and then something new.") is None
    assert items(*texts, common=4).best(f"{shared}, and then something new.") is not None
    assert items(*texts).best(f"{shared}. {words(30, 20)}") is not None
    elsewhere = [BenchmarkItem(f"b{n}", "0", text) for n, text in enumerate(texts)]
    assert BenchmarkItems(elsewhere, DecontaminateSettings()).best(shared) is not None


def test_short_items_are_found_whole_with_the_same_signs() -> None:
    short = items(SHORT, "What is $2 + 3$?")
    for text in (SHORT, "Well: evaluate\n$\\log_ 264$, now", "evaluate $\\log_264$"):
        assert found(short.best(text), text)[0] == "0"
    for text in ("Evaluate $\\log_2 65$.", "Evaluate $\\log_2 (64)$", "What is 2 - 3?", "What is 2"):
        assert short.best(text) is None
    twice = "What is $2 - 3$? And what is $2 + 3$?"
    assert found(short.best(twice), twice)[1] == "what is $2 + 3"


def test_what_is_too_short_or_all_boilerplate_is_counted() -> None:
    made = items("Hello there", words(0, 20), words(0, 20), words(0, 20))
    assert made.unsought == 4
    assert made.best(f"Hello there {words(0, 20)}") is None


@given(st.integers(0, 60), st.integers(8, 40), st.integers(0, 5))
def test_a_run_of_enough_words_is_always_found(first: int, count: int, before: int) -> None:
    text = f"{'z ' * before}{words(first, count)} z"
    overlap = items(words(0, 100), least=8, share=0.05).best(text)
    assert found(overlap, text)[1:] == (words(first, count), words(first, count))
