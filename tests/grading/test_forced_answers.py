"""Forced answers: what a model writes behind the hint of each profile, for each kind of answer.

A grader gets the hint and the answer, without the thought. `@` stands for the answer.
"""

from __future__ import annotations

import pytest

from z1.grading.code_extraction import extract_code
from z1.grading.math_answers import extract_answer
from z1.grading.math_notation import read_value
from z1.grading.multiple_choice import extract_choice
from z1.profiles import PROFILES, AnswerKind, hint_for

KINDS = {kind: {hint_for(row, kind) for row in PROFILES.values()} for kind in AnswerKind}
FORCED = {
    kind: sorted({text + hint.answer_prefix for hint in hints for text in (hint.text, hint.no_thinking)} - {""})
    for kind, hints in KINDS.items()
}
OPEN_BOX = "\\boxed{"
HINTS = sorted({hint for hints in FORCED.values() for hint in hints if not hint.endswith((OPEN_BOX, "```"))} - {"\n\n"})
BOXED = sorted({hint for hints in FORCED.values() for hint in hints if hint.endswith(OPEN_BOX)})
FENCED = sorted({hint for hints in FORCED.values() for hint in hints if hint.endswith("```")})

NUMBERS = """
@ | **@** | $@$ | \\(@\\) | $$@$$ | $$¶@¶$$ | \\[@\\] | \\[ @ \\] | \\[¶@¶\\] | ```¶@¶``` | ```text¶@¶``` | `@`
@. | **@.** | - @ | > @ | = @ | $@ | Therefore, the total is @. | Therefore, the total is **@**.
Therefore, the total is $@$. | The total number of apples is @. | It is @. | @, since 6 times 7 is @.
$@$, since 6 times 7 is $@$. | @ because 6 times 7 is @. | @¶¶Since 6 times 7 is @.
**@**¶¶Since 6 times 7 is @. | @ dollars | @ dollars. | \\$@ | @ apples | **@ apples** | There are @ apples.
There are @ apples in the basket. | He has @ apples left. | It takes @ minutes. | She needs @ more. | We get @.
That makes @. | So @. | Thus, @. | Hence @. | The sum equals @. | The value is equal to @. | The answer is @.
The final answer is @. | So the answer is **@**. | The answer should be @. | **Final Answer:** @
**Final Answer**¶¶@ | Answer: @ | ### Answer¶@ | ### Final Answer¶¶**@** | <answer>@</answer>
<answer>¶@¶</answer> | x = @ | $x = @$ | 6 × 7 = @ | We have 6 × 7 = @. | ≈ @ | \\boxed{@} | $\\boxed{@}$
**\\boxed{@}** | \\fbox{@} | \\boxed {@} | So the answer is $\\boxed{@}$. | $\\mathbf{@}$ | \\text{@}
@¶¶The answer is correct. | @. The answer is obtained by multiplying. | @¶¶I checked that the answer is right.
"""
LETTERS = """
@ | (@) | **@** | @. | @) | $@$ | `@` | \\(@\\) | \\[¶@¶\\] | $$¶@¶$$ | ```¶@¶``` | \\text{@} | **(@)**
**@) 12 m/s** | @. 12 m/s | (@) 12 m/s | Option @ | Option (@) | The answer is @. | The correct option is @.
The correct answer is (@). | Option @ is correct. | @ is correct. | **Answer:** @ | Answer: @
**Final Answer:** @ | \\boxed{@} | $\\boxed{\\text{@}}$ | \\boxed{\\text{Option @}} | <answer>@</answer>
@, since it is larger. | @ because it is larger. | @¶¶Since it is larger. | **@**¶¶Since it is larger.
@. 12 m/s¶¶Since it is larger. | Therefore, the answer is @. | I choose @. | So the answer is **@**.
"""
PROGRAM = "def twice(x):\n    return 2 * x"
PROGRAMS = """
```python¶@¶``` | ```¶@¶``` | ```python¶@``` | @ | Here is the code:¶¶```python¶@¶```
Here is the code: ```python¶@¶``` | ¶~~~¶@¶~~~ | ````¶@¶```` | ```python¶@¶```¶¶It doubles.
```python¶@¶```¶Example:¶```python¶print(twice(2))¶```¶Output:¶```¶4¶``` | > ```python¶> @¶> ``` | ```python¶@
```¶¶```python¶@¶``` | ```¶¶The code:¶```¶@¶``` | **Code:**¶```python¶@¶``` | Here is the code:¶¶@
"""
PROSE = """
A longer wavelength | A good approximation to B | A and B | B or C | It is not clear. | unknown | D = 5
B-cells | A/B
"""


