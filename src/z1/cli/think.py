"""How does a person see a thought, its hint and its answer apart?

Colours on a terminal, plain marks elsewhere, one line of JSON for machines; then the ledger in words.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from rich.console import Console

from z1.errors import UserError
from z1.generation import GenerationOptions, Reply, generate_reply
from z1.models import shipped
from z1.think import Bucket

STYLES = {Bucket.THOUGHT: "dim", Bucket.CLOSE: "dim", Bucket.HINT: "bold yellow", Bucket.ANSWER: "bold green"}

WHY = {
    "natural": "by itself",
    "budget": "its window was used up",
    "context": "the context was used up",
    "deadline": "time was up",
}


def read(prompt: str) -> str:
    """The prompt itself, the text of the file that it names, or standard input for "-"."""
    if prompt == "-":
        return sys.stdin.read()
    if not prompt.strip():
        raise UserError("prompt", "nothing", "ask something")
    try:
        path = Path(prompt)
        named = path.suffix != "" and "\n" not in prompt and " " not in prompt
        if path.is_file():
            return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"prompt file {prompt}", "bytes that are no UTF-8", "give a text file") from None
    except (OSError, ValueError):  # too long or too odd to be a path
        return prompt
    if named and (path.suffix in (".py", ".txt", ".md") or "/" in prompt):
        raise UserError("prompt file", f"no file {prompt}", "check the path, or put the prompt itself in quotes")
    return prompt


def think(prompt: str, model: str | None, profile: str | None, options: GenerationOptions, *, as_json: bool) -> Reply:
    """Ask and show."""
    from z1.engines.local.engine import load

    console = Console(highlight=False, soft_wrap=True)
    show = _Show(console)

    async def run() -> Reply:
        async with load(model or shipped(), profile=profile) as engine:
            return await generate_reply(engine, prompt, options, None if as_json else show.piece)

    reply = asyncio.run(run())
    if as_json:
        print(json.dumps(reply.as_json(), ensure_ascii=False))
    else:
        show.end(reply)
    return reply


class _Show:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._bucket: Bucket | None = None

    def piece(self, bucket: Bucket, text: str) -> None:
        if bucket is not self._bucket:
            self._bucket = bucket
            if not self._console.is_terminal:
                self._console.print(f"\n[{bucket.value}] ", end="", markup=False)
        self._console.print(text, end="", style=STYLES.get(bucket, ""), markup=False)

    def end(self, reply: Reply) -> None:
        ledger = reply.ledger
        answer = "no border seen" if ledger.answer is None else f"{ledger.answer} answer"
        counts = f"{ledger.thought + ledger.close} thought + {ledger.hint} hint + {answer} ids"
        cut = ", cut off" if reply.end == "cut" else ""
        why = WHY.get(reply.shift, reply.shift)
        self._console.print(
            f"\n\n{counts}; thinking stopped: {why}{cut}; {reply.seconds:.1f} s", style="cyan", markup=False
        )
