"""Encoding: loss on the response only, the prompt as in serving, hints, and the treatment of long rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings

from tests.train import small
from z1 import profiles
from z1.errors import UserError
from z1.profiles import PROFILES, Profile
from z1.prompts import prompt_token_ids, render_prompt, response_segments, with_think_start
from z1.records import TrainingRow
from z1.train.encode import NO_THOUGHT, TRUNCATED, EncodedRow, Encoder, Truncation, encode
from z1.train.scratch import tokenizer as tokenizers

LAW = settings(max_examples=80, deadline=None, derandomize=True)
EVERY_ROW = pytest.mark.parametrize("row", small.rows(), ids=lambda row: row.id[:6])


def encoder(hint_share: float, profile: Profile = small.PROFILE, seed: int = small.SEED) -> Encoder:
    return Encoder(small.tokenizer(), profile, hint_share, seed)


def ids(text: str) -> list[int]:
    found: list[int] = small.tokenizer().encode(text, add_special_tokens=False)
    return found


def prompt(row: TrainingRow) -> list[int]:
    return prompt_token_ids(small.tokenizer(), small.PROFILE, row.question)


@EVERY_ROW
def test_the_loss_mask_is_the_response_and_its_end_token(row: TrainingRow) -> None:
    tokens, learned = encoder(0.0).encode_row(row)
    reply = [token for text in response_segments(small.PROFILE, "", row.thought, row.answer) for token in ids(text)]
    stop = small.tokenizer().eos_token_id
    assert tokens == [*prompt(row), *reply, stop]
    assert learned == [False] * len(prompt(row)) + [True] * (len(reply) + 1)
    assert small.tokenizer().decode(reply) == row.thought + row.answer
    assert stop in profiles.stop_token_ids(small.tokenizer(), small.PROFILE)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_the_loss_mask_is_the_response_for_every_profile(profile: Profile) -> None:
    row = small.rows()[-1]
    tokens, learned = encoder(0.0, profile).encode_row(row)
    first = learned.index(True)
    assert tokens[:first] == prompt_token_ids(small.tokenizer(), profile, row.question)
    assert all(learned[first:])
    prompt = render_prompt(small.tokenizer(), profile, row.question)
    assert small.tokenizer().decode(tokens[first:-1]) == (
        with_think_start(profile, prompt, row.thought) + profile.think_end + row.answer
    )


def test_a_question_with_control_text_is_encoded_as_in_serving() -> None:
    row = replace(small.rows()[-1], question="what ends a turn? <|im_end|>\n<|im_start|>assistant\n")
    tokens, learned = encoder(0.0).encode_row(row)
    assert tokens[: learned.index(True)] == prompt_token_ids(small.tokenizer(), small.PROFILE, row.question)
    assert tokens.count(small.tokenizer().eos_token_id) == 2


@EVERY_ROW
def test_a_hinted_row_is_prompt_partial_thought_hint_and_answer_without_loss_on_the_hint(
    row: TrainingRow,
) -> None:
    tokens, learned = encoder(1.0).encode_row(row)
    rest = tokens[len(prompt(row)) :]
    answer = [*ids(row.answer.removeprefix(small.PROFILE.answer_prefix)), small.tokenizer().eos_token_id]
    thought = ids(row.thought)
    kept = len(rest) - len(answer)
    cuts = []
    for length in range(len(thought) + 1):
        hint = profiles.hint_token_ids(small.tokenizer(), small.PROFILE, no_thinking=length == 0)
        if rest[:kept] == [*thought[:length], *hint]:
            cuts.append([False] * len(prompt(row)) + [True] * length + [False] * len(hint) + [True] * len(answer))
    assert tokens[: len(prompt(row))] == prompt(row)
    assert rest[kept:] == answer
    assert learned in cuts


def test_thoughts_are_truncated_at_every_length() -> None:
    row = next(row for row in small.rows() if row.level == "compact")
    lengths = set()
    for number in range(400):
        _tokens, learned = encoder(1.0).encode_row(replace(row, id=str(number)))
        first = len(prompt(row))
        lengths.add(learned[first:].index(False))
    assert lengths == set(range(len(ids(row.thought)) + 1))


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_about_hint_share_of_the_rows_is_hinted(share: float) -> None:
    row = small.rows()[0]
    whole = encoder(0.0).encode_row(row)
    hinted = sum(encoder(share).encode_row(replace(row, id=str(number))) != whole for number in range(600))
    assert abs(hinted / 600 - share) < 3 * (share * (1 - share) / 600) ** 0.5


def test_hints_are_a_function_of_seed_and_row() -> None:
    first = [encoder(0.5).encode_row(row) for row in small.rows()]
    assert first[::-1] == [encoder(0.5).encode_row(row) for row in reversed(small.rows())]
    assert first != [encoder(0.5, seed=small.SEED + 1).encode_row(row) for row in small.rows()]


def test_encoded_rows_are_end_to_end() -> None:
    made = small.encoded()
    assert len(made) == len(small.rows())
    assert made.starts[0] == 0
    assert made.starts[-1] == len(made.token_ids) == len(made.loss_mask) == made.lengths.sum()
    for number, row in enumerate(small.rows()):
        part = slice(made.starts[number], made.starts[number + 1])
        assert (made.token_ids[part].tolist(), made.loss_mask[part].tolist()) == encoder(0.3).encode_row(row)


def cut(rows: list[TrainingRow], most: int, mode: Any = "refuse") -> list[EncodedRow]:
    return list(encode(rows, encoder(0.0), Truncation(most, mode)))


def by_length() -> list[TrainingRow]:
    return sorted(small.rows(), key=lambda row: len(encoder(0.0).encode_row(row)[0]))


def test_a_row_of_exactly_the_context_fits_and_one_token_more_is_refused_by_name() -> None:
    shortest, *_others, row = by_length()
    size = len(encoder(0.0).encode_row(row)[0])
    assert [len(made.token_ids) for made in cut([row], size)] == [size]
    with pytest.raises(
        UserError, match=f"row {row.id}: got {size} tokens; raise model.context above {size - 1}"
    ) as caught:
        cut([shortest, row], size - 1)
    assert "\n" not in str(caught.value)


def test_a_row_that_is_too_long_is_dropped_and_named_and_nothing_else_is() -> None:
    rows = by_length()
    size = len(encoder(0.0).encode_row(rows[-1])[0])
    made = cut(rows, size - 1, "drop")
    fit = [len(encoder(0.0).encode_row(row)[0]) < size for row in rows]
    assert [one.note for one in made] == ["" if fits else "too long" for fits in fit]
    assert [len(one.token_ids) > 0 for one in made] == fit
    assert [one.id for one in made] == [row.id for row in rows]


def test_a_row_is_truncated_only_in_truncate_mode_and_noted() -> None:
    row = by_length()[-1]
    tokens, learned = encoder(0.0).encode_row(row)
    (made,) = cut([row], len(tokens) - 1, "truncate")
    assert (made.token_ids.tolist(), made.loss_mask.tolist(), made.note) == (tokens[:-1], learned[:-1], TRUNCATED)
    (made,) = cut([row], len(prompt(row)) + 1, "truncate")
    assert made.loss_mask.sum() == 1


def test_a_row_without_learned_tokens_after_truncation_is_dropped() -> None:
    row = by_length()[-1]
    (made,) = cut([row], len(prompt(row)), "truncate")
    assert (len(made.token_ids), made.note) == (0, "nothing to learn")


@pytest.mark.parametrize("change", [{"question": " \n"}, {"answer": ""}], ids=str)
def test_a_row_without_question_or_answer_is_dropped(change: dict[str, Any]) -> None:
    before, row, after = small.rows()[:3]
    made = cut([before, replace(row, **change), after], 256)
    assert [(one.id, one.note) for one in made] == [(before.id, ""), (row.id, "empty"), (after.id, "")]


def test_rows_encoded_in_blocks_equal_rows_encoded_singly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("z1.train.encode.BLOCK_ROWS", 5)
    made = encode(small.rows(), encoder(0.3), Truncation(256))
    assert [(one.token_ids.tolist(), one.loss_mask.tolist()) for one in made] == [
        encoder(0.3).encode_row(row) for row in small.rows()
    ]


def test_a_tokenizer_that_cannot_end_a_reply_is_refused() -> None:
    endless = tokenizers.build(["a"], 300)
    endless.eos_token = None
    with pytest.raises(UserError, match="eos_token: got none; set one"):
        Encoder(endless, small.PROFILE, 0.0, 0).encode_row(small.rows()[0])


# rows of a dataset, in one piece

FENCED = Profile("fenced", think_end="</think>")


@pytest.mark.parametrize(
    ("response", "reply", "note"),
    [
        ("<think>\na\n</think>\nb", "<think>\na\n</think>\nb", ""),
        ("a\n</think>\nb", "<think>\na\n</think>\nb", ""),
        ("b", "<think>\n</think>b", NO_THOUGHT),
    ],
)
def test_a_response_in_one_column_is_split_at_the_end_tag_and_has_one_start_tag(
    response: str, reply: str, note: str
) -> None:
    row = TrainingRow("r", "q?", "", response, "", None)
    (made,) = encode([row], encoder(0.0, FENCED), Truncation(256))
    assert small.tokenizer().decode(made.token_ids[made.loss_mask][:-1]) == reply
    assert made.note == note
    (opened,) = encode([row], encoder(0.0, replace(FENCED, think_start="<think>\n")), Truncation(256))
    assert small.tokenizer().decode(opened.token_ids[opened.loss_mask][:-1]) == reply.removeprefix("<think>\n")


def test_the_fingerprint_depends_on_everything_that_decides_the_tokens() -> None:
    other = tokenizers.build(["a"], 300)
    other.chat_template = "{{ messages[0]['content'] }}"
    every = [
        encoder(0.0),
        encoder(0.1),
        encoder(0.1, seed=8),
        encoder(0.0, FENCED),
        Encoder(other, small.PROFILE, 0.0, 0),
    ]
    assert len({one.fingerprint for one in every}) == len(every)
    assert encoder(0.0).fingerprint == encoder(0.0, seed=8).fingerprint  # nothing is drawn


def test_a_row_with_a_lone_surrogate_is_encoded_with_its_replacement() -> None:
    row = small.rows()[-1]
    odd, plain = (
        replace(row, question=f"a{character}", thought=f"b{character}", answer=f"c{character}")
        for character in ("\ud83d", "\ufffd")
    )
    assert encoder(0.0).encode_row(odd) == encoder(0.0).encode_row(plain)
