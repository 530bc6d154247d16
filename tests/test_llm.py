"""Tests of `LLM`: batches, streams, async, and closing."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator

import pytest

import z1
from z1.engines.scripted import Script, ScriptedEngine
from z1.errors import EngineFault, UserError
from z1.generation import Reply, ReplyDelta
from z1.llm import LLM
from z1.models import shipped

HINT = "\n\nThe final answer is:\n\n"
MANY = Script({f"{n}?": f"because {n}." for n in range(12)}, {f"{n}?": f"so {n}." for n in range(12)}, HINT)


@pytest.fixture
def many() -> Iterator[LLM]:
    with LLM.of(ScriptedEngine(MANY, profile="plain"), max_num_seqs=3) as made:
        yield made


def test_one_prompt_gives_a_reply_and_many_give_a_list_in_order(many: LLM) -> None:
    assert many.generate("7?", thinking_budget=4).answer == "so 7."
    prompts = [f"{n}?" for n in (3, 11, 0, 7, 3)]
    replies = many.generate(prompts, thinking_budget=4, max_answer_tokens=4)
    assert [one.answer for one in replies] == ["so 3", "so 1", "so 0", "so 7", "so 3"]
    assert [one.end for one in replies] == ["cut"] * 5
    assert many.generate([]) == []


def test_a_conversation_and_several_conversations(many: LLM) -> None:
    turn = {"role": "user", "content": "5?"}
    one = many.chat([turn], thinking_budget=3)
    two = many.chat([[turn], [{"role": "user", "content": "6?"}]], thinking_budget=3)
    assert isinstance(one, Reply) and one.answer == "so 5."
    assert isinstance(two, list) and [each.answer for each in two] == ["so 5.", "so 6."]


def test_a_stream_has_the_parts_in_order_and_the_whole_reply(many: LLM) -> None:
    assert many.stream("2?").reply is None
    stream = many.stream("2?", thinking_budget=5)
    deltas = list(stream)
    assert stream.reply is not None and "".join(delta.text for delta in deltas) == stream.reply.text
    assert list(dict.fromkeys(delta.part for delta in deltas)) == ["thinking", "hint", "answer"]
    assert "".join(text for part, text in deltas if part == "answer") == "so 2."


def test_leaving_a_stream_early_cancels_its_generation() -> None:
    slow = ScriptedEngine(MANY, profile="plain", token_delay_s=0.01)
    with LLM.of(slow, max_num_seqs=1) as made:
        stream = made.stream("2?")
        for delta in stream:
            assert delta == ReplyDelta("thinking", "b")
            break
        assert stream.reply is None
        assert made.generate("3?", thinking_budget=2).answer == "so 3."  # the only slot is free again


def test_async_generation_and_streams_beside_a_running_loop(many: LLM) -> None:
    async def work() -> tuple[object, list[str]]:
        replies = await many.agenerate(["1?", "2?"], thinking_budget=3)
        chat = await many.achat([{"role": "user", "content": "3?"}], thinking_budget=3)
        texts = [delta.text async for delta in many.stream("4?", thinking_budget=3) if delta.part == "answer"]
        assert isinstance(replies, list) and isinstance(chat, Reply)
        assert many.generate("5?", thinking_budget=3).answer == "so 5."  # a notebook cell
        return [one.answer for one in replies] + [chat.answer], texts

    answers, texts = asyncio.run(work())
    assert answers == ["so 1.", "so 2.", "so 3."] and "".join(texts) == "so 4."


def test_stop_may_be_one_string(many: LLM) -> None:
    assert many.generate("5?", thinking_budget=3, stop="5").answer == "so "


def test_a_prompt_that_does_not_fit_is_named_by_its_place() -> None:
    with LLM.of(ScriptedEngine(MANY, profile="plain", max_model_len=40)) as made:
        with pytest.raises(UserError, match=r"^prompt 1: prompt: got 50 ids|^prompt 1: prompt: got 50 tokens"):
            made.generate(["1?", "x" * 50, "2?"], thinking_budget=3, max_answer_tokens=3)
        with pytest.raises(UserError, match=r"^prompt: got 50"):
            made.generate("x" * 50)
        assert made.generate("1?", thinking_budget=1, max_answer_tokens=3).answer == "so "


def test_closing_ends_a_stream_that_is_being_read() -> None:
    made = LLM.of(ScriptedEngine(MANY, profile="plain", token_delay_s=0.01))
    deltas = iter(made.stream("2?"))
    assert next(deltas).part == "thinking"
    made.close()
    with pytest.raises(EngineFault, match="closed while it generated"):
        list(deltas)


def test_closing_ends_the_thread_and_a_closed_one_refuses() -> None:
    def threads() -> int:
        return sum(thread.name == "z1-llm" for thread in threading.enumerate())

    made = LLM.of(ScriptedEngine(MANY, profile="plain"))
    assert threads() == 1
    made.close()
    made.close()
    assert threads() == 0
    with pytest.raises(UserError, match="closed"):
        made.generate("1?")
    LLM.of(ScriptedEngine(MANY, profile="plain"))
    gc.collect()
    assert threads() == 0


def test_the_shipped_model_answers_a_batch() -> None:
    with z1.LLM(max_num_seqs=4, max_model_len=512) as made:
        one, two = made.generate(["print(3 + 4)", "x = 2\nx = x + 3\nprint(x)"], thinking_budget=64)
    assert one.model == "z1-tiny" and one.answer and two.answer
    assert one.ledger.thought <= 64


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(getattr(z1, name) is not None for name in z1.__all__)
    assert set(z1.__all__) <= set(dir(z1))
    assert z1.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = z1.nothing
    assert shipped().name == "z1-tiny"
