"""The tokenizer of a GGUF file, in transformers' format.

A file has a vocabulary, merges or scores, and the name of a pre-tokenizer. The patterns of each name are those of
src/llama-vocab.cpp of ggml-org/llama.cpp, in the spelling of the models' own tokenizer.json where it gives one.
transformers' reader does not know all names (`smollm`), and splits control tokens that are not ASCII (`deepseek`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from z1.errors import UserError
from z1.model_files.gguf_header import Gguf

CONTROL, USER_DEFINED = 3, 4
"""Token types of ggml: special tokens, and others that are matched in the text before it is split."""

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_WORDS = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}%s| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"
_LLAMA3, _QWEN2 = _WORDS % "{1,3}", _WORDS % ""
_QWEN35 = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACES}"
)
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASES = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+%s|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*%s|"
    rf"\p{{N}}%s| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
)
_GPT4O, _TEKKEN = _CASES % (f"{_CONTRACTIONS}?", f"{_CONTRACTIONS}?", "{1,3}"), _CASES % ("", "", "")
_DEEPSEEK3 = (
    r"\p{N}{1,3}",
    r"[一-龥぀-ゟ゠-ヿ]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"
    + _SPACES,
)


class PreTokenizer(NamedTuple):
    """Patterns that split a text one after another; the rest says how a byte-level tokenizer differs from GPT-2's."""

    patterns: tuple[str, ...]
    ignore_merges: bool = False
    adds_bos: bool = False
    is_nfc: bool = False


def _rows(names: str, row: PreTokenizer) -> dict[str, PreTokenizer]:
    return dict.fromkeys(names.split(), row)


PRE_TOKENIZERS: dict[str, PreTokenizer] = {
    **_rows(
        "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2",
        PreTokenizer((_LLAMA3,), ignore_merges=True, adds_bos=True),
    ),
    **_rows("dbrx smaug-bpe glm4 chatglm-bpe", PreTokenizer((_LLAMA3,))),
    **_rows("qwen2 kormo f2llmv2 megrez", PreTokenizer((_QWEN2,), is_nfc=True)),
    **_rows("deepseek-r1-qwen stablelm2 hunyuan solar-open grok-2", PreTokenizer((_QWEN2,))),
    "qwen35": PreTokenizer((_QWEN35,), is_nfc=True),
    **_rows("smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", PreTokenizer((r"\p{N}", _GPT2))),
    **_rows("gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat a.x-4.0", PreTokenizer((_GPT2,))),
    **_rows("gpt-4o llama4 kanana2 minimax-m2", PreTokenizer((_GPT4O,))),
    "tekken": PreTokenizer((_TEKKEN,), ignore_merges=True, adds_bos=True),
    **_rows("deepseek-v3 hunyuan-dense", PreTokenizer(_DEEPSEEK3)),
    "falcon": PreTokenizer((r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, "[0-9][0-9][0-9]")),
    "default": PreTokenizer((r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", "[0-9][0-9][0-9]")),
}
"""By the name in `tokenizer.ggml.pre`."""


def make_tokenizer(gguf: Gguf) -> Any:
    """The tokenizer of `gguf`, a PreTrainedTokenizerFast with its chat template. Raises UserError."""
    from transformers import PreTrainedTokenizerFast

    kind = gguf.metadata.get("tokenizer.ggml.model")
    if embedded := gguf.metadata.get("tokenizer.huggingface.json"):
        tokenizer = Tokenizer.from_str(embedded)
    elif kind == "gpt2":
        tokenizer = _byte_level(gguf)
    elif kind == "llama":
        tokenizer = _sentencepiece(gguf)
    else:
        got = f"a tokenizer of type {kind}"
        raise UserError(f"GGUF file {gguf.files[0]}", got, "give the model's folder in transformers' format")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        chat_template=gguf.metadata.get("tokenizer.chat_template"),
        clean_up_tokenization_spaces=False,
        **_special_tokens(gguf),
    )


def turn_ends(gguf: Gguf) -> list[int]:
    """The tokens that end a reply: end of sequence, of turn and of message."""
    found = [gguf.metadata.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom")]
    return list(dict.fromkeys(token for token in found if token is not None))


def _special_tokens(gguf: Gguf) -> dict[str, str]:
    tokens: list[str] = gguf.metadata["tokenizer.ggml.tokens"]
    names = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
    numbers = {key: gguf.metadata.get(f"tokenizer.ggml.{name}_token_id") for key, name in names.items()}
    return {key: tokens[n] for key, n in numbers.items() if n is not None and n < len(tokens)}


def _byte_level(gguf: Gguf) -> Tokenizer:
    name = gguf.metadata.get("tokenizer.ggml.pre", "default")
    if name not in PRE_TOKENIZERS:
        do = "give the model's folder in transformers' format"
        raise UserError(f"GGUF file {gguf.files[0]}", f"the unknown pre-tokenizer {name}", do)
    row = PRE_TOKENIZERS[name]
    vocabulary = {token: number for number, token in enumerate(gguf.metadata["tokenizer.ggml.tokens"])}
    merges = [_split_merge(merge) for merge in gguf.metadata.get("tokenizer.ggml.merges", ())]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=row.ignore_merges))
    if row.is_nfc:
        tokenizer.normalizer = normalizers.NFC()
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in row.patterns]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return _finish(tokenizer, gguf, gguf.metadata["tokenizer.ggml.tokens"], adds_bos=row.adds_bos)