def cells(table: str) -> list[str]:
    """The cells of a table, with `¶` as the end of a line."""
    return [cell.strip(" ").replace("¶", "\n") for line in table.strip().splitlines() for cell in line.split(" | ")]


@pytest.mark.parametrize("answer", cells(NUMBERS))
@pytest.mark.parametrize("hint", HINTS)
def test_a_forced_number_is_read(hint: str, answer: str) -> None:
    for number in ("42", "-3", "1,250", "0.5", "3/4"):
        if number == "-3" and "@ apples" in answer:
            continue
        found = extract_answer(hint + answer.replace("@", number))
        assert found is not None
        assert read_value(found).text.rpartition("=")[2].strip() == number.replace(",", ""), found


@pytest.mark.parametrize("answer", cells(LETTERS))
@pytest.mark.parametrize("hint", HINTS)
def test_a_forced_letter_is_read(hint: str, answer: str) -> None:
    for letter in "ABCD":
        assert extract_choice(hint + answer.replace("@", letter)) == letter


@pytest.mark.parametrize("answer", cells(PROGRAMS))
@pytest.mark.parametrize("hint", HINTS)
def test_a_forced_program_is_read(hint: str, answer: str) -> None:
    program = PROGRAM.replace("\n", "\n> ") if answer.startswith(">") else PROGRAM
    assert (extract_code(hint + answer.replace("@", program), "twice", ended=True) or "").strip() == PROGRAM


@pytest.mark.parametrize("answer", cells(PROSE))
@pytest.mark.parametrize("hint", HINTS)
def test_a_forced_answer_without_a_letter_chooses_none(hint: str, answer: str) -> None:
    assert extract_choice(hint + answer) is None


@pytest.mark.parametrize("hint", BOXED)
def test_a_hint_that_opens_a_box_is_read(hint: str) -> None:
    for answer in (
        "42}.",
        "42}$.",
        "42}\n\nSince 6 times 7 is 42.",
        "\\text{42}}",
        "**42**}",
        " 42 }",
        "42\\text{ apples}}",
        "x = 42}",
    ):
        found = extract_answer(hint + answer)
        assert found is not None and read_value(found).text.endswith("42")
    for answer in (
        "C}.",
        "\\text{C}}",
        "(C)}",
        "C. 12 m/s}",
        "**C**}",
        "\\text{Option C}}",
        "C}\n\nSince A and B are smaller.",
    ):
        assert extract_choice(hint + answer) == "C"
    for answer in ("A, B}", "D = 5}", "A longer wavelength}", "C", "C\n\nSo it is."):
        assert extract_choice(hint + answer) is None
    assert extract_answer(hint + "42") is None


@pytest.mark.parametrize("hint", FENCED)
def test_a_hint_that_opens_a_fence_is_read(hint: str) -> None:
    use = "```python\nprint(twice(2))\n```\nOutput:\n```\n4\n```"
    for answer in (
        f"python\n{PROGRAM}\n```",
        f"\n{PROGRAM}\n```",
        f"python\n{PROGRAM}\n```\n\nIt doubles.",
        f"python\n{PROGRAM}\n```\n{use}",
    ):
        assert (extract_code(hint + answer, "twice", ended=True) or "").strip() == PROGRAM
        assert extract_code(hint + answer, "twice") is not None
    assert extract_code(f"{hint}python\n{PROGRAM}", "twice") is None


def test_without_a_hint_an_answer_alone_is_read_and_prose_is_not() -> None:
    for text in ("42", "**42**", "$42$", "\\[\n42\n\\]", "```\n42\n```", "x = 42", "42 apples"):
        assert read_value(extract_answer(text) or "").text.endswith("42")
    for text in (
        "it is 42",
        "We compute 6 times 7, which is 42.",
        "42 is the product.\n\nIt is large.",
        "Let us think.",
    ):
        assert extract_answer(text) is None
