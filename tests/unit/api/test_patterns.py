"""Which regular expressions an owner may write."""

import pytest

from api.agents import patterns


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\d{3}(-\d{4})?$",
        r"^(\w+\.)*\w+$",
        r"^[a-z]+(-[a-z]+)*$",
        r"^\+?[0-9 ]{6,15}$",
        r"^(mon|tue|wed)$",
        r"^.+@.+\..+$",
        r"^([0-9]{2}:){2}[0-9]{2}$",
    ],
)
def test_what_forms_usually_ask_for_is_welcome(pattern: str) -> None:
    patterns.check(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+$",
        r"(a|a)*b",
        r"(a?)*",
        r"^(\w+\s?)*$",
        r"(.*)*",
        r"([a-z]+)*@",
        r"(?:x+x+)+y",
        r"(-a*a*)*c",
        r"(?=(a+)+$)",
        r"(a+){3,9000}$",
        "(",
        "a" * 501,
    ],
)
def test_what_may_never_end_or_is_none_is_refused_in_a_sentence(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"^This .*\.$"):
        patterns.check(pattern)
