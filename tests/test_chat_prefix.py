"""The ids that training masks as prompt are the ids that serving sends, whatever the family and its template."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from z1 import profiles
from z1.profiles import PROFILES, Profile
from z1.records import TrainingRow
from z1.train.encode import Encoder

EVERY = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())

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
"""What chat templates of the hub do, each alone."""


@cache
def merging() -> PreTrainedTokenizerFast:
    """A tokenizer whose tokens melt across every border that a template leaves: blanks, line ends, half words."""
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
def test_prefix_law_for_every_profile_and_whatever_a_template_does(
    profile: Profile, template: str, question: str, thought: str, answer: str
) -> None:
    """The ids that training masks are those that z1 sends, and those that a server makes of the same conversation."""
    tokenizer = merging()
    tokenizer.chat_template = TEMPLATES[template]
    row = TrainingRow("r", question, thought, answer, "", None)
    said = [{"role": "user", "content": question}]
    sent = profiles.prompt_ids(tokenizer, profile, said)
    for hint_share in (0.0, 0.999):
        tokens, learned = Encoder(tokenizer, profile, hint_share, 0).encode_row(row)
        assert tokens[: len(sent)] == sent
        assert not any(learned[: len(sent)])
        assert learned[-1]
    tokens, learned = Encoder(tokenizer, profile, 0.0, 0).encode_row(row)
    assert all(learned[len(sent) :])
    tokenizer.chat_template = profiles.template(tokenizer)  # what a server is given with the model folder
    system = [{"role": "system", "content": profile.system}] if profile.system else []
    text = tokenizer.apply_chat_template(system + said, tokenize=False, add_generation_prompt=True)
    assert tokenizer.encode(text + profile.think_start, add_special_tokens=False) == sent


def test_encoding_prompt_and_reply_in_one_piece_would_break_the_law() -> None:
    """Else the law above could not fail, and the reference, which encodes them so, would be right."""
    tokenizer = merging()
    tokenizer.chat_template = TEMPLATES["ends in the middle of a word"]
    sent = profiles.prompt_ids(tokenizer, PROFILES["z1"], "a")
    whole = tokenizer.encode(profiles.prompt_text(tokenizer, PROFILES["z1"], "a") + "ing", add_special_tokens=False)
    assert whole[: len(sent)] != sent
