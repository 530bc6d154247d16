"""`z1 chat`: a conversation in the terminal, with a thinking budget and *answer now* by a key.

A line is a message; lines between two lines of three quotes are one. Thoughts are not sent back to the model.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from z1.cli.options import Dtype, MaxAnswerTokens, ModelName, ProfileName
from z1.cli.think import ThinkingBudget, print_stream
from z1.errors import UserError, Z1Error

if TYPE_CHECKING:
    from z1.generation import GenerationSettings
    from z1.llm import LLM, ReplyStream

HELP = """\
/budget N   thinking budget in tokens; 0 is no thinking, -1 unlimited
/new        start again, without what was said
/quit       leave (or Ctrl-D)
While the model thinks, Enter asks for the answer, and Ctrl-C stops the reply.
A message of several lines begins and ends with a line of three quotes: \"\"\""""

QUOTES = '"""'

app = typer.Typer(add_completion=False)


@app.command()
def chat(
    model: ModelName = None,
    dtype: Dtype = "auto",
    thinking_budget: ThinkingBudget = None,
    max_answer_tokens: MaxAnswerTokens = None,
    profile: ProfileName = None,
) -> None:
    """Talk to a model in the terminal: a thinking budget, answer now by a key, and the token account of each reply."""
    from z1.generation import GenerationOptions

    settings: GenerationSettings = {"thinking_budget": thinking_budget, "max_answer_tokens": max_answer_tokens}
    GenerationOptions.of(**settings)  # before the model is loaded
    from z1.llm import LLM

    with LLM(model, profile=profile, max_num_seqs=1, dtype=dtype) as llm:
        typer.echo(f"{llm.engine.name}. /help lists the commands.")
        converse(llm, settings)


def converse(llm: LLM, settings: GenerationSettings) -> None:
    """Read messages and print replies until the input ends."""
    messages: list[dict[str, str]] = []
    while (text := read_message()) is not None:
        if text == "/quit":
            return
        try:
            if text == "/new":
                messages = []
            elif text.startswith("/"):
                _command(text, settings)
            elif text.strip():
                _reply(llm, messages, text, settings)
        except Z1Error as error:
            typer.echo(str(error))


def read_message() -> str | None:
    """The next message; None at the end of the input."""
    try:
        line = input("\n> ")
        if line.strip() != QUOTES:
            return line
        lines: list[str] = []
        while (line := input(". ")).strip() != QUOTES:
            lines.append(line)
        return "\n".join(lines)
    except EOFError:
        return None
    except KeyboardInterrupt:
        return ""


def _command(text: str, settings: GenerationSettings) -> None:
    from z1.generation import GenerationOptions

    name, _, value = text.partition(" ")
    if name != "/budget":
        typer.echo(HELP)
        return
    try:
        changed: GenerationSettings = {**settings, "thinking_budget": int(value)}
    except ValueError:
        raise UserError("/budget", value or "nothing", "give tokens, such as /budget 64; -1 is unlimited") from None
    GenerationOptions.of(**changed)
    settings.update(changed)


def _reply(llm: LLM, messages: list[dict[str, str]], text: str, settings: GenerationSettings) -> None:
    """Print the reply to `text`; both join `messages` if it is complete."""
    asked = {"role": "user", "content": text}
    stream = llm.stream([*messages, asked], **settings)
    try:
        with answer_key(stream):
            print_stream(stream)
    except KeyboardInterrupt:
        typer.echo("\nstopped")
        return
    assert stream.reply is not None
    messages += [asked, {"role": "assistant", "content": stream.reply.answer}]


@contextmanager
def answer_key(stream: ReplyStream) -> Iterator[None]:
    """Ask for the answer when Enter is pressed, on a terminal; what is typed meanwhile is not shown."""
    try:
        import termios

        before = termios.tcgetattr(sys.stdin)
    except (ImportError, OSError, ValueError):  # no terminal, or Windows
        yield
        return
    import os

    quiet = [*before[:3], before[3] & ~(termios.ICANON | termios.ECHO), *before[4:]]
    end, ended = os.pipe()
    watcher = threading.Thread(target=_watch, args=(sys.stdin.fileno(), end, stream), daemon=True)
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, quiet)
    watcher.start()
    try:
        yield
    finally:
        os.close(ended)
        watcher.join()
        os.close(end)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _watch(keys: int, end: int, stream: ReplyStream) -> None:
    """Wait for Enter until `end` is closed."""
    import os
    import select

    while end not in (ready := select.select([keys, end], [], [])[0]):
        if keys in ready and set(os.read(keys, 64)) & set(b"\r\n"):
            stream.answer_now()
