"""The level of a trajectory is derived from its words outside code."""

from __future__ import annotations

import pytest

from z1.curate.reasoning_level import count_prose_words, derive_level

UPTO = {"direct": 3, "brief": 6}


@pytest.mark.parametrize(
    ("response", "count", "level"),
    [
        ("```python\nmany words of code stand here\n```", 0, "direct"),
        ("One two three:\n```\ncode\n```", 3, "direct"),
        ("One two three\n```\ncode\n```\nfour", 4, "brief"),
        ("One.\n  ```py\ncode\n  ```\ntwo three four\n```\nmore code\n```\nfive six seven", 7, "full"),
        ("One two\n```\nnever closed four five six seven", 2, "direct"),
        ("Some `inline` code has ```three``` ticks", 6, "brief"),
        ("", 0, "direct"),
    ],
)
def test_the_level_follows_the_words_outside_code(response: str, count: int, level: str) -> None:
    assert count_prose_words(response) == count
    assert derive_level(response, UPTO) == level
    assert derive_level(response, {}) == ""
