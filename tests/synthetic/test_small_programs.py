"""Small programs: every form, its size, and draws of it."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from z1 import synthetic
from z1.synthetic import DatasetRequest, small_programs
from z1.synthetic.programs import DRILLS
from z1.synthetic.trajectories import count_operations


@pytest.mark.parametrize("form", small_programs.FORMS)
def test_a_form_draws_programs_of_at_most_two_operations(form: str) -> None:
    for seed in range(10):
        run = small_programs.run(small_programs.draw(Random(seed), form))
        assert run is not None
        assert len(run.steps) == form.count("\n") + 1 <= small_programs.MAX_STEPS
        assert count_operations(run) <= 2


def test_all_of_a_form_are_its_texts() -> None:
    every = list(small_programs.all_of("print({d} + {e})"))
    assert len(set(every)) == small_programs.size("print({d} + {e})") == 100
    assert sum(small_programs.run(source) is not None for source in every) == 55
    assert {small_programs.draw(Random(seed), "print({d} + {e})") for seed in range(20)} < set(every)


def test_kinds_of_forms_are_kinds_of_programs() -> None:
    assert set(small_programs.FORMS.values()) <= DRILLS.keys()


def test_a_dataset_of_small_programs_is_even_over_forms_and_repeats_them() -> None:
    found = list(synthetic.collect(DatasetRequest(400, "train", 1, 12, 1, synthetic.SMALL_PROGRAMS)))
    assert len(found) == 400
    assert len({one.problem.id for one in found}) < 400
    assert max(Counter(one.problem.id for one in found).values()) > 1
    held_out = list(synthetic.collect(DatasetRequest(20, "test", 1, 12, 1, synthetic.SMALL_PROGRAMS)))
    assert not {one.problem.id for one in held_out} & {one.problem.id for one in found}
