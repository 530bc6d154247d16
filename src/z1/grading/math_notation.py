r"""One notation for mathematical answers: what a reader does not notice goes before two answers are compared.

Unicode becomes LaTeX; fonts, dollars, emphasis and spaces go; a percent sign, a unit and the base of a number are taken
off. Nothing is evaluated here; `math_comparison.py` does that with math-verify.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿ"
SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₙ"
SCRIPTS = str.maketrans(SUPERSCRIPTS + SUBSCRIPTS, "0123456789+-=()n" * 2)
SYMBOLS = str.maketrans(
    {
        **dict.fromkeys("×✕", "\\times "),
        **dict.fromkeys("·⋅∙", "\\cdot "),
        **dict.fromkeys("−–—", "-"),
        **dict.fromkeys("⁄∕", "/"),
        **dict.fromkeys("“”\u200b", ""),
        **dict.fromkeys("≤⩽≦", "\\le "),
        **dict.fromkeys("≥⩾≧", "\\ge "),
        **{"÷": "\\div ", "≠": "\\ne ", "≈": "\\approx ", "±": "\\pm ", "∓": "\\mp ", "∞": "\\infty ", "π": "\\pi "},
        **{"θ": "\\theta ", "α": "\\alpha ", "β": "\\beta ", "γ": "\\gamma ", "λ": "\\lambda ", "φ": "\\phi "},
        **{
            "∪": "\\cup ",
            "∩": "\\cap ",
            "∈": "\\in ",
            "∅": "\\emptyset ",
            "°": "^\\circ ",
            "∠": "\\angle ",
            "△": "\\triangle ",
            "✓": "",
            "✅": "",
            "′": "'",
            "ℝ": "\\mathbb{R}",
        },
        **{"…": "\\ldots ", "\xa0": " ", "\u2009": " ", "\u202f": " "},
    }
)

WRAPPERS = (
    *(("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("```", "```"), ("`", "`"), ("**", "**"), ("*", "*")),
    *(('"', '"'), ("'", "'"), ("{", "}"), ("<b>", "</b>")),
)
REWRITTEN = tuple(
    (re.compile(pattern), plain)
    for pattern, plain in (
        (r"\\(?:text(?:normal|bf|it|rm|sf|tt)|emph|[mh]box|mathrm|operatorname)\s*\{", r"\\text{"),
        (r"\\(?:mathbf|boldsymbol|bm|pmb|mathit|mathsf|mathtt|mathcal|underline|ensuremath)\s*(?=\{)", ""),
        (r"\\(?:display|text|script)style(?![A-Za-z])|\\(?:rm|bf|it|large|Large|huge)(?![A-Za-z])", ""),
        (r"\\(?:left|right)(?![A-Za-z])\s*\.?|\\[bB]igg?[lrm]?(?![A-Za-z])", ""),
        (r"\\[dtc]frac", r"\\frac"),
        (r"\{,\}", ","),
        (r"(?<!\\)\\!|\\checkmark", ""),
        (r"(?<=\d)(?:\\[,;: ]|[ ~])(?=\d{3}(?!\d))", ""),
        (r"(?<!\\)\\[,;:> ]|~|\\q?quad(?![A-Za-z])|&nbsp;", " "),
        (r"\\\$|(?<!\\)\$", ""),
        (r"\\(?:leq|leqslant|le|lt\s*=)(?![A-Za-z])|<=", r"\\le "),
        (r"\\(?:geq|geqslant|ge)(?![A-Za-z])|>=", r"\\ge "),
        (r"\\lt(?![A-Za-z])", "<"),
        (r"\\gt(?![A-Za-z])", ">"),
        (r"(?:\\|(?<![A-Za-z\\]))sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"(?<![A-Za-z\\])(pi|infinity|infty|theta)(?![A-Za-z])", r"\\\1 "),
        (r"\\infinity", r"\\infty"),
        (r"\\(?:varnothing|O)(?![A-Za-z])|\\\{\s*\\\}", r"\\emptyset"),
        (r"\^\s*\{?\s*\\circ\s*\}?|\\degree(?![A-Za-z])", r"^{\\circ}"),
        (r"(?<![A-Za-z.])(\d+(?:\.\d+)?)[eE]([+-]?\d+)(?![\w.])", r"\1 \\times 10^{\2}"),
        (r"^([-+]?\d+)\s+(\d+)/(\d+)$", r"\1\\frac{\2}{\3}"),
        (r"^\s*(?:\\approx|\\simeq|=|\\text\s*\{\s*(?:about|approximately)\s*\}|about\b|approximately\b)\s*", ""),
        (r"^\s*\\text\s*\{\s*(?:the\s+)?(?:final\s+|correct\s+)?[Aa]nswer(?:\s+is)?\s*:?\s*\}\s*:?", ""),
        (r"^\s*[A-Za-z](?:_\{?\w+\}?)?\s*\\in(?![A-Za-z])\s*", ""),
        (r"\\text\{\s*([-+]?[\d.,/]+)\s*\}", r"\1"),
        (r"\s+", " "),
    )
)
TRAILING = re.compile(r"(?:[\s.,;:]|\\\\|(?<![A-Za-z])\\(?=\s*\Z))+\Z")

PERCENT = re.compile(
    r"(?:\\text\s*\{\s*)?(?:\\?%|(?<![A-Za-z])(?:percent(?:age)?|per cent|pct)(?![A-Za-z]))\s*\}?\s*\Z"
)
MONEY = re.compile(r"^\s*(-?)\s*(\\\$|\$|€|£|₹|USD|Rs\.?)\s*(?=[\d.])")
MONEY_UNITS = {"€": "euro", "£": "pound", "₹": "rupee", "Rs": "rupee", "Rs.": "rupee"}
BASE = re.compile(r"(\d+)\s*_\s*(?:\{\s*)?(\d+)\s*\}?")
THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
WORDY_UNIT = re.compile(r"\s*(?:[/·]|\\cdot|\^\{\\circ\}|\\text\s*\{([^{}]*)\}(?:\s*\^\s*\{?\s*-?\d+\s*\}?)?)\s*\Z")
BARE_UNIT = re.compile(
    r"(?<=[\d})!\]\s])(?<!\\)((?:(?<![A-Za-z\\])[A-Za-z]+\.?(?:\s*\^\s*\{?\s*-?\d\s*\}?)?[\s/]*)+)\Z"
)
CONNECTIVES = frozenset(
    re.findall(
        r"\w+",
        """and or to by over mod base choose times plus minus sin cos tan cot sec csc log ln exp max min lim gcd lcm det
        arcsin arccos arctan sqrt if when for where with is are not no none inf factorial squared cubed half
        such that""",
    )
)
SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}

UNITS = {
    word: unit
    for unit, words in {
        "m": "m meter metre",
        "cm": "cm centimeter centimetre",
        "mm": "mm millimeter millimetre",
        "km": "km kilometer kilometre",
        "in": "in inch inches",
        "ft": "ft foot feet",
        "yd": "yd yard",
        "mi": "mi mile",
        "s": "s sec second",
        "min": "min minute",
        "h": "h hr hour",
        "day": "day",
        "week": "week",
        "month": "month",
        "year": "year yr",
        "g": "g gram",
        "mg": "mg milligram",
        "kg": "kg kilogram",
        "lb": "lb pound",
        "oz": "oz ounce",
        "L": "l liter litre",
        "mL": "ml milliliter millilitre",
        "gal": "gal gallon",
        "dollar": "dollar usd buck",
        "cent": "cent",
        "euro": "euro",
        "degree": "degree deg",
        "radian": "radian rad",
        "N": "n newton",
        "J": "j joule",
        "W": "w watt",
        "V": "v volt",
        "K": "k kelvin",
        "Pa": "pa pascal",
        "Hz": "hz hertz",
        "mph": "mph",
        "kph": "kph kmh",
    }.items()
    for word in words.split()
}


@dataclass(frozen=True, slots=True)
class Value:
    """An answer without its dress: LaTeX, the units that it names (known ones by symbol, others as they stand), whether
    it is a percentage, and the bases of numbers in positional notation.
    """

    text: str
    units: frozenset[str] = frozenset()
    is_percentage: bool = False
    bases: tuple[tuple[str, str], ...] = ()

    def contradicts(self, other: Value) -> bool:
        """Whether `other`, an answer, cannot be this reference answer: 3 km is not 3 m, 413 in base 5 is neither 413 in
        base 6 nor 413, and the set of 1 and 2 is neither a pair nor an interval. What one of both leaves out is no
        difference.
        """
        if other.bases and self.bases != other.bases and {base for _, base in other.bases} != {"10"}:
            return True
        if {_collection(self.text), _collection(other.text)} == {"set", "tuple"}:
            return True
        known, others = (one.units & frozenset(UNITS.values()) for one in (self, other))
        return bool(known and others and not known & others)

    def words(self) -> str:
        """The answer without what cannot change its meaning: spaces, fonts of words, brackets around a letter, and the
        case of a word.
        """
        bare = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", self.text)
        bare = re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", bare)
        bare = re.sub(r"\A\(([A-Za-z])\)\Z", r"\1", bare)
        return bare.casefold() if bare.isalpha() and len(bare) > 2 else bare


def _collection(text: str) -> str:
    """ "set" or "tuple", by the brackets around `text`; "" for anything else."""
    if text.startswith("\\{") and text.endswith("\\}"):
        return "set"
    return "tuple" if text[:1] in "([" and text[-1:] in ")]" and "," in text and "\\cup" not in text else ""


def read_value(text: str) -> Value:
    """The answer in `text`, which is the content of a box or what follows "the answer is"."""
    text = _unwrap(_latex(text))
    units: set[str] = set()
    if money := MONEY.match(text):
        units.add(MONEY_UNITS.get(money[2], "dollar"))
        text = money[1] + text[money.end() :]
    text = _rewrite(text)
    percent = PERCENT.search(text)
    if percent and text[: percent.start()].strip():
        text = text[: percent.start()]
    text = _unwrap(TRAILING.sub("", _take_units(TRAILING.sub("", text), units))).strip()
    if THOUSANDS.fullmatch(text.rpartition("=")[2].strip()):
        text = text.replace(",", "")
    bases = tuple(BASE.findall(text)) if re.fullmatch(rf"[-+\s,(){{}}]*(?:{BASE.pattern}[-+\s,(){{}}]*)+", text) else ()
    return Value(BASE.sub(r"\1", text) if bases else text, frozenset(units), percent is not None, bases)


def _latex(text: str) -> str:
    """`text` with LaTeX for Unicode's symbols, fractions, roots and scripts."""
    for sign, root in (("√", "\\sqrt"), ("∛", "\\sqrt[3]")):
        radicand = rf"{sign}\s*(?:\(([^()]*)\)|(\d+(?:\.\d+)?|[A-Za-zπ]))"
        text = re.sub(radicand, re.escape(root).replace("\\[", "[").replace("\\]", "]") + r"{\1\2}", text)
        text = text.replace(sign, root)
    text = re.sub(f"[{SUPERSCRIPTS}]+", lambda m: f"^{{{m[0].translate(SCRIPTS)}}}", text)
    text = re.sub(f"[{SUBSCRIPTS}]+", lambda m: f"_{{{m[0].translate(SCRIPTS)}}}", text)
    text = "".join(_fraction(c) if unicodedata.decomposition(c).startswith("<fraction>") else c for c in text)
    return unicodedata.normalize("NFKC", text.translate(SYMBOLS)).translate(SYMBOLS)


