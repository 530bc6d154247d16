"""Tests of z1.serve.runtime.sent_items."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from z1.serve.runtime.sent_items import SentItems

TTL = 10
KEYS = ("a", "b")
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "find", "wait"]), st.sampled_from(KEYS), st.integers(0, 9)), max_size=60
)


@given(STEPS, st.integers(20, 400))
def test_an_item_is_found_by_its_key_until_it_is_old_or_others_need_the_room(
    steps: list[tuple[str, str, int]], max_bytes: int
) -> None:
    """Against a model: a list for each key, the last used item at its end."""
    now = 0.0
    sent = SentItems(TTL, lambda: now, max_bytes)
    model: dict[str, list[tuple[str, float]]] = {key: [] for key in KEYS}
    texts = {str(number): {"id": str(number), "text": "é" * number} for number in range(10)}
    sizes = {name: len(f'{{"id":"{name}","text":"{item["text"]}"}}'.encode()) for name, item in texts.items()}
    for action, key, number in steps:
        name, items = str(number), model[key]
        if action == "wait":
            now += number
            continue
        items[:] = [one for one in items if one[1] > now]
        is_known = name in dict(items)
        if action == "find":
            assert sent.find(key, name) == (texts[name] if is_known else None)
        elif not is_known:
            sent.add(key, [texts[name]])
        if action == "add" or is_known:
            items[:] = [*(one for one in items if one[0] != name), (name, now + TTL)]
            if action == "add" and is_known:
                assert sent.find(key, name) == texts[name]
        while sum(sizes[one] for one, _ in items) > max_bytes:
            items.pop(0)
        assert sent.size(key) <= max_bytes
    for key in KEYS:
        found = {name for name in texts if sent.find(key, name) is not None}
        assert found == {name for name, expires in model[key] if expires > now}


def test_what_has_expired_is_dropped_whoever_sends_next() -> None:
    now = 0.0
    sent = SentItems(TTL, lambda: now)
    sent.add("a", [{"id": "1"}])
    now = TTL + 1.0
    sent.add("b", [{"id": "2"}])
    assert sent.size("a") == 0 < sent.size("b")
    assert list(sent._items) == ["b"]
