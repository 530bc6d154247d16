"""The solution as the tests see it: honest objects work as if they were here, and no object decides a comparison."""

from __future__ import annotations

import json
import math
import operator
import socket
import threading
import types
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from z1.sandbox.inside.channel import Channel
from z1.sandbox.inside.outcomes import NotSeparableError
from z1.sandbox.inside.solution_proxy import Remote, Solution
from z1.sandbox.inside.solution_server import SolutionServer

SETUP = """
class ListNode:
    def __init__(self, val=0, next=None):
        self.val, self.next = val, next
"""


@contextmanager
def solution(code: str) -> Iterator[Callable[[str], Any]]:
    """Serve `code` in a thread; gives the names of it."""
    setups = [types.ModuleType("task"), types.ModuleType("task")]
    for one in setups:
        exec(SETUP, one.__dict__)
    module = types.ModuleType("solution")
    module.__dict__.update(ListNode=setups[1].ListNode)
    exec(code, module.__dict__)
    left, right = socket.socketpair()
    with Channel(left) as ours, Channel(right) as theirs:
        server = threading.Thread(target=SolutionServer(theirs, module, setups[1]).serve)
        server.start()

        def end() -> Any:
            raise AssertionError("the solution ended")

        def get(name: str) -> Any:
            return vars(setups[0])[name] if name == "ListNode" else asked.get(name)

        asked = Solution(ours, setups[0], end)
        try:
            yield get
        finally:
            left.shutdown(socket.SHUT_RDWR)
            server.join()


def test_functions_take_and_give_data() -> None:
    with solution("def f(a, *, b=1): return {'a': a, 'b': (b, {1})}") as get:
        assert get("f")([1.5], b=None) == {"a": [1.5], "b": (None, {1})}
        assert get("f").__name__ == "f"


def test_arguments_are_changed_as_in_one_process() -> None:
    with solution("def f(rows):\n    rows[0].append(rows)\n    rows.sort(key=len)\n    return rows[0]") as get:
        rows: list[Any] = [[1, 2], [3]]
        found = get("f")(rows)
        assert found is rows[0]
        assert rows[0] == [3]
        assert rows[1][2] is rows


def test_objects_of_the_task_are_data_on_both_sides() -> None:
    code = "def f(node):\n    out = None\n    while node: node.next, out, node = out, node, node.next\n    return out"
    with solution(code) as get:
        kind = get("ListNode")
        head = kind(1, kind(2, kind(3)))
        found = get("f")(head)
        assert isinstance(found, kind)
        assert (found.val, found.next.val, found.next.next) == (3, 2, head)
        assert head.next is None


def test_functions_of_the_tests_are_called_back() -> None:
    with solution("def f(g, xs): return [g(x) for x in xs]\ndef compose(f, g): return lambda x: f(g(x))") as get:
        assert get("f")(lambda x: x + 1, [1, 2]) == [2, 3]
        assert get("f")(math.sqrt, [4.0]) == [2.0]
        assert get("f")(str, [1]) == ["1"]
        assert get("f")(operator.neg, [1]) == [-1]
        assert get("compose")(lambda x: x * 2, abs)(-3) == 6
        with pytest.raises(LookupError, match="mine") as caught:
            get("f")(lambda x: (_ for _ in ()).throw(LookupError("mine")), [1])
        assert type(caught.value) is LookupError


CLASSES = """
class Empty(Exception):
    def __init__(self, size):
        super().__init__(size)
        self.size = size
    def __str__(self): return f"empty at {self.size}"
class Stack:
    limit = 3
    def __init__(self, *items): self.items = list(items)
    def push(self, x): self.items.append(x)
    def pop(self):
        if not self.items: raise Empty(len(self.items))
        return self.items.pop()
    def __len__(self): return len(self.items)
    def __eq__(self, other): return isinstance(other, Stack) and self.items == other.items
    def __add__(self, other): return Stack(*self.items, *other.items)
    def __mul__(self, n): return Stack(*self.items * n)
    def __iter__(self): return iter(self.items)
    def __getitem__(self, i): return self.items[i]
    def __str__(self): return f"Stack{self.items}"
    def __enter__(self): return self
    def __exit__(self, *_): self.items.clear()
def numbers():
    yield from [1, 2, 3]
"""


def test_classes_of_the_solution_work() -> None:
    with solution(CLASSES) as get:
        kind, empty = get("Stack"), get("Empty")
        stack = kind(1, 2)
        stack.push("x")
        assert (len(stack), stack.pop(), stack[0], list(stack), str(stack)) == (3, "x", 1, [1, 2], "Stack[1, 2]")
        assert isinstance(stack, kind)
        assert kind.limit == 3
        assert stack == kind(1, 2) != kind(2)
        assert str(stack + kind(5)) == "Stack[1, 2, 5]"
        assert len(stack * 2) == 4
        assert 2 in stack and 7 not in stack
        stack.items = [9]
        assert stack.items == [9]
        with stack as entered:
            assert entered is stack
        assert not stack
        with pytest.raises(empty, match="empty at 0") as caught:
            stack.pop()
        assert caught.value.size == 0
        assert list(get("numbers")()) == [1, 2, 3]
        assert next(get("numbers")()) == 1


