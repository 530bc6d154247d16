"""A reply as HTML: its parts are distinguished, nothing is lost, nothing is executable."""

from dataclasses import replace

from z1.report import transcript_cards
from z1.report.load import Evaluation
from z1.report.transcripts import ShownTranscript
from z1.think.ledger import Bucket, Shift


def shown(evaluations: tuple[Evaluation, ...], number: int) -> ShownTranscript:
    attempt = evaluations[0].attempts[number]
    return ShownTranscript(evaluations[0], evaluations[0].problems[attempt.problem], attempt)


def test_a_shifted_reply(evaluations: tuple[Evaluation, ...]) -> None:
    card = transcript_cards.card(shown(evaluations, 1))
    assert "\u2717 wrong" in card and "thinking budget 32" in card and "expected <code>0</code>" in card
    assert "the thinking budget was used up" in card and "1 thinking + 1 hint + 1 answer + 1 stop = 4 paid" in card
    for bucket in ("thought", "hint", "answer", "stop"):
        assert f'<mark class="{bucket}"><span class="tag">{bucket}</span>' in card
    assert "</span>  0 &amp; &lt;b&gt;\n</mark>" in card and "</span>\n\nThe final" in card
    assert "&lt;|im_end|&gt;" in card and "<|im_end|>" not in card
    assert "&lt;script&gt;alert(0)&lt;/script&gt;\n  print(0)" in card and "<script" not in card


def test_other_replies(evaluations: tuple[Evaluation, ...]) -> None:
    natural = shown(evaluations, 0)
    assert "\u2713 right" in transcript_cards.card(natural) and "hint" not in transcript_cards.card(natural)
    ledger = {**natural.attempt.ledger, "answer": None, "probe": 7}
    strange = replace(natural.attempt, ledger=ledger, thinking_budget=None, shift="<new>", end="cut", verdict="<odd>")
    card = transcript_cards.card(replace(natural, attempt=strange))
    assert "answer not separated" in card and "7 probe = 9 paid" in card and "unlimited thinking" in card
    assert "&lt;new&gt;; the answer was cut off" in card and "&lt;odd&gt;" in card


def test_every_bucket_and_reason_has_words() -> None:
    assert set(transcript_cards.KEY) == set(Bucket) and set(transcript_cards.REASONS) == set(Shift)
