"""Types of columns: what a value of each may be, and what becomes of others.

| type | accepts | `None` and NaN | everything else |
|---|---|---|---|
| text | a string | missing | defect |
| texts | a string, or a list of strings and nulls: one for each trajectory | missing | defect |
| label | a string, or a number that is not a boolean | missing | defect |
| answer | as label; a whole float loses its `.0` | missing | defect |
| name | a string, or a list of strings: the only one, or none of several | missing | defect |
| tests | a string, or a list of strings, which are lines | missing | defect |
| number | an integer, a whole float, or a string of one | missing | defect |
| ending | a string, true or false | missing | defect |
| boolean | true or false, 1 or 0 | missing | defect, also "False" and 1.0 |

Lone surrogates have been replaced by U+FFFD before (`dataset_io.py`), because no file in UTF-8 can hold them.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, isnan
from typing import Any

SHOWN = 60
"""Characters of a value that a message shows."""


class RowDefect(ValueError):
    """A row with a value that cannot be used: the column, what it holds, and what is expected."""

    def __init__(self, column: str, got: str, expected: str) -> None:
        super().__init__(f"column {column}: {got}, not {expected}")
        self.column, self.got, self.expected = column, got, expected


class LeftOut(ValueError):
    """A well-formed row that gives no training example, with the reason."""


def shown(value: Any) -> str:
    """A value for a message: its type and its beginning."""
    text = ascii(value) if isinstance(value, str) else repr(value)
    return f"{type(value).__name__} {text if len(text) <= SHOWN else text[: SHOWN - 1] + '…'}"


def is_missing(value: Any) -> bool:
    """Whether a value means that there is none: None, or NaN, which pandas writes for it."""
    return value is None or (isinstance(value, float) and isnan(value))


def text(column: str, value: Any) -> str:
    """A string; "" if it is missing."""
    if is_missing(value):
        return ""
    if not isinstance(value, str):
        raise RowDefect(column, shown(value), "a text")
    return value


def texts(column: str, value: Any) -> list[str] | str:
    """A string, or a list of strings."""
    if isinstance(value, list):
        return [text(column, one) for one in value]
    return text(column, value)


def label(column: str, value: Any) -> str:
    """A string or a number, as text."""
    return str(value) if _is_number(value) else text(column, value)


def answer(column: str, value: Any) -> str:
    """A string or a number, as text; 12.0 is 12."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return label(column, value)


def name(column: str, value: Any) -> str:
    """The only name; "" if there are several."""
    if isinstance(value, list):
        return text(column, value[0]) if len(value) == 1 else ""
    return text(column, value)


def tests(column: str, value: Any) -> str:
    """The code of tests."""
    if isinstance(value, list):
        return "\n".join(text(column, one) for one in value)
    return text(column, value)


def number(column: str, value: Any) -> int | None:
    """An integer; None if it is missing."""
    if is_missing(value) or value == "":
        return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise RowDefect(column, shown(value), "a whole number") from None
    if not _is_number(value) or not isfinite(value) or value != int(value):
        raise RowDefect(column, shown(value), "a whole number")
    return int(value)


def boolean(column: str, value: Any) -> bool | None:
    """True or False; None if it is missing."""
    if is_missing(value):
        return None
    if not isinstance(value, int) or value not in (0, 1):
        raise RowDefect(column, shown(value), "true or false")
    return bool(value)


def ending(column: str, value: Any) -> str:
    """A finish reason: a text, or whether the response is complete, as "true" or "false"."""
    return str(value).lower() if isinstance(value, bool) else text(column, value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not is_missing(value)


Reader = Callable[[str, Any], Any]
