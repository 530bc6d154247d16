"""Deduplication (dedup) of trajectories: exact duplicates by fingerprint, near duplicates by MinHash LSH.

An exact duplicate has the same question and response, apart from letter case and white space; the first one is kept.

A near duplicate has an estimated Jaccard similarity of `min_similarity` or more with a kept row, over shingles (word
n-grams). Candidates are looked up by locality-sensitive hashing (`datasketch`: https://ekzhu.com/datasketch) and then
compared by their signatures. The drop reason names the most similar kept row, of equally similar ones the first.
Trajectories of one problem are never near duplicates of each other.

Memory: one signature per row and no text, 3.3 KB at 128 permutations. The lookup has a high recall (87 of 100 pairs at
the threshold itself, 98 of 100 at 0.05 above it); the estimate, whose standard error is at most 0.045, decides.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

import numpy as np

from z1.curate.ngram_overlap import words
from z1.curate.plan import DuplicateSettings
from z1.curate.sources import Candidate, fingerprint
from z1.errors import UserError, install_hint
from z1.surrogates import encode_for_hash

LSH_WEIGHTS = (0.1, 0.9)
"""Cost of false positives and of false negatives, from which datasketch chooses its bands."""

MAX_LSH_THRESHOLD = 0.9
"""Threshold of the lookup if `min_similarity` is higher, for which datasketch may find no bands."""


class ExactDedup:
    """Finds exact duplicates; holds one fingerprint per candidate and no text."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}

    def drop_reason(self, candidate: Candidate) -> str:
        """Names the candidate that this one duplicates; "" for the first of its kind, which is added."""
        key = fingerprint(candidate.question) + fingerprint(candidate.response)
        if key in self._first:
            return f"duplicate: of {self._first[key]}"
        self._first[key] = candidate.id
        return ""


class MinHashDedup:
    """Finds near duplicates; holds the signature of every kept candidate."""

    def __init__(self, settings: DuplicateSettings, seed: int) -> None:
        self._settings = settings
        library = self._library = _import_datasketch()
        self._seed = seed % 2**32
        self._empty = library.MinHash(settings.permutations, self._seed)
        threshold = min(settings.min_similarity or 1, MAX_LSH_THRESHOLD)
        self._lsh = library.MinHashLSH(threshold, settings.permutations, weights=LSH_WEIGHTS)
        self._kept: list[tuple[str, str, Any]] = []
        self._problems: dict[str, str] = {}

    def drop_reason(self, candidate: Candidate) -> str:
        """Names the candidate that this one nearly duplicates; "" for the first of its kind, which is added."""
        if self._settings.compare == "row":
            return self._look_up(candidate)
        if candidate.problem not in self._problems:  # later trajectories of a problem follow its first
            self._problems[candidate.problem] = self._look_up(candidate)
        return self._problems[candidate.problem]

    def signature(self, candidate: Candidate) -> Any:
        """The MinHash of question and response, or of the question alone; a measured one is reused."""
        if candidate.minhash:
            values = np.frombuffer(b64decode(candidate.minhash), self._empty.hashvalues.dtype.newbyteorder("<"))
            like = {"permutations": self._empty.permutations, "scheme": self._empty.scheme}
            return self._library.MinHash(seed=self._seed, hashvalues=values, **like)
        text = candidate.question
        if self._settings.compare == "row":
            text = f"{candidate.question}\n{candidate.response}"
        tokens, size = words(text), self._settings.shingle_size
        shingles = zip(*(tokens[start:] for start in range(size)), strict=False) if len(tokens) > size else [tokens]
        minhash = self._empty.copy()
        minhash.update_batch({encode_for_hash(" ".join(shingle)) for shingle in shingles})
        return minhash

    def packed_signature(self, candidate: Candidate) -> str:
        """The signature as it is stored: base64 of its values in little-endian byte order."""
        values = self.signature(candidate).hashvalues
        return b64encode(values.astype(values.dtype.newbyteorder("<")).tobytes()).decode()

    def _look_up(self, candidate: Candidate) -> str:
        signature = self.signature(candidate)
        hits = [index for index in self._lsh.query(signature) if self._kept[index][1] != candidate.problem]
        scored = [(signature.jaccard(self._kept[index][2]), -index) for index in hits]
        similarity, index = max(scored, default=(0.0, 0))
        if similarity >= (self._settings.min_similarity or 1):
            return f"near duplicate: of {self._kept[-index][0]}, similarity {similarity:.2f}"
        self._lsh.insert(len(self._kept), signature)
        self._kept.append((candidate.id, candidate.problem, signature))
        return ""


def _import_datasketch() -> Any:
    try:
        import datasketch
    except ImportError:
        raise UserError("duplicates.min_similarity", "no datasketch", install_hint("curate")) from None
    return datasketch
