"""Requests go to the upstream's host alone, and its errors keep status, code and Retry-After."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.serve import hostile
from z1.engines.remote.connection import Connection, Upstream, error_fault
from z1.errors import EngineFault, UpstreamFault, UserError


@pytest.mark.parametrize("url", ["127.0.0.1:8000/v1", "ftp://host/v1", "http://", "http://me:pass@host/v1", ""])
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(UserError, match="upstream URL") as caught:
        Upstream(url)
    assert "pass@" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "words", "code"),
    [
        ({"error": {"message": "no\nroom", "code": "context_length_exceeded"}}, "no room", "context_length_exceeded"),
        ({"error": "no"}, "no", None),
        ({"detail": [{"msg": "no"}]}, '[{"msg": "no"}]', None),
        ({"message": "no", "code": 5}, "no", None),
        ("<html>no</html>", "<html>no</html>", None),
        (["no"], "", None),
        (None, "", None),
    ],
)
def test_the_words_and_the_code_of_an_error_are_found_in_any_shape(value: Any, words: str, code: str | None) -> None:
    fault = error_fault("it said", value, 400, None, ())
    assert (str(fault), fault.code, fault.status) == (f"it said: {words}" if words else "it said", code, 400)


@pytest.mark.parametrize(
    ("status", "passed"),
    [(400, 400), (401, 401), (429, 429), (499, 499), (500, 502), (503, 503), (307, 502), (999, 502)],
)
def test_a_fault_of_the_upstream_is_no_500_of_this_server(status: int, passed: int) -> None:
    assert error_fault("x", {}, status, "7", ()).status == passed
    assert error_fault("x", {}, status, "7", ()).retry_after == "7"
    assert error_fault("x", {}, status, "7\r\nset-cookie: a" * 9, ()).retry_after is None
    assert error_fault("x", {"error": {"code": status}}, None, None, ()).status == passed


def test_the_key_is_sent_only_if_there_is_one() -> None:
    async def fetch(url: str, key: str | None) -> None:
        connection = Connection(Upstream(url, api_key=key))
        try:
            await connection.fetch("GET", "/models")
        finally:
            await connection.close()

    with hostile.hostile_upstream() as (upstream, url):
        for key in (None, "", hostile.KEY):
            asyncio.run(fetch(url, key))
        assert [b"authorization" in head.lower() for head in upstream.asked] == [False, False, True]


def test_events_have_only_line_feeds_as_line_breaks() -> None:
    """openai-python 1230: a raw U+2028 in an event is no line break."""

    async def read(url: str, kind: str) -> list[Any]:
        connection = Connection(Upstream(url))
        body = {"prompt": f"kind={list(hostile.KINDS).index(kind)}?"}
        try:
            async with connection.stream("/completions", body) as events:
                return [event async for event in events]
        finally:
            await connection.close()

    with hostile.hostile_upstream() as (_, url):
        whole, split = asyncio.run(read(url, "parts")), asyncio.run(read(url, "carriage returns"))
        assert whole[0]["choices"][0]["content"][0]["text"] == hostile.TEXT
        assert "".join(event["choices"][0].get("text", "") for event in split) == hostile.TEXT
        with pytest.raises(UpstreamFault, match="answered 418: no, with key"):
            asyncio.run(read(url, "status 418"))
        with pytest.raises(EngineFault, match="more than 8388608 bytes"):
            asyncio.run(read(url, "an event that is too long"))
