"""Are errors one line, with the right exit status, and is each put down to the right one?"""

from __future__ import annotations

import errno
import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from z1.errors import EngineFault, Fault, UserError, Z1Error, from_os_error


def test_a_user_error_says_what_got_and_do() -> None:
    error = UserError("window", -1, "give 0 or more")
    assert (error.what, error.got, error.do) == ("window", -1, "give 0 or more")
    assert str(error) == "window: got -1; give 0 or more"


@given(st.text())
def test_a_user_error_is_one_line_whatever_was_got(got: str) -> None:
    line = str(UserError("prompt", got, "ask something"))
    assert len(line.splitlines()) == 1
    assert line.startswith("prompt: got ")
    assert line.endswith("; ask something")


@pytest.mark.parametrize("got", ["", "  \n\t"])
def test_nothing_is_called_nothing(got: str) -> None:
    assert str(UserError("prompt", got, "ask something")) == "prompt: got nothing; ask something"


@pytest.mark.parametrize(("kind", "status"), [(Z1Error, 1), (UserError, 2), (Fault, 1), (EngineFault, 1)])
def test_the_exit_status_tells_whose_fault_it_is(kind: type[Z1Error], status: int) -> None:
    assert issubclass(kind, Z1Error)
    assert kind.exit_status == status


def test_a_user_error_survives_a_process_border() -> None:
    error = UserError("window", -1, "give 0 or more")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.got) == (UserError, str(error), -1)


def made(number: int, *name: str) -> OSError:
    """An error as the operating system raises it; the number chooses its class."""
    return OSError(number, os.strerror(number), *name)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_for_the_user_to_empty(number: int) -> None:
    error = from_os_error(made(number, "runs/a/log.jsonl"))
    assert isinstance(error, UserError)
    assert error.what == "no room to write runs/a/log.jsonl"
    assert error.got == os.strerror(number)
    assert "free some space" in error.do
    assert str(from_os_error(made(number))).startswith("no room to write to the disk: ")


@pytest.mark.parametrize(
    ("number", "what"),
    [(errno.ENOENT, "a file is missing"), (errno.EACCES, "no permission"), (errno.EPERM, "no permission")],
)
def test_paths_are_for_the_user_to_correct(number: int, what: str) -> None:
    error = from_os_error(made(number, "recipes/big.toml"))
    assert isinstance(error, UserError)
    assert (error.what, error.got) == (what, "recipes/big.toml")
    assert error.exit_status == 2


def test_everything_else_is_a_fault_in_one_line() -> None:
    error = from_os_error(OSError(errno.EIO, "Input/output\nerror", "disk"))
    assert isinstance(error, Fault)
    assert str(error).startswith("the operating system refused: ")
    assert len(str(error).splitlines()) == 1
