"""Are these two programs the same?

A program's identity is the hash of its syntax tree with names replaced in order of appearance, so that renaming a
variable or changing white space gives the same identity and changing a number gives another. The split into train and
test is a function of the identity alone, so no program can be in both.
"""

from __future__ import annotations

import ast
import sys
from hashlib import sha256

BUILTIN = frozenset({"print", "range"})
"""Names that mean something by themselves and are not replaced."""


class _Renamer(ast.NodeTransformer):
    def __init__(self) -> None:
        self.names: dict[str, str] = {}

    def visit_Name(self, node: ast.Name) -> ast.Name:
        if node.id in BUILTIN:
            return node
        new = self.names.setdefault(node.id, f"n{len(self.names)}")
        return ast.Name(id=new, ctx=node.ctx)


def identity(source: str) -> str:
    """16 hexadecimal digits that two programs share if and only if they differ in names and layout alone."""
    tree = _Renamer().visit(ast.parse(source))
    return sha256(_dump(tree).encode()).hexdigest()[:16]


def _dump(tree: ast.AST) -> str:
    """The same text under every version of Python; 3.13 and later leave out what is empty unless told."""
    if sys.version_info >= (3, 13):
        return ast.dump(tree, show_empty=True)
    return ast.dump(tree)


def split(identifier: str, test_share: float) -> str:
    """`"test"` for about `test_share` of all identities, else `"train"`."""
    return "test" if int(identifier[:8], 16) / 2**32 < test_share else "train"
