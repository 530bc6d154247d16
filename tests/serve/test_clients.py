"""Tests with unmodified clients.

The openai package talks to the shipped model; litellm and lm-evaluation-harness, which are heavy and emit warnings, run
in processes of their own against a scripted model.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.serve.conftest import Served, serving
from tests.serve.scripts import FORCED, PREFIX, THOUGHT
from z1 import profiles
from z1.engines.local.engine import LocalSettings, load
from z1.generation import builtin_question
from z1.models import shipped
from z1.serve.api.parameters import IGNORED, NO_OP_VALUES
from z1.serve.api.request_parser import RequestDefaults
from z1.serve.api.schema import ChatRequest, CompletionRequest

PROGRAM: Any = {"role": "user", "content": "a = 3\nb = a + 4\na = 1\nb = b + a\nprint(b)"}


@pytest.fixture(scope="module")
def tiny() -> Iterator[Served]:
    # deterministic, so that a streamed and a whole reply are the same
    settings = LocalSettings(max_num_seqs=8, max_model_len=512, deterministic=True)
    with serving(
        load(shipped(), settings), RequestDefaults(temperature=0.0, format_question=builtin_question)
    ) as server:
        yield server


@pytest.fixture(scope="module")
def client(tiny: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=tiny.url + "/v1", api_key="none", max_retries=0) as openai_client:
        yield openai_client


def test_openai_with_a_budget(client: openai.OpenAI) -> None:
    free: Any = client.chat.completions.create(model="z1-tiny", messages=[PROGRAM])
    (choice,) = free.choices
    assert choice.message.content.endswith("The final answer is \\boxed{8}.")
    assert choice.budget["reason"] == "natural"
    border = choice.budget["offsets"]["answer"]
    assert choice.message.content[border:].startswith("The final answer")
    assert 0 < free.usage.completion_tokens_details.reasoning_tokens < free.usage.completion_tokens
    cut: Any = client.chat.completions.create(
        model="z1-tiny",
        messages=[PROGRAM],
        extra_body={"thinking_token_budget": 5},
    )
    assert cut.choices[0].budget["used"] == 5
    assert profiles.HINT + PREFIX in cut.choices[0].message.content


def test_a_minimum_of_thinking_yields_only_to_forced_ends(client: openai.OpenAI) -> None:
    def budget(**settings: Any) -> Any:
        reply: Any = client.chat.completions.create(model="z1-tiny", messages=[PROGRAM], extra_body=settings)
        return reply.choices[0].budget

    free = budget()["used"]
    longer = budget(min_thinking_tokens=free + 20, max_tokens=400)
    assert longer["used"] >= free + 20
    kept = budget(min_thinking_tokens=free + 20, thinking_budget=free + 20)
    assert (kept["used"], kept["reason"]) == (free + 20, "budget")
    assert budget(min_thinking_tokens=free + 20, deadline_ms=0)["reason"] == "deadline"
    with pytest.raises(openai.BadRequestError, match="min_thinking_tokens: got 6; give 0 to 5"):
        budget(min_thinking_tokens=6, thinking_budget=5)


def test_openai_logprobs(client: openai.OpenAI) -> None:
    body: dict[str, Any] = {"model": "z1-tiny", "messages": [PROGRAM], "logprobs": True, "top_logprobs": 3}
    (choice,) = client.chat.completions.create(**body).choices
    assert choice.logprobs is not None and choice.logprobs.content is not None
    logprobs = choice.logprobs.content
    assert "".join(one.token for one in logprobs) == choice.message.content
    assert all(one.token == one.top_logprobs[0].token and len(one.top_logprobs) == 3 for one in logprobs)  # greedy
    assert all(sum(math.exp(best.logprob) for best in one.top_logprobs) <= 1 + 1e-5 for one in logprobs)
    parts = [chunk.choices[0].logprobs for chunk in client.chat.completions.create(**body, stream=True)]
    streamed = [one for part in parts if part for one in part.content or ()]
    assert [one.token for one in streamed] == [one.token for one in logprobs]
    assert [one.logprob for one in streamed] == pytest.approx([one.logprob for one in logprobs], abs=1e-4)
    text = client.completions.create(model="z1-tiny", prompt="x", max_tokens=4, logprobs=2).choices[0]
    assert text.logprobs is not None and len(text.logprobs.tokens or ()) == 4


def test_openai_stream_equals_the_whole_response(client: openai.OpenAI) -> None:
    body: dict[str, Any] = {"model": "z1-tiny", "messages": [PROGRAM], "max_completion_tokens": 300, "n": 2, "seed": 4}
    body |= {"temperature": 0.7, "extra_body": {"separate_reasoning": True}}
    whole = client.chat.completions.create(**body)
    text: dict[int, dict[str, str]] = {0: {"content": "", "reasoning": ""}, 1: {"content": "", "reasoning": ""}}
    usage = None
    for chunk in client.chat.completions.create(**body, stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text[choice.index]["content"] += choice.delta.content or ""
            text[choice.index]["reasoning"] += getattr(choice.delta, "reasoning_content", None) or ""
    for choice in whole.choices:
        assert text[choice.index]["content"] == choice.message.content
        assert text[choice.index]["reasoning"] == getattr(choice.message, "reasoning_content", "")
    assert usage == whole.usage


def test_openai_text_completions_and_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["z1-tiny"]
    assert client.models.retrieve("z1-tiny").owned_by == "z1"
    done: Any = client.completions.create(model="z1-tiny", prompt=["print(1)", "print(2)"], max_tokens=5, n=2)
    assert [choice.index for choice in done.choices] == [0, 1, 2, 3]
    assert done.usage.completion_tokens <= 20


def test_openai_errors(client: openai.OpenAI, tiny: Served) -> None:
    with pytest.raises(openai.BadRequestError, match="unknown field") as caught:
        client.chat.completions.create(model="z1-tiny", messages=[PROGRAM], extra_body={"budget": 3})
    assert caught.value.param == "budget"
    with pytest.raises(openai.BadRequestError, match="this server does not support it"):
        client.chat.completions.create(
            model="z1-tiny",
            messages=[PROGRAM],
            tools=[{"type": "function", "function": {"name": "f"}}],
        )
    with pytest.raises(openai.BadRequestError, match="supports small Python programs only"):
        client.chat.completions.create(model="z1-tiny", messages=[{"role": "user", "content": "why is the sky blue"}])
    with pytest.raises(openai.NotFoundError, match="use z1-tiny"):
        client.chat.completions.create(model="gpt-9", messages=[PROGRAM])
    assert tiny.idle()


def test_openai_concurrent_requests_with_different_budgets(tiny: Served) -> None:
    async def ask(client: openai.AsyncOpenAI, budget: int) -> tuple[int, int]:
        stream: Any = await client.chat.completions.create(
            model="z1-tiny",
            messages=[PROGRAM],
            stream=True,
            extra_body={"thinking_budget": budget},
        )
        last: Any = [chunk async for chunk in stream][-1]
        return budget, last.choices[0].budget["used"]

    async def run() -> list[tuple[int, int]]:
        async with openai.AsyncOpenAI(base_url=tiny.url + "/v1", api_key="none", max_retries=0) as client:
            return await asyncio.gather(*(ask(client, budget) for budget in range(12)))

    assert all(used == budget for budget, used in asyncio.run(run()))
    assert tiny.idle()


LITELLM = """
import json, litellm, sys
ask = {"model": "openai/scripted", "api_base": sys.argv[1], "api_key": "x"}
ask["messages"] = [{"role": "user", "content": "why?"}]
whole = litellm.completion(**ask, extra_body={"thinking_token_budget": 12, "separate_reasoning": True})
live = {"stream": True, "stream_options": {"include_usage": True}}
chunks = list(litellm.completion(**ask, **live, extra_body={"thinking_budget": 12}))
effort = litellm.completion(**{**ask, "model": "hosted_vllm/scripted"}, reasoning_effort="none")
print(json.dumps({
    "content": whole.choices[0].message.content,
    "reasoning": whole.choices[0].message.reasoning_content,
    "tokens": whole.usage.completion_tokens_details.reasoning_tokens,
    "stream": "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices),
    "usage": chunks[-1].usage.completion_tokens,
    "effort": effort.choices[0].message.content,
}))
"""


def client_output(module: str, program: str, *arguments: str) -> Any:
    """The JSON that `program` prints in the interpreter that PYTHON_WITH_MODULE names, or in this one."""
    python = os.environ.get(f"PYTHON_WITH_{module.upper()}")
    if python is None and find_spec(module) is None:
        pytest.skip(f"needs {module}")
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    done = subprocess.run(
        [python or sys.executable, "-c", program, *arguments],
        env={**os.environ, **quiet},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.real
def test_litellm(served: Served) -> None:
    output = client_output("litellm", LITELLM, served.url + "/v1")
    assert output["content"] == PREFIX + FORCED
    assert output["reasoning"] == THOUGHT[:12] + profiles.HINT
    assert output["tokens"] == 12 + len(profiles.HINT + PREFIX)
    assert output["stream"] == THOUGHT[:12] + profiles.HINT + PREFIX + FORCED
    assert output["usage"] == output["tokens"] + len(FORCED) + 1
    assert output["effort"] == PREFIX + FORCED


LITELLM_OVERFLOW = """
import json, litellm, sys
ask = {"model": "openai/scripted", "api_base": sys.argv[1], "api_key": "x", "num_retries": 0}
ask["messages"] = [{"role": "user", "content": "x" * 5000 + "?"}]
raised = []
for is_streamed in (False, True):
    try:
        list(litellm.completion(**ask, stream=is_streamed))
    except Exception as error:
        raised.append(type(error).__name__)