def _fraction(character: str) -> str:
    upper, _, lower = unicodedata.normalize("NFKC", character).partition("⁄")
    return f"\\frac{{{upper}}}{{{lower}}}"


def _unwrap(text: str) -> str:
    """`text` without what is around the whole of it."""
    text = TRAILING.sub("", text.strip())
    for start, end in WRAPPERS:
        inner = text[len(start) : len(text) - len(end)]
        if (
            text.startswith(start)
            and text.endswith(end)
            and len(text) > len(start + end)
            and _is_balanced(inner, start)
        ):
            return _unwrap(inner)
    return text


def _is_balanced(inner: str, start: str) -> bool:
    """Whether what is around `inner` is one pair."""
    if start != "{":
        return start not in inner
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", inner):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def _rewrite(text: str) -> str:
    for pattern, plain in REWRITTEN:
        text = pattern.sub(plain, text)
    return text.strip()


def _take_units(text: str, units: set[str]) -> str:
    """`text` without the units behind its value, which are added to `units`."""
    while (match := WORDY_UNIT.search(text)) and re.search(r"(?:[\w})!/]|\\cdot)\s*\Z", rest := text[: match.start()]):
        words = re.findall(r"[A-Za-z%]+", match[1] or "")
        if any(word.lower() in CONNECTIVES or (len(word) == 1 and word.lower() not in UNITS) for word in words):
            break
        if not re.search(r"\d|\\", rest):
            break
        if match[1] is None and not units and "circ" not in match[0]:
            break
        text = rest + _scale(words)
        units |= _known(words) if match[1] is not None else {"degree"} if "circ" in match[0] else set()
    match = BARE_UNIT.search(text)
    if match is None or not re.search(r"\d", rest := text[: match.start()]):
        return text
    words = re.findall(r"[A-Za-z]+", match[0])
    is_unit = all(
        word.lower() not in CONNECTIVES
        and (
            _symbol(word) in UNITS.values() if len(word) < 3 else rest[-1].isspace() or _symbol(word) in UNITS.values()
        )
        for word in words
    )
    is_variable = len(words[0]) == 1 and not re.fullmatch(r"-?[\d.,/]+\s+", rest)
    if not is_unit or is_variable:
        return text
    units |= _known(words)
    return rest + _scale(words)


