"""Parts of the decoding benchmarks (`bench/think.py`, `bench/budgets.py`):

models.py     random models, and a tokenizer for the arms that join text
workloads.py  requests: uniform and mixed lengths of thought
ours.py       z1's engine: with windows, without, and in two passes
reference.py  `transformers.generate`: the reference's two passes, and one batch
resident.py   the process that runs vLLM, seen from the benchmark
worker.py     vLLM inside that process
inside.py     three ways to keep a thinking budget inside vLLM
turns.py      alternating rounds, and ratios within a round
roofline.py   the roofline of a decode step, and a profile
full.py       all workloads of a full run
accelerator.py  the 7B shape in bfloat16, and its memory
"""
