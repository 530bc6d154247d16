"""Lone surrogates: characters that a Python string can hold and UTF-8 cannot.

JSON may hold half of a surrogate pair (`"\\ud83d"`), for example where a text was cut inside an emoji, and Python reads
it into a string that neither a file, nor a tokenizer, nor Parquet accepts. Text from datasets, teachers, servers and
programs is therefore read with `replace_surrogates`; JSON that z1 writes escapes them and reads them back.
Source: https://docs.python.org/3/library/codecs.html#error-handlers.
"""

from __future__ import annotations

from typing import Any


def replace_surrogates(text: str) -> str:
    """`text` with each lone surrogate replaced by U+FFFD; two halves of a pair become the character they encode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def replace_in_json(value: Any) -> Any:
    """A JSON value with `replace_surrogates` applied to each string and key in it."""
    if isinstance(value, str):
        return replace_surrogates(value)
    if isinstance(value, list):
        return [replace_in_json(item) for item in value]
    if isinstance(value, dict):
        return {replace_in_json(key): replace_in_json(item) for key, item in value.items()}
    return value


def may_have_surrogates(line: bytes) -> bool:
    r"""Whether a line of JSON may hold one: it has an escape such as `\ud83d`, or a byte that one would begin with."""
    return b"\\ud" in line or b"\\uD" in line or b"\xed" in line


def escape_surrogates(text: str) -> str:
    r"""`text` with each lone surrogate as the six characters of its escape: `\ud83d`."""
    return text.encode("utf-8", "backslashreplace").decode()


def encode_json(text: str) -> bytes:
    r"""JSON in UTF-8, with lone surrogates as the escapes of JSON: `\ud83d`."""
    return escape_surrogates(text).encode()


def encode_for_hash(text: str) -> bytes:
    """Bytes that identify `text`: UTF-8, where a lone surrogate has three bytes of its own."""
    return text.encode("utf-8", "surrogatepass")
