"""Training and serving say the same ids: one renderer, whatever the family of models."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from z1 import profiles
from z1.errors import UserError
from z1.profiles import CHATML, HINT, PROFILES, Profile
from z1.records import TrainingRow, TrajectorySet
from z1.synthetic import DatasetRequest, collect
from z1.synthetic.trajectories import LEVELS, answer
from z1.train.encode import Encoder
from z1.train.scratch.tokenizer import build

EVERY = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
TINY = PROFILES["z1-tiny"]
LISTS = [answer("[1, 2]"), answer("[3]"), answer("[]")]


@cache
def items() -> tuple[TrajectorySet, ...]:
    """Programs of one to twelve steps, whose answers are numbers, words and lists."""
    return tuple(collect(DatasetRequest(48, "train", 1, 12, 23)))


def rows() -> list[TrainingRow]:
    """Every program at every level."""
    return [
        TrainingRow(
            item.problem.id, item.problem.question, item.thoughts[level], item.answer, level, item.problem.steps
        )
        for item in items()
        for level in LEVELS
    ]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return built()


@cache
def built() -> PreTrainedTokenizerFast:
    return build([*(f"{row.question}\n{row.thought}{row.answer}" for row in rows()), *LISTS], 512)


def ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    found: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return found


def reply_ids(tokenizer: PreTrainedTokenizerFast, profile: Profile, thought: str, answer: str) -> list[int]:
    """What follows a prompt of our template."""
    return [
        token
        for text in profiles.reply_texts(profile, prompt_end(profile), thought, answer)
        for token in ids(tokenizer, text)
    ]


def prompt_end(profile: Profile) -> str:
    return f"<|im_start|>assistant\n{profile.think_start}"


# Prompts


@EVERY
def test_prefix_law_what_training_masks_as_prompt_is_what_serving_sends(
    tokenizer: PreTrainedTokenizerFast, profile: Profile
) -> None:
    for row in rows()[::9]:
        sent = profiles.prompt_ids(tokenizer, profile, [{"role": "user", "content": row.question}])
        tokens, learned = Encoder(tokenizer, profile, 0.0, 0).encode_row(row)
        assert tokens[: learned.index(True)] == sent
        assert tokens[len(sent) : -1] == reply_ids(tokenizer, profile, row.thought, row.answer)


@EVERY
def test_a_prompt_is_the_template_and_what_the_profile_opens(
    tokenizer: PreTrainedTokenizerFast, profile: Profile
) -> None:
    prompt = profiles.prompt_ids(tokenizer, profile, "What is 1 + 1?")
    expected = f"<|im_start|>user\nWhat is 1 + 1?<|im_end|>\n<|im_start|>assistant\n{profile.think_start}"
    assert tokenizer.decode(prompt) == expected


def test_s1_opens_its_fence_at_the_end_of_every_prompt(tokenizer: PreTrainedTokenizerFast) -> None:
    prompt = profiles.prompt_ids(tokenizer, PROFILES["s1"], "What?")
    assert tokenizer.decode(prompt).endswith("assistant\n<|im_start|>think\n")


def test_a_conversation_keeps_its_turns_and_is_not_changed(tokenizer: PreTrainedTokenizerFast) -> None:
    turns = [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "1."},
        {"role": "user", "content": "Two?"},
    ]
    before = [dict(turn) for turn in turns]
    profile = Profile("brief", system="Be brief.")
    text = tokenizer.decode(profiles.prompt_ids(tokenizer, profile, turns))
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
def test_what_a_turn_says_stays_text_and_begins_no_turn(pieces: list[str]) -> None:
    """However control texts are put together in a turn, the ids hold none but the template's own."""
    tokens, said = built(), "".join(pieces)
    ids = profiles.prompt_ids(tokens, PROFILES["z1-tiny"], [{"role": "user", "content": said + "?"}])
    plain = profiles.prompt_ids(tokens, PROFILES["z1-tiny"], "why?")
    control = {tokens.convert_tokens_to_ids(text) for text in profiles.controls(tokens)}
    assert [token for token in ids if token in control] == [token for token in plain if token in control]
    assert said.replace("\ue0f1", "") + "?" in profiles.text_of(tokens, ids)


