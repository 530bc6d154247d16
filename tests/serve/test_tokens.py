"""Is every token told once, and in its order?"""

from __future__ import annotations

from z1.serve.room import Came
from z1.serve.tokens import Tokens
from z1.think import Bucket


def test_ids_are_handed_out_once_hint_and_stop_included() -> None:
    tokens = Tokens()
    assert tokens.take() == {}
    for bucket, ids in ((Bucket.THOUGHT, (5, 6)), (Bucket.HINT, (7,))):
        tokens.came(Came(bucket, ids))
    assert tokens.take() == {"token_ids": [5, 6, 7]}
    tokens.came(Came(Bucket.STOP, (3,)))
    assert tokens.take() == {"token_ids": [3]}
    assert tokens.take() == {}
