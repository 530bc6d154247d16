"""The architecture as tables: the parts of z1, what each may import, and the exceptions to each rule.

`tests/test_architecture.py` checks the source against them. A new library or module gets its row here.
"""

from __future__ import annotations

LEVELS = (
    "errors surrogates toml_lines <- exit_policy risk_control sandbox think runs settings recipes models families"
    " <- recipe recipe_schema <- grading records profiles dataset_io <- model_files prompts dataset_rows"
    " <- engines train report synthetic <- generation"
    " <- serve benchmarks llm vllm_plugin <- evaluate curate"
    " <- pipeline <- study comparison results <- cli integrations <- z1 <- __main__"
)
"""From the bottom up; `z1` is the root's __init__. A module imports from lower levels and from its own package."""

PROTOCOL = frozenset({"z1.engines", "z1.engines.protocol", "z1.engines.driver"})
"""What these packages may import of the engines; an engine is chosen above them, in `llm`, `pipeline` and `cli`."""

ENGINE_AGNOSTIC = frozenset({"benchmarks", "curate", "evaluate", "serve"})

HEAVY = frozenset({"torch", "transformers", "tokenizers", "safetensors", "numpy"})

THIRD_PARTY: dict[str, frozenset[str]] = {
    "z1.runs": frozenset({"filelock"}),
    **dict.fromkeys(
        ["z1.settings", "z1.recipe", "z1.comparison", "z1.study.settings", "z1.report.study_page", "z1.curate.plan"],
        frozenset({"pydantic"}),
    ),
    "z1.cli.doctor": HEAVY | {"typer", "rich"},
    "z1.cli.model_checkup": frozenset({"torch", "transformers", "rich"}),
    **dict.fromkeys(["z1.train.*", "z1.engines.local.*", "z1.model_files", "z1.model_files.*"], HEAVY),
    "z1.model_files.adapter": HEAVY | {"peft"},
    "z1.model_files.hub": frozenset({"huggingface_hub"}),
    "z1.model_files.gguf_*": HEAVY | {"gguf"},
    "z1.train.sft.load_base": HEAVY | {"peft"},
    "z1.curate.dedup": frozenset({"datasketch", "numpy"}),
    **dict.fromkeys(["z1.evaluate.losses", "z1.evaluate.exit_combiner"], frozenset({"numpy"})),
    "z1.dataset_io": frozenset({"pyarrow"}),
    "z1.sandbox.inside.values": frozenset({"numpy"}),
    "z1.dataset_rows.splits": frozenset({"huggingface_hub", "pyarrow"}),
    "z1.train.sft.dataset": frozenset({"huggingface_hub"}),
    "z1.engines.remote.*": frozenset({"httpx2"}),
    **dict.fromkeys(["z1.engines.logit_mask", "z1.vllm_plugin.batch_state"], frozenset({"torch"})),
    **dict.fromkeys(["z1.vllm_plugin.logits_processor", "z1.engines.vllm_engine"], frozenset({"vllm"})),
    "z1.vllm_plugin.settings": frozenset({"pydantic"}),
    "z1.vllm_plugin.counters": frozenset({"prometheus_client"}),
    "z1.curate.token_counts": frozenset({"tokenizers"}),
    "z1.curate.parallel": frozenset({"ray"}),
    "z1.curate.teacher": frozenset({"httpx2"}),
    **dict.fromkeys(["z1.serve.app", "z1.serve.error_handlers"], frozenset({"fastapi", "starlette"})),
    **dict.fromkeys(
        ["z1.serve.runtime.response", "z1.serve.middleware", "z1.serve.runtime.proxy"], frozenset({"starlette"})
    ),
    "z1.serve.metrics": frozenset({"prometheus_client"}),
    "z1.serve.tracing": frozenset({"fastapi", "opentelemetry"}),
    "z1.serve.chat_ui": frozenset({"fastapi", "starlette"}),
    "z1.serve.server": frozenset({"uvicorn"}),
    **dict.fromkeys(
        [f"z1.serve.api.{name}" for name in ("body", "messages", "responses", "schema")], frozenset({"pydantic"})
    ),
    "z1.report.templates": frozenset({"jinja2"}),
    **dict.fromkeys(["z1.report.plots", "z1.report.figure"], frozenset({"matplotlib"})),
    "z1.benchmarks.hub": frozenset({"huggingface_hub"}),
    "z1.benchmarks.rows": frozenset({"pyarrow"}),
    "z1.grading.math_comparison": frozenset({"math_verify"}),
    "z1.benchmarks.inspect_tasks": frozenset({"inspect_ai"}),
    "z1.benchmarks.lm_eval_tasks": frozenset({"lm_eval"}),
    "z1.integrations.inspect_*": frozenset({"inspect_ai"}),
    "z1.integrations.lm_eval_*": frozenset({"lm_eval"}),
    "z1.results.tables": frozenset({"pandas", "pyarrow"}),
    "z1.results.inspect_log": frozenset({"zipfile_zstd"}),
    "z1.cli.*": frozenset({"typer", "rich"}),
}
"""Which modules may import which libraries; every other module only the standard library."""

