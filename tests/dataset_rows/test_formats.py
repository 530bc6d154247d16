"""Every format is found by its columns; every defect of a value has one fate: kept, left out with a reason, or refused.

The table is format x defect. No fate adds a text that is not in the row.
"""

from __future__ import annotations

from typing import Any

import pytest

from z1.dataset_rows import FORMATS, DatasetSample, LeftOut, RowDefect, find_format, read_row
from z1.errors import UserError

TURNS = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "R"}]
SHARED = [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "R"}]
TESTS = "def test(): pass"

ROWS: dict[str, tuple[dict[str, Any], DatasetSample]] = {
    "openr1": (
        {"problem": "Q", "generations": ["<think>T</think>R"], "answer": "4", "correctness_math_verify": [True]},
        DatasetSample("Q", "T", "R", number=0, reference="4", passed=True),
    ),
    "s1k-1.1": (
        {"question": "Q", "deepseek_thinking_trajectory": "T", "deepseek_attempt": "R", "gemini_attempt": "G"},
        DatasetSample("Q", "T", "R"),
    ),
    "s1k": ({"question": "Q", "thinking_trajectories": ["T"], "attempt": "R"}, DatasetSample("Q", "T", "R", number=0)),
    "openthoughts": (
        {"problem": "Q", "deepseek_reasoning": "T", "deepseek_solution": "R"},
        DatasetSample("Q", "T", "R"),
    ),
    "kodcode-r1": (
        {"question": "Q", "test_code": TESTS, "conversations": SHARED, "test_entry_point": ["f"]},
        DatasetSample("Q", "", "R", tests=TESTS, entry="f"),
    ),
    "kodcode": (
        {"question": "Q", "solution": "code", "test": TESTS, "test_info": [{"function_name": "f"}]},
        DatasetSample("Q", tests=TESTS, entry="f"),
    ),
    "leetcode": (
        {"task_id": "two-sum", "query": "Q", "response": "R", "test": TESTS, "prompt": "import x"},
        DatasetSample("Q", "", "R", id="two-sum", tests=TESTS, setup="import x"),
    ),
    "limo": ({"question": "Q", "solution": "R", "answer": 12}, DatasetSample("Q", "", "R", reference="12")),
    "nemotron": (
        {"input": [{"role": "user", "content": "Q"}], "output": "<think>T</think>R", "reasoning": "on"},
        DatasetSample("Q", "T", "R"),
    ),
    "messages": ({"messages": TURNS}, DatasetSample("Q", "", "R")),
    "sharegpt-system": (
        {
            "system": "S",
            "conversations": [
                {"from": "user", "value": "Q"},
                {
                    "from": "assistant",
                    "value": "<|begin_of_thought|>\n\nT\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\nR"
                    "\n\n<|end_of_solution|>",
                },
            ],
        },
        DatasetSample("S\n\nQ", "T", "R"),
    ),
    "sharegpt": ({"conversations": SHARED}, DatasetSample("Q", "", "R")),
    "alpaca": ({"instruction": "Q", "input": "I", "output": "R"}, DatasetSample("Q\n\nI", "", "R")),
    "prompt-completion": ({"prompt": "Q", "completion": "R"}, DatasetSample("Q", "", "R")),
    "response": (
        {"id": "1", "question": "Q", "response": "R", "token_num_qwen": 7},
        DatasetSample("Q", "", "R", id="1", tokens=7),
    ),
    "thought-answer": ({"question": "Q", "thought": "T", "answer": "R"}, DatasetSample("Q", "T", "R")),
    "problem-solution": ({"problem": "Q", "solution": "R"}, DatasetSample("Q", "", "R")),
    "problems": ({"question": "Q", "answer": 4.0}, DatasetSample("Q", reference="4")),
}


def test_every_format_has_a_row_here() -> None:
    assert ROWS.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_found_by_its_columns_and_read(name: str) -> None:
    row, expected = ROWS[name]
    assert find_format(row) == (name, FORMATS[name].columns)
    assert read_row(row, FORMATS[name].columns) == [expected]


def test_other_columns_do_not_matter_and_a_format_may_be_named() -> None:
    row = {**ROWS["alpaca"][0], "text": "x", "messages": None}
    assert find_format(row, "alpaca")[0] == "alpaca"
    with pytest.raises(UserError, match="choose one of openr1"):
        find_format(row, "alpacca")
    with pytest.raises(UserError, match="columns a, b; map its columns"):
        find_format({"a": 1, "b": 2})


def question_of(name: str, value: Any) -> dict[str, Any]:
    """The row of a format with another value in the place of the question."""
    row = dict(ROWS[name][0])
    place = FORMATS[name].columns["question"].split(" + ")[0].split("[")[0].removesuffix("?")
    if "[" not in FORMATS[name].columns["question"]:
        return {**row, place: value}
    if name == "sharegpt-system":
        place = "conversations"
    turns = [dict(turn) for turn in row[place]]
    turns[0]["content" if "content" in turns[0] else "value"] = value
    return {**row, place: turns}


