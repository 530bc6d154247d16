"""Tokenizers and chat templates of thirteen families: curate, train and serve have the same token ids, every row begins
once and learns its end.

The tokenizers are small, with the normalizer, pre-tokenizer, decoder, special tokens and beginning of their family; the
templates are those of the families, from TRL's collection or as the comments say.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from tests.chat_servers import named
from z1 import profiles
from z1.curate.token_counts import TokenCounter, WordEncoder
from z1.families.detection import detect_family
from z1.model_files import find_model
from z1.model_files.tokenizer import PROBE, read_tokenizer
from z1.profiles import Profile
from z1.prompts import prompt_segments, prompt_token_ids, response_segments
from z1.records import TrainingRow
from z1.train.encode import ConversationRow, Encoder, messages_of

WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Llama 3's and Qwen2's pattern, which differ in the digits of a number."""

O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""gpt-oss's pattern."""

DEEPSEEK = (
    r"\p{N}{1,3}",
    r"[一-龥぀-ゟ゠-ヿ]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
)
"""DeepSeek-V3's patterns, one after the other."""


def byte_level(*patterns: str, digits: bool = False) -> Tokenizer:
    """As GPT-2 and its successors; without patterns with GPT-2's own."""
    tokenizer = Tokenizer(models.BPE())
    steps: list[Any] = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    steps += [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not patterns)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*steps, level])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def sentence_piece(*, prepend: bool) -> Tokenizer:
    """As Llama 2 and Mistral, or without a space before the text as Gemma."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    blanks = [normalizers.Replace(" ", "▁")]
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), *blanks] if prepend else blanks)
    strip = [decoders.Strip(" ", 1, 0)] if prepend else []
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    tokenizer.decoder = decoders.Sequence(steps)
    return tokenizer


def turns(user: str, assistant: str) -> str:
    """A template of alternating turns, after the beginning of the text."""
    return (
        "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}"
        + user
        + "{% else %}"
        + assistant
        + "{% endif "
        "%}{% endfor %}"
    )


class Case(NamedTuple):
    """A family: its tokenizer, special tokens, the tokens that begin and end texts, and its template."""

    tokenizer: Tokenizer
    special: Sequence[str]
    end: str
    template: str
    begin: str = ""
    model_type: str = "llama"
    profile: str = "plain"


BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
HEADERS = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
GEMMA = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>")
DEEP = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>")
HARMONY = ("<|startoftext|>", "<|endoftext|>", "<|return|>", "<|start|>", "<|end|>", "<|channel|>", "<|message|>")
LLAMA_3, QWEN = WORDS % "{1,3}", WORDS % ""

CASES: dict[str, Case] = {
    # meta-llama/Llama-2-7b-chat-hf
    "llama-2": Case(
        sentence_piece(prepend=True),
        ("<s>", "</s>"),
        "</s>",
        "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must "
        "alternate') }}{% endif %}{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + m['content'].strip() + "
        "' [/INST]' }}{% else %}{{ ' ' + m['content'].strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
        "<s>",
    ),
    "llama-3": Case(byte_level(LLAMA_3), HEADERS, "<|eot_id|>", "llama3", HEADERS[0]),
    "llama-3.2": Case(byte_level(LLAMA_3), HEADERS, "<|eot_id|>", "llama3_2", HEADERS[0]),
    # mistralai/Mistral-7B-Instruct-v0.3
    "mistral": Case(
        sentence_piece(prepend=True),
        ("<s>", "</s>", "[INST]", "[/INST]"),
        "</s>",
        turns("{{ '[INST] ' + m['content'] + '[/INST]' }}", "{{ ' ' + m['content'] + eos_token }}"),
        "<s>",
        "mistral",
    ),
    "gemma-2": Case(sentence_piece(prepend=False), GEMMA, "<eos>", "gemma", "<bos>", "gemma2", "gemma"),
    "gemma-3": Case(sentence_piece(prepend=False), GEMMA, "<eos>", "gemma3", "<bos>", "gemma3_text", "gemma"),
    "qwen2.5": Case(byte_level(QWEN), CHATML, "<|im_end|>", "qwen2_5", "", "qwen2"),
    "qwen3": Case(byte_level(QWEN), (*CHATML, "<think>", "</think>"), "<|im_end|>", "qwen3", "", "qwen3", "qwen3"),
    "deepseek-v3": Case(byte_level(*DEEPSEEK), DEEP, DEEP[1], "deepseekv3", DEEP[0], "deepseek_v3", "r1-distill"),
    "r1-distill": Case(
        byte_level(QWEN), (*DEEP, "<think>", "</think>"), DEEP[1], "deepseek_r1_distill", DEEP[0], "qwen2", "r1-distill"
    ),
    "gpt-oss": Case(byte_level(O200K), HARMONY, "<|return|>", "gptoss", "", "gpt_oss", "gpt-oss"),
    "phi-3": Case(
        sentence_piece(prepend=True),
        ("<s>", "<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"),
        "<|endoftext|>",
        "phi3",
        "",
        "phi3",
    ),
    # HuggingFaceTB/SmolLM2-135M-Instruct
    "smollm2": Case(
        byte_level(digits=True),
        CHATML,
        "<|im_end|>",
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_sta"
        "rt|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{%"
        " endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% "
        "endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    ),
}

TEXTS = [
    ("What is 1 + 1?", "Add 2 and 3, please.\n\n", "The sum is 12345.67."),
    (PROBE.strip(), "naïve, 日本語, 🙂\n\n", "```python\ndef f(x):\n\treturn x ** 2\n```"),
    ("Say <|im_end|> and </s> and [INST] and <eos>.", "So  two   spaces\t\n\n", "\\frac{1}{2}\r\n  end"),
    ("def f(x: int) -> int:\n    return x", "", "  indented"),
]
"""Questions, thoughts and answers."""

FOLLOW_UP = [{"role": "user", "content": "One?"}, {"role": "assistant", "content": "1."}]


class Family(NamedTuple):
    """A case with its tokenizer, saved in a folder and read as any other is."""

    case: Case
    tokenizer: Any
    folder: Path

    @property
    def profile(self) -> Profile:
        """The family that is found by the template."""
        return profiles.get_profile(detect_family(self.case.model_type, self.tokenizer.chat_template).profile)


def build(case: Case, folder: Path) -> Family:
    is_byte_level = case.tokenizer.normalizer is None
    small = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=list(case.special if is_byte_level else ("<unk>", *case.special, *BYTES)),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if is_byte_level else [],
        show_progress=False,
    )
    case.tokenizer.train_from_iterator([text for row in TEXTS for text in row] * 3, small)
    if case.begin:
        begin = [(case.begin, case.tokenizer.token_to_id(case.begin))]
        case.tokenizer.post_processor = TemplateProcessing(single=f"{case.begin} $A", special_tokens=begin)
    made = PreTrainedTokenizerFast(
        tokenizer_object=case.tokenizer,
        bos_token=case.begin or case.special[0],
        eos_token=case.end,
        chat_template=case.template if "{" in case.template else trl_template(case.template),
    )
    made.save_pretrained(folder)
    return Family(case, read_tokenizer(str(folder)), folder)


def trl_template(name: str) -> str:
    spec = find_spec("trl")
    assert spec and spec.submodule_search_locations
    return (Path(spec.submodule_search_locations[0]) / "chat_templates" / f"{name}.jinja").read_text("utf-8")


@pytest.fixture(scope="module", params=CASES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Family:
    return build(CASES[request.param], tmp_path_factory.mktemp(request.param))


def asked(row: TrainingRow) -> list[dict[str, str]]:
    """The messages of a client that sends the question of a row."""
    messages = messages_of(row)
    return [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)


def trained(tokenizer: Any, profile: Profile, row: TrainingRow) -> tuple[list[int], list[int]]:
    """What a row does not learn, and what it learns."""
    token_ids, learned = Encoder(tokenizer, profile, 0.0, 0).encode_row(row)
    first = learned.index(True)
    assert not any(learned[:first]) and all(learned[first:])
    return token_ids[:first], token_ids[first:]


def written(tokenizer: Any, profile: Profile, row: TrainingRow) -> list[str]:
    """The response in the segments that are tokenized separately."""
    prompt = "".join(prompt_segments(tokenizer, profile, messages_of(row)))
    return response_segments(profile, prompt, row.thought, row.answer)


ROWS: list[TrainingRow] = [TrainingRow(str(number), *texts, "", None) for number, texts in enumerate(TEXTS)]
ROWS += [ConversationRow("several", "Two?", "So.\n\n", "2.", "", None, tuple(FOLLOW_UP))]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
@pytest.mark.parametrize("own", [True, False], ids=["own", "z1"])
def test_a_row_has_the_ids_of_serving_and_of_curating_and_learns_its_end(
    family: Family, row: TrainingRow, own: bool
) -> None:
    check_row(family.tokenizer, family.profile if own else profiles.get_profile("z1"), row)


def check_row(tokenizer: Any, profile: Profile, row: TrainingRow) -> None:
    prompt, learned = trained(tokenizer, profile, row)
    assert prompt == prompt_token_ids(tokenizer, profile, asked(row))
    response = written(tokenizer, profile, row)
    encoder = WordEncoder(Tokenizer.from_str(tokenizer.backend_tokenizer.to_str()))
    assert learned == [*(token for part in encoder.encode(response) for token in part), tokenizer.eos_token_id]
    assert profiles.decode(tokenizer, learned[:-1]) == "".join(response)
    assert tokenizer.eos_token_id in profiles.stop_token_ids(tokenizer, profile)
    assert learned.count(tokenizer.eos_token_id) == 1


def test_the_family_is_found(family: Family) -> None:
    assert family.profile.name == family.case.profile


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_row_begins_once(family: Family, row: TrainingRow) -> None:
    case, tokenizer, _ = family
    prompt, learned = trained(tokenizer, profiles.get_profile("z1"), row)
    beginning = [tokenizer.convert_tokens_to_ids(case.begin)] if case.begin else []
    assert tokenizer.encode("") == beginning == prompt[: len(beginning)]
    users = sum(turn["role"] == "user" for turn in asked(row))
    times = users if case.template == CASES["llama-2"].template else 1  # its template begins every exchange
    assert [[*prompt, *learned].count(token) for token in beginning] == [times] * len(beginning)


def test_a_prompt_is_what_transformers_makes_of_the_template(family: Family) -> None:
    """For a question without control texts, which z1 leaves as text."""
    check_prompts(family.tokenizer)


def check_prompts(tokenizer: Any) -> None:
    for messages in (asked(ROWS[0]), asked(ROWS[-1])):
        expected = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        assert prompt_token_ids(tokenizer, profiles.get_profile("z1"), messages) == expected


def test_curate_counts_the_tokens_that_train_learns(family: Family) -> None:
    check_counts(family.tokenizer, str(family.folder))


def check_counts(tokenizer: Any, name: str) -> None:
    z1 = profiles.get_profile("z1")
    counts = TokenCounter(name).count(["".join(written(tokenizer, z1, row)) for row in ROWS])
    assert counts == [len(trained(tokenizer, z1, row)[1]) - 1 for row in ROWS]


@pytest.mark.real
def test_all_of_this_holds_for_smollm2_itself() -> None:
    model = named("CHAT_GGUF")
    tokenizer = read_tokenizer(str(find_model(model, weights=False)))
    assert tokenizer.chat_template == CASES["smollm2"].template
    for row in ROWS:
        check_row(tokenizer, profiles.get_profile("z1"), row)
    check_prompts(tokenizer)
    check_counts(tokenizer, model)
