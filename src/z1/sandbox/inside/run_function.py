"""What does this function give for these inputs?

The source is run as a module, then the function, or the method of a fresh `Solution` for each input, is called. Every
result goes out as one line of JSON on descriptor 3 as soon as it is there, so that a later crash or timeout does not
take it back. The expected results are not here; whoever reads the lines compares. `before` is source to run first,
such as the imports that a contest gives.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

from z1.sandbox.inside import run_program

RAISED = "raised"


def run(job: dict[str, Any]) -> None:
    """Call `job["name"]` of `job["code"]` with each of `job["inputs"]` (lists of arguments, or maps by name)."""
    module = run_program.main_module("solution")
    sys.modules["__main__"] = module
    status = run_program.execute(job["before"], module) or run_program.execute(job["code"], module)
    if status:
        run_program.leave(status)
    space = module.__dict__
    for number, given in enumerate(job["inputs"]):
        try:
            arguments = eval(given, space) if isinstance(given, str) else given
            line = {"number": number, "value": plain(_call(space, job["name"], arguments))}
        except BaseException as error:
            traceback.print_exc()
            line = {"number": number, RAISED: f"{type(error).__name__}: {error}"[:200]}
        os.write(3, json.dumps(line).encode() + b"\n")
    run_program.leave(0)


def _call(space: dict[str, Any], name: str, given: Any) -> Any:
    function = getattr(space["Solution"](), name) if "Solution" in space else space[name]
    return function(**given) if isinstance(given, dict) else function(*given)


def plain(value: Any, depth: int = 0) -> Any:
    """`value` as JSON has it; what JSON has no word for becomes its `repr` under a key that no plain value has."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else {"repr": repr(value)}
    if isinstance(value, list | tuple) and depth < 60:
        return [plain(one, depth + 1) for one in value]
    if isinstance(value, dict) and depth < 60:
        return {"pairs": [[plain(key, depth + 1), plain(one, depth + 1)] for key, one in value.items()]}
    if isinstance(value, set | frozenset) and depth < 60:
        return {"set": sorted((plain(one, depth + 1) for one in value), key=repr)}
    return {"repr": repr(value)[:2000]}
