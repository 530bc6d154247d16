"""Progress of training after a step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Steps done and in all, the mean `loss` since the last report, and tokens and seconds of this process."""

    step: int
    steps: int
    loss: float
    tokens: int
    seconds: float