VAGUE = frozenset({"base", "common", "helper", "helpers", "misc", "util", "utils"})

FOREIGN = frozenset({"accelerate", "datasets", "fastapi", "openai", "ray", "trl", "uvicorn", "vllm"})
"""Libraries that z1 works with but does not pin; constraints.txt names the others."""

SHARED_NAMES = frozenset({"evaluate"})
"""Libraries of the test environment that share a name with a verb of z1."""

NO_DOCSTRING = {"z1.profiles.Tokenizer": "methods of a transformers class, documented there"}
"""Classes whose methods need no docstring, and why."""

NO_MIRROR = {
    "z1": "tests/test_imports.py",
    "z1.settings": "tests/test_recipe.py",
    "z1.train.progress": "a value; tests/train/scratch/test_trainer.py checks what trainers report",
    "z1.__main__": "tests/cli/test_main.py",
    "z1.engines.protocol": "values and protocols; tests/engines/conformance.py checks every engine",
    **{f"z1.sandbox.inside.{name}": "tests/sandbox/test_sandbox.py" for name in ("syscalls", "forkserver")},
    "z1.sandbox.inside.control_group": "tests/sandbox/test_control_groups.py",
    "z1.serve.api.body": "tests/serve/api/test_schema.py",
    **{f"z1.serve.api.{name}_format": f"tests/serve/api/test_{name}.py" for name in ("messages", "responses")},
    "z1.models": "tests/test_llm.py",
    "z1.benchmarks.inspect_tasks": "tests/integrations/test_inspect.py, in an environment with inspect_ai",
    **{
        f"z1.integrations.inspect_{name}": "tests/integrations/test_inspect.py, in an environment with inspect_ai"
        for name in ("model", "sweep")
    },
    **{
        f"z1.results.{name}": "tests/results/test_importer.py: every format from a file to attempts"
        for name in ("log_reply", "formats", "inspect_log")
    },
    **{f"z1.study.{name}": "tests/study/test_members.py" for name in ("numbers", "settings")},
    "z1.report": "tests/report/test_write.py",
    "z1.vllm_plugin": "tests/vllm_plugin/test_logits_processor.py",
    "z1.cli.serve_options": "declarations for typer; tests/cli/test_serve.py",
    "z1.report.style": "colours and CSS",
    "z1.report.figure": "tests/report/test_plots.py",
    "z1.report.templates": "tests/report/test_page.py",
    "z1.report.picture": "tests/report/test_write.py",
    **{
        f"z1.dataset_rows.{name}": "tests/dataset_rows/test_formats.py: one table of formats and defects"
        for name in ("columns", "conversations", "table", "values")
    },
    **{
        f"z1.model_files.{name}": "tests/model_files/test_gguf_conversion.py"
        for name in ("cache", "gguf_header", "gguf_config", "gguf_tensors", "gguf_weights")
    },
}
"""Modules without a test file of their own, and why."""

LINES, FUNCTION_LINES, PARAMETERS = 400, 59, 6
