"""The hash ignores names and layout only, and no program is in both splits."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from z1.synthetic import TEST_SHARE
from z1.synthetic.program_hash import BUILTIN, hash_program, split_of
from z1.synthetic.programs import generate

PROPERTY = settings(max_examples=50, deadline=None, derandomize=True)
SOURCES = st.integers(0, 10**6).map(lambda index: generate(7, index)[1])
NAMES = st.permutations(string.ascii_lowercase)
CODE = re.compile(r'"[^"]*"|[a-z_]+|[0-9]|[A-Z]')


def renamed(source: str, names: dict[str, str]) -> str:
    return CODE.sub(lambda found: names.get(found[0], found[0]), source)


@given(source=SOURCES, letters=NAMES, long=st.booleans())
@PROPERTY
def test_the_hash_ignores_names(source: str, letters: list[str], long: bool) -> None:
    names = {old: f"name_{new}" if long else new for old, new in zip(string.ascii_lowercase, letters, strict=True)}
    assert hash_program(renamed(source, names)) == hash_program(source)


@given(source=SOURCES, indent=st.sampled_from(["\t", "  ", "        "]), comment=st.booleans())
@PROPERTY
def test_the_hash_ignores_layout(source: str, indent: str, comment: bool) -> None:
    other = source.replace("    ", indent)
    other = re.sub(r" ([-+*%<>]|==|!=) ", r"   \1  ", other).replace("(", "( ").replace(", ", ",")
    other = other.replace("\n", "  # a comment\n\n" if comment else "\n\n").replace('"', "'")
    assert other != source
    assert hash_program(other) == hash_program(source)


@given(source=SOURCES, data=st.data())
@PROPERTY
def test_the_hash_depends_on_constants(source: str, data: st.DataObject) -> None:
    places = [found.start() for found in re.finditer("[0-9A-Z]", source)]
    at = data.draw(st.sampled_from(places))
    new = data.draw(st.sampled_from("0123456789" if source[at].isdigit() else "ABCDE"))
    assume(new != source[at])
    assert hash_program(source[:at] + new + source[at + 1 :]) != hash_program(source)


@given(source=SOURCES, data=st.data())
@PROPERTY
def test_the_hash_depends_on_operators(source: str, data: st.DataObject) -> None:
    places = [found.start() for found in re.finditer("[-+]", source)]
    assume(places)
    at = data.draw(st.sampled_from(places))
    assert hash_program(source[:at] + ("+" if source[at] == "-" else "-") + source[at + 1 :]) != hash_program(source)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a = 1\nb = 2\nprint(a)", "a = 1\nb = 2\nprint(b)"),
        ("a = 1\nprint(a + a)", "a = 1\nb = 1\nprint(a + b)"),
        ("a = 1\na += 1\nprint(a)", "a = 1\na = a + 1\nprint(a)"),
        ("a = 1\nprint(a)", "a = 1\nrange(a)"),
        ("a = 1\nprint(1)", 'a = 1\nprint("1")'),
        ("while a > 1:\n    a -= 1\nprint(a)", "while a > 1:\n    a -= 1\n    print(a)"),
    ],
)
def test_the_hash_depends_on_which_variable_is_used(one: str, other: str) -> None:
    assert hash_program(one) != hash_program(other)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a = 1\nprint(a)\n", "2b8780857fcee09e"),
        ("v = [1, 2]\nu = []\nfor x in v:\n    u.append(x)\nprint(u)\n", "c06a2d611ddd1729"),
        ('w = "AB"\nprint(w + "C")\n', "f7f1e282e654abb8"),
    ],
)
def test_hashes_are_the_same_in_every_python_version(source: str, name: str) -> None:
    """3.13 changed what `ast.dump` leaves out; a model trained under one version would be tested on its own rows."""
    assert hash_program(source) == name


def test_builtin_names_are_not_replaced() -> None:
    assert frozenset({"print", "range"}) == BUILTIN


def test_about_a_tenth_of_all_programs_is_in_the_test_split() -> None:
    names = {hash_program(generate(11, index)[1]) for index in range(1500)}
    share = sum(split_of(name, TEST_SHARE) == "test" for name in names) / len(names)
    assert len(names) > 1000
    assert 0.07 < share < 0.13


@given(number=st.integers(0, 2**64 - 1), share=st.floats(0, 1))
@PROPERTY
def test_the_split_depends_on_the_hash_alone_and_grows_with_its_share(number: int, share: float) -> None:
    name = f"{number:016x}"
    found = split_of(name, share)
    assert found == split_of(name, share)
    assert found in ("train", "test")
    assert split_of(name, 0.0) == "train"
    assert split_of(name, 1.0) == "test"
    if found == "test":
        assert split_of(name, (1 + share) / 2) == "test"
