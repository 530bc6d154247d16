r"""Multiple-choice answers: the option that a reply chooses.

Three rules. (1) Dress is removed: fonts, brackets, quotes, emphasis, full-width characters. (2) A letter is an option
if it ends there, a delimiter follows, or it was dressed; it is none in a quantity (`D = 5`) or as an article ("A longer
wavelength"), and two letters ("A or C") are no choice. A small letter counts if it stands alone. (3) The last box or
`<answer>` decides if it holds an option; else the last statement in the text does: "the answer is C", "C is correct",
"I choose C", or a first or last line that is an option. LIMO's grader takes the last of A to E in the whole upper-cased
text, and so reads a reply that ends with "a pity" as A.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from z1.grading.boxed import find_boxes
from z1.grading.thoughts import split_thought
from z1.grading.verdict import Grade, Verdict, grade_no_answer

LETTERS = "ABCDEFGHIJ"

NONE = ""
"""No option is chosen: two letters were named, or one beyond the options."""

STYLED = re.compile(
    r"\\(?:text(?!color)\w*|math\w*|bold\w*|bm|pmb|emph|underline|uline|[fmh]box|boxed|operatorname|ensuremath)\s*"
    r"\{([^{}]*)\}"
)
LAYOUT = tuple(
    (re.compile(pattern, re.MULTILINE), plain)
    for pattern, plain in (
        (r"\\(?:text)?color\s*\{[^{}]*\}", ""),
        (r"\\(?:rm|bf|it|sf|tt|cal|left|right|large|Large|LARGE|huge|Huge|displaystyle|bfseries)(?![A-Za-z])", ""),
        (r"\\[()\[\]]|\$|</?(?:b|i|u|em|strong|code|p|br|span|center|sub|sup)\b[^<>\n]*>", ""),
        (r"\\q?quad(?![A-Za-z])", " - "),
        (r"\\[,;:! ]|~|[\xa0\u200b]", " "),
        (r"^[ \t]*(?:(?:#+|>|[-*+•])[ \t]+)+", ""),
        (r"(?<!\w)[\"'`*“”‘’«»_]{1,6}\s?([A-Ja-j])\s?[\"'`*“”‘’«»_]{1,6}(?!\w)", r"(\1)"),
        (r"[\[{【<]\s*([A-Ja-j])\s*[\]}】>]", r"(\1)"),
        (r"[\"`“”{}]|\*\*?", ""),
        (r"\(\s*\(?\s*([A-Ja-j])\s*(?:\)?\s*\)|\Z)", r"(\1)"),
    )
)

NOUN = r"(?:(?:the|our|my)\s+)?(?:(?:correct|right|best|final)\s+)?(?:option|choice|answer|letter|alternative)"
OPTION = r"(?:\([A-Ja-j]\)|(?<![A-Za-z0-9_'’\\-])(?:[A-J](?![A-Za-z0-9_'’])|[a-j](?=[.)]?[ \t]*(?:\n|\Z))))"
JOINED = (
    r"(?:\s*[,;]?\s*(?:[/&+]|\b(?:and/or|and|or|nor|und|oder|vs\.?)\b|[和或及、])\s*|(?<=\))\s*(?=\()"
    r"|[.:]\s*(?=\(?[A-J]\)?[.)]?\s*(?:\n|\Z))|\s*[,;]\s*(?!\(?[A-J]\)?\s+(?:is|was|has|would|does|cannot)\b))"
)
NAMED = re.compile(rf"{OPTION}(?:{JOINED}(?i:{NOUN}\s*)?{OPTION})*")

ENDS = re.compile(r"\s+\d|\s*(?:\Z|\n|[.:](?![A-Za-z])|[),;!|\](—–、。]|-(?:\s|\Z))|[.:]\w\w")
QUANTITY = re.compile(r"\s*(?:[=≈<>^+*×·→≤≥{?]|\\[a-zA-Z]|-[\w\\]|_)")
CONNECTIVE = re.compile(
    r"\s+(?:because|since|as|which|due|given|for|with|where|that|by|based|so|but|in|from|according|here|rather|not|among|only"
    r"|and\s+(?:it|this|that|the|not|so))\b"
)
JUDGED = re.compile(
    r"\)?\s+(?:is|was|must\s+be|would\s+be|should\s+be|has\s+to\s+be)\s+(?:therefore\s+|thus\s+|clearly\s+|indeed\s+)?"
    r"(?:(?:the\s+)?(?:only\s+)?(?:correct|right|best)(?:\s+(?:answer|option|choice|one|response))?"
    r"|(?:the|my|our)\s+(?:final\s+)?(?:answer|option|choice))"
    r"(?=\s*(?:[.,;:!)—]|\Z|\n|because\b|since\b|as\b|here\b|and\b|to\b))",
    re.IGNORECASE,
)

KEY = re.compile(
    r"\b(?:answer(?!\s+(?:choices|options)\b)|choice|option|solution|selection|response|letter|ans|(?:correct|right)\s+statement|antwort|réponse|respuesta|resposta"
    r"|risposta|ответ)\b|答案|答え|解答|정답|답",
    re.IGNORECASE,
)
LINKED = re.compile(
    rf"(?:(?!\b[A-J]\b)[^.!?\n]){{0,60}}?(?::|=>?|→|⇒|\s-\s|\n|['’]s\b|\b(?:is|are|be|was|to|seems|matches|ist|lautet|est|es|è|é|это)\b|[是为為은는はが])"
    r"(?:\s|:|-|\b(?:therefore|thus|then|hence|clearly|indeed|simply|likely|most|probably|definitely|again|now|given|by|to|be"
    rf"|in|fact|only|either|both|with)\b)*(?:{NOUN}\s*[:#]?\s*)?",
    re.IGNORECASE,
)
HYPOTHETICAL = re.compile(
    r"\b(?:if|whether|suppose|assume|assuming|unless|each|every|any|possible|wrong|incorrect|which|no|not|than|other)"
    r"\s+(?:(?:the|that|our|my|this|an|correct|final|right)\s+)*\Z",
    re.IGNORECASE,
)
CHOSEN = re.compile(
    r"(?<!not )(?<!n't )(?<!cannot )(?:\b(?:choos(?:e|ing)|chose|select(?:ing)?|pick(?:ing)?|go(?:ing)?\s+(?:with|for)"
    r"|opt\s+for)\b"
    rf"|选择?|選択?)\s*:?\s*(?:{NOUN}\s*)?\Z",
    re.IGNORECASE,
)
CORRECTED = re.compile(
    rf"\bnot\s+(?:{NOUN}\s*)?\(?[A-J]\)?[^.!?\n]{{0,20}}?\b(?:it\s+is|it's|but|rather|instead)\s*(?:{NOUN}\s*)?\Z",
    re.IGNORECASE,
)
DENIED = re.compile(rf"(?:\bnot|\bnever|n't|\bneither|\bcannot be)\s+(?:be\s+)?(?:{NOUN}\s*)?\Z", re.IGNORECASE)
SUBJECT = re.compile(
    rf"(?:(?:\A|[\n.!?:;,，。])\s*|\b(?:so|thus|therefore|hence|that|only|then|and|but|think)\s+)(?:{NOUN}\s*)?\Z|\b{NOUN}\s*\Z",
    re.IGNORECASE,
)
NO_SUBJECT = re.compile(
    rf"\b(?:if|whether|not|why|than|because|while|although|both|either|neither|which|unless)\s+(?:{NOUN}\s*)?\Z",
    re.IGNORECASE,
)
CONCLUDED = re.compile(
    rf"(?:(?:^|[.!?;,:]\s*)(?:so|thus|therefore|hence|⇒|=>|→)\b[,:]?\s*(?:{NOUN}\s*)?|\bby\s+elimination,?\s*"
    rf"|\bit(?:['’]s|\s+is|\s+must\s+be|\s+has\s+to\s+be)\s+|\b(?:is|it['’]s|to|with|matches)\s+{NOUN}\s*)\Z",
    re.IGNORECASE | re.MULTILINE,
)
LINE_START = re.compile(rf"(?:\A|\n)\s*(?:{NOUN}\s*:?\s*)?\Z", re.IGNORECASE)
WINDOW = 120
"""Characters before an option that are read."""

BARE_END = re.compile(r"[\s.)!:。]*(?:\Z|\n)")
DELIMITED = re.compile(r"\s*(?:[.:)—–]|-\s|,?\s*(?:since|because|as)\b)")


def read_gold_letter(value: object, options: int = 4) -> str:
    """The letter that the reference answer of a data set names: `C`, also as `c`, `(C)`, `C.` or `{C}`; "" if it names
    none of the first `options` letters. A number is none: some files count from 0, others from 1.
    """
    letter = undress(str(value)).strip(" ().:").upper()
    return letter if len(letter) == 1 and letter in LETTERS[:options] else ""


def undress(text: str) -> str:
    """`text` without dress; a letter that was set apart by any becomes `(C)`."""
    text = unicodedata.normalize("NFKC", text)
    for _ in range(3):
        text = STYLED.sub(lambda m: f"({m[1].strip()})" if len(m[1].strip()) == 1 else m[1], text)
    for pattern, plain in LAYOUT:
        text = pattern.sub(plain, text)
    return text


def extract_choice(text: str, options: int = 4) -> str | None:
    """The letter that `text` chooses; None if it chooses none of the first `options` letters."""
    boxes = [(box.start, box.content) for box in find_boxes(text)]
    boxes += [(tag.start(), tag[1]) for tag in re.finditer(r"<answer>(.*?)</answer>", text, re.DOTALL)]
    filled = [content for _, content in sorted(boxes) if content.strip()]
    choice = _choice_of_box(filled[-1]) if filled else None
    if choice and len(filled) > 1 and JOINED_BOXES.search(text):
        choice = choice if _choice_of_box(filled[-2]) == choice else NONE
    if choice is None:
        choice = _last_statement(undress(split_thought(text)[1]))
    return choice if choice and choice in LETTERS[:options] else None


def _choice_of_box(content: str) -> str | None:
    """The option in a box; NONE if it holds several, None if it holds something else."""
    text = undress(content).strip()
    match = NAMED.search(text)
    if match is None or not (LINE_START.match(text[: match.start()]) or LINKED_BOX.fullmatch(text[: match.start()])):
        return None
    return _option(match)


JOINED_BOXES = re.compile(
    r"\}[\s$*)\\]*(?:,\s*)?(?:\b(?:and|or)\b|/|&)[\s$*(\\]*boxed\s*\{[^{}]*(?:\{[^{}]*\})?[^{}]*\}[\s$*.)\\]*\Z"
)
"""Boxes that the text joins at its end."""

LINKED_BOX = re.compile(rf"\s*(?:{NOUN})\s*(?:is|:)?\s*:?\s*(?:{NOUN}\s*)?", re.IGNORECASE)


def _letters(named: re.Match[str]) -> set[str]:
    return {letter.strip("()").upper() for letter in re.findall(OPTION, named[0])}


def _option(named: re.Match[str]) -> str | None:
    """The option that is named: a letter, NONE for several, None if the letter is no option."""
    text, end = named.string, named.end()
    if QUANTITY.match(text, end):
        return None
    letters = _letters(named)
    if len(letters) > 1:
        return NONE
    is_option = named[0].endswith(")") or ENDS.match(text, end) or CONNECTIVE.match(text, end)
    return letters.pop() if is_option else None


def _last_statement(text: str) -> str | None:
    """The last option that undressed `text` states and does not take back; NONE or None without one."""
    chosen: str | None = None
    for letter, is_denied in _statements(text.strip()):
        if not is_denied:
            chosen = letter
        elif letter == chosen:
            chosen = None
    return chosen


def _statements(text: str) -> Iterator[tuple[str, bool]]:
    """Each option that `text` states, in order, and whether it is denied."""
    named = list(NAMED.finditer(text))
    is_only = len({letter for match in named if _starts_line(match) for letter in _letters(match)}) == 1
    first, last = text.find("\n") % (len(text) + 1), text.rfind("\n")
    for match in named:
        left = text[max(0, match.start() - WINDOW) : match.start()]
        option = _option(match)
        if JUDGED.match(text, match.end()) and SUBJECT.search(left) and not NO_SUBJECT.search(left):
            letters = _letters(match)
            yield (letters.pop() if len(letters) == 1 else NONE), False
        elif option is None:
            continue
        elif CORRECTED.search(left):
            yield option, False
        elif DENIED.search(left):
            yield option, True
        elif (
            _is_stated(left)
            or CHOSEN.search(left)
            or (match.start() > last and CONCLUDED.search(left) and BARE_END.fullmatch(text, match.end()))
            or ((match.start() < first or match.start() > last) and _is_line(match, is_only))
        ):
            yield option, False


def _is_stated(left: str) -> bool:
    """Whether `left`, the text before an option, states an answer: "the correct answer is", "Answer:"."""
    return any(
        LINKED.fullmatch(left, key.end()) and not HYPOTHETICAL.search(left[: key.start()]) for key in KEY.finditer(left)
    )


def _starts_line(match: re.Match[str]) -> bool:
    return LINE_START.search(match.string, max(0, match.start() - WINDOW), match.start()) is not None


def _is_line(match: re.Match[str], is_only: bool) -> bool:
    """Whether the option is a line, alone or with its text; the latter only if no other option begins a line, since
    that is a list of all options.
    """
    text, end = match.string, match.end() - match[0].endswith(")")
    return _starts_line(match) and bool(BARE_END.match(text, end) or (is_only and DELIMITED.match(text, end)))


def grade(text: str, expected: str, *, cut: bool, options: int = 4) -> Grade:
    """Compare the chosen letter with `expected`."""
    letter = extract_choice(text, options)
    if letter is None:
        return grade_no_answer(cut=cut)
    return Grade(Verdict.RIGHT) if letter == expected else Grade(Verdict.WRONG, f"chose {letter}")
