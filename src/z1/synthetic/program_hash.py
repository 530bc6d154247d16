"""Are these two programs the same?

A program's identity is the hash of its syntax tree with names replaced in order of appearance, so that renaming a
variable or changing white space gives the same identity and changing a number gives another. The split into train and
test is a function of the identity alone, so no program can be in both.
"""

from __future__ import annotations

import ast
from hashlib import sha256

BUILTIN = frozenset({"print", "range"})
"""Names that mean something by themselves and are not replaced."""


def identity(source: str) -> str:
    """16 hexadecimal digits that two programs share if and only if they differ in names and layout alone."""
    return sha256(_dump(ast.parse(source), {}).encode()).hexdigest()[:16]


def _dump(node: object, names: dict[str, str]) -> str:
    """`ast.dump` as it is under Python 3.11 (later ones leave out what is empty), names replaced: n0, n1, ..."""
    if isinstance(node, list):
        return f"[{', '.join(_dump(one, names) for one in node)}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Name) and node.id not in BUILTIN:
        return f"Name(id='{names.setdefault(node.id, f'n{len(names)}')}', ctx={type(node.ctx).__name__}())"
    kind = type(node)
    parts = ((name, getattr(node, name, None)) for name in node._fields)
    given = (one for one in parts if one[1] is not None or getattr(kind, one[0], "") is not None)  # not a default
    return f"{kind.__name__}({', '.join(f'{name}={_dump(value, names)}' for name, value in given)})"


def split(identifier: str, test_share: float) -> str:
    """`"test"` for about `test_share` of all identities, else `"train"`."""
    return "test" if int(identifier[:8], 16) / 2**32 < test_share else "train"
