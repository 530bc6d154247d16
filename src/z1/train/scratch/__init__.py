"""Training of a small Qwen2 from scratch, or from a model of that kind, on a CPU:

train.py       the stage: tokenizer, encoded rows, training, model folder
trainer.py     the training loop: Muon and AdamW, checkpoints
muon.py        the Muon optimizer
model.py       the initial weights
tokenizer.py   the tokenizer
"""
