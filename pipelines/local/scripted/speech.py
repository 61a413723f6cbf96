"""A written sentence made ready for a voice; the words stay the owner's."""

import re

from kb.chunking import plain

_DAYS = {
    "mon": "Monday", "tue": "Tuesday", "tues": "Tuesday", "wed": "Wednesday", "thu": "Thursday",
    "thur": "Thursday",
    "thurs": "Thursday", "fri": "Friday", "sat": "Saturday", "sun": "Sunday",
}  # fmt: skip
_SHORT_DAY = re.compile(
    r"\b(Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)\b\.?(?=\s*(?:[-–—:,/]|to\b|and\b|\d|"
    r"$))"
)
_RANGE = re.compile(
    r"(?<=[0-9])\s?(?:-|–|—)\s?(?=\d{1,2}(?::\d\d|\b(?!-)))(?!\d{3})|(?<=day)\s?(?:-|–|—)\s?(?=[A-Z])|"
    r"(?<=[0-9apAP][mM])\s?(?:-|–|—)\s?(?=\d)"
)


def speakable(text: str) -> str:
    """One fact as one spoken sentence: no Markdown, ranges and short days in words, a full stop at the "
    "end."""
    said = plain(text)
    said = _SHORT_DAY.sub(lambda match: _DAYS[match.group(1).lower()], said)
    if not re.search(
        r"\d{3,}[-–]\d{3,}|"
        r"\d{4}-\d\d-\d\d",
        said,
    ):  # phone numbers and dates keep their dashes
        said = _RANGE.sub(" to ", said)
    said = said.rstrip(" ,;:")
    return said if said[-1:] in (".", "!", "?") or not said else f"{said}."
