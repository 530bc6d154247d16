"""The rows of a word problem agree with an independent solver that reads the sentences."""

from __future__ import annotations

import re

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from z1.synthetic import trajectories, word_problems

PROPERTY = settings(max_examples=150, deadline=None, derandomize=True)
PROBLEMS = st.builds(word_problems.generate, st.integers(0, 3), st.integers(0, 10**6))


def solve(lines: list[str]) -> int:
    """The answer by an independent solver."""
    has: dict[str, int] = {}
    for line in lines[:-1]:
        name, verb, *rest = line.rstrip(".").split()
        numbers = [int(word) for word in rest if word.isdigit()]
        if verb == "has":
            has[name] = numbers[0]
        elif verb == "gives":
            has[name] -= numbers[0]
            has[rest[0]] += numbers[0]
        else:
            has[name] += numbers[0] if verb == "finds" else -numbers[0]
    if found := re.findall(r"(?:are|and|less) (\d+)", lines[-1]):
        signs = [-1 if word == "less" else 1 for word in re.findall(r"\b(are|and|less)\b", lines[-1])]
        return sum(sign * int(number) for sign, number in zip(signs, found, strict=True))
    return sum(has[name] for name in re.findall(r"Ann|Ben|Cal|Dot", lines[-1]))


@given(PROBLEMS)
@PROPERTY
def test_the_answer_follows_from_the_sentences(problem: word_problems.WordProblem) -> None:
    assert problem.answer == solve(problem.sentences)
    assert 1 <= len(problem.sentences) <= 12
    assert all(0 <= int(number) <= 9 for line in problem.results for number in re.findall(r"\d+", line))


@given(PROBLEMS)
@PROPERTY
def test_there_is_a_row_for_each_sentence_and_the_last_ends_in_the_answer(problem: word_problems.WordProblem) -> None:
    assert problem.write_thought("direct") == ""
    for level in ("compact", "full"):
        rows = problem.write_thought(level).removesuffix("\n\n").split("\n")
        assert len(rows) == len(problem.sentences)
        assert f" {rows[-1]}".endswith(f" {problem.answer}")
        assert all(row.startswith(f"{number}| ") for number, row in enumerate(rows, 1))
    assert all(
        row.startswith(line)
        for row, line in zip(
            problem.write_thought("full").split("\n"), trajectories.number_lines(problem.sentences), strict=False
        )
    )
    assert trajectories.CHECK in problem.write_thought("long")
    assert word_problems.format_question(problem).startswith(f"{word_problems.QUESTION}\n1| ")


@given(PROBLEMS)
@PROPERTY
def test_the_hash_ignores_names_and_things_but_not_numbers(problem: word_problems.WordProblem) -> None:
    swap = dict(
        zip(
            (*word_problems.PEOPLE, *word_problems.THINGS),
            ("Dot", "Ann", "Ben", "Cal", "coins", "apples", "books"),
            strict=True,
        )
    )
    renamed = [re.sub("|".join(swap), lambda found: swap[found[0]], line) for line in problem.sentences]
    assert word_problems.hash_word_problem(word_problems.WordProblem(renamed)) == word_problems.hash_word_problem(
        problem
    )
    digit = re.search(r"\d", "\n".join(problem.sentences))
    assume(digit is not None)
    assert digit is not None
    other = "\n".join(problem.sentences).replace(digit[0], str((int(digit[0]) + 1) % 10))
    assert word_problems.hash_word_problem(
        word_problems.WordProblem(other.split("\n"))
    ) != word_problems.hash_word_problem(problem)


@given(st.integers(0, 10**6))
@PROPERTY
def test_a_word_problem_depends_on_seed_and_index_alone(index: int) -> None:
    assert word_problems.generate(3, index) == word_problems.generate(3, index)
