"""How are trainers compared?

`workload.py` draws rows at the length distribution of the paper's data. `ours.py`, `reference.py` and `sft.py` teach
the same rows to the same model: this trainer, the reference's way made again, and TRL. `crosstalk.py` says who lets
rows hear each other.
"""
