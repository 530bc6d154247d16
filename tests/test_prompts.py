"""Prompts and responses: training masks as prompt the token ids that inference sends, for every family and template."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from tests.profile_cases import EVERY, LISTS, TINY, built, ids, prompt_end, reply_ids, rows
from tests.train import small
from z1 import profiles
from z1.errors import UserError
from z1.profiles import HINT, PROFILES, Profile
from z1.prompts import (
    CHATML,
    chat_template,
    control_texts,
    prompt_token_ids,
    render_prompt,
    response_segments,
    split_response,
    with_think_start,
)
from z1.records import TrainingRow
from z1.train.encode import Encoder
from z1.train.scratch.tokenizer import build

TURN = "{{ '[' + m['role'] + ']' + m['content'] + '<|im_end|>' }}"
TEMPLATES = {
    "none": None,
    "writes a system prompt of its own": (
        "{% if messages[0]['role'] != 'system' %}{{ '[system]Be good.' }}{% endif %}"
        f"{{% for m in messages %}}{TURN}{{% endfor %}}{{{{ '\n' }}}}"
    ),
    "begins with an id": f"{{{{ bos_token }}}}{{% for m in messages %}}{TURN}{{% endfor %}}{{{{ '[assistant]' }}}}",
    "opens the thought": f"{{% for m in messages %}}{TURN}{{% endfor %}}{{{{ '[assistant]<think>\n' }}}}",
    "ends in the middle of a word": "{% for m in messages %}{{ m['content'] + ' th' }}{% endfor %}",
}
"""Peculiarities of chat templates of the hub, one each."""


@cache
def merging() -> PreTrainedTokenizerFast:
    """A tokenizer whose tokens span every boundary that a template leaves: spaces, newlines, partial words."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<s>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(["think>\n\n\nthe thin thing]the\n\n  the </think>\n\nanswer is " * 9], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="<|im_end|>")


WRITTEN = st.text(st.sampled_from("the in\n\t<>/[]kéл🙂"), min_size=1, max_size=24).filter(str.strip)


@EVERY
@pytest.mark.parametrize("template", TEMPLATES)
@given(question=WRITTEN, thought=WRITTEN, answer=WRITTEN)
@settings(max_examples=12, deadline=None, derandomize=True)
def test_training_masks_the_sent_prompt_with_every_profile_and_template(
    profile: Profile, template: str, question: str, thought: str, answer: str
) -> None:
    """Training masks the tokens that z1 sends, which are those of a server given the same conversation."""
    tokenizer = merging()
    tokenizer.chat_template = TEMPLATES[template]
    row = TrainingRow("r", question, thought, answer, "", None)
    said = [{"role": "user", "content": question}]
    sent = prompt_token_ids(tokenizer, profile, said)
    for hint_share in (0.0, 0.999):
        tokens, learned = Encoder(tokenizer, profile, hint_share, 0).encode_row(row)
        assert tokens[: len(sent)] == sent
        assert not any(learned[: len(sent)])
        assert learned[-1]
    tokens, learned = Encoder(tokenizer, profile, 0.0, 0).encode_row(row)
    assert all(learned[len(sent) :])
    tokenizer.chat_template = chat_template(tokenizer)  # a server gets it with the model folder
    system = [{"role": "system", "content": profile.system}] if profile.system else []
    text = tokenizer.apply_chat_template(system + said, tokenize=False, add_generation_prompt=True)
    is_open = profile.think_start and text.rstrip().endswith(profile.think_start.strip())
    assert tokenizer.encode(text + ("" if is_open else profile.think_start), add_special_tokens=False) == sent


def test_tokenizing_prompt_and_reply_together_would_change_the_prompt_tokens() -> None:
    """Otherwise the test above could not fail, and the reference, which tokenizes them together, would be right."""
    tokenizer = merging()
    tokenizer.chat_template = TEMPLATES["ends in the middle of a word"]
    sent = prompt_token_ids(tokenizer, PROFILES["z1"], "a")
    whole = tokenizer.encode(render_prompt(tokenizer, PROFILES["z1"], "a") + "ing", add_special_tokens=False)
    assert whole[: len(sent)] != sent


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return built()


