"""Errors are one line, with the right class and exit status."""

from __future__ import annotations

import errno
import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from z1.errors import EngineFault, Fault, UserError, Z1Error, describe, from_os_error, leading_error


def test_a_user_error_has_what_got_and_do() -> None:
    error = UserError("window", -1, "give 0 or more")
    assert (error.what, error.got, error.do) == ("window", -1, "give 0 or more")
    assert str(error) == "window: got -1; give 0 or more"


@given(st.text())
def test_a_user_error_is_one_line_for_any_value(got: str) -> None:
    line = str(UserError("prompt", got, "ask something"))
    assert len(line.splitlines()) == 1
    assert line.startswith("prompt: got ")
    assert line.endswith("; ask something")


@pytest.mark.parametrize("got", ["", "  \n\t"])
def test_an_empty_value_is_shown_as_nothing(got: str) -> None:
    assert str(UserError("prompt", got, "ask something")) == "prompt: got nothing; ask something"


@pytest.mark.parametrize(("kind", "status"), [(Z1Error, 1), (UserError, 2), (Fault, 1), (EngineFault, 1)])
def test_each_exception_has_its_exit_status(kind: type[Z1Error], status: int) -> None:
    assert issubclass(kind, Z1Error)
    assert kind.exit_status == status


def test_a_user_error_can_be_pickled() -> None:
    error = UserError("window", -1, "give 0 or more")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.got) == (UserError, str(error), -1)


def test_the_leading_error_of_a_group_is_one_of_z1() -> None:
    user = UserError("window", -1, "give 0 or more")
    group = BaseExceptionGroup("a", [ValueError("x"), BaseExceptionGroup("b", [KeyError("y"), user])])
    assert leading_error(group) is user
    assert leading_error(user) is user
    assert str(leading_error(ExceptionGroup("c", [ExceptionGroup("d", [ValueError("x")])]))) == "x"


class Mute(Exception):
    """An error that cannot be described."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("error", [ValueError("a\nb" * 999), Mute(), RecursionError(), KeyError("k")], ids=repr)
def test_an_unexpected_error_is_described_in_one_line(error: Exception) -> None:
    try:
        raise error
    except Exception as raised:
        line = describe(raised)
    assert len(line.splitlines()) == 1
    assert len(line) < 400
    assert line.startswith(f"{type(error).__name__}: ")
    assert "(test_errors.py:" in line


def made(number: int, *name: str) -> OSError:
    """An error as the operating system raises it; the number chooses its class."""
    return OSError(number, os.strerror(number), *name)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_a_user_error(number: int) -> None:
    error = from_os_error(made(number, "runs/a/log.jsonl"))
    assert isinstance(error, UserError)
    assert error.what == "writing runs/a/log.jsonl"
    assert error.got == os.strerror(number)
    assert "free some space" in error.do
    assert str(from_os_error(made(number))).startswith("writing to the disk: ")


@pytest.mark.parametrize(
    ("number", "got"),
    [(errno.ENOENT, "no such file"), (errno.EACCES, "permission denied"), (errno.EPERM, "permission denied")],
)
def test_wrong_paths_are_user_errors(number: int, got: str) -> None:
    error = from_os_error(made(number, "recipes/big.toml"))
    assert isinstance(error, UserError)
    assert (error.what, error.got) == ("file recipes/big.toml", got)
    assert error.exit_status == 2


def test_other_os_errors_are_faults_in_one_line() -> None:
    error = from_os_error(OSError(errno.EIO, "Input/output\nerror", "disk"))
    assert isinstance(error, Fault)
    assert str(error).startswith("operating system error: ")
    assert len(str(error).splitlines()) == 1