def _scale(words: list[str]) -> str:
    return "".join(f" \\times 10^{{{SCALES[word]}}}" for word in words if word in SCALES)


def _symbol(word: str) -> str:
    """The symbol of a unit in singular or plural; the word itself if it is unknown."""
    low = word.lower()
    return UNITS.get(low) or UNITS.get(low.removesuffix("s")) or UNITS.get(low.removesuffix("es")) or low


def _known(words: list[str]) -> set[str]:
    return {_symbol(word) for word in words if word not in SCALES}


# --- inequalities and intervals

VARIABLE = r"(?:[A-Za-z]|\\[a-z]+)(?:_\{?\w+\}?)?"
LESS, GREATER = r"(<|\\le(?![A-Za-z]))", r"(>|\\ge(?![A-Za-z]))"
CHAIN = re.compile(rf"\s*(.+?)\s*{LESS}\s*{VARIABLE}\s*{LESS}\s*(.+?)\s*")
CHAIN_DOWN = re.compile(rf"\s*(.+?)\s*{GREATER}\s*{VARIABLE}\s*{GREATER}\s*(.+?)\s*")
BELOW = (re.compile(rf"\s*{VARIABLE}\s*{LESS}\s*(.+?)\s*"), re.compile(rf"\s*(.+?)\s*{GREATER}\s*{VARIABLE}\s*"))
ABOVE = (re.compile(rf"\s*{VARIABLE}\s*{GREATER}\s*(.+?)\s*"), re.compile(rf"\s*(.+?)\s*{LESS}\s*{VARIABLE}\s*"))
OR = re.compile(r"\\text\s*\{\s*or\s*\}|\bor\b|\\cup(?![A-Za-z])|\\lor(?![A-Za-z])|\\vee(?![A-Za-z])")
RELATION = re.compile(r"[<>]|\\[lg]e(?![A-Za-z])")


