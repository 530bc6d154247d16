"""Signatures of thoughts, by which a server knows a thought of its own when a client sends it back.

A signature is an HMAC over the text. The key is random at each start, or that of the environment variable
`Z1_SIGNATURE_KEY`, which servers behind one address share. Anthropic's thinking blocks have such a field, and OpenAI's
reasoning items have `encrypted_content` in its place.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping

from z1.errors import UserError
from z1.surrogates import encode_for_hash

KEY_VARIABLE = "Z1_SIGNATURE_KEY"
"""The environment variable with the key."""

MIN_KEY_LENGTH = 16
"""Characters of a key."""


class Signer:
    """Signs thoughts with `key`, and checks those that come back."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Signer:
        """The signer of a server. Raises UserError if the key is too short."""
        key = environment.get(KEY_VARIABLE)
        if key is not None and len(key) < MIN_KEY_LENGTH:
            raise UserError(KEY_VARIABLE, f"{len(key)} characters", f"give at least {MIN_KEY_LENGTH}")
        return cls(secrets.token_bytes(32) if key is None else key.encode())

    def sign(self, thought: str) -> str:
        """The signature of a thought."""
        return "z1-" + hmac.digest(self._key, encode_for_hash(thought), "sha256").hex()

    def check(self, name: str, thought: str, signature: str) -> None:
        """Raise UserError, about the field `name`, if this is not the signature of the thought."""
        if not hmac.compare_digest(self.sign(thought).encode(), signature.encode("utf-8", "replace")):
            do = f"send the thought as it came, or leave it out; {KEY_VARIABLE} keeps signatures over a restart"
            raise UserError(name, "a signature that this server did not give to this thought", do)
