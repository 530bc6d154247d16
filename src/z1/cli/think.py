"""`z1 think`: one reply, in its parts: thinking, hint and answer.

Colours on a terminal, plain marks elsewhere, one JSON document with `--json`; then why thinking stopped and the tokens.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Unpack

import typer

from z1.cli.options import (
    BUDGETS,
    AsJson,
    Dtype,
    EndLoops,
    GraceTokens,
    MaxAnswerTokens,
    ModelName,
    ProfileName,
    SoftTokens,
    given_flags,
    print_json,
)
from z1.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from z1.generation import GenerationSettings, Reply
    from z1.llm import LLM, ReplyStream

STYLES = {"thinking": "dim", "hint": "bold yellow", "answer": "bold green"}

WHY = {
    "natural": "by itself",
    "budget": "its budget was used up",
    "context": "the context was full",
    "deadline": "the deadline passed",
    "control": "the answer was asked for",
    "repetition": "it repeated itself",
}

ENDS = {"cut": "; the answer was cut off", "repetition": "; the answer repeated itself"}
"""What to say of an answer that did not end by itself."""

SAMPLING = ("seed", "top_p", "top_k")
"""Parameters without effect on greedy decoding."""


Prompt = Annotated[
    str,
    typer.Argument(
        help='Prompt, path of a file that holds it, or "-" for stdin.', metavar="PROMPT", show_default=False
    ),
]
ThinkingBudget = Annotated[
    int | None,
    typer.Option(
        help="Thinking budget in tokens; 0 = no thinking, -1 = unlimited.",
        metavar="TOKENS",
        show_default="-1",
        rich_help_panel=BUDGETS,
    ),
]
Deadline = Annotated[
    float | None,
    typer.Option(
        help="Seconds after which thinking is stopped and the answer starts.",
        show_default=False,
        rich_help_panel=BUDGETS,
    ),
]
Temperature = Annotated[float, typer.Option(help="Sampling temperature; 0 is greedy.", rich_help_panel=BUDGETS)]
Seed = Annotated[int, typer.Option(help="Seed of the sampler; needs a temperature above 0.", rich_help_panel=BUDGETS)]
TopP = Annotated[
    float,
    typer.Option(
        help="Sample from the most likely tokens that have this probability together.", rich_help_panel=BUDGETS
    ),
]
TopK = Annotated[
    int, typer.Option(help="Sample from this many of the most likely tokens; 0 is all.", rich_help_panel=BUDGETS)
]
Stop = Annotated[
    list[str] | None,
    typer.Option(
        help="String that ends the answer; may be repeated.",
        metavar="TEXT",
        show_default=False,
        rich_help_panel=BUDGETS,
    ),
]
AnswerKindName = Annotated[
    str,
    typer.Option(
        help="Kind of the answer, for the hint after an ended thought: text, number, letter or code.",
        metavar="KIND",
        rich_help_panel=BUDGETS,
    ),
]

app = typer.Typer(add_completion=False)


@app.command()
def think(
    context: typer.Context,
    prompt: Prompt,
    model: ModelName = None,
    dtype: Dtype = "auto",
    thinking_budget: ThinkingBudget = None,
    max_answer_tokens: MaxAnswerTokens = None,
    deadline: Deadline = None,
    profile: ProfileName = None,
    temperature: Temperature = 0.0,
    seed: Seed = 0,
    top_p: TopP = 1.0,
    top_k: TopK = 0,
    stop: Stop = None,
    answer_kind: AnswerKindName = "text",
    end_loops: EndLoops = False,
    soft_tokens: SoftTokens = 0,
    grace_tokens: GraceTokens = 0,
    as_json: AsJson = False,
) -> None:
    """Generate one reply within a thinking budget, and show its parts: thinking, hint and answer."""
    given = given_flags(context)
    if temperature == 0 and (unused := [given[name] for name in SAMPLING if name in given]):
        raise UserError(unused[0], "greedy decoding, which has no use for it", "add --temperature 0.7, or omit it")
    from z1.generation import GenerationOptions

    settings: GenerationSettings = {
        "thinking_budget": thinking_budget,
        "max_answer_tokens": max_answer_tokens,
        "deadline": deadline,
        "temperature": temperature,
        "seed": seed,
        "top_p": top_p,
        "top_k": top_k,
        "stop": stop or (),
        "answer_kind": answer_kind,
        "repetition": end_loops,
        "soft_tokens": soft_tokens,
        "grace_tokens": grace_tokens,
    }
    GenerationOptions.of(**settings)  # before the model is loaded
    text = read_prompt(prompt)

    from z1.llm import LLM

    with LLM(model, profile=profile, max_num_seqs=1, dtype=dtype) as llm:
        if as_json:
            print_json(llm.generate(text, **settings).as_json())
        else:
            show_reply(llm, text, **settings)


def read_prompt(prompt: str) -> str:
    """The prompt itself, the text of the file that it names, or stdin for "-"."""
    if prompt == "-":
        return sys.stdin.read()
    if not prompt.strip():
        raise UserError("prompt", "nothing", "give a prompt")
    try:
        path = Path(prompt)
        named = path.suffix != "" and "\n" not in prompt and " " not in prompt
        if path.is_file():
            return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"prompt file {prompt}", "bytes that are not UTF-8", "give a text file") from None
    except (OSError, ValueError):  # too long or too odd to be a path
        return prompt
    if named and (path.suffix in (".py", ".txt", ".md") or "/" in prompt):
        raise UserError("prompt file", f"no such file: {prompt}", "check the path, or put the prompt itself in quotes")
    return prompt


def show_reply(llm: LLM, prompt: str, **settings: Unpack[GenerationSettings]) -> None:
    """Print a reply as it is generated, then its tokens and why thinking stopped."""
    print_stream(llm.stream(prompt, **settings))


def print_stream(stream: ReplyStream) -> None:
    """Print a reply as it is generated, then its tokens and why thinking stopped."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    part = ""
    for delta in stream:
        if delta.part != part and not console.is_terminal:
            console.print(f"\n[{delta.part}] ", end="", markup=False)
        part = delta.part
        console.print(delta.text, end="", style=STYLES.get(part, ""), markup=False)
    assert stream.reply is not None
    _print_counts(console, stream.reply)


def _print_counts(console: Console, reply: Reply) -> None:
    ledger = reply.ledger
    answer = "no separate answer" if ledger.answer is None else f"{ledger.answer} answer"
    counts = f"{ledger.thinking_tokens} thinking + {ledger.hint} hint + {answer} tokens"
    why = WHY.get(reply.shift, reply.shift)
    console.print(
        f"\n\n{counts}; thinking stopped: {why}{ENDS.get(reply.end, '')}; {reply.seconds:.1f} s",
        style="cyan",
        markup=False,
    )
