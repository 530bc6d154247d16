"""Has nearly this trajectory been seen before?

MinHash over runs of words, looked up by locality-sensitive hashing (`datasketch`: https://ekzhu.com/datasketch), then
kept to the estimate: a row goes where the estimated Jaccard similarity to a row that stayed is `near` or more. Of
those the most similar is named, of equally similar ones the first. A problem's own trajectories are no near duplicates
of each other, however little they differ from question to answer. Holds a signature a row and no text: 3.3 KB at 128
permutations. Its look-up is wide (of pairs at the threshold itself 87 in 100 are looked at, 0.05 above it 98), since
the estimate, whose standard error is at most 0.045, is what decides.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

import numpy as np

from z1.curate.plan import DuplicateSettings
from z1.curate.sources import Candidate
from z1.curate.words import words
from z1.errors import UserError

WIDE = (0.1, 0.9)
"""What datasketch is to avoid when it chooses its bands: looking in vain, and missing."""

NEAREST = 0.9
"""Threshold of the look-up where a higher one is asked for, for which datasketch may find no bands."""


class MinHashDedup:
    """Remembers the signature of every candidate that it let through."""

    def __init__(self, settings: DuplicateSettings, seed: int) -> None:
        self._settings = settings
        library = self._library = _library()
        self._seed = seed % 2**32
        self._empty = library.MinHash(settings.permutations, self._seed)
        self._lsh = library.MinHashLSH(min(settings.near or 1, NEAREST), settings.permutations, weights=WIDE)
        self._kept: list[tuple[str, str, Any]] = []
        self._problems: dict[str, str] = {}

    def wrong(self, one: Candidate) -> str:
        """Nothing for the first of its kind, which is remembered; for others, whose near duplicate it is."""
        if self._settings.of == "row":
            return self._against(one)
        if one.problem not in self._problems:  # another trajectory of a problem is judged as its first
            self._problems[one.problem] = self._against(one)
        return self._problems[one.problem]

    def signature(self, one: Candidate) -> Any:
        """The MinHash of what is compared: of question and response, or of the question alone. Follows from the
        candidate and the settings, and is not computed where it was measured before.
        """
        if one.minhash:
            values = np.frombuffer(b64decode(one.minhash), self._empty.hashvalues.dtype.newbyteorder("<"))
            like = {"permutations": self._empty.permutations, "scheme": self._empty.scheme}
            return self._library.MinHash(seed=self._seed, hashvalues=values, **like)
        text = one.question if self._settings.of == "question" else f"{one.question}\n{one.response}"
        said, size = words(text), self._settings.shingle
        runs = zip(*(said[begin:] for begin in range(size)), strict=False) if len(said) > size else [said]
        made = self._empty.copy()
        made.update_batch({" ".join(run).encode("utf-8", "surrogatepass") for run in runs})
        return made

    def packed(self, one: Candidate) -> str:
        """The signature as it is kept and travels: base64 of its values, least byte first."""
        values = self.signature(one).hashvalues
        return b64encode(values.astype(values.dtype.newbyteorder("<")).tobytes()).decode()

    def _against(self, one: Candidate) -> str:
        signature = self.signature(one)
        met = [place for place in self._lsh.query(signature) if self._kept[place][1] != one.problem]
        alike = [(signature.jaccard(self._kept[place][2]), -place) for place in met]
        similarity, place = max(alike, default=(0.0, 0))
        if similarity >= (self._settings.near or 1):
            return f"near duplicate: of {self._kept[-place][0]}, similarity {similarity:.2f}"
        self._lsh.insert(len(self._kept), signature)
        self._kept.append((one.id, one.problem, signature))
        return ""


def _library() -> Any:
    try:
        import datasketch
    except ImportError:
        raise UserError("duplicates.near", "no datasketch", "install z1[curate]") from None
    return datasketch
