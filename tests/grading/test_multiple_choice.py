"""The option that a reply chooses: dress, statements, and texts that choose nothing; `@` stands for a letter."""

from __future__ import annotations

import time

import pytest

from z1.grading import Verdict
from z1.grading.multiple_choice import LETTERS, extract_choice, grade

ROWS = [
    ("a box", "so \\boxed{B}", "B"),
    ("the last box", "\\boxed{A}, no: \\boxed{C}", "C"),
    ("text in the box", "\\boxed{\\text{D}}", "D"),
    ("bold text in the box", "\\boxed{\\textbf{(A)}}", "A"),
    ("brackets", "\\boxed{(C)}", "C"),
    ("a full stop", "\\boxed{B.}", "B"),
    ("the option's words too", "\\boxed{B. 5 kJ}", "B"),
    ("the option's words in text", "\\boxed{\\text{C) Both}}", "C"),
    ("the article a is no option", "It is a pity.", None),
    ("the article A at the start of a sentence is none", "A pity. The answer is hard to find.", None),
    ("a small letter alone in its box", "\\boxed{b}", "B"),
    ("a small letter with words is none", "\\boxed{a pity}", None),
    ("E is not among four", "\\boxed{E}", None),
    ("two letters", "\\boxed{A, B}", None),
    ("a number", "\\boxed{7}", None),
    ("an answer in words", "The answer is (D).", "D"),
    ("an answer in bold", "**Answer:** C", "C"),
    ("an answer in bold inside", "Answer: **C**", "C"),
    ("the final answer of a window", "the final answer should be:\n\nB", "B"),
    ("the last of two answers", "The answer is A. No, the answer is C.", "C"),
    ("the answer is a thing", "The answer is A-type stars", None),
    ("a box that was cut off", "\\boxed{B", None),
    ("an empty box", "\\boxed{}", None),
    ("nothing", "", None),
    ("a box with the value, the letter in the text", "So the answer is B; its energy is \\boxed{3.2}", "B"),
    ("a box with a letter, then one with the value", "\\boxed{B}, which is \\boxed{3.2 eV}", "B"),
    ("two letters in the box outweigh one in the text", "The answer is B. \\boxed{\\text{A and B}}", None),
    ("a letter beyond the options outweighs one in the text", "The answer is D. \\boxed{E}", None),
    ("an answer that is taken back", "The answer is A. Wait, the answer is not A.", None),
    ("another answer than the one denied", "The answer is not A but D.", "D"),
    ("one denied after the answer", "The answer is C. It is not A.", "C"),
    ("a list of all options", "A. red\nB. blue\nC. green\nD. black", None),
    ("a list of all options, then a letter", "A. red\nB. blue\nC. green\nD. black\n\nB", "B"),
    ("a correction", "The answer is A. Hmm, D is correct.", "D"),
    ("two boxes that are joined", "\\boxed{C} or \\boxed{D}", None),
    ("the same box twice", "$\\boxed{C}$ and $\\boxed{C}$.", "C"),
    ("a box after another", "\\boxed{C}\n\n\\boxed{D}", "D"),
    ("the last of several drafts in tags", "<answer>A</answer> no <answer>B</answer>", "B"),
]

