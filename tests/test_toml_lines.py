"""The line of a key is found in tables, in lists of tables, under dotted and quoted keys, and not within texts."""

from __future__ import annotations

import pytest

from z1.toml_lines import find_line

TEXT = '''name = "a"
# seed = 1
[train]
epochs = 2.0
  steps.most = 3
prompt = """
seed = 4
[report]
"""
list = [
    1,
]

[[source]]
path = "a"
[source.columns]
question = "q"
[[source]]
path = "b"
columns = { question = "q" }

[teacher.levels]
"short one" = "x"
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("name",), 1),
        (("seed",), 1),
        (("train",), 3),
        (("train", "epochs"), 4),
        (("train", "steps", "most"), 5),
        (("train", "missing"), 3),
        (("train", "list", 0), 10),
        (("report",), 1),
        (("source", 0), 14),
        (("source", 0, "path"), 15),
        (("source", 0, "columns", "question"), 17),
        (("source", 1, "path"), 19),
        (("source", 1, "columns", "question"), 20),
        (("teacher", "levels", "short one"), 23),
        (("teacher", "url"), 1),
    ],
    ids=str,
)
def test_a_key_has_its_line_or_that_of_the_table_around_it(path: tuple[int | str, ...], line: int) -> None:
    assert find_line(TEXT, path) == line
