"""z1 inside evaluation harnesses: one thought, every budget, scored by the harness.

ladder.py         conversations at several thinking budgets, for a harness that has its own scorers
inspect_model.py  the model provider `z1` of inspect_ai
inspect_sweep.py  its solver `z1/budget_sweep` and its task `z1/sweep`; the entry point
lm_eval_model.py  the model `z1` of lm-evaluation-harness, and its ladder
"""
