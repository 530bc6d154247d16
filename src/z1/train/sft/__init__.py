"""Supervised fine-tuning of any causal language model:

dataset.py     rows of a local or hub dataset, and the held-out share
prepare.py     the encode stage, and what training needs of it
preflight.py   a report and checks before training
estimate.py    memory and FLOPs of a training run
load_base.py   the base model, with LoRA
attention.py   attention within the rows of a pack
loss.py        the loss of a batch, and a check of the model
trainer.py     the training loop, on one process or many
export.py      the model folder
"""
