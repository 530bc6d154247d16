"""Accuracy against thinking tokens for a few budgets, graded on programs with known output."""

import z1

QUESTIONS = {f"a = {a}\na = a + {b}\nprint(a - 1)": str(a + b - 1) for a in range(1, 4) for b in range(1, 4)}

with z1.LLM() as llm:
    for budget in (0, 8, 16, 32, -1):
        replies = llm.generate(list(QUESTIONS), thinking_budget=budget)
        right = sum(
            f"\\boxed{{{output}}}" in reply.text for reply, output in zip(replies, QUESTIONS.values(), strict=True)
        )
        thought = sum(reply.ledger.thought for reply in replies) / len(replies)
        print(f"budget {budget:>3}: {right} of {len(QUESTIONS)} right, {thought:.1f} thinking tokens on average")
