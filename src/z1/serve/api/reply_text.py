"""What does a client read of a reply: thought, answer, and where the one becomes the other?

Turns a reply's events into pieces of text for the fields `reasoning` and `content`, and at the end into its account.
Unless a request wants them apart all text is content, and `offsets` say where hint and answer begin in it, in
characters. Apart, the fence belongs to neither field; of a hint, what stands behind the fence, or is the family's
answer prefix, is content, and the rest reasoning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from z1.engines import Probe
from z1.profiles import Profile
from z1.serve.api.budget import Budget
from z1.serve.api.detokenizer import Detokenizer
from z1.serve.runtime.reply_runner import NewTokens, ReplyFinished, Started
from z1.think import Bucket, End

ReplyField = Literal["reasoning", "content"]
TextDelta = tuple[ReplyField, str]


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What a response contains. `piece` maps a token to its bytes; `token_ids` and `logprobs` add those fields."""

    profile: Profile
    piece: Callable[[int], bytes]
    split: bool = False
    thoughts: bool = True
    token_ids: bool = False
    logprobs: bool = False


class ReplyText:
    """One reply's text, piece by piece. `account` can be asked for once it has ended."""

    def __init__(self, style: OutputOptions, budget: Budget, stop: Sequence[str] = ()) -> None:
        self._style, self._budget, self._stop = style, budget, stop
        self._bucket: Bucket | None = None
        self._text = Detokenizer(style.piece)
        self._length = 0
        self._offsets: dict[str, int | None] = {"hint": None, "answer": None}
        self._begun: Started | None = None
        self.probes: list[dict[str, Any]] = []
        """The answers by the way that were told: after how many ids of thought, and how often in a row the same."""

    def begun(self, event: Started) -> None:
        """The reply has begun."""
        self._begun = event

    def came(self, event: NewTokens) -> list[TextDelta]:
        """What can be read now."""
        pieces: list[TextDelta] = []
        if event.bucket is not self._bucket:
            pieces += self._turn(event.bucket)
        if event.bucket is Bucket.STOP:
            return pieces
        text = self._text.came(event.token_ids)
        pieces += self._hint(text) if event.bucket is Bucket.HINT else self._plain(event.bucket, text)
        return self._counted(pieces)

    def probed(self, event: Probe) -> None:
        """What would be answered by now."""
        text = Detokenizer(self._style.piece)
        answer = text.came(event.token_ids) + text.end()
        hint = self._style.profile.hint if self._budget.hint is None else self._budget.hint
        behind = answer.rpartition(hint)[2] if hint else answer
        self.probes.append({"at": event.at, "answer": behind.strip(), "agreement": event.equal})

    def ended(self) -> list[TextDelta]:
        """What was held back."""
        return self._counted(self._plain(self._bucket, self._text.end()))

    def account(self, event: ReplyFinished) -> dict[str, Any]:
        """The `budget` object: what was allowed, what was used, and why the thought ended."""
        ledger = event.ledger
        thinks = self._budget.thinks
        return {
            "asked": self._budget.thinking_budget,
            "limit": self._begun.window.effective_budget(self._begun.total) if self._begun and thinks else None,
            "used": ledger.thought + ledger.close,
            "reason": event.shift.value if event.shift and thinks else None,
            "end": event.end.value,
            "hint_tokens": ledger.hint,
            "probe_tokens": ledger.probe,
            "answer_tokens": ledger.answer,
            "answer_limit": self._begun.window.max_answer_tokens if self._begun else None,
            "offsets": None if self._style.split else self._offsets,
            **({"probes": self.probes} if self.probes else {}),
            "answer_ms": None if event.answered is None else round(event.answered * 1000, 1),
        }

    def _turn(self, bucket: Bucket) -> list[TextDelta]:
        """The last bucket's rest; then another begins."""
        pieces = self._counted(self._plain(self._bucket, self._text.end()))
        self._bucket = bucket
        self._text = Detokenizer(self._style.piece, self._stop if bucket is Bucket.ANSWER else ())
        if bucket is Bucket.HINT:
            self._offsets["hint"] = self._length
        if bucket is Bucket.ANSWER and self._offsets["answer"] is None:
            self._offsets["answer"] = self._length
        return pieces

    def _plain(self, bucket: Bucket | None, text: str) -> list[TextDelta]:
        if not text or (bucket is Bucket.CLOSE and self._style.split):
            return []
        apart = self._style.split and bucket in (Bucket.THOUGHT, Bucket.CLOSE, Bucket.HINT)
        return [("reasoning" if apart else "content", text)]

    def _hint(self, text: str) -> list[TextDelta]:
        """The hint comes in one piece. What the answer begins with is the answer's."""
        profile = self._style.profile
        thought, answer = text, ""
        if profile.think_end:
            before, fence, behind = text.rpartition(profile.think_end)
            thought, answer = (before, behind) if fence else (text, "")
        elif self._budget.hint is None and profile.answer_prefix and text.endswith(profile.answer_prefix):
            thought, answer = text.removesuffix(profile.answer_prefix), profile.answer_prefix
        if not self._style.split:
            self._offsets["answer"] = self._length + len(text) - len(answer)
            return [("content", text)] if text else []
        pieces: list[TextDelta] = [("reasoning", thought), ("content", answer)]
        return [piece for piece in pieces if piece[1]]

    def _counted(self, pieces: Iterable[TextDelta]) -> list[TextDelta]:
        kept = [piece for piece in pieces if self._style.thoughts or piece[0] == "content"]
        self._length += sum(len(text) for name, text in kept if name == "content")
        return kept


def finish(event: ReplyFinished) -> str:
    """OpenAI's word for how a reply ended."""
    return "length" if event.end is End.CUT else "stop"
