"""Runs unit tests on a solution and reports their outcomes.

Solution and tests share one process here, because such tests patch modules and inspect live objects. So the report on
descriptor 3 proves nothing, and `grading/unit_tests.py` checks it with decoys, tests that must fail. There are three
protections on this side: objects of the solution are equal only to their own kind (`comparisons.py`); the test library
must be unchanged after every call of the solution, and libraries by which tests compare at the end (`LibrarySnapshot`);
and the solution may not walk frames or access the interpreter (`install_audit_hook`).

In principle a solution could forge all of this, since it is Python too. The tests cover the known ways to try.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import json
import logging
import os
import sys
import traceback
import unittest
from collections.abc import Iterable
from types import FrameType, FunctionType, ModuleType
from typing import Any

from z1.sandbox.inside import comparisons, run_program
from z1.sandbox.inside.outcomes import OutcomeRecorder, run_tests

SOLUTION, TESTS = "/tmp/program.py", "/tmp/tests.py"

FORBIDDEN_EVENTS = frozenset(
    [
        "sys._getframe",
        "sys._current_frames",
        "sys._current_exceptions",
        "gc.get_objects",
        "gc.get_referrers",
        "gc.get_referents",
        "sys.settrace",
        "sys.setprofile",
        "sys.addaudithook",
        "ctypes.dlopen",
        "ctypes.dlsym",
        "ctypes.addressof",
        "ctypes.string_at",
    ]
)
FRAME_ATTRIBUTES = frozenset({"tb_frame", "gi_frame", "cr_frame", "ag_frame"})
FRAME_GIVERS = {
    inspect.__file__: None,
    traceback.__file__: frozenset({"walk_stack", "walk_tb"}),
    logging.__file__: frozenset({"<lambda>", "currentframe"}),
}
"""Libraries that give frames to their callers, and by which functions; None for all."""


def run(job: dict[str, Any]) -> None:
    """Run `job["tests"]` on `job["code"]`; `job["name"]` is the function under test. Ends the process."""
    nonce_pipe = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    nonce = os.read(nonce_pipe, 100).decode()  # in no namespace, so that only a frame has it
    os.close(nonce_pipe)
    tampered: list[str] = []
    install_audit_hook(tampered)
    build = comparisons.guard_class_statements()
    module = run_program.main_module(job["module"])
    sys.modules["__main__"] = module
    if status := run_program.execute(job["setup"], module):
        run_program.exit_process(status)
    builtins.__build_class__ = build
    snapshot, results = LibrarySnapshot(), comparisons.ResultGuard(comparisons.all_classes(), tampered)
    if status := run_program.execute(job["code"], module):
        run_program.exit_process(status)
    tampered += snapshot.all_changes()
    watch = CallWatch(snapshot, results, tampered)
    for name in {job["name"], *_used_names(job["tests"])}:
        watch.wrap(module, name)
    if status := _load(job["tests"], module):
        run_program.exit_process(status)
    outcomes = run_tests(module)
    tampered += snapshot.all_changes()
    end = {"ended": nonce, "outcomes": outcomes, "tampered": sorted(set(tampered))[:5]}
    os.write(3, json.dumps(end).encode() + b"\n")
    run_program.exit_process(0)


def _used_names(tests: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(tests)) if isinstance(node, ast.Name)}


def _load(source: str, module: ModuleType) -> int:
    try:
        exec(compile(source, TESTS, "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


class LibrarySnapshot:
    """The state of unittest and builtins before the solution ran, and of libraries by which tests compare."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[Any, dict[str, Any]]] = {}
        self._codes: dict[int, Any] = {}
        for name in TEST_LIBRARIES:
            self._add(name, sys.modules.get(name) or __import__(name, fromlist=["_"]))
        for kind in (unittest.TestCase, unittest.TestSuite, unittest.TestResult, OutcomeRecorder, unittest.TestLoader):
            self._add(f"{kind.__module__}.{kind.__name__}", kind)
        self._always = list(self._before)
        for name in COMPARING_LIBRARIES:
            if name in sys.modules:
                self._add(name, sys.modules[name])

    def _add(self, name: str, namespace: Any) -> None:
        before = dict(vars(namespace))
        self._before[name] = (namespace, before)
        self._codes |= {id(value): value.__code__ for value in before.values() if isinstance(value, FunctionType)}

    def changes(self) -> list[str]:
        """Names of the test library whose value or code has changed since then."""
        return self._changes(self._always)

    def all_changes(self) -> list[str]:
        """The same of every library."""
        return self._changes(self._before)

    def _changes(self, names: Iterable[str]) -> list[str]:
        found = []
        for name in names:
            namespace, before = self._before[name]
            now = vars(namespace)
            for key, value in before.items():
                if key not in _VOLATILE and now.get(key, _VOLATILE) is not value:
                    found.append(f"{name}.{key}")
                elif isinstance(value, FunctionType) and value.__code__ is not self._codes[id(value)]:
                    found.append(f"the code of {name}.{key}")
        return found


