"""Runs unit tests in a process of their own, and the solution in another.

This process has the tests, reads them from stdin, and reports on descriptor 3. The solution's process is its child,
which has neither of these, no memory of them, and no access to this process; it makes the calls that the tests ask for
(`solution_server.py`). So what decides is never in the hands of the solution: it can return values, raise exceptions
and end, and no more. Both run `setup` first, source of the task that is no part of the solution.
"""

from __future__ import annotations

import ast
import builtins
import json
import os
import signal
import socket
import sys
import traceback
from types import ModuleType
from typing import Any, NoReturn

from z1.sandbox.inside import run_program, supervisor, syscalls
from z1.sandbox.inside.channel import Channel, close_others
from z1.sandbox.inside.outcomes import NotSeparableError, Outcomes, run_tests
from z1.sandbox.inside.solution_proxy import Solution
from z1.sandbox.inside.solution_server import SolutionServer

TESTS = "/tmp/tests.py"
SETUP = "task"
"""The name of the module of the setup."""
EARLY_END = 70
"""Exit status where the solution ended with status 0 before its tests."""


def run(job: dict[str, Any]) -> None:
    """Run the tests on stdin on `job["code"]`; ends the process."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        _serve_solution(job, theirs)
    theirs.close()
    sys.set_int_max_str_digits(run_program.MAX_INT_DIGITS)
    with open(0, "rb", closefd=False) as file:
        given = json.loads(file.read())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    setup = load_setup(job["setup"])
    solution = Solution(Channel(ours), setup, lambda: _end_early(child, job, given["nonce"]))
    solution.wait()
    try:
        _report(given["nonce"], outcomes=_run(given, setup, solution))
    except NotSeparableError as error:
        _report(given["nonce"], shared=str(error))


def _report(nonce: str, **facts: Any) -> NoReturn:
    os.write(3, json.dumps({"ended": nonce, **facts}).encode() + b"\n")
    os._exit(0)


def _end_early(child: int, job: dict[str, Any], nonce: str) -> NoReturn:
    """The solution's process ended before the tests: end in the same way."""
    _, status, used = os.wait4(child, 0)
    if not os.WIFSIGNALED(status):
        os._exit(os.waitstatus_to_exitcode(status) or EARLY_END)
    number = os.WTERMSIG(status)
    if number == signal.SIGKILL and used.ru_utime + used.ru_stime < job["cpu_seconds"]:
        _report(nonce, killed=True)  # from outside, since nothing inside can
    number = signal.SIGXCPU if number == signal.SIGKILL else number
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(EARLY_END)


def _serve_solution(job: dict[str, Any], end: socket.socket) -> None:
    """In the child: run the solution and serve it; ends the process."""
    try:
        supervisor.KILL_GUARD.install()
        syscalls.set_dumpable(True)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        close_others(end.fileno())
        module = run_program.main_module(job["module"])
        sys.modules["__main__"] = module
        setup = load_setup(job["setup"])
        module.__dict__.update(_public(setup))
        if status := run_program.execute(job["code"], module):
            run_program.exit_process(status)
        channel = Channel(end)
        channel.send({"loaded": True})
        SolutionServer(channel, module, setup).serve()
        run_program.exit_process(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def load_setup(source: str) -> ModuleType:
    """The module of the setup; the same source gives the same classes in both processes."""
    module = ModuleType(SETUP)
    sys.modules[SETUP] = module
    exec(compile(source, "/tmp/task.py", "exec", dont_inherit=True), module.__dict__)
    return module


def _run(given: dict[str, Any], setup: ModuleType, solution: Solution) -> Outcomes:
    """The outcomes of the tests; ends the process if they cannot be loaded."""
    sys.modules["solution"] = _module_of(solution)
    tests = ModuleType("__test__")
    sys.modules["__test__"] = tests
    tests.__dict__.update(_public(setup) | _find_names(given, solution, {*vars(setup)}))
    try:
        exec(compile(given["tests"], TESTS, "exec", dont_inherit=True), tests.__dict__)
    except Exception:
        traceback.print_exc()
        os._exit(1)
    return run_tests(tests)


def _public(setup: ModuleType) -> dict[str, Any]:
    return {name: value for name, value in vars(setup).items() if not name.startswith("__")}


def _module_of(solution: Solution) -> ModuleType:
    """The module `solution`, whose names are asked for."""

    def find(name: str) -> Any:
        try:
            return solution.get(name)
        except KeyError:
            raise AttributeError(name) from None

    module = ModuleType("solution")
    module.__dict__["__getattr__"] = find
    return module


def _find_names(given: dict[str, Any], solution: Solution, known: set[str]) -> dict[str, Any]:
    """The names of the solution that the tests use and nothing else defines, and always that of the function."""
    used = {node.id for node in ast.walk(ast.parse(given["tests"])) if isinstance(node, ast.Name)}
    found = {}
    for name in sorted(used - known - {*vars(builtins)} | {given["name"]}):
        try:
            found[name] = solution.get(name)
        except KeyError:
            continue
    return found