DEFECTS: list[Any] = [5, 2.5, True, b"bytes", ["a", "b"], {"a": 1}, None, "", " \n", float("nan")]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("value", DEFECTS, ids=ascii)
def test_a_question_is_a_text_or_the_row_is_refused(name: str, value: Any) -> None:
    row = question_of(name, value)
    with pytest.raises(RowDefect):
        read_row(row, FORMATS[name].columns)


@pytest.mark.parametrize("value", [5, 2.5, True, b"bytes", {"a": 1}, [{"a": 1}]], ids=ascii)
@pytest.mark.parametrize("name", ["response", "alpaca", "limo", "prompt-completion", "openr1", "problem-solution"])
def test_a_response_of_another_type_is_refused(name: str, value: Any) -> None:
    row = {**ROWS[name][0], FORMATS[name].columns["response"]: value}
    with pytest.raises(RowDefect):
        read_row(row, FORMATS[name].columns)


@pytest.mark.parametrize("value", [None, "", float("nan")], ids=ascii)
def test_a_missing_response_is_a_problem_without_one(value: Any) -> None:
    (sample,) = read_row({"question": "Q", "response": value}, FORMATS["response"].columns)
    assert (sample.question, sample.response) == ("Q", "")


@pytest.mark.parametrize(
    ("value", "fate"),
    [
        (True, True),
        (False, False),
        (1, True),
        (0, False),
        (None, None),
        (float("nan"), None),
        ("False", RowDefect),
        ("true", RowDefect),
        ("0", RowDefect),
        (1.0, True),
        (0.5, RowDefect),
        (2, RowDefect),
        ([], None),
    ],
    ids=ascii,
)
def test_passed_is_a_boolean_or_refused(value: Any, fate: Any) -> None:
    columns = {"question": "question", "response": "response", "passed": "ok"}
    row = {"question": "Q", "response": "R", "ok": value}
    if fate is RowDefect or value == [] or (isinstance(value, float) and value == 1.0):
        with pytest.raises(RowDefect):
            read_row(row, columns)
    else:
        assert read_row(row, columns)[0].passed is fate


@pytest.mark.parametrize(
    ("value", "fate"),
    [(12, 12), (12.0, 12), ("12.0", 12), ("12", 12), (None, None), (float("nan"), None), ("", None)]
    + [(bad, RowDefect) for bad in ("twelve", 12.5, True, float("inf"), "nan", [12, 13], {"n": 1})],
    ids=ascii,
)
def test_a_count_is_a_whole_number_or_refused(value: Any, fate: Any) -> None:
    columns = {"question": "question", "response": "response", "tokens": "n"}
    row = {"question": "Q", "response": "R", "n": value}
    if fate is RowDefect:
        with pytest.raises(RowDefect, match="column n"):
            read_row(row, columns)
    else:
        assert read_row(row, columns)[0].tokens == fate


@pytest.mark.parametrize(
    ("value", "fate"),
    [("4", "4"), (4, "4"), (4.0, "4"), (0.5, "0.5"), (0, "0"), (None, ""), (True, RowDefect), (["4"], RowDefect)],
    ids=ascii,
)
def test_a_reference_is_a_text_or_a_number(value: Any, fate: Any) -> None:
    row = {"question": "Q", "solution": "R", "answer": value}
    if fate is RowDefect:
        with pytest.raises(RowDefect):
            read_row(row, FORMATS["limo"].columns)
    else:
        assert read_row(row, FORMATS["limo"].columns)[0].reference == fate


def turns(*texts: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in texts]


@pytest.mark.parametrize(
    ("messages", "fate"),
    [
        (turns(("system", "S"), ("user", "Q"), ("assistant", "R")), DatasetSample("S\n\nQ", "", "R")),
        (turns(("developer", "S"), ("human", "Q"), ("model", "R")), DatasetSample("S\n\nQ", "", "R")),
        (turns(("user", [{"type": "text", "text": "Q"}]), ("assistant", "R")), DatasetSample("Q", "", "R")),
        (turns(("user", "Q")), DatasetSample("Q")),
        ([TURNS[0], {"role": "assistant", "content": "R", "reasoning_content": "T"}], DatasetSample("Q", "T", "R")),
        ([TURNS[0], {"role": "assistant", "content": "R", "tool_calls": []}], DatasetSample("Q", "", "R")),
        (turns(("assistant", "Hello!"), ("user", "Q"), ("assistant", "R")), "the assistant speaks first"),
        ([TURNS[0], *TURNS], "2 turns of the user"),
        (turns(("system", "S")), "no turn of the user"),
        ([TURNS[0], {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}], "tool calls"),
        ([*TURNS, {"role": "tool", "content": "x"}], "tool calls"),
        ([*SHARED, {"from": "observation", "value": "x"}], "tool calls"),
        (turns(("user", "Q"), ("narrator", "R")), RowDefect),
        (turns(("user", [{"type": "image_url", "image_url": "x"}]), ("assistant", "R")), RowDefect),
        (turns(("user", "Q"), ("assistant", {"text": "R"})), RowDefect),
        (["Q", "R"], RowDefect),
        ([], RowDefect),
        (None, RowDefect),
        ('[{"role": "user", "content": "Q"}]', RowDefect),
        ({"role": "user", "content": "Q"}, RowDefect),
    ],
    ids=range(20),
)
def test_a_conversation_is_read_by_role(messages: Any, fate: Any) -> None:
    if isinstance(fate, DatasetSample):
        assert read_row({"messages": messages}, FORMATS["messages"].columns) == [fate]
    else:
        with pytest.raises(LeftOut if isinstance(fate, str) else RowDefect) as raised:
            read_row({"messages": messages}, FORMATS["messages"].columns)
        assert not isinstance(fate, str) or str(raised.value) == fate


