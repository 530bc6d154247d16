"""Generate with a thinking budget: one prompt, a batch, and a stream."""

import z1

PROGRAMS = ["print(3 + 4)", "a = 2\na = a + 5\nprint(a)", "s = 0\nfor i in range(4):\n    s = s + i\nprint(s)"]

with z1.LLM() as llm:  # z1-tiny; any model folder or hub id works the same way
    for reply in llm.generate(PROGRAMS, thinking_budget=32):
        print(f"{reply.answer!r}: {reply.ledger.thought} thinking tokens, stopped by {reply.shift}")

    stream = llm.stream(PROGRAMS[2], thinking_budget=8)
    for delta in stream:
        print(f"[{delta.part}] {delta.text!r}")