TEST_LIBRARIES = ("builtins", "unittest", *(f"unittest.{name}" for name in ("case", "suite", "result", "mock", "util")))
COMPARING_LIBRARIES = (
    *("math", "cmath", "operator", "pytest", "_pytest.python_api", "_pytest.raises", "numpy", "numpy.core.numeric"),
    *("numpy._core.numeric", "numpy.testing", "numpy.testing._private.utils", "pandas.testing", "pandas._testing"),
    *("pandas._testing.asserters", "unittest.loader"),
)
"""Compared at the end only: a call that loads a library changes some of them."""

_VOLATILE = frozenset({"_", "__warningregistry__", "_classSetupFailed", "_class_cleanups", "file_spec", "open_spec"})


class CallWatch:
    """Watches calls of the solution by the tests: what a call changes in the test library, and what it returns."""

    def __init__(self, snapshot: LibrarySnapshot, results: comparisons.ResultGuard, tampered: list[str]) -> None:
        self._snapshot, self._results, self._tampered = snapshot, results, tampered
        self._is_active = False

    def wrap(self, module: ModuleType, name: str) -> None:
        """Watch the function `name` of `module`, or the methods of the class; tests may patch freely."""
        value = vars(module).get(name)
        if isinstance(value, FunctionType):
            setattr(module, name, self._wrapped(value))
        elif isinstance(value, type) and value.__module__ == module.__name__:
            for key, member in list(vars(value).items()):
                if isinstance(member, FunctionType) and not key.startswith("__"):
                    setattr(value, key, self._wrapped(member))
                elif isinstance(member, staticmethod | classmethod):
                    setattr(value, key, type(member)(self._wrapped(member.__func__)))

    def _wrapped(self, function: Any) -> Any:
        @functools.wraps(function)
        def watched(*arguments: Any, **named: Any) -> Any:
            if self._is_active:  # the solution calls itself
                return function(*arguments, **named)
            before, self._is_active = self._snapshot.changes(), True
            try:
                result = function(*arguments, **named)
            finally:
                self._is_active = False
                self._tampered.extend(sorted(set(self._snapshot.changes()) - set(before)))
            return self._results.check(result)

        return watched


def install_audit_hook(tampered: list[str]) -> None:
    """Refuse access to frames and the interpreter from the solution's own lines, and add attempts to `tampered`."""
    get_frame, is_active = sys._getframe, False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal is_active
        if is_active or not (
            event in FORBIDDEN_EVENTS or (event == "object.__getattr__" and arguments[1] in FRAME_ATTRIBUTES)
        ):
            return
        is_active = True  # getting a frame is an event itself
        try:
            if _is_called_by_solution(get_frame(1)):
                tampered.append(event)
                raise PermissionError(f"{event} is not allowed in a solution")
        finally:
            is_active = False

    sys.addaudithook(hook)


def _is_called_by_solution(frame: FrameType | None) -> bool:
    """Whether the call comes from a line of the solution, directly or through a library that gives it frames."""
    while frame is not None and frame.f_code.co_filename != SOLUTION:
        names = FRAME_GIVERS.get(frame.f_code.co_filename, frozenset())
        if names is not None and frame.f_code.co_name not in names:
            return False
        frame = frame.f_back
    return frame is not None
