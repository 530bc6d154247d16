"""Which tests may run in another process than the solution."""

from __future__ import annotations

import pytest

from z1.grading.separation import find_separable, needs_libraries

HEAD = "import unittest\nfrom unittest.mock import patch\nimport pandas as pd\nimport sys, os, random\n"
CASE = (
    "class T(unittest.TestCase):\n    def test_a(self):\n        {}\n    def test_b(self):\n        assert f(1) == 2\n"
)

BODIES = {
    "plain": ("assert f([1, 2]) == {'a': 1}", True),
    "approximately": ("self.assertAlmostEqual(f(1), 0.1)", True),
    "an exception": ("with self.assertRaises(ValueError): f(1)", True),
    "a file": ("open('a', 'w').write('x')\n        assert f(os.path.join('.', 'a')) == 'x'", True),
    "the greatest number": ("assert f(sys.maxsize) == 1", True),
    "random data": ("assert f([random.random()])", True),
    "a patch": ("with patch('os.getcwd'): f(1)", False),
    "a library": ("assert f(pd.DataFrame()).empty", False),
    "captured output": ("sys.stdout = None\n        f(1)", False),
    "a seed": ("random.seed(1)\n        assert f(1) == 3", False),
    "an import inside": ("import scipy\n        assert f(scipy.x)", False),
    "the environment": ("os.environ['A'] = '1'\n        f(1)", False),
}


@pytest.mark.parametrize("name", BODIES)
def test_what_a_test_mentions_decides(name: str) -> None:
    body, is_separable = BODIES[name]
    assert find_separable(HEAD + CASE.format(body)) == ({"T.test_a", "T.test_b"} if is_separable else {"T.test_b"})


def test_helpers_and_fixtures_count() -> None:
    helper = "def helper(): return pd.DataFrame()\ndef other(): return helper()\n"
    assert find_separable(HEAD + helper + CASE.format("assert f(other())")) == {"T.test_b"}
    fixture = "    def setUp(self):\n        self.x = pd.DataFrame()\n"
    assert find_separable(HEAD + CASE.format("assert f(1)") + fixture) == set()
    assert find_separable(HEAD + "random.seed(0)\n" + CASE.format("assert f(1)")) == set()
    assert find_separable(HEAD + "@patch('os.getcwd')\n" + CASE.format("assert f(1)")) == set()
    asynchronous = CASE.format("assert f(1)") + "    async def test_c(self):\n        await f()\n"
    assert find_separable(HEAD + asynchronous) == {"T.test_a", "T.test_b"}


def test_libraries_of_the_setup() -> None:
    assert needs_libraries("import pandas as pd\n")
    assert not needs_libraries("from typing import *\nimport math, numpy\ndef f(): pass\n")
