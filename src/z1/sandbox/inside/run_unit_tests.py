"""Does this solution pass these unit tests?

Solution and tests share one process here, because tests of this kind patch modules and look at live objects; so what is
said on descriptor 3 is testimony and not proof, and `grading.units` cross-examines it with tests that must fail. Three
layers stand on this side: a class of the solution may say that it is equal to its own kind only (`Guard`); the tools of
testing must be the same objects after every call of the solution (`Snapshot`); and the solution may not walk frames or
reach into the interpreter (`watch`). The nonce lies unread in the pipe on descriptor 0 until the last test is over.

In principle a program could forge all of this: it is Python too. What is known to be tried is held by tests.
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
from collections.abc import Callable, Iterator
from types import FrameType, FunctionType, ModuleType
from typing import Any

from z1.sandbox.inside import run_program

SOLUTION, TESTS = "/tmp/program.py", "/tmp/tests.py"

FORBIDDEN = frozenset(
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
FRAME_FIELDS = frozenset({"tb_frame", "gi_frame", "cr_frame", "ag_frame", "f_code", "__code__"})

EQUALITY = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__")


def run(job: dict[str, Any]) -> None:
    """Run `job["tests"]` on `job["code"]`; `job["name"]` is the function under test. Ends the process."""
    secret = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    tampered: list[str] = []
    watch(tampered)
    build = guarded_build()
    module = run_program.main_module("__test__")
    sys.modules["__main__"] = module
    builtins.__build_class__ = build
    snapshot = Snapshot()
    if status := run_program.execute(job["code"], module):
        run_program.leave(status)
    tampered += snapshot.changes()
    wrap(module, job["name"], snapshot.changes, tampered)
    if status := _load(job["tests"], module):
        run_program.leave(status)
    for line in outcomes(module):
        os.write(3, json.dumps(line).encode() + b"\n")
    tampered += [*snapshot.changes(), *unguarded()]
    end = {"ended": os.read(secret, 100).decode(), "tampered": sorted(set(tampered))[:5]}
    os.write(3, json.dumps(end).encode() + b"\n")
    run_program.leave(0)


def _load(source: str, module: ModuleType) -> int:
    try:
        exec(compile(source, TESTS, "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def outcomes(module: ModuleType) -> Iterator[dict[str, str]]:
    """One line for each test method of each TestCase of `module`, in the order of their names."""
    for case in [value for value in list(vars(module).values()) if isinstance(value, type)]:
        if issubclass(case, unittest.TestCase):
            names = sorted(name for name in dir(case) if name.startswith("test") and callable(getattr(case, name)))
            result = Result()
            unittest.TestSuite([case(name) for name in names]).run(result)
            for name in names:
                what, why = result.bad.get(name, ("ok" if name in result.good else "not run", ""))
                yield {"test": name, "outcome": what, "why": why}


class Result(unittest.TestResult):
    """Keeps the worst that was said of each test."""

    def __init__(self) -> None:
        super().__init__()
        self.good: set[str] = set()
        self.bad: dict[str, tuple[str, str]] = {}

    def _note(self, test: Any, what: str, why: object) -> None:
        name = getattr(test, "_testMethodName", "")
        if not name:  # a fixture of the class failed: so did all its tests
            self.fixture = why
        self.bad.setdefault(name, (what, f"{type(why).__name__}: {why}"[:300]))

    def addSuccess(self, test: Any) -> None:  # noqa: N802
        """The test returned."""
        self.good.add(test._testMethodName)

    def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        """An assertion failed."""
        self._note(test, "fail", err[1])

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802
        """Something else was raised."""
        self._note(test, "error", err[1])

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        """A part of a test ended."""
        if err is not None:
            self._note(test, "fail" if issubclass(err[0], AssertionError) else "error", err[1])

    def addSkip(self, test: Any, reason: str) -> None:  # noqa: N802
        """Skipped; a solution can raise SkipTest, so this is no success."""
        self._note(test, "skip", reason)

    def addUnexpectedSuccess(self, test: Any) -> None:  # noqa: N802
        """Succeeded where it should not."""
        self._note(test, "fail", "unexpected success")


class Snapshot:
    """The tools that tests rely on, as they were before the solution ran."""

    def __init__(self) -> None:
        self._spaces: dict[str, Any] = {"builtins": builtins, "unittest": unittest}
        for name in ("case", "suite", "loader", "result", "mock", "util"):
            inner = __import__(f"unittest.{name}", fromlist=["_"])
            self._spaces[inner.__name__] = inner
        for kind in (unittest.TestCase, unittest.TestSuite, unittest.TestResult, Result, unittest.TestLoader):
            self._spaces[f"{kind.__module__}.{kind.__name__}"] = kind
        self._before = {name: dict(vars(space)) for name, space in self._spaces.items()}
        self._codes = {
            id(value): value.__code__
            for before in self._before.values()
            for value in before.values()
            if isinstance(value, FunctionType)
        }

    def changes(self) -> list[str]:
        """Names whose object, or whose code, is another now."""
        found = []
        for name, before in self._before.items():
            now = vars(self._spaces[name])
            for key, value in before.items():
                if key not in _MOVING and now.get(key, _MOVING) is not value:
                    found.append(f"{name}.{key}")
                elif isinstance(value, FunctionType) and value.__code__ is not self._codes[id(value)]:
                    found.append(f"the code of {name}.{key}")
        return found


_MOVING = frozenset({"_", "__warningregistry__", "_classSetupFailed", "_class_cleanups", "file_spec", "open_spec"})


def wrap(module: ModuleType, name: str, changes: Callable[[], list[str]], tampered: list[str]) -> None:
    """Note what each call of the function `name` of `module` has changed; tests may change things around it."""
    function = getattr(module, name, None)
    if isinstance(function, FunctionType):

        def wrapper(*given: Any, **named: Any) -> Any:
            before = changes()
            try:
                result = function(*given, **named)
            finally:
                tampered.extend(sorted(set(changes()) - set(before)))
            if _equals_everything(result):
                tampered.append("a result that is equal to everything")
            return result

        setattr(module, name, functools.update_wrapper(wrapper, function))


class _Nothing:
    """Equal to itself alone."""


def _equals_everything(value: Any, depth: int = 0) -> bool:
    """Whether `value`, or something in it, says that it is equal to what it has never seen, as `mock.ANY` does."""
    if isinstance(value, list | tuple | set | frozenset | dict) and depth < 4:
        inner = value.values() if isinstance(value, dict) else value
        return any(_equals_everything(one, depth + 1) for one in itertools.islice(inner, 1000))
    try:
        return (value == _Nothing()) is True
    except Exception:  # whatever a comparison of somebody else's does
        return False


def watch(tampered: list[str]) -> None:
    """Refuse to the solution's own lines what reaches into frames and into the interpreter, and keep note of it."""
    look, inside = sys._getframe, False

    def hook(event: str, given: tuple[Any, ...]) -> None:
        nonlocal inside
        if inside or not (event in FORBIDDEN or (event == "object.__getattr__" and given[1] in FRAME_FIELDS)):
            return
        inside = True  # looking at frames is an event itself
        try:
            if _asked_by_solution(look(1)):
                tampered.append(event)
                raise PermissionError(f"{event} is not for a solution")
        finally:
            inside = False

    sys.addaudithook(hook)