def test_a_turn_without_control_texts_is_encoded_in_one_piece(tokenizer: PreTrainedTokenizerFast) -> None:
    """So that training and serving keep their ids."""
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "\n\n1 < 2 [x] > y"}], tokenize=False, add_generation_prompt=True
    )
    ids = profiles.prompt_ids(tokenizer, PROFILES["z1-tiny"], "\n\n1 < 2 [x] > y")
    assert ids == tokenizer.encode(text, add_special_tokens=False)


def test_the_fence_in_what_a_model_said_itself_is_left_to_the_template(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer = deepcopy(tokenizer)
    tokenizer.add_tokens(["</think>"])
    turns = [{"role": "assistant", "content": "a</think>b<|im_end|>"}, {"role": "user", "content": "c</think>d"}]
    ids = profiles.prompt_ids(tokenizer, PROFILES["z1-tiny-tags"], turns)
    assert ids.count(int(tokenizer.convert_tokens_to_ids("</think>"))) == 1
    assert ids.count(int(tokenizer.convert_tokens_to_ids("<|im_end|>"))) == 2


def test_a_system_prompt_of_the_callers_own_takes_the_profiles_place(tokenizer: PreTrainedTokenizerFast) -> None:
    turns = [{"role": "system", "content": "Sing."}, {"role": "user", "content": "One?"}]
    text = tokenizer.decode(profiles.prompt_ids(tokenizer, Profile("brief", system="Be brief."), turns))
    assert "Sing." in text
    assert "Be brief." not in text


def test_a_base_model_without_a_template_gets_chatml(tokenizer: PreTrainedTokenizerFast) -> None:
    bare = build(["a"], 300)
    bare.chat_template = None
    with_own = build(["a"], 300)
    assert with_own.chat_template == CHATML
    question = "What is 1 + 1?"
    assert profiles.prompt_ids(bare, TINY, question) == profiles.prompt_ids(with_own, TINY, question)
    with_own.chat_template = "{{ messages[0]['content'] }} ?"
    assert with_own.decode(profiles.prompt_ids(with_own, TINY, question)) == f"{question} ?"


def test_a_base_without_a_template_is_spoken_to_as_it_was_trained_to_be_from_the_first_id_on() -> None:
    """Llama, Gemma and Mistral begin every text with an id of their own; Gemma is lost without it."""
    bare = build(["a"], 300)
    bare.chat_template, bare.bos_token = None, "<|endoftext|>"
    ends = [("<|endoftext|>", 0), ("<|im_end|>", 2)]
    for single in ("<|endoftext|> $A", "<|endoftext|> $A <|im_end|>"):  # some end every text, too
        bare.backend_tokenizer.post_processor = TemplateProcessing(single=single, special_tokens=ends)
        assert bare.encode("a")[0] == 0
        assert profiles.template(bare) == f"<|endoftext|>{CHATML}"
        assert bare.decode(profiles.prompt_ids(bare, TINY, "a?")) == (
            "<|endoftext|><|im_start|>user\na?<|im_end|>\n<|im_start|>assistant\n"
        )


@pytest.mark.parametrize("messages", ["", " \n\t", [], [{"role": "user", "content": " "}]], ids=repr)
def test_an_empty_prompt_is_refused(tokenizer: PreTrainedTokenizerFast, messages: Any) -> None:
    with pytest.raises(UserError, match="ask something"):
        profiles.prompt_ids(tokenizer, TINY, messages)


def test_an_unknown_profile_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserError, match="choose one of z1-tiny, z1-tiny-tags, ") as caught:
        profiles.profile("z2")
    assert "z2" in str(caught.value)
    assert all(profiles.profile(name).name == name for name in PROFILES)


# Replies and hints


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
def test_a_fence_is_opened_once_by_the_prompt_or_by_the_model(
    profile: str, prompt: str, thought: str, written: str
) -> None:
    """Traces come with and without `<think>`, templates end with it or do not: all four of them read alike."""
    row = PROFILES[profile]
    assert profiles.fenced(row, prompt, thought) == written
    assert profiles.reply_texts(row, prompt, thought, "a") == [written + row.think_end + "a"]


