"""Regular expressions that an owner wrote: refused when matching one could take for ever."""

import re
import warnings
from collections.abc import Iterator
from re import _compiler, _parser  # type: ignore[attr-defined]
from re import _constants as ops  # type: ignore[attr-defined]
from typing import Any

MAX_LENGTH = 500
MANY = 100
"""A repetition that may go on for longer than this counts as one without an end."""

_REPEATS = (ops.MAX_REPEAT, ops.MIN_REPEAT)


def check(pattern: str) -> None:
    """Raise `ValueError` with a sentence unless the pattern compiles and always ends soon.

    Python's engine backtracks: a repetition whose inside can match the same text in two ways
    (`(a+)+`, `(a|a)*`) takes time exponential in the length of what it does not match. Refused is a
    long repetition of something that repeats or chooses, unless that is one repetition and each round
    begins or ends with a letter that nothing else in it can match, as in `(-[a-z]+)*`.
    """
    if len(pattern) > MAX_LENGTH:
        raise ValueError(f"This pattern is longer than {MAX_LENGTH} characters.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
            parsed = list(_parser.parse(pattern))
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"This is not a regular expression: {error}.") from None
    for kind, value in _all(parsed):
        if kind not in _REPEATS or value[1] <= MANY:
            continue
        choices = _choices(inside := _flat(value[2]))
        if choices and not (choices == [ops.MAX_REPEAT] and _is_fenced(inside)):
            raise ValueError("This pattern may never end: it repeats what already repeats or chooses.")


def _all(items: list[Any]) -> Iterator[tuple[Any, Any]]:
    for kind, value in items:
        yield kind, value
        for inner in _inside(kind, value):
            yield from _all(list(inner))


def _inside(kind: Any, value: Any) -> list[Any]:
    if kind in _REPEATS or kind is ops.POSSESSIVE_REPEAT:
        return [value[2]]
    if kind is ops.SUBPATTERN:
        return [value[3]]
    if kind is ops.ATOMIC_GROUP:
        return [value]
    if kind is ops.BRANCH:
        return list(value[1])
    if kind in (ops.ASSERT, ops.ASSERT_NOT):
        return [value[1]]
    return [part for part in value[1:] if part is not None] if kind is ops.GROUPREF_EXISTS else []


def _flat(parsed: Any) -> list[Any]:
    """What stands in a group, without the group."""
    items = list(parsed)
    while len(items) == 1 and items[0][0] is ops.SUBPATTERN:
        items = list(items[0][1][3])
    return items


def _choices(items: list[Any]) -> list[Any]:
    return [
        kind
        for kind, value in _all(items)
        if kind is ops.BRANCH or (kind in _REPEATS and value[0] != value[1])
    ]


def _is_fenced(items: list[Any]) -> bool:
    ends = ((items[0], items[1:]), (items[-1], items[:-1]))
    return any(
        fence[0] is ops.LITERAL and not any(_may_be(kind, value, fence[1]) for kind, value in _all(others))
        for fence, others in ends
    )


def _may_be(kind: Any, value: Any, letter: int) -> bool:
    if kind is ops.IN:
        # A category (`\w`) knows letters that no comparison here does: python's own matcher is asked.
        one = _parser.SubPattern(_parser.State(), [(kind, value)])
        return _compiler.compile(one).match(chr(letter)) is not None
    if kind is ops.LITERAL:
        return bool(value == letter)
    if kind is ops.NOT_LITERAL:
        return bool(value != letter)
    return kind in (ops.ANY, ops.GROUPREF)