@EVERY
def test_training_masks_as_prompt_the_tokens_that_inference_sends(
    tokenizer: PreTrainedTokenizerFast, profile: Profile
) -> None:
    for row in rows()[::9]:
        sent = prompt_token_ids(tokenizer, profile, [{"role": "user", "content": row.question}])
        tokens, learned = Encoder(tokenizer, profile, 0.0, 0).encode_row(row)
        assert tokens[: learned.index(True)] == sent
        assert tokens[len(sent) : -1] == reply_ids(tokenizer, profile, row.thought, row.answer)


@EVERY
def test_a_prompt_is_the_template_and_the_think_start(tokenizer: PreTrainedTokenizerFast, profile: Profile) -> None:
    prompt = prompt_token_ids(tokenizer, profile, "What is 1 + 1?")
    expected = f"<|im_start|>user\nWhat is 1 + 1?<|im_end|>\n<|im_start|>assistant\n{profile.think_start}"
    assert tokenizer.decode(prompt) == expected


@pytest.mark.parametrize(
    ("profile", "written", "prompt_ends_with"),
    [
        ("r1-distill", "[assistant]", "[assistant]<think>\n"),  # the template of the GGUF, which only reads </think>
        ("r1-distill", "[assistant]<think>\n", "[assistant]<think>\n"),
        ("r1-distill", "[assistant]<think>", "[assistant]<think>"),
        ("qwen3", "[assistant]\n<think>\n\n</think>\n\n", "[assistant]\n<think>\n"),  # closed at once
        ("deepseek", "[assistant]</think>", "[assistant]<think>"),
        ("magistral", "[/INST]", "[/INST][THINK]"),
        ("plain", "[assistant]<think>\n", "[assistant]<think>\n"),
    ],
)
def test_the_thought_is_open_once_at_the_end_of_the_prompt(profile: str, written: str, prompt_ends_with: str) -> None:
    tokenizer = merging()
    tokenizer.chat_template = f"{{% for m in messages %}}{{{{ m['content'] }}}}{{% endfor %}}{{{{ {written!r} }}}}"
    assert render_prompt(tokenizer, PROFILES[profile], "What?") == f"What?{prompt_ends_with}"


def test_a_template_gets_the_settings_of_the_family() -> None:
    tokenizer = merging()
    tokenizer.chat_template = "{{ messages[0]['content'] }}{{ enable_thinking }}{{ thinking }}"
    assert render_prompt(tokenizer, PROFILES["gemma4"], "a").startswith("aTrueTrue<|channel>")
    assert render_prompt(tokenizer, PROFILES["plain"], "a") == "a"


def test_a_family_without_system_messages_gets_them_in_the_question() -> None:
    tokenizer = merging()
    tokenizer.chat_template = TEMPLATES["opens the thought"]
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What?"}]
    merged = "[user]Be brief.\n\nWhat?<|im_end|>[assistant]<think>\n"
    assert render_prompt(tokenizer, PROFILES["r1-distill"], turns) == merged
    assert render_prompt(tokenizer, PROFILES["think-tags"], turns).startswith("[system]Be brief.")
    assert turns[0]["role"] == "system"


def test_s1_prompts_end_with_its_think_start(tokenizer: PreTrainedTokenizerFast) -> None:
    prompt = prompt_token_ids(tokenizer, PROFILES["s1"], "What?")
    assert tokenizer.decode(prompt).endswith("assistant\n<|im_start|>think\n")


def test_a_conversation_keeps_its_turns_and_is_not_modified(tokenizer: PreTrainedTokenizerFast) -> None:
    turns = [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "1."},
        {"role": "user", "content": "Two?"},
    ]
    before = [dict(turn) for turn in turns]
    profile = Profile("brief", system="Be brief.")
    text = tokenizer.decode(prompt_token_ids(tokenizer, profile, turns))
    parts = ["system\nBe brief.", "user\nOne?", "assistant\n1.", "user\nTwo?", "assistant\n"]
    assert text == "<|im_end|>\n".join(f"<|im_start|>{part}" for part in parts)
    assert turns == before


