"""Conditions of what happens after a call: `appointment_time != null and user_sentiment == "positive"`.

    any   = all ("or" all)*
    all   = claim ("and" claim)*
    claim = name [operator value]           a name alone holds when its value is neither null, false nor empty
    value = "text" | 'text' | number | true | false | null | word

The contract also writes one claim as an object: `{"field": …, "operator": "==", "value": …}`.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_CLAIMS = 20

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"[^"]*"|'[^']*')
      | (?P<operator>==|!=|>=|<=|>|<)
      | (?P<word>[\w.\-:+]+)
    )""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?\Z")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "none": None}
_ORDER: dict[str, Callable[[Any, Any], Any]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
OPERATORS = ("==", "!=", *_ORDER, "contains")


class BadCondition(ValueError):
    """This condition cannot be read"""


@dataclass(frozen=True)
class Claim:
    """One comparison. `operator` is empty for a name that stands alone."""

    name: str
    operator: str = ""
    value: Any = None

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Whether it is so. A name that nobody knows is null; what cannot be compared is not so."""
        found = facts.get(self.name)
        match self.operator:
            case "":
                return bool(found)
            case "==":
                return _same(found, self.value)
            case "!=":
                return not _same(found, self.value)
            case "contains":
                return found is not None and str(self.value).casefold() in str(found).casefold()
        ordered = _ORDER[self.operator]
        left, right = _number(found), _number(self.value)
        if left is not None and right is not None:
            return bool(ordered(left, right))
        # Dates and times as ISO 8601 sort as texts.
        return isinstance(found, str) and isinstance(self.value, str) and bool(ordered(found, self.value))


@dataclass(frozen=True)
class Condition:
    """Alternatives of claims that hold together. None at all is always so."""

    alternatives: tuple[tuple[Claim, ...], ...] = ()

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Whether these facts fulfil it."""
        if not self.alternatives:
            return True
        return any(all(claim.holds(facts) for claim in claims) for claims in self.alternatives)


def read(condition: str | Mapping[str, Any] | None) -> Condition:
    """A condition as the owner wrote it. Raises `BadCondition` with a sentence that says where."""
    if not condition:
        return Condition()
    if isinstance(condition, str):
        return _read_text(condition) if condition.strip() else Condition()
    name, sign = condition.get("field"), condition.get("operator", "==")
    if not isinstance(name, str) or not name:
        raise BadCondition("A condition names a field.")
    if sign not in OPERATORS:
        raise BadCondition(f"{sign} is no operator; there are {', '.join(OPERATORS)}.")
    return Condition(((Claim(name, str(sign), condition.get("value")),),))


def _read_text(text: str) -> Condition:
    words = _tokens(text)
    alternatives: list[tuple[Claim, ...]] = []
    claims: list[Claim] = []
    at = 0
    while True:
        claim, at = _claim(words, at)
        claims.append(claim)
        joint = words[at][1] if at < len(words) and words[at][0] == "word" else None
        if at == len(words) or joint == "or":
            alternatives.append(tuple(claims))
            claims = []
        elif joint != "and":
            raise BadCondition(f"{words[at][1]} stands where “and” or “or” is expected.")
        if at == len(words):
            break
        at += 1
    if sum(map(len, alternatives)) > MAX_CLAIMS:
        raise BadCondition(f"A condition has at most {MAX_CLAIMS} comparisons.")
    return Condition(tuple(alternatives))


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at, text = 0, text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise BadCondition(f"{text[at:].strip()[:20]} cannot be read.")
        kind = match.lastgroup or "word"
        found.append((kind, match.group(kind)))
        at = match.end()
    return found


def _claim(words: list[tuple[str, str]], at: int) -> tuple[Claim, int]:
    if at >= len(words) or words[at][0] != "word":
        raise BadCondition("A comparison begins with the name of a field.")
    name, at = words[at][1], at + 1
    if at >= len(words) or words[at][1] in ("and", "or"):
        return Claim(name), at
    kind, sign = words[at]
    if kind != "operator" and sign != "contains":
        raise BadCondition(f"{sign} is no operator; there are {', '.join(OPERATORS)}.")
    if at + 1 >= len(words) or words[at + 1][0] == "operator":
        raise BadCondition(f"There is nothing after {sign}.")
    return Claim(name, sign, _value(*words[at + 1])), at + 2


def _value(kind: str, word: str) -> Any:
    if kind == "text":
        return word[1:-1]
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    return float(word) if _NUMBER.match(word) else word


def _same(found: Any, value: Any) -> bool:
    if found is None or value is None or isinstance(found, bool) or isinstance(value, bool):
        return found is value or (isinstance(found, str) and _WORDS.get(found.lower(), found) is value)
    left, right = _number(found), _number(value)
    if left is not None and right is not None:
        return left == right
    return str(found).casefold() == str(value).casefold()


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    return float(value) if isinstance(value, str) and _NUMBER.match(value.strip()) else None
