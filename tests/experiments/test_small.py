"""The enumeration of small programs finds what a model gets wrong, and its page holds the bar."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.tiny import small
from z1.models import shipped
from z1.synthetic import small_programs
from z1.synthetic.trajectories import format_answer


def test_a_form_is_tested_whole_or_by_a_sample() -> None:
    assert len(small.of_form("print({d} + {e})", 100)) == 55
    for form in small_programs.FORMS:
        found = small.of_form(form, 7)
        assert (
            len({one.source for one in found})
            == len(found)
            == (0 if small._line(form).startswith('w = "{word}"; {') else 7)
        )
        assert found == small.of_form(form, 7)


@pytest.mark.parametrize("kind", small.KINDS)
def test_other_programs_of_a_kind_have_at_most_two_operations(kind: str) -> None:
    assert len(small.of_kind(kind, 5)) == 5


def test_a_reply_is_right_if_it_ends_with_what_the_program_prints() -> None:
    tester, tested = small.Tester(shipped()), small.of_form("print({d})", 10)
    assert tester.wrong(tested) == []
    other = replace(tested[0], printed="12", row=replace(tested[0].row, answer=format_answer("12")))
    unlike = replace(tested[1], row=replace(tested[1].row, thought="1| \n\n"))  # another thought, the same result
    assert tester.wrong([other, unlike, *tested[2:]]) == [other]


def test_every_row_of_the_page_is_at_least_99_percent_right() -> None:
    lines = (Path(small.__file__).parent / "small.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith(("| `", "| other"))]
    assert [cells[0].strip("`") for cells in rows if "{" in cells[0]] == [
        form.replace("\n", "; ") for form in small_programs.FORMS
    ]
    answered = [cells for cells in rows if "refused" not in cells[2]]
    assert len(rows) == len(small_programs.FORMS) + len(small.KINDS)
    assert [cells for cells in answered if float(cells[4].split()[0]) < 99] == []
