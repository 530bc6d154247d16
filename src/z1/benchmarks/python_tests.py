"""Whether the test code of a benchmark row has a test, so that a row without one is refused when it is loaded."""

from __future__ import annotations

import ast


def is_python(source: str) -> bool:
    """Whether `source` can be parsed."""
    return _parse(source) is not None


def has_check(source: str, name: str) -> bool:
    """Whether `source` defines a function `name` that asserts or calls something."""
    functions = [node for node in _top_level(source) if isinstance(node, ast.FunctionDef) and node.name == name]
    return any(isinstance(node, ast.Assert | ast.Call) for function in functions for node in ast.walk(function))


def has_test_method(source: str) -> bool:
    """Whether `source` has a class with a test method."""
    classes = [node for node in _top_level(source) if isinstance(node, ast.ClassDef)]
    methods = [node for one in classes for node in one.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return any(method.name.startswith("test") for method in methods)


def _top_level(source: str) -> list[ast.stmt]:
    tree = _parse(source)
    return tree.body if tree else []


def _parse(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