DRESS = """
@ | (@) | [@] | {@} | "@" | '@' | `@` | **@** | *@* | $@$ | \\(@\\) | <b>@</b> | @. | @) | (@). | @\\) | \\rm @
{\\rm @} | \\text{@} | \\text{(@)} | \\text{ @ } | \\textbf{@} | \\textit{@} | \\texttt{@} | \\textsf{@}
\\textrm{@} | \\emph{@} | \\mathrm{@} | \\mathbf{@} | \\mathsf{@} | \\mathcal{@} | \\mathbb{@} | \\boldsymbol{@}
\\bm{@} | \\underline{@} | \\mbox{@} | \\textbf{\\text{@}} | \\textbf{(\\text{@})} | \\left(@\\right) | \\large @
{\\bf @} | \\textcolor{red}{@} | \\operatorname{@} | \\text{Option @} | \\text{option (@)} | \\text{Choice @}
Option @ | \\text{Answer: @} | \\text{The answer is @} | \\textbf{Option @} | \\text{The correct option is @.}
@: 12 m/s | @) 12 m/s | @. 12 m/s | @.\\ 12 | \\text{@, 12 m/s} | @ (12 m/s) | \\text{@}\\ (12)
\\text{@. } 12\\,\\mathrm{m/s} | \\textbf{@} \\quad 12 | @ - 12 m/s | @; 12 | \\text{@) the longer one}
(@) A longer one | @ \\text{ (12)} | @. Both of them | \\text{@, since it is larger}
\\text{@ because it is larger} | \\, @ \\, | ~@~ | @ \\quad
"""

STATED = r"""
The answer is @. | The answer is (@). | The answer is **@**. | The answer is "@". | The answer is `@`.
The answer is $@$. | The answer is \(\text{@}\). | Thus the answer is $\mathbf{@}$ | The answer: @ | Answer: @
ANSWER: @ | answer: @ | **Answer:** @ | **Answer: @** | Answer: **@** | Answer: (@) | Answer: @) 12 m/s
Answer: @. 12 m/s | Answer: Option @ | Answer：@ | ### Answer¶@ | Answer:¶¶@ | Answer:¶**@. 12 m/s**
**Final Answer**¶¶@ | **Final Answer:** @ | Final Answer: @ | Correct answer: @ | My answer: @
The correct answer is:¶¶**(@) 5 eV** | The answer is therefore @. | The answer must be @. | The answer is clearly @.
The answer is thus option @. | The best answer would be: @) 3.2 eV | The correct option is (@).
The correct choice is @. | The right choice is @ | My choice is @. | The correct option is **@**.
The answer corresponds to option @. | The answer to the question is @. | The correct letter is @.
@ is the correct answer. | @ is correct. | (@) is correct. | **@** is correct. | Option @ is correct.
Therefore, option @ is correct. | Choice @ is the best one. | So @ is the answer. | @ is the only correct option.
I conclude that @ is correct. | @ is the right choice. | I choose @. | I would go with option @. | We pick (@).
I select @. | Therefore, @. | Thus (@). | Hence, option @. | So it is option @. | @ | (@) | **@** | @. | @) 12 m/s
(@) 12 m/s | **@. 12 m/s** | Option @ | @¶¶Because it is larger. | Because it is larger.¶¶@
Because it is larger.¶¶**@** | Because it is larger.¶¶- @ | <answer>@</answer> | <answer>¶@¶</answer>
<answer>@) 12</answer> | The answer is @ because it is larger. | The answer is @, since it is larger.
The answer is @ - the larger one. | The answer is @: the larger | The answer is @. The others are smaller.
The answer is @¶The others are smaller. | the final answer should be:¶¶Option @ is correct.
the final answer should be:¶¶```¶@¶``` | the final answer should be:¶¶\[¶@¶\]
the final answer should be:¶¶@) 12 m/s¶¶This is so since it is larger.
答案：@ | 答案是@。 | 正确答案是 @
故选：@。 | 因此选@
La respuesta correcta es @. | Die richtige Antwort ist @. | La réponse est @. | Ответ: @ | 정답: @
"""