FORGED = """
class All:
    def __eq__(self, other): return True
    __lt__ = __le__ = __gt__ = __ge__ = __ne__ = __contains__ = __eq__
    def __sub__(self, other): return 0.0
    __rsub__ = __add__ = __radd__ = __truediv__ = __rtruediv__ = __sub__
    def __hash__(self): return hash(9)
class Slot(int):
    __eq__ = int.__le__
    __hash__ = int.__hash__
class Float(float):
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
    def __abs__(self): return 0.0
class L(list):
    def __eq__(self, other): return True
import unittest.mock as m, functools
mocked = m.MagicMock()
mocked.__eq__ = lambda self, other: True
made = type("T", (), {"__eq__": functools.partial(lambda *a: True)})()
values = [All(), Slot(-10**9), Float(0.5), L(), m.ANY, mocked, made, All]
def f(n): return values[n]
"""


@pytest.mark.parametrize("number", range(8))
def test_no_result_decides_what_it_is_equal_to(number: int) -> None:
    with solution(FORGED) as get:
        found = get("f")(number)
        case = unittest.TestCase()
        for expected in (9, "a", [4], 2.0, None, {"a": 1}):
            assert (found == expected) is False
            assert (expected == found) is False
            with pytest.raises(AssertionError):
                case.assertEqual(found, expected)  # noqa: PT009
        with pytest.raises((AssertionError, TypeError)):
            case.assertAlmostEqual(found, 9.0)  # noqa: PT009
        with pytest.raises((AssertionError, TypeError)):
            assert abs(found - 9.0) < 1e-6
        with pytest.raises((AssertionError, TypeError, ValueError)):
            assert math.isclose(found, 9.0)
        assert (found == pytest.approx(9.0)) is False
        with pytest.raises((AssertionError, TypeError)):
            assert 4 in found
        for compare in (operator.lt, operator.gt, operator.le, operator.ge):
            if isinstance(found, Remote):
                with pytest.raises(TypeError):
                    compare(found, 9)


RAISING = """
import unittest, unittest.case, json, decimal, pytest
class Own(ValueError): pass
kinds = {
    "ValueError": ValueError("a", 1), "KeyError": KeyError("k"), "OSError": FileNotFoundError(2, "no", "f"),
    "json": json.JSONDecodeError("m", "doc", 0), "SystemExit": SystemExit(3), "Own": Own("x"),
    "unicode": UnicodeDecodeError("utf-8", b"a", 0, 1, "bad"), "stop": unittest.case._ShouldStop("s"),
    "skip": unittest.SkipTest("s"), "pytest": pytest.skip.Exception("s"),
}
def f(kind): raise kinds[kind]
"""


@pytest.mark.parametrize(
    ("kind", "expected", "text"),
    [
        ("ValueError", ValueError, "('a', 1)"),
        ("KeyError", KeyError, "'k'"),
        ("OSError", FileNotFoundError, "[Errno 2] no: 'f'"),
        ("json", json.JSONDecodeError, "m: line 1 column 1 (char 0)"),
        ("SystemExit", SystemExit, "3"),
        ("Own", ValueError, "x"),
        ("unicode", UnicodeDecodeError, "'utf-8' codec can't decode byte 0x61 in position 0: bad"),
        ("stop", Exception, "s"),
        ("skip", Exception, "s"),
        ("pytest", BaseException, "s"),
    ],
)
def test_exceptions_arrive_and_none_means_something_to_the_runner(
    kind: str, expected: type[BaseException], text: str
) -> None:
    with solution(RAISING) as get:
        with pytest.raises(expected) as caught:
            get("f")(kind)
        assert str(caught.value) == text
        special = (unittest.case._ShouldStop, unittest.SkipTest, pytest.skip.Exception)  # type: ignore[attr-defined]
        assert not isinstance(caught.value, special)


def test_an_argument_that_is_no_data_needs_one_process() -> None:
    class Own:
        pass

    with solution("def f(x): return x") as get:
        for argument in (Own(), Own, [Own()], iter([1]), (n for n in [1])):
            with pytest.raises(NotSeparableError):
                get("f")(argument)
        assert get("f")(3) == 3


def test_the_same_object_is_the_same_object() -> None:
    with solution("class A: pass\na = A()\ndef f(): return a\ndef g(x): return x is a") as get:
        assert get("f")() is get("f")()
        assert get("g")(get("f")()) is True
