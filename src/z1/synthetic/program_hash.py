"""Program hash: identifies a program up to names and layout, and assigns it to the train or the test split.

The hash is that of the syntax tree with names replaced in order of appearance, so that renaming a variable or changing
white space keeps the hash and changing a number does not. The split is a function of the hash alone, so no program is
in both splits.
"""

from __future__ import annotations

import ast
from hashlib import sha256

BUILTIN = frozenset({"print", "range"})
"""Names with a fixed meaning, which are not replaced."""


def hash_program(source: str) -> str:
    """16 hexadecimal digits, equal for two programs if and only if they differ only in names and layout."""
    return sha256(_dump(ast.parse(source), {}).encode()).hexdigest()[:16]


def _dump(node: object, names: dict[str, str]) -> str:
    """`ast.dump` as in Python 3.11 (later versions omit empty fields), with names replaced by n0, n1, ..."""
    if isinstance(node, list):
        return f"[{', '.join(_dump(item, names) for item in node)}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Name) and node.id not in BUILTIN:
        return f"Name(id='{names.setdefault(node.id, f'n{len(names)}')}', ctx={type(node.ctx).__name__}())"
    kind = type(node)
    fields = ((name, getattr(node, name, None)) for name in node._fields)
    given = (
        field for field in fields if field[1] is not None or getattr(kind, field[0], "") is not None
    )  # no defaults
    return f"{kind.__name__}({', '.join(f'{name}={_dump(value, names)}' for name, value in given)})"


def split_of(identifier: str, test_share: float) -> str:
    """`"test"` for about `test_share` of all hashes, else `"train"`."""
    return "test" if int(identifier[:8], 16) / 2**32 < test_share else "train"
