"""The program in the text of a reply."""

from __future__ import annotations

import pytest

from z1.grading.code_extraction import code_blocks, extract_code

ROWS = [
    ("one block", "```python\nx = 1\n```", "", "x = 1\n"),
    ("no fence", "x = 1", "", None),
    ("nothing", "", "", None),
    ("cut off in the block", "```python\nx = 1\n", "", None),
    ("a draft, then the program", "```python\ndraft\n```\nso\n```python\nx = 1\n```", "", "x = 1\n"),
    ("a draft, then one cut off", "```python\ndraft\n```\nso\n```python\nx =", "", "draft\n"),
    ("an example of use behind it", "```python\ndef f(): pass\n```\nUse:\n```python\nf()\n```", "f", "def f(): pass\n"),
    ("output behind it", "```python\nclass Solution: pass\n```\n```\n7\n```", "Solution", "class Solution: pass\n"),
    ("nothing that defines it", "```python\nx\n```\n```\ny\n```", "f", "y\n"),
    ("a longer name does not count", "```python\ndef ff(): pass\n```\n```\ndef g(): 1\n```", "f", "def g(): 1\n"),
    ("another name, then its use", "```python\ndef g(): pass\n```\n```\ng()\n```", "f", "def g(): pass\n"),
    ("a line under discussion", "```python\ndef f(): pass\n```\n```python\ndef f():\n```", "f", "def f(): pass\n"),
    ("nothing that parses", "```python\ndef f(:\n```", "f", "def f(:\n"),
    ("an assignment", "```python\nf = lambda: 1\n```\n```\ny\n```", "f", "f = lambda: 1\n"),
    ("an empty block", "```python\nx = 1\n```\n```\n```", "", "x = 1\n"),
    ("another word for the language", "```py3 title=a\nx = 1\n```", "", "x = 1\n"),
    ("waves", "~~~\nx = 1\n~~~", "", "x = 1\n"),
    ("a longer fence around a shorter", "````\n```\nx\n```\n````", "", "```\nx\n```\n"),
    ("indented in a list", "- so\n  ```python\n  if x:\n      y\n  ```", "", "if x:\n    y\n"),
    ("a fence inside a line", "`` `x` `` and ```x```\n```\ny\n```", "", "y\n"),
    ("carriage returns", "```python\r\nx = 1\r\n```\r\n", "", "x = 1\r\n"),
]


@pytest.mark.parametrize(("name", "text", "function", "found"), ROWS, ids=[row[0] for row in ROWS])
def test_the_program_is_extracted(name: str, text: str, function: str, found: str | None) -> None:
    assert extract_code(text, function) == found


def test_many_fences_are_read_in_one_pass() -> None:
    assert len(code_blocks("```\nx\n```\n" * 20_000)) == 20_000