def asks(*texts: str) -> tuple[dict[str, str], ...]:
    return tuple({"role": role, "content": text} for role, text in zip(["user", "assistant"] * 9, texts, strict=False))


SEVERAL = turns(("system", "S"), ("user", "Q1"), ("assistant", "<think>T1</think>R1"), ("user", "Q2"))


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        ("messages", {"messages": SEVERAL}, [DatasetSample("S\n\nQ1", "T1", "R1", number=0)]),
        (
            "messages",
            {"messages": [*SEVERAL, {"role": "assistant", "content": "R2", "thinking": "T2"}, *TURNS], "id": 7},
            [
                DatasetSample("S\n\nQ1", "T1", "R1", number=0, id="7"),
                DatasetSample("Q2", "T2", "R2", asks("S\n\nQ1", "R1"), 1, id="7"),
                DatasetSample("Q", "", "R", asks("S\n\nQ1", "R1", "Q2", "R2"), 2, id="7"),
            ],
        ),
        (
            "messages",
            {"messages": [*TURNS, *turns(("system", "S"), ("user", "Q2"), ("assistant", ""))]},
            [DatasetSample("Q", "", "R", number=0), DatasetSample("S\n\nQ2", "", "", asks("Q", "R"), 1)],
        ),
        (
            "sharegpt-system",
            {"system": "S", "conversations": SHARED * 2},
            [DatasetSample("S\n\nQ", "", "R", number=0), DatasetSample("Q", "", "R", asks("S\n\nQ", "R"), 1)],
        ),
        (
            "nemotron",
            {"input": SEVERAL, "output": "<think>T</think>R", "reasoning": "on"},
            [DatasetSample("Q2", "T", "R", asks("S\n\nQ1", "R1"))],
        ),
    ],
    ids=range(5),
)
def test_every_reply_of_a_conversation_is_a_sample_with_the_turns_before_it(
    name: str, row: dict[str, Any], expected: list[DatasetSample]
) -> None:
    assert read_row(row, FORMATS[name].columns) == expected


@pytest.mark.parametrize(
    ("later", "fate"),
    [
        (turns(("user", "Q2"), ("user", "Q3"), ("assistant", "R")), LeftOut),
        (turns(("user", "Q2"), ("tool", "x"), ("assistant", "R")), LeftOut),
        (turns(("assistant", "R2")), LeftOut),
        (turns(("user", "Q2"), ("assistant", 5)), RowDefect),
        (turns(("user", ""), ("assistant", "R")), RowDefect),
        (["R"], RowDefect),
        (turns(("user", "Q2"), ("assistant", "<think>cut"), ("user", "Q3"), ("assistant", "R3")), LeftOut),
    ],
    ids=range(7),
)
def test_a_conversation_with_one_bad_turn_gives_no_sample(later: list[Any], fate: type[Exception]) -> None:
    with pytest.raises(fate):
        read_row({"messages": [*TURNS, *later]}, FORMATS["messages"].columns)


def test_a_column_may_be_missing_where_a_question_mark_allows_it() -> None:
    columns = {"question": "question", "reference": "answer?", "difficulty": "meta.difficulty?"}
    assert read_row({"question": "Q"}, columns) == [DatasetSample("Q")]
    assert read_row({"question": "Q", "meta": None}, columns) == [DatasetSample("Q")]
    with pytest.raises(RowDefect, match="columns question, not a column of this name"):
        read_row({"question": "Q"}, {"question": "question", "reference": "answer"})


def test_rows_of_held_out_splits_are_left_out_unless_named() -> None:
    row = {"question": "Q", "response": "R", "split": "test"}
    with pytest.raises(LeftOut, match="split test"):
        read_row(row, FORMATS["response"].columns)
    assert read_row(row, FORMATS["response"].columns, "test")[0].response == "R"
    assert read_row({**row, "split": "train"}, FORMATS["response"].columns)[0].response == "R"


def test_lists_beside_the_responses_belong_to_them() -> None:
    columns = {"question": "q", "response": "r", "passed": "ok", "end": "ends", "tokens": "n"}
    row = {"q": "Q", "r": ["a", None, "<think>cut"], "ok": [True, None], "ends": ["stop", "length"], "n": [1, 2, 3]}
    found = read_row(row, columns)
    assert [(one.response, one.passed, one.end, one.tokens) for one in found[:2]] == [
        ("a", True, "stop", 1),
        ("", None, "length", 2),
    ]
    assert found[2].left_out == "a thought that </think> does not close"
    with pytest.raises(LeftOut, match="empty list"):
        read_row({**row, "r": []}, columns)
