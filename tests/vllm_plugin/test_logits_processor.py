"""The logits processor inside a stock vLLM server gives the same tokens as the local engine.

These tests need vLLM. `test_token_constraint.py`, `test_batch_state.py` and `tests/engines/test_vllm_params.py` test
the parts that do not.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

import z1
from z1 import profiles
from z1.engines import DriverOptions, Sampling, run_flow
from z1.engines.local.engine import LocalEngine, LocalSettings, load
from z1.models import shipped
from z1.prompts import prompt_token_ids
from z1.synthetic.trajectories import format_question
from z1.think import End, Flow, Shift, Window

pytestmark = [pytest.mark.real, pytest.mark.timeout(1500)]  # the first test waits for the server

ANSWER, MOST = 24, 300

PROGRAMS = (
    "print(3 + 4)",
    "a = 3\nfor i in range(4):\n    a = a + i\nprint(a)",
    "s = 0\nfor i in range(9):\n    s = s + i * 2\nprint(s)",
    "x = 5\ny = x * 3\nif y > 10:\n    y = y - 4\nprint(y + x)",
)
TINY = profiles.get_profile("z1-tiny")

BOTH_INTERFACES = """
from types import SimpleNamespace as Some
from vllm.v1.sample.logits_processor import _load_logitsprocs_by_fqcns
from vllm.v1.worker.gpu.sample.logits_processor.loader import _load_v2_logitsprocs_by_fqcns
from z1.vllm_plugin.logits_processor import V1LogitsProcessor, V2LogitsProcessor
path = "z1.vllm_plugin:z1-tiny"
[first], [second] = _load_logitsprocs_by_fqcns([path]), _load_v2_logitsprocs_by_fqcns([path])
assert first is second
config = Some(model_config=Some(tokenizer={folder!r}, max_model_len=512))
assert type(first(config, "cpu", False)) is V1LogitsProcessor
assert type(first(config, Some(prompt_len=None))) is V2LogitsProcessor
"""


@pytest.fixture(scope="module")
def local() -> LocalEngine:
    return load(shipped(), LocalSettings(max_num_seqs=16, max_model_len=512, deterministic=True))


@pytest.fixture(scope="module")
def prompts(local: LocalEngine) -> list[list[int]]:
    return [prompt_token_ids(local.tokenizer, TINY, format_question(text)) for text in PROGRAMS]


@pytest.fixture
def client(vllm_server: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{vllm_server}/v1", api_key="none", max_retries=0) as made:
        yield made


def here(local: LocalEngine, prompt: Sequence[int], window: Window) -> Flow:
    async def run() -> Flow:
        session = await local.open(prompt, Sampling(window.stop_token_ids))
        watch = profiles.make_detector(local.tokenizer, TINY)
        try:
            return await run_flow(Flow(window, MOST, detects_answer=True), session, DriverOptions(watch))
        finally:
            await session.close()

    return asyncio.run(run())


def there(client: openai.OpenAI, prompt: list[int], asked: dict[str, Any], **given: Any) -> Any:
    extra = {"vllm_xargs": asked, "return_token_ids": True, **given.pop("extra", {})}
    settings: dict[str, Any] = {"temperature": 0, "max_tokens": MOST, **given}
    return client.completions.create(model="z1-tiny", prompt=prompt, extra_body=extra, **settings).choices[0]


@pytest.mark.parametrize("window", [0, 1, 7, 16, 40, 200])
def test_a_budget_is_exact(local: LocalEngine, prompts: list[list[int]], client: openai.OpenAI, window: int) -> None:
    for prompt in prompts:
        wanted = here(local, prompt, profiles.make_window(local.tokenizer, TINY, window, ANSWER))
        got = there(client, prompt, {"z1_thinking_budget": window, "z1_max_answer_tokens": ANSWER})
        assert list(got.token_ids) == wanted.token_ids
        assert got.finish_reason == ("stop" if wanted.end is End.STOP else "length")


def test_concurrent_requests_with_and_without_budgets_do_not_interfere(
    local: LocalEngine, prompts: list[list[int]], vllm_server: str
) -> None:
    """64 replies on 16 rows and KV cache blocks for about four: rows are reused, moved, preempted and restarted."""
    asked = [(prompts[n % 4], (None, 0, 3, 11, 30, 60, 100, 200)[n % 8]) for n in range(64)]

    async def one(client: openai.AsyncOpenAI, prompt: list[int], window: int | None) -> list[int]:
        ours = {} if window is None else {"z1_thinking_budget": window, "z1_max_answer_tokens": ANSWER}
        extra = {"vllm_xargs": ours, "return_token_ids": True}
        settings: dict[str, Any] = {"temperature": 0, "max_tokens": MOST, "extra_body": extra}
        got: Any = await client.completions.create(model="z1-tiny", prompt=prompt, **settings)
        return list(got.choices[0].token_ids)

    async def every() -> list[list[int]]:
        async with openai.AsyncOpenAI(base_url=f"{vllm_server}/v1", api_key="none", max_retries=0) as client:
            return await asyncio.gather(*(one(client, prompt, window) for prompt, window in asked))

    kinds = [profiles.make_window(local.tokenizer, TINY, window, ANSWER) for _, window in asked[:8]]
    alone = [here(local, prompt, kind).token_ids for (prompt, _), kind in zip(asked[:8], kinds, strict=True)]
    assert asyncio.run(every()) == alone * 8


def test_a_requests_hint_as_text_and_as_token_ids(
    local: LocalEngine, prompts: list[list[int]], client: openai.OpenAI
) -> None:
    text = "\n\nWell: The final answer is \\boxed{"
    ids = tuple(local.tokenizer.encode(text, add_special_tokens=False))
    wanted = here(local, prompts[1], Window(9, ANSWER, ids, frozenset({2})))
    assert wanted.shift_reason is Shift.BUDGET
    for hint in (text, list(ids)):
        got = there(client, prompts[1], {"z1_thinking_budget": 9, "z1_max_answer_tokens": ANSWER, "z1_hint": hint})
        assert list(got.token_ids) == wanted.token_ids


@pytest.mark.parametrize(
    "keys",
    [
        {"z1_grace_tokens": 30},
        {"z1_grace_tokens": 20, "z1_soft_tokens": 60},
        {"z1_repetition": 1},
        {"z1_repetition": 1, "z1_max_nudges": 1},
    ],
)
def test_loops_and_landings_are_the_local_engines(
    local: LocalEngine, prompts: list[list[int]], client: openai.OpenAI, keys: dict[str, int]
) -> None:
    """Prompts that the model was not trained on make it loop."""
    landing = profiles.make_landing(
        local.tokenizer, TINY, keys.get("z1_soft_tokens", 0), keys.get("z1_grace_tokens", 0)
    )
    repetition = None
    if "z1_repetition" in keys:
        repetition = profiles.make_repetition(local.tokenizer, keys.get("z1_max_nudges", 0))
    plain = profiles.make_window(local.tokenizer, TINY, 220, ANSWER)
    window = replace(plain, landing=landing, repetition=repetition)
    reasons = set()
    for prompt in (*prompts, [31, 200, 31], [9, 9, 9, 9, 40], [77] * 6):
        wanted = here(local, prompt, window)
        reasons.add((wanted.shift_reason, wanted.ledger().nudge > 0))
        got = there(client, prompt, {"z1_thinking_budget": 220, "z1_max_answer_tokens": ANSWER, **keys})
        assert list(got.token_ids)[: len(wanted.token_ids)] == wanted.token_ids
    assert len(reasons) > 1


def test_answer_budget_and_stop_strings_apply_to_the_answer_only(
    local: LocalEngine, prompts: list[list[int]], client: openai.OpenAI
) -> None:
    thought = here(local, prompts[1], profiles.make_window(local.tokenizer, TINY, None, ANSWER))
    start = next(span.start for span in thought.spans() if span.bucket.value == "answer")
    cut = here(local, prompts[1], profiles.make_window(local.tokenizer, TINY, 200, 8))
    assert cut.end is End.CUT
    got = there(client, prompts[1], {"z1_thinking_budget": 200, "z1_max_answer_tokens": 8})
    assert list(got.token_ids) == [*cut.token_ids, 2]
    assert "->" in profiles.decode(local.tokenizer, thought.token_ids[:start])
    stopped = there(client, prompts[1], {"z1_thinking_budget": 200, "z1_stop": ["->", "box"]})
    assert stopped.text.startswith(profiles.decode(local.tokenizer, thought.token_ids[:start]))
    assert "box" in stopped.text
    assert "}" not in stopped.text[stopped.text.index("box") :]


def test_streamed_and_whole_replies_are_equal_and_seeds_matter(prompts: list[list[int]], client: openai.OpenAI) -> None:
    settings: dict[str, Any] = {"temperature": 1.0, "seed": 5, "max_tokens": MOST}
    extra = {"vllm_xargs": {"z1_thinking_budget": 20}, "return_token_ids": True}
    whole = there(client, prompts[2], {"z1_thinking_budget": 20}, **settings)
    stream = client.completions.create(model="z1-tiny", prompt=prompts[2], stream=True, extra_body=extra, **settings)
    chunks: list[Any] = [chunk.choices[0] for chunk in stream if chunk.choices]
    assert [token for chunk in chunks for token in chunk.token_ids or ()] == list(whole.token_ids)
    assert "".join(chunk.text for chunk in chunks) == whole.text


def test_each_of_several_replies_has_its_own_budget(prompts: list[list[int]], client: openai.OpenAI) -> None:
    extra = {"vllm_xargs": {"z1_thinking_budget": 12, "z1_max_answer_tokens": ANSWER}, "return_token_ids": True}
    made: Any = client.completions.create(
        model="z1-tiny", prompt=prompts[1], n=3, temperature=1.2, seed=1, max_tokens=MOST, extra_body=extra
    )
    assert len({choice.text for choice in made.choices}) > 1
    assert all(choice.text.count("I overthought it") == 1 for choice in made.choices)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"z1_windw": 3}, "z1_windw"),
        ({"z1_thinking_budget": -2}, "integer"),
        ({"z1_thinking_budget": 3, "z1_max_answer_tokens": MOST}, "max_tokens"),
    ],
)
def test_invalid_requests_are_a_400_with_the_reason(
    prompts: list[list[int]], client: openai.OpenAI, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=said):
        there(client, prompts[0], asked)


def test_a_schema_with_a_budget_is_rejected_and_alone_is_vllms(prompts: list[list[int]], client: openai.OpenAI) -> None:
    schema = {"structured_outputs": {"regex": "[0-9]{1,3}"}}
    with pytest.raises(openai.BadRequestError, match="structured outputs"):
        there(client, prompts[0], {"z1_thinking_budget": 5}, extra=schema)
    assert there(client, prompts[0], {}, extra=schema).text.isdigit()


def test_one_class_serves_both_runners(vllm_python: str, tmp_path: Path) -> None:
    script = tmp_path / "both.py"
    script.write_text(BOTH_INTERFACES.format(folder=str(shipped())), encoding="utf-8")
    env = {"PYTHONPATH": str(Path(z1.__file__).parent.parent), "PATH": "/usr/bin:/bin", "VLLM_LOGGING_LEVEL": "ERROR"}
    done = subprocess.run([vllm_python, str(script)], env=env, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