def _sentencepiece(gguf: Gguf) -> Tokenizer:
    """A sentencepiece model of type BPE, as transformers converts them: the merges follow from the scores.

    Gemma's user-defined tokens of spaces are written with spaces, and all of them have one score; their rank is their
    place in the vocabulary.
    """
    tokens = ["▁" * len(token) if not token.strip(" ") else token for token in gguf.metadata["tokenizer.ggml.tokens"]]
    scores: Sequence[float] = gguf.metadata["tokenizer.ggml.scores"]
    is_gemma = gguf.architecture.startswith("gemma")
    ranks = range(0, -len(tokens), -1) if is_gemma else scores
    vocabulary = {token: number for number, token in enumerate(tokens)}
    unknown = gguf.metadata.get("tokenizer.ggml.unknown_token_id", 0)
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocabulary,
            merges=_merges(vocabulary, ranks),
            unk_token=tokens[unknown],
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    steps: list[Any] = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    prefix = gguf.metadata.get("tokenizer.ggml.add_space_prefix", True)
    tokenizer.normalizer = normalizers.Sequence(
        [*([normalizers.Prepend("▁")] if prefix else []), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence([*steps, *([decoders.Strip(" ", 1, 0)] if prefix else [])])
    return _finish(tokenizer, gguf, tokens, adds_bos=True)


def _merges(vocabulary: dict[str, int], ranks: Sequence[float]) -> list[tuple[str, str]]:
    """All pairs of tokens that make a token, the highest rank first; ties as transformers orders them."""
    found: list[tuple[float, int, int, str, str]] = []
    for token, number in vocabulary.items():
        pairs = [(token[:at], token[at:]) for at in range(1, len(token))]
        known = [(left, right) for left, right in pairs if left in vocabulary and right in vocabulary]
        known.sort(key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))
        found += [(ranks[number], len(left), len(right), left, right) for left, right in known]
    found.sort(key=lambda item: item[:3], reverse=True)
    return [(left, right) for *_, left, right in found]


def _finish(tokenizer: Tokenizer, gguf: Gguf, tokens: Sequence[str], *, adds_bos: bool) -> Tokenizer:
    """Add the tokens that are matched first, and the token at the beginning of a sequence."""
    kinds: Iterable[int] = gguf.metadata.get("tokenizer.ggml.token_type", ())
    added = [
        AddedToken(token, normalized=False, special=kind == CONTROL)
        for token, kind in zip(tokens, kinds, strict=False)
        if kind in (CONTROL, USER_DEFINED)
    ]
    tokenizer.add_tokens([token for token in added if not token.special])
    tokenizer.add_special_tokens([token for token in added if token.special])
    begin = _special_tokens(gguf).get("bos_token")
    if begin is not None and gguf.metadata.get("tokenizer.ggml.add_bos_token", adds_bos):
        number = gguf.metadata["tokenizer.ggml.bos_token_id"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", pair=f"{begin} $A $B", special_tokens=[(begin, number)]
        )
    return tokenizer


def _split_merge(merge: str) -> tuple[str, str]:
    """The two parts of a merge, separated by the first space after the first character."""
    at = merge.index(" ", 1)
    return merge[:at], merge[at + 1 :]
