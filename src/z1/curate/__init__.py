"""Dataset curation: from problems and teachers to a verified dataset of short and long trajectories.

For a recipe (the synthetic task, whose teacher is the Python interpreter):

    collection.py            gathers problems with verified trajectories at every level, resumable
    training_rows.py         chooses one trajectory per problem, so that length follows difficulty

For a plan (any source):

    plan.py                  settings of a plan, one TOML table per step
    known_datasets.py        Hugging Face datasets with known columns, licence and pinned revision
    sources.py               reads tables into candidates
    reasoning_level.py       derives the level of an unlabelled trajectory from its words outside code
    teacher.py               requests trajectories from an OpenAI-compatible endpoint
    teacher_log.py           append-only log of requests and replies, and their cost
    token_counts.py          token counts with a per-word cache
    measure.py               token counts, repetition, test verdicts and MinHash signatures of candidates, cached
    parallel.py              maps a function over blocks in this process, on Ray, or by shards
    verification.py          runs the tests of a problem on the program of a trajectory
    filters.py               quality filters: truncation, repetition, script, code, answer, tests
    ngram_overlap.py         n-gram overlap of a text with benchmark problems
    contamination.py         decontamination: drops rows that repeat a benchmark problem
    contamination_report.py  HTML page with every contaminated row beside the benchmark problem
    dedup.py                 exact and near-duplicate removal (MinHash LSH)
    pairs.py                 shortest and longest verified trajectory of each problem
    token_budget.py          selection of rows under a token budget
    dataset_statistics.py    length statistics, histograms and frequent trigrams
    dataset_card.py          README.md of a dataset
    builder.py               runs the steps and writes the dataset

Source: arXiv 2504.00810, section 2.1.
"""

from z1.curate.collection import LOG, collect
from z1.curate.training_rows import ROWS, select

__all__ = ["LOG", "ROWS", "collect", "select"]
