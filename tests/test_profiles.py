"""Profiles: token ids of hints and stops, windows, answer detectors and the bytes of tokens, of every family."""

from __future__ import annotations

from typing import cast

import pytest
from transformers import PreTrainedTokenizerFast

from tests.profile_cases import EVERY, TINY, built, ids, reply_ids, rows
from z1 import profiles
from z1.errors import UserError
from z1.families import WRAP_UP
from z1.profiles import HINT, PROFILES, Profile
from z1.train.scratch.tokenizer import build


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return built()


def test_an_unknown_profile_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="choose one of z1-tiny, z1-tiny-tags, ") as caught:
        profiles.get_profile("z2")
    assert "z2" in str(caught.value)
    assert all(profiles.get_profile(name).name == name for name in PROFILES)


@EVERY
def test_a_hint_decodes_to_the_profiles_text(tokenizer: PreTrainedTokenizerFast, profile: Profile) -> None:
    for at_once, hint in ((False, profile.hint), (True, profile.no_thinking_hint)):
        found = profiles.hint_token_ids(tokenizer, profile, no_thinking=at_once)
        assert tokenizer.decode(list(found)) == hint + profile.answer_prefix
        assert found or profile.name == "z1-tiny-bare"  # all others can be made to answer, even before any thought


@pytest.mark.parametrize("profile", [row for row in PROFILES.values() if row.think_end], ids=lambda row: row.name)
def test_every_hint_ends_with_the_think_end(profile: Profile) -> None:
    assert profile.think_end in profile.hint
    assert profile.think_end in profile.no_thinking_hint


def test_the_hint_is_the_papers() -> None:
    assert HINT.strip() == "I overthought it, the final answer should be:"
    assert PROFILES["z1"].hint == HINT
    assert PROFILES["z1"].think_end == PROFILES["z1"].think_start == ""


# Windows and stops


@EVERY
def test_budget_0_uses_the_no_thinking_hint(tokenizer: PreTrainedTokenizerFast, profile: Profile) -> None:
    for thinking in (0, 1, 64, None):
        window = profiles.make_window(tokenizer, profile, thinking, 9)
        assert window.hint == profiles.hint_token_ids(tokenizer, profile, no_thinking=thinking == 0)
        assert (window.thinking_budget, window.max_answer_tokens) == (thinking, 9)
        assert window.stop_token_ids == profiles.stop_token_ids(tokenizer, profile)
        assert tokenizer.decode(list(window.think_end)) == profile.think_end


