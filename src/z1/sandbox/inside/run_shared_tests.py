"""Runs unit tests on a solution and reports their outcomes.

Solution and tests share one process here, because such tests patch modules and inspect live objects. So the report on
descriptor 3 proves nothing, and `grading/unit_tests.py` checks it with decoys, tests that must fail. There are three
protections on this side: a class of the solution can only be equal to its own kind (`guard_equality`); the test library
must be unchanged after every call of the solution (`LibrarySnapshot`); and the solution may not walk frames or access
the interpreter (`install_audit_hook`). The nonce stays unread in the pipe on descriptor 0 until the last test is over.

In principle a solution could forge all of this, since it is Python too. The tests cover the known ways to try.
"""

from __future__ import annotations

import builtins
import dataclasses
import functools
import inspect
import itertools
import json
import os
import sys
import traceback
import unittest
from collections.abc import Callable
from types import FrameType, FunctionType, ModuleType
from typing import Any

from z1.sandbox.inside import run_program
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
FRAME_ATTRIBUTES = frozenset({"tb_frame", "gi_frame", "cr_frame", "ag_frame", "f_code", "__code__"})

COMPARISONS = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__")


def run(job: dict[str, Any]) -> None:
    """Run `job["tests"]` on `job["code"]`; `job["name"]` is the function under test. Ends the process."""
    nonce_pipe = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    nonce = os.read(nonce_pipe, 100).decode()  # in no namespace, so that only a frame has it
    os.close(nonce_pipe)
    tampered: list[str] = []
    install_audit_hook(tampered)
    build = guard_equality()
    module = run_program.main_module(job["module"])
    sys.modules["__main__"] = module
    builtins.__build_class__ = build
    snapshot = LibrarySnapshot()
    if status := run_program.execute(job["setup"], module) or run_program.execute(job["code"], module):
        run_program.exit_process(status)
    tampered += snapshot.changes()
    wrap_function(module, job["name"], snapshot.changes, tampered)
    if status := _load(job["tests"], module):
        run_program.exit_process(status)
    outcomes = run_tests(module)
    tampered += [*snapshot.changes(), *unguarded_classes()]
    end = {"ended": nonce, "outcomes": outcomes, "tampered": sorted(set(tampered))[:5]}
    os.write(3, json.dumps(end).encode() + b"\n")
    run_program.exit_process(0)


