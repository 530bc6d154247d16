"""The recipes that ship with z1: what `z1 run NAME` runs, and what users copy.

tiny.toml            z1-tiny, the shipped model: curate, train, evaluate, report
tiny-first.toml      the first of its two rounds
tiny-small.toml      the base of that; before it tiny-brief, tiny-practice, tiny-terse, tiny-variables and tiny-base,
                     each trained from the next
z1-7b.toml           the paper's fine-tuning, for eight GPUs
eight-gpus.yaml      the same launched by `accelerate launch`
"""