print(json.dumps(raised))
"""

LANGCHAIN_OVERFLOW = """
import json, sys
from langchain_core.exceptions import ContextOverflowError
from langchain_openai import ChatOpenAI
chat = ChatOpenAI(base_url=sys.argv[1], api_key="x", model="scripted", max_retries=0)
raised = []
for method in (chat.invoke, lambda text: list(chat.stream(text))):
    try:
        method("x" * 5000 + "?")
    except Exception as error:
        raised.append(isinstance(error, ContextOverflowError))
print(json.dumps(raised))
"""


@pytest.mark.slow
@pytest.mark.real
def test_litellm_recognizes_a_full_context(served: Served) -> None:
    """langchain 35099: a full context was a bad request like any other, and nothing was compacted."""
    assert client_output("litellm", LITELLM_OVERFLOW, served.url + "/v1") == ["ContextWindowExceededError"] * 2


@pytest.mark.real
def test_langchain_recognizes_a_full_context(served: Served) -> None:
    """langchain 39300."""
    assert client_output("langchain", LANGCHAIN_OVERFLOW, served.url + "/v1") == [True, True]


OPENAI_PARAMETERS = """
import json
from openai.types.chat.completion_create_params import CompletionCreateParamsBase as Chat
from openai.types.completion_create_params import CompletionCreateParamsBase as Text
from openai.types.chat.chat_completion_message import ChatCompletionMessage
message = sorted(ChatCompletionMessage.model_fields)
print(json.dumps([sorted(Chat.__annotations__), sorted(Text.__annotations__), message]))
"""


@pytest.mark.real
def test_every_parameter_of_the_newest_openai_client_is_known() -> None:
    """`make test` has the installed version, with the values of each parameter (api/test_parameters.py)."""
    chat, text, message = client_output("openai", OPENAI_PARAMETERS)
    assert set(chat) <= {*ChatRequest.model_fields, *NO_OP_VALUES, *IGNORED}
    assert set(text) <= {*CompletionRequest.model_fields, *NO_OP_VALUES, *IGNORED}
    assert set(message) >= {"role", "content", "refusal"}


LM_EVAL = """
import json, sys
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
url, rows = sys.argv[1:]
task = {
    "task": "ask", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": rows}}, "test_split": "test",
    "output_type": "generate_until", "doc_to_text": "{{q}}", "doc_to_target": "{{a}}",
    "generation_kwargs": {"until": ["}"], "max_gen_toks": 400},
    "filter_list": [
        {"name": "boxed", "filter": [
            {"function": "regex", "regex_pattern": "boxed.([0-9]+)"}, {"function": "take_first"},
        ]},
    ],
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
}
scores = {}
for model, route in (("local-completions", "completions"), ("local-chat-completions", "chat/completions")):
    args = f"model=scripted,base_url={url}/{route},tokenizer_backend=None,tokenized_requests=False,max_retries=1"
    how = {"apply_chat_template": "chat" in model, "task_manager": TaskManager(include_defaults=False)}
    done = simple_evaluate(model=model, model_args=args, tasks=[task], bootstrap_iters=0, **how)
    scores[model] = done["results"]["ask"]["exact_match,boxed"]
print(json.dumps(scores))
"""


@pytest.mark.slow
@pytest.mark.real
def test_lm_evaluation_harness(served: Served, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        "".join(json.dumps({"q": question, "a": answer}) + "\n" for question, answer in [("why?", "7"), ("so?", "9")])
    )
    output = client_output("lm_eval", LM_EVAL, served.url + "/v1", str(rows))
    assert output == {"local-completions": 0.5, "local-chat-completions": 0.5}
    assert served.idle()