def _load(source: str, module: ModuleType) -> int:
    try:
        exec(compile(source, TESTS, "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


class LibrarySnapshot:
    """The state of unittest and builtins before the solution ran."""

    def __init__(self) -> None:
        self._namespaces: dict[str, Any] = {"builtins": builtins, "unittest": unittest}
        for name in ("case", "suite", "loader", "result", "mock", "util"):
            inner = __import__(f"unittest.{name}", fromlist=["_"])
            self._namespaces[inner.__name__] = inner
        for kind in (unittest.TestCase, unittest.TestSuite, unittest.TestResult, OutcomeRecorder, unittest.TestLoader):
            self._namespaces[f"{kind.__module__}.{kind.__name__}"] = kind
        self._before = {name: dict(vars(namespace)) for name, namespace in self._namespaces.items()}
        self._codes = {
            id(value): value.__code__
            for before in self._before.values()
            for value in before.values()
            if isinstance(value, FunctionType)
        }

    def changes(self) -> list[str]:
        """Names whose value or code has changed since then."""
        found = []
        for name, before in self._before.items():
            now = vars(self._namespaces[name])
            for key, value in before.items():
                if key not in _VOLATILE and now.get(key, _VOLATILE) is not value:
                    found.append(f"{name}.{key}")
                elif isinstance(value, FunctionType) and value.__code__ is not self._codes[id(value)]:
                    found.append(f"the code of {name}.{key}")
        return found


_VOLATILE = frozenset({"_", "__warningregistry__", "_classSetupFailed", "_class_cleanups", "file_spec", "open_spec"})


def wrap_function(module: ModuleType, name: str, changes: Callable[[], list[str]], tampered: list[str]) -> None:
    """Make each call of the function `name` of `module` add its own `changes` to `tampered`; tests may patch freely."""
    function = getattr(module, name, None)
    if isinstance(function, FunctionType):

        def wrapper(*arguments: Any, **named: Any) -> Any:
            before = changes()
            try:
                result = function(*arguments, **named)
            finally:
                tampered.extend(sorted(set(changes()) - set(before)))
            if _equals_everything(result):
                tampered.append("a result that is equal to everything")
            return result

        setattr(module, name, functools.update_wrapper(wrapper, function))


class _Unknown:
    """A class that is unknown to every solution; its objects are equal only to themselves."""


def _equals_everything(value: Any, depth: int = 0) -> bool:
    """Whether `value`, or an element of it, is equal to an unknown object, as `mock.ANY` is."""
    if isinstance(value, list | tuple | set | frozenset | dict) and depth < 4:
        inner = value.values() if isinstance(value, dict) else value
        return any(_equals_everything(one, depth + 1) for one in itertools.islice(inner, 1000))
    try:
        return (value == _Unknown()) is True
    except Exception:  # a foreign comparison may raise anything
        return False


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
    """Whether the call comes from a line of the solution, directly or through `inspect`."""
    while frame is not None and frame.f_code.co_filename in (SOLUTION, inspect.__file__):
        if frame.f_code.co_filename == SOLUTION:
            return True
        frame = frame.f_back
    return False


def guard_equality() -> Any:
    """A `__build_class__` that restricts comparisons of the solution's classes to their own kind."""
    build: Any = builtins.__build_class__

    def build_guarded(function: Any, name: str, *bases: Any, **named: Any) -> Any:
        made = build(function, name, *bases, **named)
        if isinstance(made, type):
            for key in COMPARISONS:
                if _is_by_solution(made, key):
                    setattr(made, key, _guard(vars(made)[key], made, key))
        return made

    return build_guarded


def _guard(original: Any, owner: type, key: str) -> Any:
    def compare_own_kind(self: Any, other: Any) -> Any:
        if any(vars(one).get(key) in _GUARDS for one in type(other).__mro__):
            return original(self, other)
        return getattr(super(owner, self), key)(other)

    _GUARDS.add(compare_own_kind)
    return compare_own_kind


_GUARDS: set[Any] = set()


def _is_by_solution(kind: type, key: str) -> bool:
    """Whether the solution defined `key` of `kind`: in its own source, or in source that it executed."""
    value = vars(kind).get(key)
    if not isinstance(value, FunctionType) or value in _GUARDS:
        return False
    origin = value.__code__.co_filename
    return origin == SOLUTION or (origin.startswith("<") and kind.__module__ in _SOLUTION_MODULES)


_SOLUTION_MODULES = frozenset({"__test__", "__main__", "builtins"})


def unguarded_classes() -> list[str]:
    """Classes with comparisons by the solution that were not made by a `class` statement, and so are not guarded."""
    found, remaining = [], list(type.__subclasses__(object))
    seen: set[type] = set()
    while remaining:
        kind = remaining.pop()
        if kind in seen:
            continue
        seen.add(kind)
        remaining += type.__subclasses__(kind)
        if any(_is_by_solution(kind, key) and not _is_dataclass_comparison(kind, key) for key in COMPARISONS):
            found.append(f"equality of {kind.__name__}")
    return found


def _is_dataclass_comparison(kind: type, key: str) -> bool:
    """Whether `key` has the same instructions as the method that `dataclasses` generates for these fields."""
    if not dataclasses.is_dataclass(kind):
        return False
    names = [field.name for field in dataclasses.fields(kind) if field.compare]
    model = vars(dataclasses.make_dataclass("Model", names, order=True))[key].__code__
    code = vars(kind)[key].__code__
    return (code.co_code, code.co_names) == (model.co_code, model.co_names)
