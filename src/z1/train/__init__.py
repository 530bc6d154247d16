"""Training: encoded rows in, a model folder out.

Shared by both ways of training:
    encode.py         tokens and loss mask of a row
    token_cache.py    encoded rows on disk, memory-mapped
    packing.py        the data loader: batches, packs and padding
    distributed.py    processes, sharding (FSDP2), gathered weights
    checkpoint.py     sharded checkpoints, written atomically
    preemption.py     SIGTERM ends training after the current step
    progress.py       the state after a step, for progress bars and logs
    training_log.py   JSONL and TensorBoard logs of every step

Packages:
    scratch/          a small Qwen2 from scratch on a CPU, by Muon and AdamW
    sft/              supervised fine-tuning of any causal language model

The other stages exchange files with it: rows of `curate` in, and a model folder out that transformers, vLLM and z1's
engines load. Source: arXiv 2504.00810, section 2.2: no delimiters around thoughts, loss on the response alone.
"""