def test_a_response_in_one_piece_is_parted_at_the_first_fence_that_closes() -> None:
    assert profiles.parted(PROFILES["qwen3"], "<think>\na</think>b</think>c") == ("<think>\na", "b</think>c")
    assert profiles.parted(PROFILES["qwen3"], "b") == ("", "b")
    assert profiles.parted(PROFILES["z1"], "a</think>b") == ("", "a</think>b")


@EVERY
def test_a_reply_reads_as_thought_and_answer(tokenizer: PreTrainedTokenizerFast, profile: Profile) -> None:
    for row in rows()[::5]:
        assert tokenizer.decode(reply_ids(tokenizer, profile, row.thought, row.answer)) == (
            profiles.fenced(profile, prompt_end(profile), row.thought) + profile.think_end + row.answer
        )


def test_a_natural_answer_and_one_after_a_forced_prefix_are_the_same_ids(tokenizer: PreTrainedTokenizerFast) -> None:
    """After the hint the model is where it is in training when it has written the prefix by itself."""
    forced = profiles.hint_ids(tokenizer, TINY, at_once=False)
    at_once = profiles.hint_ids(tokenizer, TINY, at_once=True)
    assert list(forced) == [*ids(tokenizer, HINT), *at_once]
    for row in rows():
        natural = reply_ids(tokenizer, TINY, row.thought, row.answer)
        begin = len(ids(tokenizer, row.thought))
        assert natural[:begin] == ids(tokenizer, row.thought)
        assert tuple(natural[begin : begin + len(at_once)]) == at_once
        assert natural[begin + len(at_once) :] == ids(tokenizer, row.answer.removeprefix(TINY.answer_prefix))


def test_encoding_the_answer_in_one_piece_would_give_other_ids(tokenizer: PreTrainedTokenizerFast) -> None:
    """Else the law above could not fail: the brace of the prefix melts into a list's bracket."""
    for text in LISTS:
        assert ids(tokenizer, text) != reply_ids(tokenizer, TINY, "", text)


def test_an_answer_without_the_prefix_is_kept_as_it_is(tokenizer: PreTrainedTokenizerFast) -> None:
    assert reply_ids(tokenizer, TINY, "s = 1\n\n", "It is 1.") == ids(tokenizer, "s = 1\n\nIt is 1.")
    assert reply_ids(tokenizer, TINY, "", "") == []


@EVERY
def test_a_hint_reads_as_the_profile_has_it(tokenizer: PreTrainedTokenizerFast, profile: Profile) -> None:
    for at_once, hint in ((False, profile.hint), (True, profile.no_thinking_hint)):
        found = profiles.hint_ids(tokenizer, profile, at_once=at_once)
        assert tokenizer.decode(list(found)) == hint + profile.answer_prefix
        assert found or profile.name == "z1-tiny-bare"  # all others can be told to answer, even before any thought


@pytest.mark.parametrize("profile", [row for row in PROFILES.values() if row.think_end], ids=lambda row: row.name)
def test_a_fence_that_the_model_closes_is_closed_by_every_hint(profile: Profile) -> None:
    assert profile.think_end in profile.hint
    assert profile.think_end in profile.no_thinking_hint


def test_the_papers_hint_is_word_for_word() -> None:
    assert HINT.strip() == "I overthought it, the final answer should be:"
    assert PROFILES["z1"].hint == HINT
    assert PROFILES["z1"].think_end == PROFILES["z1"].think_start == ""


# Windows and stops


@EVERY
def test_window_0_takes_the_hint_at_once_and_every_other_the_usual_one(
    tokenizer: PreTrainedTokenizerFast, profile: Profile
) -> None:
    for thinking in (0, 1, 64, None):
        window = profiles.window(tokenizer, profile, thinking, 9)
        assert window.hint == profiles.hint_ids(tokenizer, profile, at_once=thinking == 0)
        assert (window.thinking_budget, window.max_answer_tokens) == (thinking, 9)
        assert window.stop_token_ids == profiles.stop_ids(tokenizer, profile)
        assert tokenizer.decode(list(window.think_end)) == profile.think_end


