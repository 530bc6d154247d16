"""The program in the text of a reply."""

from __future__ import annotations

import time

import pytest

from z1.grading.code_extraction import bare_program, code_blocks, extract_code, has_open_block

ROWS = [
    ("one block", "```python\nx = 1\n```", "", "x = 1\n"),
    ("no fence", "x = 1", "", None),
    ("nothing", "", "", None),
    ("cut off in the block", "```python\nx = 1\n", "", None),
    ("a draft, then the program", "```python\ndraft\n```\nso\n```python\nx = 1\n```", "", "x = 1\n"),
    ("a draft, then one cut off", "```python\ndraft\n```\nso\n```python\nx =", "", "draft\n"),
    ("an example of use behind it", "```python\ndef f(): pass\n```\nUse:\n```python\nf()\n```", "f", "def f(): pass\n"),
    ("output behind it", "```python\nclass Solution: pass\n```\n```\n7\n```", "Solution", "class Solution: pass\n"),
    ("nothing that defines it", "```python\nx\n```\n```\ny\n```", "f", "y\n"),
    ("a longer name does not count", "```python\ndef ff(): pass\n```\n```\ndef g(): 1\n```", "f", "def g(): 1\n"),
    ("another name, then its use", "```python\ndef g(): pass\n```\n```\ng()\n```", "f", "def g(): pass\n"),
    ("a line under discussion", "```python\ndef f(): pass\n```\n```python\ndef f():\n```", "f", "def f(): pass\n"),
    ("nothing that parses", "```python\ndef f(:\n```", "f", "def f(:\n"),
    ("an assignment", "```python\nf = lambda: 1\n```\n```\ny\n```", "f", "f = lambda: 1\n"),
    ("an empty block", "```python\nx = 1\n```\n```\n```", "", "x = 1\n"),
    ("another word for the language", "```py3 title=a\nx = 1\n```", "", "x = 1\n"),
    ("waves", "~~~\nx = 1\n~~~", "", "x = 1\n"),
    ("a longer fence around a shorter", "````\n```\nx\n```\n````", "", "```\nx\n```\n"),
    ("indented in a list", "- so\n  ```python\n  if x:\n      y\n  ```", "", "if x:\n    y\n"),
    ("a fence inside a line", "`` `x` `` and ```x```\n```\ny\n```", "", "y\n"),
    ("carriage returns", "```python\r\nx = 1\r\n```\r\n", "", "x = 1\r\n"),
]


@pytest.mark.parametrize(("name", "text", "function", "found"), ROWS, ids=[row[0] for row in ROWS])
def test_the_program_is_extracted(name: str, text: str, function: str, found: str | None) -> None:
    assert extract_code(text, function) == found


SUM = "a, b = map(int, input().split())\nprint(a + b)"
SOLUTION = "class Solution:\n    def add(self, a, b):\n        return a + b"
FUNCTION = "def add(a, b):\n    return a + b"


def fenced(code: str, language: str = "python") -> str:
    return f"```{language}\n{code}\n```"


NO_PROGRAM = {
    "sample output": "Output:\n```\n3\n```",
    "sample input": "Input:\n```text\n1 2\n```",
    "sample input that is Python": "```\n[1, 2]\n```",
    "a shell command": "Run:\n```bash\npython3 main.py < in.txt\n```",
    "a word for the shell": "```\nls\n```",
    "a session": "```console\n$ python3 main.py\n1 2\n3\n```",
    "an installation": "```\npip install numpy\n```",
    "a complexity": "```\nO(1)\n```",
    "JSON": '```json\n{"a": 1}\n```',
    "JSON without its name": '```\n{"a": 1}\n```',
    "C++": "In C++:\n```cpp\n#include <iostream>\nint main() { int a, b; std::cin >> a >> b; }\n```",
    "C++ without its name": "```\nint main() { return 0; }\n```",
    "Java": "```java\nclass Main { public static void main(String[] args) {} }\n```",
    "a line under discussion": "The key line is:\n```python\na + b\n```",
    "the line that prints": "The last line is:\n```python\nprint(a + b)\n```",
    "a test": "```python\nassert 1 + 2 == 3\n```",
    "a test function": "```python\ndef test_add():\n    assert Solution().add(1, 2) == 3\n```",
    "a test case": fenced("import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.fail()"),
    "a doctest": "```python\n>>> add(1, 2)\n3\n```",
    "a use": "For example:\n```python\nprint(2 + 3)\n```",
    "a fragment": "```python\n    return a + b\n```",
    "nothing": "```python\n```",
    "blanks": "```\n\n```",
    "a recalled signature": "```python\nclass Solution:\n    def add(self, a: int, b: int) -> int:\n        ...\n```",
    "a documented signature": '```python\nclass Solution:\n    def add(self, a, b):\n        """Adds."""\n```',
    "a signature that passes": "```python\ndef add(a, b):\n    pass\n```",
    "a signature that raises": "```python\ndef add(a, b):\n    raise NotImplementedError\n```",
    "a signature without a body": "```python\ndef add(a, b):\n```",
    "a difference": "```diff\n- a\n+ b\n```",
    "prose": "It adds ```a``` and ```b```.",
}


