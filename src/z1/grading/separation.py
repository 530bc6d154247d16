"""Which unit tests can run in another process than the solution.

Most tests call functions with data and look at what comes back. Others patch modules, capture output, seed generators,
or use libraries whose objects are no data; these need one process with the solution. The source of the tests decides,
never the solution.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TypeGuard

MODULES = frozenset(
    [
        *("__future__", "abc", "array", "base64", "bisect", "calendar", "cmath", "collections", "copy", "csv"),
        *("dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "glob", "hashlib", "heapq"),
        *("itertools", "json", "math", "numbers", "numpy", "operator", "os", "pathlib", "pytest", "random", "re"),
        *("shutil", "solution", "statistics", "string", "sys", "tempfile", "textwrap", "time", "timeit", "typing"),
        *("unittest", "uuid"),
    ]
)
"""Libraries that work on data or on files; both processes see the same files."""

WORDS = frozenset(
    [
        *("patch", "mock", "Mock", "MagicMock", "AsyncMock", "monkeypatch", "redirect_stdout", "redirect_stderr"),
        *("stdin", "stdout", "stderr", "StringIO", "BytesIO", "capsys", "seed", "environ", "putenv", "chdir", "umask"),
        *("catch_warnings", "warns", "deprecated_call", "assertWarns", "assertWarnsRegex", "assertLogs"),
        *("assertNoLogs", "globals", "locals", "exec", "eval", "__import__", "__main__", "__dict__", "__code__"),
        *("__closure__", "__globals__", "setrecursionlimit", "getrecursionlimit", "settrace", "_getframe", "modules"),
        *("getsizeof", "argv", "system", "popen", "fork", "kill", "getpid", "_exit"),
    ]
)
"""Names by which tests reach into the process that they run in."""


def find_separable(source: str) -> set[str]:
    """The tests of `source`, as `Class.method`, that need not share a process with the solution."""
    body = ast.parse(source).body
    tied = _tied_names(body)
    cases = [node for node in body if isinstance(node, ast.ClassDef) and any(map(is_test, node.body))]
    loose = [
        node for node in body if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom)
    ]
    if any(_mentions(node) & (tied | WORDS) for node in loose):
        return set()
    found = set()
    for case in cases:
        tests = [node for node in case.body if is_test(node)]
        rest = [*(node for node in case.body if node not in tests), *case.bases, *case.decorator_list]
        if not any(_is_tied(node, tied) for node in rest):
            found |= {f"{case.name}.{node.name}" for node in tests if not _is_tied(node, tied)}
    return found


def is_test(node: ast.AST) -> TypeGuard[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Whether `node` is a test method."""
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")


def _tied_names(body: list[ast.stmt]) -> set[str]:
    """The global names that need one process, and those whose definitions use such a name."""
    imported = {name for node in body for name in _tied_imports(node)}
    parts = [node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
    helpers = {node.name: node for node in parts if not any(map(is_test, ast.iter_child_nodes(node)))}
    tied = set(imported)
    while more := {name for name, node in helpers.items() if name not in tied and _is_tied(node, tied)}:
        tied |= more
    return tied


def _is_tied(node: ast.AST, tied: set[str]) -> bool:
    inner = list(ast.walk(node))
    return (
        bool(_mentions(node) & (tied | WORDS))
        or any(isinstance(one, ast.AsyncFunctionDef | ast.Await) for one in inner)
        or any(True for one in inner for _ in _tied_imports(one))
    )


def _mentions(node: ast.AST) -> set[str]:
    found = set()
    for one in ast.walk(node):
        if isinstance(one, ast.Name):
            found.add(one.id)
        elif isinstance(one, ast.Attribute):
            found.add(one.attr)
    return found


def _tied_imports(node: ast.AST) -> Iterator[str]:
    """The names that an import statement binds to what needs one process."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.split(".")[0] not in MODULES:
                yield alias.asname or alias.name.split(".")[0]
    elif isinstance(node, ast.ImportFrom):
        is_allowed = (node.module or "").split(".")[0] in MODULES and not node.level
        for alias in node.names:
            if not is_allowed or alias.name in WORDS:
                yield alias.asname or alias.name


def needs_libraries(source: str) -> bool:
    """Whether `source` imports libraries whose objects are no data."""
    return any(True for node in ast.walk(ast.parse(source)) for _ in _tied_imports(node))
