"""Exit rules end thoughts at the right token, however it was sampled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.engines.test_answer_exit import agreement, replied


@given(st.integers(1, 7), st.integers(1, 4), st.one_of(st.none(), st.integers(1, 9)))
def test_intervals_are_counted_in_tokens_not_in_samples(every: int, stable: int, chunk: int | None) -> None:
    whole, cut = (replied((agreement(every, stable),), size) for size in (None, chunk))
    assert (
        whole.token_ids == cut.token_ids and whole.ledger() == cut.ledger() and whole.shift_reason is cut.shift_reason
    )
