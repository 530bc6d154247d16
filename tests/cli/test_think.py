"""Is the prompt what was meant: a text, a file, or standard input?"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from z1.cli import think
from z1.errors import UserError


def test_a_text_is_itself() -> None:
    for text in ("print(3)", "a = 1\nprint(a)", "what is 2.5?", "x" * 5000):
        assert think.read(text) == text


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_text("print(1)\n", encoding="utf-8")
    assert think.read(str(path)) == "print(1)\n"


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("print(2)"))
    assert think.read("-") == "print(2)"


def test_what_looks_like_a_file_and_is_none_is_refused() -> None:
    for name in ("nope.py", "a/b.txt", "./c.md"):
        with pytest.raises(UserError, match="no file"):
            think.read(name)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.bin"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="UTF-8"):
        think.read(str(path))