def as_intervals(text: str) -> str:
    """Inequalities in one variable as a union of intervals; `text` itself if it is anything else."""
    pieces = [_interval(piece) for piece in OR.split(text)]
    return " \\cup ".join(pieces) if all(pieces) else text


def is_relation(text: str) -> bool:
    """Whether `text` holds an inequality."""
    return RELATION.search(text) is not None


def _interval(piece: str) -> str:
    """One inequality as an interval, "" if it is none."""
    if match := CHAIN.fullmatch(piece):
        lower, opens, closes, upper = match.groups()
    elif match := CHAIN_DOWN.fullmatch(piece):
        upper, closes, opens, lower = match.groups()
    elif match := BELOW[0].fullmatch(piece):
        lower, opens, closes, upper = "-\\infty", "<", match[1], match[2]
    elif match := BELOW[1].fullmatch(piece):
        lower, opens, closes, upper = "-\\infty", "<", match[2], match[1]
    elif match := ABOVE[0].fullmatch(piece):
        lower, opens, closes, upper = match[2], match[1], "<", "\\infty"
    elif match := ABOVE[1].fullmatch(piece):
        lower, opens, closes, upper = match[1], match[2], "<", "\\infty"
    else:
        return ""
    if is_relation(lower) or is_relation(upper):
        return ""
    return f"{'[('[opens in '<>']}{lower}, {upper}{'])'[closes in '<>']}"
