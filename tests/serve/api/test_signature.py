"""Tests of z1.serve.api.signature."""

from __future__ import annotations

import pytest

from z1.errors import UserError
from z1.serve.api.signature import KEY_VARIABLE, Signer


def test_servers_with_one_key_know_each_others_thoughts() -> None:
    first, second = (Signer.from_environment({KEY_VARIABLE: "k" * 16}) for _ in range(2))
    second.check("x", "hm \ud800", first.sign("hm \ud800"))
    for thought, signature in (("hm", first.sign("hm ")), ("hm", ""), ("hm", "é\ud800"), ("", first.sign("hm"))):
        with pytest.raises(UserError, match="x: got a signature"):
            second.check("x", thought, signature)
    with pytest.raises(UserError, match="got a signature"):
        Signer.from_environment({}).check("x", "hm", Signer.from_environment({}).sign("hm"))
    with pytest.raises(UserError, match="at least 16"):
        Signer.from_environment({KEY_VARIABLE: "short"})