def test_stops_are_the_tokenizers_end_and_the_profiles_that_are_one_id(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.eos_token_id is not None
    end, text_end = tokenizer.eos_token_id, ids(tokenizer, "<|endoftext|>")[0]
    assert profiles.stop_ids(tokenizer, TINY) == {end, text_end}
    assert profiles.stop_ids(tokenizer, PROFILES["r1-distill"]) == {end}  # its own is many ids here
    assert profiles.stop_ids(tokenizer, Profile("none", stop_tokens=())) == {end}


def test_a_tokenizer_without_an_end_still_stops_where_the_profile_says(tokenizer: PreTrainedTokenizerFast) -> None:
    bare = build(["a"], 300)
    bare.eos_token = None
    assert bare.eos_token_id is None
    assert profiles.stop_ids(bare, Profile("one", stop_tokens=("<|im_end|>",))) == set(ids(bare, "<|im_end|>"))


# The detector


def test_the_answer_is_found_exactly_where_it_begins_and_never_inside_a_thought(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    """Precision and recall 100 %. What is not found in a thought is not found in any beginning of it either."""
    for row in rows():
        thought = ids(tokenizer, row.thought)
        natural = detect(tokenizer, reply_ids(tokenizer, TINY, row.thought, row.answer))
        assert natural == len(thought)
        assert detect(tokenizer, thought) is None


def test_an_answer_after_a_hint_begins_at_the_prefix(tokenizer: PreTrainedTokenizerFast) -> None:
    hint = ids(tokenizer, HINT)
    for row in rows()[::7]:
        thought = ids(tokenizer, row.thought)[:11]
        forced = [*thought, *profiles.hint_ids(tokenizer, TINY, at_once=False)]
        assert detect(tokenizer, forced) == len(thought) + len(hint)


def detect(tokenizer: PreTrainedTokenizerFast, reply: list[int]) -> int | None:
    detector = profiles.detector(tokenizer, TINY)
    assert detector is not None
    return detector.feed(reply)


@EVERY
def test_only_a_family_whose_markers_were_measured_has_a_detector(
    tokenizer: PreTrainedTokenizerFast, profile: Profile
) -> None:
    assert (profiles.detector(tokenizer, profile) is not None) == (profile.name == "z1-tiny")


# Pieces


@pytest.mark.parametrize("text", ["plain words", " 語 ", "é\n\t", "a\u2028b 😀"])
def test_pieces_are_the_bytes_of_the_text_however_characters_are_spread(
    tokenizer: PreTrainedTokenizerFast, text: str
) -> None:
    piece = profiles.pieces(tokenizer)
    assert b"".join(map(piece, ids(tokenizer, text))) == text.encode()


def test_a_stop_string_may_end_inside_a_character_that_is_spread_over_ids(tokenizer: PreTrainedTokenizerFast) -> None:
    strings = profiles.stop_strings(tokenizer, ["語"])
    assert strings is not None
    reply = ids(tokenizer, "a 語 b")
    complete = strings.feed(reply)
    assert complete is not None
    assert profiles.before(profiles.text_of(tokenizer, reply[:complete]), ["語"]) == "a "
    assert profiles.stop_strings(tokenizer, []) is None


class Sentencepiece:
    """A tokenizer that drops a leading space when it decodes, and names single bytes."""

    chat_template = None
    eos_token_id = None
    names = ("\u2581so", "so", "<0xE8>", "<0xAA>", "<0x9E>")

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        raise NotImplementedError

    def apply_chat_template(self, conversation: list[dict[str, str]], **_: object) -> str:
        raise NotImplementedError

    def convert_ids_to_tokens(self, token: int) -> str:
        return self.names[token]

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool = False) -> str:
        return "so" if token_ids[0] < 2 else "\ufffd"


def test_pieces_of_sentencepiece_keep_spaces_and_bytes() -> None:
    piece = profiles.pieces(cast(profiles.Tokenizer, Sentencepiece()))
    assert [piece(token) for token in range(5)] == [
        b" so",
        b"so",
        b"\xe8",
        b"\xaa",
        b"\x9e",
    ]