def test_stops_are_the_eos_token_and_single_stop_tokens_of_the_profile(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.eos_token_id is not None
    end, text_end = tokenizer.eos_token_id, ids(tokenizer, "<|endoftext|>")[0]
    assert profiles.stop_token_ids(tokenizer, TINY) == {end, text_end}
    assert profiles.stop_token_ids(tokenizer, PROFILES["r1-distill"]) == {end}  # its own stop is several tokens here
    assert profiles.stop_token_ids(tokenizer, Profile("none", stop_tokens=())) == {end}


def test_a_tokenizer_without_an_eos_token_has_the_profiles_stops(tokenizer: PreTrainedTokenizerFast) -> None:
    bare = build(["a"], 300)
    bare.eos_token = None
    assert bare.eos_token_id is None
    assert profiles.stop_token_ids(bare, Profile("one", stop_tokens=("<|im_end|>",))) == set(ids(bare, "<|im_end|>"))


def test_turn_ends_of_the_models_generation_config_end_a_reply(tokenizer: PreTrainedTokenizerFast) -> None:
    other = build(["a"], 300)
    setattr(other, profiles.TURN_ENDS, (7, 9))
    assert {7, 9} <= profiles.stop_token_ids(other, TINY)
    assert not {7, 9} & profiles.stop_token_ids(tokenizer, TINY)


# The closing


def close(tokenizer: PreTrainedTokenizerFast, name: str, thought: str, begun: int = 0) -> str | None:
    closing = profiles.make_closing(tokenizer, PROFILES[name])
    return None if closing is None else tokenizer.decode(list(closing.close(ids(tokenizer, thought), begun)))


def test_an_open_block_is_closed_and_a_half_sentence_ended(tokenizer: PreTrainedTokenizerFast) -> None:
    assert close(tokenizer, "plain", "So:\n```python\nx = 1") == "\n```"
    assert close(tokenizer, "plain", "So:\n```python\nx = 1", begun=2) == "\n```"
    assert close(tokenizer, "plain", "so 17 plus") == "..."
    assert close(tokenizer, "plain", "so 17 plus", begun=2) == ""
    assert close(tokenizer, "plain", "It is 4.") == ""
    assert close(tokenizer, "z1", "so 17 plus") == ""  # the paper's hint follows a thought that was cut anywhere
    assert close(tokenizer, "z1", "```\nx") == "\n```"
    assert close(tokenizer, "z1-tiny", "```\nx") is None


def test_a_landing_knows_the_text_and_the_family(tokenizer: PreTrainedTokenizerFast) -> None:
    assert profiles.make_landing(tokenizer, PROFILES["qwen3"]) is None
    landing = profiles.make_landing(tokenizer, PROFILES["qwen3"], 8, 4)
    assert landing is not None
    assert (landing.soft_tokens, landing.grace_tokens, landing.wrap_up) == (8, 4, ())
    code = "```\n" + "x = 1\n" * 40
    assert [landing.is_border(ids(tokenizer, text)) for text in ("It is 4", "So it is so.", code, code + "```\n")] == [
        *(False, True, False, True)
    ]
    plain = profiles.make_landing(tokenizer, PROFILES["plain"], 8)
    assert plain is not None
    assert (plain.max_bias, tokenizer.decode(list(plain.wrap_up))) == (0, WRAP_UP)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_no_closing_is_longer_than_reserved(tokenizer: PreTrainedTokenizerFast, profile: Profile) -> None:
    closing = profiles.make_closing(tokenizer, profile)
    if closing is None:
        return
    fences = [*("`" * n for n in range(12)), *(" " * n + "```" for n in range(30)), "- " * 9 + "~~~"]
    for thought in (*(f"{fence}\nx" for fence in fences), "x"):
        assert len(closing.close(ids(tokenizer, thought), 0)) <= closing.max_tokens
    assert closing.close(ids(tokenizer, " " * 30 + "```\nx"), 0)  # closed without its indentation


# The detector


def test_the_answer_is_detected_at_its_start_and_never_in_a_thought(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    """Precision and recall are 100 %. A thought without a match has none in any prefix of it."""
    for row in rows():
        thought = ids(tokenizer, row.thought)
        natural = detect(tokenizer, reply_ids(tokenizer, TINY, row.thought, row.answer))
        assert natural == len(thought)
        assert detect(tokenizer, thought) is None


def test_an_answer_after_a_hint_starts_at_the_prefix(tokenizer: PreTrainedTokenizerFast) -> None:
    hint = ids(tokenizer, HINT)
    for row in rows()[::7]:
        thought = ids(tokenizer, row.thought)[:11]
        forced = [*thought, *profiles.hint_token_ids(tokenizer, TINY, no_thinking=False)]
        assert detect(tokenizer, forced) == len(thought) + len(hint)


def detect(tokenizer: PreTrainedTokenizerFast, reply: list[int]) -> int | None:
    detector = profiles.make_detector(tokenizer, TINY)
    assert detector is not None
    return detector.feed(reply)


@EVERY
def test_only_a_family_with_measured_markers_has_a_detector(
    tokenizer: PreTrainedTokenizerFast, profile: Profile
) -> None:
    assert (profiles.make_detector(tokenizer, profile) is not None) == (profile.name in ("z1-tiny", "z1-smol"))


# Pieces


@pytest.mark.parametrize("text", ["plain words", " 語 ", "é\n\t", "a\u2028b 😀"])
def test_token_bytes_are_the_bytes_of_the_text(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    piece = profiles.token_bytes(tokenizer)
    assert b"".join(map(piece, ids(tokenizer, text))) == text.encode()


def test_a_stop_string_may_end_inside_a_character_split_over_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    strings = profiles.make_stop_strings(tokenizer, ["語"])
    assert strings is not None
    reply = ids(tokenizer, "a 語 b")
    complete = strings.feed(reply)
    assert complete is not None
    assert profiles.truncate_at_stop(profiles.decode(tokenizer, reply[:complete]), ["語"]) == "a "
    assert profiles.make_stop_strings(tokenizer, []) is None


class Sentencepiece:
    """A tokenizer that drops a leading space when decoding, and has byte tokens."""

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


def test_token_bytes_of_sentencepiece_keep_spaces_and_bytes() -> None:
    piece = profiles.token_bytes(cast(profiles.Tokenizer, Sentencepiece()))
    assert [piece(token) for token in range(5)] == [
        b" so",
        b"so",
        b"\xe8",
        b"\xaa",
        b"\x9e",
    ]