REFUSED = r"""
\boxed{A and B} | \boxed{\text{A or B}} | \boxed{A/B} | \boxed{A \& B} | \boxed{A, B, C} | \boxed{(A)(B)}
\boxed{(A), (B)} | \boxed{A. B} | \boxed{A; B} | \boxed{AB} | \boxed{ABC} | \boxed{A + B} | \boxed{D = 5}
\boxed{B = \mu_0 n I} | \boxed{A \to B} | \boxed{A^2} | \boxed{A_1} | \boxed{C_2H_6} | \boxed{\vec{B}}
\boxed{\frac{A}{B}} | \boxed{A longer wavelength} | \boxed{\text{A longer wavelength}} | \boxed{2C} | \boxed{A'}
\boxed{\text{none}} | \boxed{\text{Both A and B}} | \boxed{B \times C} | \boxed{\sqrt{C}} | \boxed{C \approx 3}
\boxed{H} | \boxed{3 \text{ A}} | The answer is A or C. | The answer is C/D | The answer is A and D.
The answer is both A and B. | The answer is either A or B. | Answer: A, B | Both A and B are correct.
Either A or B is correct. | A and B is correct. | Neither A nor B is correct. | The answer is neither A nor B.
The answer is A good approximation to B. | The answer is A longer one. | The answer is a pity.
A good answer is hard to find. | The answer is I think. | The answer is not A. | A is not correct. | B is incorrect.
If the answer is A, then so be it. | If A is correct, x is 3. | Is the answer C? No.
Whether B is correct is not known. | Vitamin C is correct. | The answer is vitamin C. | The answer is plan B.
Statement A is correct. | Point B is correct. | The answer choices are: A) 1 B) 2 | Let's check each answer: A) no
Thus the displacement is D. | The answer is A's | The answer is A-type stars | The answer is C = 5.
the final answer should be:¶¶A longer wavelength | <answer>A, C</answer> | <answer>12</answer>
The wrong answer is A. | A. red¶B. blue¶C. green¶D. black | It is unclear. | 12 m/s | The field B is large. | E
(E)
"""


def cells(table: str) -> list[str]:
    """The cells of a table, with `¶` as the end of a line."""
    return [cell.strip().replace("¶", "\n") for line in table.strip().splitlines() for cell in line.split(" | ")]


@pytest.mark.parametrize(("name", "text", "letter"), ROWS, ids=[row[0] for row in ROWS])
def test_the_chosen_letter_is_extracted(name: str, text: str, letter: str | None) -> None:
    assert extract_choice(text) == letter


@pytest.mark.parametrize("dressed", cells(DRESS))
def test_any_dress_in_a_box_is_removed(dressed: str) -> None:
    for letter in LETTERS[:4]:
        assert extract_choice(f"So $\\boxed{{{dressed.replace('@', letter)}}}$.") == letter


@pytest.mark.parametrize("stated", cells(STATED))
def test_a_stated_letter_is_read(stated: str) -> None:
    for letter in LETTERS[:4]:
        assert extract_choice(stated.replace("@", letter)) == letter


@pytest.mark.parametrize("text", cells(REFUSED))
def test_what_chooses_nothing_is_refused(text: str) -> None:
    assert extract_choice(text) is None


def test_ten_options_are_read_from_a_to_j() -> None:
    for letter in LETTERS:
        for text in ("\\boxed{@}", "\\boxed{\\text{@. 12}}", "The answer is @.", "ANSWER: @", "@"):
            assert extract_choice(text.replace("@", letter), options=10) == letter
    assert extract_choice("\\boxed{K}", options=10) is None
    assert extract_choice("The answer is I think D? no idea", options=10) is None


def test_replies_are_graded_right_wrong_unparsed_or_cut() -> None:
    assert grade("\\boxed{B}", "B", cut=False).verdict is Verdict.RIGHT
    assert grade("\\boxed{B}", "A", cut=False).verdict is Verdict.WRONG
    assert grade("hm", "A", cut=False).verdict is Verdict.UNPARSED
    assert grade("hm", "A", cut=True).verdict is Verdict.CUT


@pytest.mark.parametrize(
    "text", ["A " * 50_000, "(A) " * 50_000, "answer is " * 30_000, "The answer is A. " * 10_000, "\\text{" * 50_000]
)
def test_repetition_takes_linear_time(text: str) -> None:
    began = time.process_time()
    extract_choice(text)
    assert time.process_time() - began < 4