@pytest.mark.parametrize("block", NO_PROGRAM.values(), ids=NO_PROGRAM)
@pytest.mark.parametrize(
    ("program", "names"),
    [(SUM, ()), (SOLUTION, ("Solution", "add")), (FUNCTION, ("Solution", "add")), (FUNCTION, ("add",))],
)
def test_a_block_that_is_no_program_is_passed_over(block: str, program: str, names: tuple[str, ...]) -> None:
    for text in (
        f"{fenced(program)}\n\n{block}",
        f"{block}\n\nThe program:\n{fenced(program)}",
        f"{block}\n{fenced(program)}\n{block}",
    ):
        assert extract_code(text, *names) == program + "\n"


DRAFT = fenced("print(input())\ndef add(a, b):\n    return 0\nSolution = add")

DRESSED = {
    "behind a word": "Here is the code: ```python\n@\n```",
    "closed in the line": "```python\n@```",
    "both": "Code: ```python\n@``` and so on",
    "behind a bullet": "- ```python\n@\n```",
    "behind a star": "* Code: ```python\n@\n```",
    "behind a number": "1. ```python\n@\n```",
    "followed by a stop": "```python\n@\n```.",
    "followed by words": "```python\n@\n``` This adds.",
    "in brackets": "(```python\n@\n```)",
    "bold": "**```python\n@\n```**",
    "behind a bold word": "**Code:** ```python\n@\n```**",
    "waves": "~~~python\n@\n~~~",
    "four ticks": "````python\n@\n````",
    "closed by four": "```python\n@\n````",
    "opened by four": "````python\n@\n```",
    "closed but not opened": "@\n```",
    "opened twice": "```python\n```python\n@\n```\n```",
    "in capitals": "```PYTHON\n@\n```",
    "with a version": "```python3.11\n@\n```",
    "with a title": '```py title="a.py"\n@\n```',
    "with a file": "```python:main.py\n@\n```",
    "in braces": "```{python}\n@\n```",
    "after a space": "``` python\n@\n```",
    "without a language": "```\n@\n```",
    "after an open draft": "```python\nfirst try: a, b =\n\nNow the program:\n```python\n@\n```",
    "after an open draft that parses": "```python\na = 1\n\n```python\n@\n```",
    "after an open draft, without a language": "```python\nfirst try: a, b =\n\nNow the program:\n```\n@\n```",
    "after a draft": f"{DRAFT}\nNo:\n```python\n@\n```",
    "after a tick too many": "It uses `input` and ```print```.\n```python\n@\n```",
    "before a slow variant": f"```python\n@\n```\nA brute force, which is too slow, would be:\n{DRAFT}",
    "after a slow variant": f"A naive one:\n{DRAFT}\nThis was too slow:\n```python\n@\n```",
}


@pytest.mark.parametrize("dressed", DRESSED.values(), ids=DRESSED)
@pytest.mark.parametrize(("program", "names"), [(SUM, ()), (SOLUTION, ("Solution", "add")), (FUNCTION, ("add",))])
def test_a_program_is_read_however_it_is_fenced(dressed: str, program: str, names: tuple[str, ...]) -> None:
    assert (extract_code(dressed.replace("@", program), *names) or "").strip() == program
    indented = dressed.replace("@", program.replace("\n", "\n  ")).replace("\n@", "\n  @")
    assert (
        extract_code("> " + dressed.replace("@", program).replace("\n", "\n> "), *names) or ""
    ).strip() == program, indented


@pytest.mark.parametrize("quotes", ['"""', "'''"])
@pytest.mark.parametrize(
    "inner", ["```python\n@add(1, 2)\n@```", "```\n@3\n@```", "```\n@1 2\n@```\n@and\n@```\n@3\n@```"]
)
@pytest.mark.parametrize("margin", ["    ", ""])
def test_a_fence_inside_a_docstring_belongs_to_the_program(quotes: str, inner: str, margin: str) -> None:
    documentation = f"    {quotes}Adds.\n\n{margin}{inner.replace('@', margin)}\n    {quotes}"
    code = f"def add(a, b):\n{documentation}\n    return a + b\n\nprint(add(int(input()), 1))"
    for names in ((), ("add",)):
        assert extract_code(f"So:\n{fenced(code)}\nand\n```\n3\n```", *names) == code + "\n"