@settings(max_examples=40)
@given(
    st.lists(
        st.sampled_from(
            ["<", "|im_end|>", "<|im_end|>", "\n<|im_start|>", "assistant", "\n", "<think>", "x", "\ue0f1", " [INST] "]
        ),
        max_size=9,
    )
)
def test_control_texts_in_a_turn_stay_text(pieces: list[str]) -> None:
    """Whatever the turns contain, the only control tokens are the template's own."""
    tokens, said = built(), "".join(pieces)
    ids = prompt_token_ids(tokens, PROFILES["z1-tiny"], [{"role": "user", "content": said + "?"}])
    plain = prompt_token_ids(tokens, PROFILES["z1-tiny"], "why?")
    control = {tokens.convert_tokens_to_ids(text) for text in control_texts(tokens)}
    assert [token for token in ids if token in control] == [token for token in plain if token in control]
    assert said.replace("\ue0f1", "") + "?" in profiles.decode(tokens, ids)


def test_a_turn_without_control_texts_is_one_segment(tokenizer: PreTrainedTokenizerFast) -> None:
    """So training and inference have the same tokens."""
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "\n\n1 < 2 [x] > y"}], tokenize=False, add_generation_prompt=True
    )
    ids = prompt_token_ids(tokenizer, PROFILES["z1-tiny"], "\n\n1 < 2 [x] > y")
    assert ids == tokenizer.encode(text, add_special_tokens=False)


