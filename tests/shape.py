"""Which parts has z1, what may each import, and which are excused from a rule?

The tables that `tests/test_architecture.py` holds the source to. A new library or module gets its row here.
"""

from __future__ import annotations

GROUND = "records runs recipe chat tables"
DOOR = "doctor ask story study comparison cli z1"  # z1 is the root's __init__; cli also stands for cli_*
FLOORS = (
    f"errors <- think <- {GROUND} <- engines grading world <- benchmarks <- curate evaluate serve <- report <- {DOOR}"
)
"""From the ground up. A module imports from lower floors and from its own part; GROUND and DOOR are of one piece."""

TRAIN = f"errors think {GROUND}".split()
"""What `train` may import. It meets the others on disk, and only the door imports it."""

PROTOCOL = frozenset({"z1.engines", "z1.engines.protocol", "z1.engines.drive"})
"""What everybody may know of the engines; the rest is the door's."""

HEAVY = frozenset({"torch", "transformers", "tokenizers", "safetensors", "numpy"})

THIRD_PARTY: dict[str, frozenset[str]] = {
    "z1.runs": frozenset({"filelock"}),
    **dict.fromkeys(["z1.recipe", "z1.comparison", "z1.curate.plan"], frozenset({"pydantic"})),
    **dict.fromkeys(["z1.doctor", "z1.train", "z1.train.*", "z1.engines.local*"], HEAVY),
    **dict.fromkeys([f"z1.engines.{part}" for part in ("choose", "decoder", "general", "weights")], HEAVY),
    "z1.train.start": HEAVY | {"peft"},
    "z1.curate.near": frozenset({"datasketch", "numpy"}),
    "z1.tables": frozenset({"pyarrow"}),
    "z1.train.data": frozenset({"huggingface_hub"}),
    "z1.engines.remote": frozenset({"httpx2", "openai"}),
    **dict.fromkeys(["z1.engines.masks", "z1.engines.vllm_rows"], frozenset({"torch"})),
    **dict.fromkeys(["z1.engines.vllm_window", "z1.engines.vllm_sessions"], frozenset({"vllm"})),
    **dict.fromkeys(["z1.curate.tokens", "z1.curate.encoding"], frozenset({"tokenizers"})),
    "z1.curate.spread": frozenset({"ray"}),
    "z1.curate.teacher": frozenset({"openai"}),
    "z1.serve.app": frozenset({"fastapi", "starlette"}),
    **dict.fromkeys(["z1.serve.exchange", "z1.serve.gate", "z1.serve.passing"], frozenset({"starlette"})),
    "z1.serve.meters": frozenset({"prometheus_client"}),
    "z1.serve.page": frozenset({"fastapi", "gradio", "openai"}),
    "z1.serve.running": frozenset({"uvicorn"}),
    "z1.serve.schema": frozenset({"pydantic"}),
    "z1.report.figures": frozenset({"matplotlib"}),
    "z1.benchmarks.hub": frozenset({"huggingface_hub", "pyarrow"}),
    "z1.cli*": frozenset({"typer", "rich"}),
}
"""Which modules may import which libraries; every other module only the standard library."""

DRAWERS = frozenset({"base", "common", "helper", "helpers", "misc", "util", "utils"})

FOREIGN = frozenset({"accelerate", "datasets", "fastapi", "gradio", "openai", "ray", "trl", "uvicorn", "vllm"})
"""Libraries that z1 may meet and does not pin; constraints.txt names the others."""

VERBS_FIRST = frozenset({"evaluate"})
"""A library that comes with a peer of the tests and is called like one of z1's verbs; the verb was there first."""

NO_QUESTION = frozenset({"z1", "z1.cli"})

NO_DOCSTRING = {"z1.chat.Tokenizer": "the methods of a foreign class, which transformers documents"}
"""Classes whose methods need none, and why."""

NO_MIRROR = {
    "z1": "tests/test_imports.py holds what the door may load",
    "z1.engines.protocol": "values and protocols; tests/engines/conformance.py holds engines to them",
    **{f"z1.grading.inside.{n}": "grading/test_sandbox.py" for n in ("kernel", "walls", "keeper", "server")},
    "z1.report": "tests/report/test_write.py",
    "z1.report.style": "colours and CSS",
}
"""Modules without a test file of their own, and why."""

LINES, FUNCTION_LINES, PARAMETERS = 400, 59, 6