def _asked_by_solution(frame: FrameType | None) -> bool:
    """Whether a line of the solution did it, or one of `inspect` that it called."""
    while frame is not None and frame.f_code.co_filename in (SOLUTION, inspect.__file__):
        if frame.f_code.co_filename == SOLUTION:
            return True
        frame = frame.f_back
    return False


def guarded_build() -> Any:
    """`__build_class__` that lets classes of the solution compare with their own kind only."""
    build: Any = builtins.__build_class__

    def guarded(function: Any, name: str, *bases: Any, **named: Any) -> Any:
        made = build(function, name, *bases, **named)
        if isinstance(made, type):
            for key in EQUALITY:
                if _by_solution(made, key):
                    setattr(made, key, _guard(vars(made)[key], made, key))
        return made

    return guarded


def _guard(original: Any, owner: type, key: str) -> Any:
    def compare_own_kind(self: Any, other: Any) -> Any:
        if any(vars(one).get(key) in _GUARDS for one in type(other).__mro__):
            return original(self, other)
        return getattr(super(owner, self), key)(other)

    _GUARDS.add(compare_own_kind)
    return compare_own_kind


_GUARDS: set[Any] = set()


def _by_solution(kind: type, key: str) -> bool:
    """Whether the solution wrote `key` of `kind`: in its own text, or in text that it had executed."""
    value = vars(kind).get(key)
    if not isinstance(value, FunctionType) or value in _GUARDS:
        return False
    origin = value.__code__.co_filename
    return origin == SOLUTION or (origin.startswith("<") and kind.__module__ in _OWN_MODULES)


_OWN_MODULES = frozenset({"__test__", "__main__", "builtins"})


def unguarded() -> list[str]:
    """Classes that the solution made by another way than `class`, and that decide themselves what they are equal to."""
    found, left = [], list(type.__subclasses__(object))
    seen: set[type] = set()
    while left:
        kind = left.pop()
        if kind in seen:
            continue
        seen.add(kind)
        left += type.__subclasses__(kind)
        if any(_by_solution(kind, key) and not _of_dataclass(kind, key) for key in EQUALITY):
            found.append(f"equality of {kind.__name__}")
    return found


def _of_dataclass(kind: type, key: str) -> bool:
    """Whether `key` is what `dataclasses` would write for these fields, to the last instruction."""
    if not dataclasses.is_dataclass(kind):
        return False
    names = [field.name for field in dataclasses.fields(kind) if field.compare]
    model = vars(dataclasses.make_dataclass("Model", names, order=True))[key].__code__
    code = vars(kind)[key].__code__
    return (code.co_code, code.co_names) == (model.co_code, model.co_names)
