"""A repeated item is found whatever punctuation separates its words; boilerplate and chance matches are ignored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from z1.curate.ngram_overlap import BenchmarkItem, NgramIndex, Overlap, word_spans, words
from z1.curate.plan import DecontaminateSettings

ASKED = "Return the number of *beautiful* pairs in `nums`, where a pair is beautiful if its ends are coprime."
SHORT = "Evaluate $\\log_264$."


def items(*texts: str, **settings: float) -> NgramIndex:
    return NgramIndex(
        [BenchmarkItem("b", str(n), text) for n, text in enumerate(texts)],
        DecontaminateSettings.model_validate(settings),
    )


def numbered_words(first: int, count: int) -> str:
    return " ".join(f"w{n}" for n in range(first, first + count))


def found(overlap: Overlap | None, text: str) -> tuple[str, str, str]:
    assert overlap is not None
    item = overlap.item
    return item.name, text[slice(*overlap.text_span)], item.text[slice(*overlap.item_span)]


def test_an_item_in_another_layout_is_found_with_its_span_in_both_texts() -> None:
    text = f"Problem 3.\n\n{ASKED.upper().replace(' ', '  ').replace('`', '')}\nExample 1: 2"
    overlap = items("Something else is asked here, and in quite other words than those.", ASKED).find_overlap(text)
    assert overlap is not None and overlap.share == 1
    name, text_span, item_span = found(overlap, text)
    assert (name, item_span) == ("1", ASKED.rstrip("."))
    assert text_span.startswith("RETURN  THE") and text_span.endswith("ARE  COPRIME")


def test_both_the_share_and_the_number_of_words_must_suffice() -> None:
    item = numbered_words(0, 100)
    assert items(item, min_words=1, min_share=0.1).find_overlap(f"x {numbered_words(20, 10)} y") is not None
    assert items(item, min_words=1, min_share=0.11).find_overlap(f"x {numbered_words(20, 10)} y") is None
    assert items(item, min_words=11, min_share=0.1).find_overlap(f"x {numbered_words(20, 10)} y") is None
    assert items(item, min_words=1, min_share=0.01).find_overlap(f"x {numbered_words(20, 7)} y") is None
    two = items(item, min_words=1).find_overlap(
        f"{numbered_words(20, 10)} and {numbered_words(50, 15)} and {numbered_words(22, 8)}"
    )
    assert two is not None and two.share == pytest.approx(0.25)
    assert found(two, f"{numbered_words(20, 10)} and {numbered_words(50, 15)}")[2] == numbered_words(50, 15)
    assert items(numbered_words(0, 9)).find_overlap(numbered_words(0, 9)) is not None
    assert items(numbered_words(0, 9)).find_overlap(numbered_words(0, 8)) is None


def test_of_equally_long_matches_the_first_is_reported() -> None:
    text = f"{numbered_words(40, 9)} and {numbered_words(10, 9)}"
    assert found(items(numbered_words(0, 60), min_words=1).find_overlap(text), text)[1] == numbered_words(40, 9)


def test_the_item_with_the_largest_share_is_reported_and_of_equals_the_first() -> None:
    overlap = items(
        numbered_words(0, 60), numbered_words(0, 30), numbered_words(0, 30) + "!", boilerplate_items=4
    ).find_overlap(numbered_words(0, 30))
    assert overlap is not None and (overlap.item.name, overlap.share) == ("1", 1)


def test_ngrams_in_many_items_of_one_benchmark_are_boilerplate() -> None:
    shared = "You are given an integer array and have to return the answer modulo a large prime"
    texts = [f"{shared}. {numbered_words(30 * n, 20)}" for n in range(3)]
    assert items(*texts).find_overlap(f"{shared}, and then something new.") is None
    assert items(*texts, boilerplate_items=4).find_overlap(f"{shared}, and then something new.") is not None
    assert items(*texts).find_overlap(f"{shared}. {numbered_words(30, 20)}") is not None
    elsewhere = [BenchmarkItem(f"b{n}", "0", text) for n, text in enumerate(texts)]
    assert NgramIndex(elsewhere, DecontaminateSettings()).find_overlap(shared) is not None


def test_short_items_match_as_a_whole_with_the_same_punctuation() -> None:
    short = items(SHORT, "What is $2 + 3$?")
    for text in (SHORT, "Well: evaluate\n$\\log_ 264$, now", "evaluate $\\log_264$"):
        assert found(short.find_overlap(text), text)[0] == "0"
    for text in ("Evaluate $\\log_2 65$.", "Evaluate $\\log_2 (64)$", "What is 2 - 3?", "What is 2"):
        assert short.find_overlap(text) is None
    twice = "What is $2 - 3$? And what is $2 + 3$?"
    assert found(short.find_overlap(twice), twice)[1] == "what is $2 + 3"


def test_items_that_are_too_short_or_all_boilerplate_are_counted() -> None:
    made = items("Hello there", numbered_words(0, 20), numbered_words(0, 20), numbered_words(0, 20))
    assert made.skipped == 4
    assert made.find_overlap(f"Hello there {numbered_words(0, 20)}") is None


@given(st.integers(0, 60), st.integers(8, 40), st.integers(0, 5))
def test_a_match_of_enough_words_is_always_found(first: int, count: int, before: int) -> None:
    text = f"{'z ' * before}{numbered_words(first, count)} z"
    overlap = items(numbered_words(0, 100), min_words=8, min_share=0.05).find_overlap(text)
    assert found(overlap, text)[1:] == (numbered_words(first, count), numbered_words(first, count))


def test_words_ignore_punctuation_case_and_latex() -> None:
    assert words('The list. "First_name", 10^5\xa0and $\\texttt{ab} \\leq 2$!') == [
        *("the", "list", "first", "name", "10", "5", "and", "ab", "leq", "2"),
    ]
    assert [word for word, _, _ in word_spans("\\textbf{ab} \\sin x")] == ["ab", "sin", "x"]
    assert words("ÜBER 素数 \\ _ __") == ["über", "素数"]


@given(st.text(alphabet="aB1_ \\.\né素", max_size=40))
def test_word_spans_are_the_words_with_their_positions(text: str) -> None:
    found = list(word_spans(text))
    assert [word for word, _, _ in found] == words(text)
    assert all(text[first:end].lower() == word for word, first, end in found)
