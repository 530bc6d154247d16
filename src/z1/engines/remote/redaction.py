"""Words of an upstream for clients and logs: one short line without keys.

An error of an upstream may quote the operator's key, a URL with a password, or a page of HTML.
"""

from __future__ import annotations

import re

MAX_WORDS = 300
"""Characters of an upstream's message that are passed on."""

REMOVED = "[removed]"
"""Stands for a secret."""

_VALUE = r"[\"']?[^\s\"',;&<>]+"

SECRETS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?P<kept>\b(?:bearer|basic)\s+)" + _VALUE,
        r"(?P<kept>(?:api[ _-]?key|secret|password|passwd|authorization|credential|(?<!\w)token"
        r"|(?:access|auth|refresh|session)[ _-]?token)(?: provided)?[\"']?\s*[:=]\s*)(?!(?:bearer|basic)\b)" + _VALUE,
        r"(?P<kept>[?&](?:key|sig|signature|code)=)" + _VALUE,
        r"(?P<kept>://)[^\s/@]+@",
        r"(?P<kept>)\b(?:sk|pk|rk|ak|gsk|xai|hf|ghp|gho|ghs|glpat|nvapi|pplx|fw|csk|tgp|r8)[-_][\w*.-]*[\w*]{6,}",
        r"(?P<kept>)\b(?:AIza|AKIA|ya29\.)[\w-]{10,}",
        r"(?P<kept>)\beyJ[\w-]+\.[\w-]+\.[\w-]*",
        r"(?P<kept>)(?<![\w-])(?![0-9a-f]{8}-[0-9a-f]{4}-)(?=[\w-]*\d)(?=[\w-]*[a-z])[\w-]{32,}",
    )
)
"""What looks like a secret; `kept` stays."""


def redact(text: str, secrets: tuple[str, ...] = ()) -> str:
    """`text` without `secrets` and without all that looks like a key, a password or a token."""
    for secret in filter(None, secrets):
        text = text.replace(secret, REMOVED)
    for pattern in SECRETS:
        text = pattern.sub(lambda match: match["kept"] + REMOVED, text)
    return text


def short_line(text: str, secrets: tuple[str, ...] = ()) -> str:
    """`text` in one line of at most `MAX_WORDS` printable characters, redacted."""
    line = " ".join(redact(text[: 100 * MAX_WORDS], secrets).split())
    line = "".join(character for character in line if character.isprintable())
    return line if len(line) <= MAX_WORDS else line[: MAX_WORDS - 1] + "…"
