"""The solution's process: it answers what the tests ask for, whatever the solution's objects do."""

from __future__ import annotations

import types
from typing import Any

from z1.sandbox.inside.channel import Channel
from z1.sandbox.inside.solution_server import OPERATIONS, SolutionServer, setup_classes
from z1.sandbox.inside.values import ValueDecoder, ValueEncoder

CODE = """
class Silent(Exception):
    def __str__(self): raise ValueError
class Sly:
    @property
    def __name__(self): raise KeyError("name")
    @property
    def __class__(self): return int
deep = []
for _ in range(5000): deep = [deep]
def silent(): raise Silent([object()])
def sly(): return Sly()
def number(): return 3
def long(): return deep
"""


def answer(name: str) -> dict[str, Any]:
    module = types.ModuleType("solution")
    exec(CODE, module.__dict__)
    server = SolutionServer(Channel.__new__(Channel), module, types.ModuleType("task"))
    call = server._answer({"op": "get", "message": ValueEncoder(dict, {}, []).message([[name], {}])})
    number = call["value"]["roots"][0]["object"][0]
    message = {"roots": [[0], [1]], "nodes": [["list", [{"object": number}]], ["dict", [], None]]}
    return server._answer({"op": "call", "message": message})


def test_data_and_objects_are_told_apart() -> None:
    assert answer("number")["value"]["roots"] == [3]
    assert "raised" in answer("sly")
    assert len(answer("long")["value"]["nodes"]) == 5001


def test_an_exception_without_a_text_is_an_exception() -> None:
    raised = answer("silent")["raised"]
    kinds, text, *_ = ValueDecoder(lambda *_: None, {}, [[], {}]).values(
        {"roots": raised["roots"], "nodes": raised["nodes"]}
    )
    assert kinds[0][1] == "Silent"
    assert text == ""


def test_an_unknown_name_is_a_key_error() -> None:
    server = SolutionServer(Channel.__new__(Channel), types.ModuleType("m"), types.ModuleType("task"))
    found = server._answer(
        {"op": "get", "message": {"roots": [[0], [1]], "nodes": [["list", ["x"]], ["dict", [], None]]}}
    )
    assert "raised" in found


def test_classes_of_the_setup_are_those_that_it_defines_plainly() -> None:
    module = types.ModuleType("task")
    exec(
        "from collections import Counter\nclass A: pass\nclass B(A): pass\nclass C:\n    __slots__ = ()",
        module.__dict__,
    )
    assert [*setup_classes(module)] == ["A"]


def test_every_operation_is_a_function() -> None:
    assert all(callable(operation) for operation in OPERATIONS.values())