HELPER, MAIN = "def helper(a):\n    return a + 1", "print(helper(int(input())))"
USES_HELPER = "def f(a):\n    return helper(a)"
DEFINES_MAIN = "def main():\n    print(input())"
ONE, USES_ONE = "ONE = 1", "def g(a):\n    return a + ONE"
FUTURE, USES_G = "from __future__ import annotations", "def f(a):\n    return g(a)"

JOINED = {
    "a helper before": ([HELPER, MAIN], (), [HELPER, MAIN]),
    "a helper behind": ([MAIN, HELPER], (), [HELPER, MAIN]),
    "a helper of a function": ([HELPER, USES_HELPER], ("f",), [HELPER, USES_HELPER]),
    "an import": (["import sys", "print(sys.stdin.read())"], (), ["import sys", "print(sys.stdin.read())"]),
    "two steps": (["n = int(input())", "print(n + 1)"], (), ["n = int(input())", "print(n + 1)"]),
    "a function and its call": ([DEFINES_MAIN, "main()"], (), [DEFINES_MAIN, "main()"]),
    "a chain": ([ONE, USES_ONE, f"{FUTURE}\n{USES_G}"], ("f",), [FUTURE, ONE, USES_ONE, USES_G]),
    "the nearest": ([HELPER + " + 1", HELPER, USES_HELPER], ("f",), [HELPER, USES_HELPER]),
    "nothing, for a recursion": ([USES_G, "def f(a):\n    return f"], ("f",), ["def f(a):\n    return f"]),
    "nothing, for an unknown name": ([HELPER, USES_G], ("f",), [USES_G]),
}


@pytest.mark.parametrize(("blocks", "names", "parts"), JOINED.values(), ids=JOINED)
def test_a_program_in_several_blocks_is_joined(blocks: list[str], names: tuple[str, ...], parts: list[str]) -> None:
    assert extract_code("\nand\n".join(map(fenced, blocks)), *names) == "\n".join(parts) + "\n"


def test_a_reply_that_ended_needs_no_fence_at_its_end_or_at_all() -> None:
    for text in (SUM, f"So:\n```python\n{SUM}"):
        assert (extract_code(text, ended=True) or "").strip() == SUM
        assert extract_code(text) is None
    for text in (FUNCTION, f"So:\n```python\n{FUNCTION}"):
        assert (extract_code(text, "add", ended=True) or "").strip() == FUNCTION
        assert extract_code(text, "add") is None
    for text in ("42", "x = 1", "Just add them.", "So:\n```python\nprint(input()", "add", "print the sum"):
        assert extract_code(text, ended=True) is None
        assert bare_program(text) is None


def test_the_last_of_several_programs_counts_also_if_it_is_wrong() -> None:
    wrong = SUM.replace("+", "-")
    assert extract_code(f"{fenced(SUM)}\nNo, better:\n{fenced(wrong)}") == wrong + "\n"
    assert extract_code(f"{fenced(SOLUTION)}\nFaster:\n{fenced(SOLUTION.replace('+', '-'))}", "Solution") == (
        SOLUTION.replace("+", "-") + "\n"
    )


@pytest.mark.parametrize(
    ("text", "is_open"),
    [
        ("no fence", False),
        ("```python\nprint(1)\n```", False),
        ("```python\nprint(1)```", False),
        ("```python\nprint(1)", True),
        ("```python\nprint(1)\n``", True),
        ("~~~\nx\n~~~", False),
        ("~~~\nx", True),
        ("````\n```\nx\n````", False),
        ("a `b` ```c``` d", False),
        ("```python\ndraft\n```python\nx\n```", False),
        ("```python\nx\n```\nso\n```python\ny", True),
    ],
)
def test_an_open_block_at_the_end_is_recognized(text: str, is_open: bool) -> None:
    assert has_open_block(text) is is_open


def test_many_fences_are_read_in_one_pass() -> None:
    assert len(code_blocks("```\nx\n```\n" * 20_000)) == 20_000


@pytest.mark.parametrize(
    "text",
    [
        *("```python\n'''\n```\n" * 10_000, "```python\n" * 20_000, "``` " * 30_000, "a```b" * 30_000),
        *("> " * 50_000 + "```", "```\nx = 1\n```\n```\nprint(x)\n```\n" * 3_000),
    ],
)
def test_repetition_takes_linear_time(text: str) -> None:
    began = time.process_time()
    extract_code(text, ended=True)
    assert time.process_time() - began < 5
