"""Parts of the training benchmark (`bench/train.py`):

workload.py     random rows with the length distribution of the paper's data
ours.py         z1's fine-tuning loop
reference.py    the reference script's loop, reimplemented
sft.py          TRL's SFTTrainer
crosstalk.py    a test for attention across rows
flops.py        the minimal arithmetic of a step
accelerator.py  the 7B shape in bfloat16 on one accelerator: throughput, and memory
width.py        the recipe z1-7b on a model of the 7B's width, with kills in between
"""
