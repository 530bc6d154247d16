"""Grades solutions by files of pytest functions.

The tests import the solution from a module `solution`, as in KodCode. Both are separate modules, so that neither
overwrites the other's names. Each function `test*` becomes a method of a unit test
and is graded by `unit_tests`, with decoys; `pytest` itself is needed only if the tests use it. Tests with fixtures, and
tests whose libraries are not installed, cannot be graded and give *missing*. If the question did not name the function,
the only function of a solution is also bound to the name that the tests use. Sources:
https://docs.pytest.org/en/stable/explanation/goodpractices.html (what counts as a test); KodCode's
`step3.3.3_gen_unit_tests_sft.py` (the name, which it rewrites in the `def` alone, so that a recursion fails). Departs
from pytest: an imported name is not a test, and assertions are not rewritten.
"""

from __future__ import annotations

import ast
import json
import re
from typing import TypeGuard

from z1.grading.unit_tests import MODULE, UnitTestSuite
from z1.grading.unit_tests import grade as grade_unit_tests
from z1.grading.verdict import Grade, Verdict
from z1.sandbox import Job, ResourceLimits, Sandbox, SandboxFault

LIMITS = ResourceLimits(
    wall_seconds=60.0,
    cpu_seconds=30.0,
    memory_bytes=2 << 30,
    address_space_bytes=64 << 30,
    file_bytes=64 << 20,
    max_processes=64,
)

FIND_MISSING = """
import importlib.util, json, sys
print(json.dumps([name for name in {names!r} if not importlib.util.find_spec(name)]))
"""


def grade(sandbox: Sandbox, code: str, tests: str, name: str = "", limits: ResourceLimits = LIMITS) -> Grade:
    """Run the pytest functions of `tests` on `code`; `name` is the function that they call, if it is not imported."""
    try:
        tree = ast.parse(tests)
        imported = imported_names(tree)
        name = imported[0] if len(imported) == 1 else name
        suite = UnitTestSuite(convert_to_unittest(tree), name, imports=tuple(imported))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Grade(Verdict.MISSING, f"tests: {error}")
    result = grade_unit_tests(sandbox, add_alias(code, name), suite, limits)
    if result.verdict is Verdict.WRONG and (missing := find_missing_libraries(sandbox, tree)):
        return Grade(Verdict.MISSING, f"tests: no library {', '.join(missing)}")
    return result


def add_alias(code: str, name: str) -> str:
    """`code` with its only function also bound to `name`, if `name` is free."""
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return code
    functions = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    if not name.isidentifier() or len(functions) != 1 or any(isinstance(node, ast.ClassDef) for node in body):
        return code
    if name in functions or re.search(rf"^{name}\b", code, re.MULTILINE):
        return code
    return f"{code}\n\n{name} = {functions[0]}\n"


def imported_names(tree: ast.Module) -> list[str]:
    """The names that the tests import from the solution, as `name` or `name as other`."""
    found = [alias for node in tree.body if _imports_solution(node) for alias in node.names]
    return [ast.unparse(alias) for alias in found if alias.name != "*"]


def _imports_solution(node: ast.stmt) -> TypeGuard[ast.ImportFrom]:
    return isinstance(node, ast.ImportFrom) and node.module == MODULE


def convert_to_unittest(tree: ast.Module) -> str:
    """The tests as a unit test, without their imports of the solution.

    Raises ValueError if there are none, or if one needs fixtures.
    """
    body = [_as_test_case(node) for node in tree.body if not _imports_solution(node)]
    names = [node.name for node in body if isinstance(node, ast.FunctionDef) and _is_test(node)]
    if not names and not any(isinstance(node, ast.ClassDef) and node.bases for node in body):
        raise ValueError("the file has no tests")
    methods = "".join(f"    def {name}(self): {name}()\n" for name in dict.fromkeys(names))
    case = f"\nimport unittest\nclass TestFunctions(unittest.TestCase):\n{methods}" if names else ""
    return f"import unittest\n{ast.unparse(ast.Module(body, []))}\n{case}"


def _is_test(node: ast.FunctionDef) -> bool:
    if not node.name.startswith("test"):
        return False
    parameters = node.args
    if len(parameters.posonlyargs + parameters.args) > len(parameters.defaults) or node.decorator_list:
        raise ValueError(f"{node.name} needs fixtures")
    return True


def _as_test_case(node: ast.stmt) -> ast.stmt:
    """Gives a test class without a base the base TestCase."""
    if isinstance(node, ast.ClassDef) and node.name.startswith("Test") and not node.bases:
        node.bases = [ast.parse("unittest.TestCase", mode="eval").body]
    return node


def find_missing_libraries(sandbox: Sandbox, tree: ast.Module) -> list[str]:
    """Libraries that the tests import and that the sandbox's interpreter does not have."""
    nodes = list(ast.walk(tree))
    imported = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    imported += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    libraries = sorted({name.split(".")[0] for name in imported} - {MODULE, ""})
    try:
        outcome = sandbox.run(Job("program", FIND_MISSING.format(names=libraries)))
        return [str(name) for name in json.loads(outcome.stdout)]
    except (SandboxFault, ValueError):
        return libraries