def test_think_tags_in_assistant_turns_are_left_to_the_template(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer = deepcopy(tokenizer)
    tokenizer.add_tokens(["</think>"])
    turns = [{"role": "assistant", "content": "a</think>b<|im_end|>"}, {"role": "user", "content": "c</think>d"}]
    ids = prompt_token_ids(tokenizer, PROFILES["z1-tiny-tags"], turns)
    assert ids.count(int(tokenizer.convert_tokens_to_ids("</think>"))) == 1
    assert ids.count(int(tokenizer.convert_tokens_to_ids("<|im_end|>"))) == 2


def test_a_system_turn_replaces_the_profiles_system_prompt(tokenizer: PreTrainedTokenizerFast) -> None:
    turns = [{"role": "system", "content": "Sing."}, {"role": "user", "content": "One?"}]
    text = tokenizer.decode(prompt_token_ids(tokenizer, Profile("brief", system="Be brief."), turns))
    assert "Sing." in text
    assert "Be brief." not in text


def test_a_base_model_without_a_template_gets_chatml(tokenizer: PreTrainedTokenizerFast) -> None:
    bare = build(["a"], 300)
    bare.chat_template = None
    with_own = build(["a"], 300)
    assert with_own.chat_template == CHATML
    question = "What is 1 + 1?"
    assert prompt_token_ids(bare, TINY, question) == prompt_token_ids(with_own, TINY, question)
    with_own.chat_template = "{{ messages[0]['content'] }} ?"
    assert with_own.decode(prompt_token_ids(with_own, TINY, question)) == f"{question} ?"


def test_a_base_model_without_a_template_keeps_its_begin_of_text_token() -> None:
    """Llama, Gemma and Mistral begin every text with a token of their own; Gemma fails without it."""
    bare = build(["a"], 300)
    bare.chat_template, bare.bos_token = None, "<|endoftext|>"
    ends = [("<|endoftext|>", 0), ("<|im_end|>", 2)]
    for single in ("<|endoftext|> $A", "<|endoftext|> $A <|im_end|>"):  # some tokenizers also end every text
        bare.backend_tokenizer.post_processor = TemplateProcessing(single=single, special_tokens=ends)
        assert bare.encode("a")[0] == 0
        assert chat_template(bare) == f"<|endoftext|>{CHATML}"
        assert bare.decode(prompt_token_ids(bare, TINY, "a?")) == (
            "<|endoftext|><|im_start|>user\na?<|im_end|>\n<|im_start|>assistant\n"
        )


@pytest.mark.parametrize("messages", ["", " \n\t", [], [{"role": "user", "content": " "}]], ids=repr)
def test_an_empty_prompt_is_rejected(tokenizer: PreTrainedTokenizerFast, messages: Any) -> None:
    with pytest.raises(UserError, match="ask something"):
        prompt_token_ids(tokenizer, TINY, messages)


@pytest.mark.parametrize(
    ("profile", "prompt", "thought", "written"),
    [
        ("z1", "assistant\n", "so", "so"),
        ("z1", "assistant\n<think>\n", "<think>so", "<think>so"),
        ("qwen3", "assistant\n", "so\n", "<think>\nso\n"),
        ("qwen3", "assistant\n", "<think>\nso\n", "<think>\nso\n"),
        ("r1-distill", "assistant<think>\n", "so\n", "so\n"),
        ("r1-distill", "assistant<think>\n", "\n<think>\nso\n", "so\n"),
        ("s1", "assistant\n<|im_start|>think\n", "<|im_start|>think\nso", "so"),
        ("s1", "assistant\n<|im_start|>think\n", "  so", "  so"),
    ],
)
def test_the_think_start_occurs_once_in_prompt_or_thought(
    profile: str, prompt: str, thought: str, written: str
) -> None:
    """Traces with and without `<think>`, templates that end with it or not: all four give the same text."""
    row = PROFILES[profile]
    assert with_think_start(row, prompt, thought) == written
    assert response_segments(row, prompt, thought, "a") == [written + row.think_end + "a"]


def test_a_response_is_split_at_its_first_think_end() -> None:
    assert split_response(PROFILES["qwen3"], "<think>\na</think>b</think>c") == ("<think>\na", "b</think>c")
    assert split_response(PROFILES["qwen3"], "b") == ("", "b")
    assert split_response(PROFILES["z1"], "a</think>b") == ("", "a</think>b")


@EVERY
def test_a_reply_decodes_to_thought_and_answer(tokenizer: PreTrainedTokenizerFast, profile: Profile) -> None:
    for row in rows()[::5]:
        assert tokenizer.decode(reply_ids(tokenizer, profile, row.thought, row.answer)) == (
            with_think_start(profile, prompt_end(profile), row.thought) + profile.think_end + row.answer
        )


def test_a_natural_answer_and_one_after_a_forced_prefix_have_the_same_tokens(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    """After the hint the context is as in training after the model wrote the prefix itself."""
    forced = profiles.hint_token_ids(tokenizer, TINY, no_thinking=False)
    at_once = profiles.hint_token_ids(tokenizer, TINY, no_thinking=True)
    assert list(forced) == [*ids(tokenizer, HINT), *at_once]
    for row in rows():
        natural = reply_ids(tokenizer, TINY, row.thought, row.answer)
        begin = len(ids(tokenizer, row.thought))
        assert natural[:begin] == ids(tokenizer, row.thought)
        assert tuple(natural[begin : begin + len(at_once)]) == at_once
        assert natural[begin + len(at_once) :] == ids(tokenizer, row.answer.removeprefix(TINY.answer_prefix))


def test_tokenizing_the_answer_in_one_segment_would_give_other_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    """Otherwise the test above could not fail: the prefix's brace merges with a list's bracket."""
    for text in LISTS:
        assert ids(tokenizer, text) != reply_ids(tokenizer, TINY, "", text)


def test_an_answer_without_the_prefix_is_unchanged(tokenizer: PreTrainedTokenizerFast) -> None:
    assert reply_ids(tokenizer, TINY, "s = 1\n\n", "It is 1.") == ids(tokenizer, "s = 1\n\nIt is 1.")
    assert reply_ids(tokenizer, TINY, "", "") == []


def test_a_lone_surrogate_in_a_turn_is_replaced() -> None:
    odd, plain = (
        prompt_token_ids(small.tokenizer(), small.PROFILE, f"a{character}") for character in ("\ud83d", "\ufffd")
    )
    assert odd == plain
