"""Which replies of two engines differ, where first, and how near the choice was."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from experiments.smol.engines import differences

END = 0


class Model:
    """Its logits depend on the number of tokens before."""

    def __call__(self, input_ids: Tensor) -> SimpleNamespace:
        logits = torch.zeros(1, input_ids.shape[1], 5)
        logits[0, -1, 2], logits[0, -1, 3] = 4.0, 4.0 - input_ids.shape[1] / 8
        return SimpleNamespace(logits=logits)


def test_equal_replies_are_not_reported_whether_or_not_their_end_is_written() -> None:
    assert differences(Model(), [[1, 1]], [[2, 3, END]], [[2, 3]], END) == []
    assert differences(Model(), [[1, 1]], [[2, 3, END, 4]], [[2, 3, END]], END) == []


def test_the_first_token_that_differs_and_the_margin_there() -> None:
    prompts, wanted = [[1], [1, 1]], [[2, 3], [2, 2, 3, END]]
    assert differences(Model(), prompts, wanted, [[2, 3], [2, 2, 2, END]], END) == [
        {"reply": 1, "token": 2, "margin": 0.5}
    ]


def test_a_reply_that_ends_earlier_differs_at_its_end() -> None:
    assert differences(Model(), [[1]], [[2, 3, 4]], [[2]], END) == [{"reply": 0, "token": 1, "margin": 0.25}]
