"""Dates and times of day as people say them, counted from when they said it."""

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from pipelines.local.scripted.calendar import WEEKDAYS

_MONTHS = (
    r"jan(?:uary)?|ocak\w*", r"feb(?:ruary)?|"
                             r"subat\w*", r"mar(?:ch)?|mart\w*", r"apr(?:il)?|nisan\w*", r"may(?:is\w*)?",
    r"june?|haziran\w*", r"july?|temmuz\w*", r"aug(?:ust)?|agustos\w*", r"sept?(?:ember)?|eylul\w*",
    r"oct(?:ober)?|ekim\w*", r"nov(?:ember)?|kasim\w*", r"dec(?:ember)?|aralik\w*",
)  # fmt: skip
_MONTH = "|".join(f"(?P<m{number}>{pattern})" for number, pattern in enumerate(_MONTHS, 1))
_WEEKDAY = "|".join(f"(?P<d{number}>{pattern})" for number, pattern in enumerate(WEEKDAYS))

_ISO = re.compile(r"\b(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})\b")
_DAY_MONTH = re.compile(
    rf"\b(?:the )?(?P<day>\d{{1,2}})(?:st|nd|rd|"
    rf"th)?\.?(?: day)?(?: of)? (?:{_MONTH})\b(?:,? (?P<year>\d{{4}}))?"
)
_MONTH_DAY = re.compile(
    rf"\b(?:{_MONTH})\.? (?:the )?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?![:.]\d)(?:,? (?P<year>\d{{4}}))?"
)
_NUMERIC = re.compile(r"\b(?P<first>\d{1,2})[/.](?P<second>\d{1,2})[/.](?P<year>\d{4}|\d{2})\b")
_ORDINAL = re.compile(r"\b(?:on )?the (?P<day>\d{1,2})(?:st|nd|rd|th)\b|\bayin (?P<tr>\d{1,2})\w*")
_AHEAD = re.compile(
    r"\b(?:in |after )?(?P<count>an?|\d+) (?P<unit>day|week|month)s?(?: from (?:now|today))?\b|"
    r"\b(?P<tr>\d+) (?P<trunit>gun|hafta) sonra\b"
)
_WORDS = (
    (re.compile(r"\b(?:the )?day after tomorrow\b|\bobur gun\b"), 2),
    (re.compile(r"\btomorrow\b|\byarin\w*"), 1),
    (
        re.compile(
            r"\b(?:today|tonight|this (?:morning|afternoon|evening))\b|\bbugun\w*|\bbu (?:aksam|sabah)\b"
        ),
        0,
    ),
)
_NAMED_DAY = re.compile(
    rf"\b(?P<next>next|gelecek|haftaya|onumuzdeki)?\s*(?:this |coming |on |"
    rf"bu )?\b(?:{_WEEKDAY})\b(?P<week> (?:after )?next(?: week)?)?"
)

_PART = (
    r"(?P<part> ?(?:a\.?m\.?|p\.?m\.?)(?!\w)| o'?clock(?: in the (?:morning|afternoon|evening)| at night)?"
    r"| in the (?:morning|afternoon|evening)| at night| tonight)?"
)
_CLOCK = re.compile(rf"\b(?P<hour>\d{{1,2}})[:.](?P<minute>\d{{2}})\b{_PART}")
_PAST = re.compile(
    rf"\b(?P<what>half|quarter|\d{{1,2}}(?: minutes)?) ?(?P<side>past|after|to|till|before|"
    rf"of)? (?P<hour>\d{{1,2}})\b(?!:){_PART}"
)
_SPOKEN = re.compile(
    rf"\b(?:at |around |about |by )?(?P<hour>\d{{1,2}}) (?P<minute>[0-5]\d)\b(?! ?(?:euro|dollar|people|"
    rf"person)){_PART}"
)
_HOUR = re.compile(
    rf"\b(?P<at>at |around |about |by |from |say |saat |no,? )?(?P<hour>\d{{1,2}})\b(?![:.,]?\d|st|nd|rd|"
    rf"th){_PART}"
)
_NOON = re.compile(r"\b(?:noon|midday|lunchtime|oglen|ogle(?:n|yin)?)\b")
_MIDNIGHT = re.compile(r"\b(?:midnight|gece yarisi)\b")
_TR_HALF = re.compile(
    r"\b(?:saat )?(?P<part>sabah |aksam |ogleden sonra )?(?:saat )?(?P<hour>\d{1,2}) bucuk\w*|\byarimda\b"
)
_TR_QUARTER = re.compile(
    r"\b(?P<hour>\d{1,2})\w*(?: (?P<minute>\d{1,2})|(?P<quarter> ceyrek)) (?P<side>gece|kala|geciyor|var)\b"
)
_TR_PART = re.compile(
    r"\b(?P<part>sabah|aksam|ogleden sonra|gece)\b(?: saat)? (?P<hour>\d{1,2})(?:[:.](?P<minute>\d{2}))?\b"
)


@dataclass(frozen=True, slots=True)
class When:
    """What a text says about a date and a time of day, and the text without it."""

    day: date | None
    at: time | None
    rest: str


def find(
    digits: str, said_at: datetime, language: str, *, bare_hour: bool = False, near: date | None = None
) -> When:
    """Read a folded text whose number words are digits.

    A day without a year is the next one to come. An hour without a half of the day is in business
    hours: from 8 to 12 before noon, from 1 to 7 after it. `bare_hour`: the text answers the question
    for a time, so a number alone is an hour. `near` is the day that a correction changes: a weekday is of
    its week.
    """
    at, rest = _time(digits, language, bare_hour=False)
    day, rest = _day(rest, said_at.date(), near)
    if at is None:
        at, rest = _time(rest, language, bare_hour=bare_hour)
    return When(day, at, " ".join(rest.split()))


def _day(text: str, today: date, near: date | None) -> tuple[date | None, str]:  # noqa: PLR0911, PLR0912 - a list of forms
    for pattern, ahead in _WORDS:
        if match := pattern.search(text):
            return today + timedelta(days=ahead), _without(text, match)
    if match := _ISO.search(text):
        return _date(int(match["year"]), int(match["month"]), int(match["day"])), _without(text, match)
    if match := _NUMERIC.search(text):
        year = int(match["year"]) + (2000 if len(match["year"]) == 2 else 0)
        first, second = int(match["first"]), int(match["second"])
        found = _date(year, second, first) or _date(year, first, second)
        return found, _without(text, match)
    for pattern in (_DAY_MONTH, _MONTH_DAY):
        if match := pattern.search(text):
            month = next(number for number in range(1, 13) if match[f"m{number}"])
            return _coming(today, int(match["day"]), month, match["year"]), _without(text, match)
    if match := _NAMED_DAY.search(text):
        number = next(number for number in range(7) if match[f"d{number}"])
        ahead = (number - today.weekday()) % 7
        if match["next"] or match["week"]:
            # "Next Tuesday" is of the next week; said on a Sunday that begins tomorrow.
            ahead = 7 - today.weekday() + number
        elif near and (same_week := near + timedelta(days=number - near.weekday())) >= today:
            return same_week, _without(text, match)
        return today + timedelta(days=ahead or 7), _without(text, match)
    if match := _ORDINAL.search(text):
        wanted = int(match["day"] or match["tr"])
        month_start = today.replace(day=1)
        for _ in range(3):
            found = _date(month_start.year, month_start.month, wanted)
            if found and found >= today:
                return found, _without(text, match)
            month_start = (month_start + timedelta(days=32)).replace(day=1)
        return None, text
    if match := _AHEAD.search(text):
        if not match["tr"] and not re.match(r"in |after ", match[0]) and "from" not in match[0]:
            return None, text  # "three days" is how long, not when
        count = int(match["tr"] or (match["count"] if match["count"].isdigit() else 1))
        unit = match["trunit"] or match["unit"]
        days = {"day": 1, "gun": 1, "week": 7, "hafta": 7, "month": 30}[unit] * count
        return today + timedelta(days=days), _without(text, match)
    return None, text


def _time(text: str, language: str, *, bare_hour: bool) -> tuple[time | None, str]:  # noqa: PLR0911, PLR0912 - a list of forms
    if match := _MIDNIGHT.search(text):
        return time(0, 0), _without(text, match)
    if language == "tr":
        found, rest = _turkish_time(text)
        if found:
            return found, rest
    if match := _CLOCK.search(text):
        found = _of_day(
            int(match["hour"]), int(match["minute"]), match["part"], exact=len(match["hour"]) == 2
        )
        if found:
            return found, _without(text, match)
    if (match := _PAST.search(text)) and (match["side"] or match["what"] == "half"):
        minutes = {"half": 30, "quarter": 15}.get(match["what"]) or int(match["what"].split()[0])
        hour = int(match["hour"])
        if match["side"] in ("to", "till", "before", "of"):
            minutes, hour = 60 - minutes, hour - 1 or 12
        if 0 <= minutes < 60 and (found := _of_day(hour, minutes, match["part"])):
            return found, _without(text, match)
    if (
        (match := _SPOKEN.search(text))
        and int(match["hour"]) < 24
        and (bare_hour or match["part"] or "at " in match[0])
    ):
        found = _of_day(int(match["hour"]), int(match["minute"]), match["part"])
        if found:
            return found, _without(text, match)
    for match in _HOUR.finditer(text):
        sure = match["part"] or (match["at"] or "").strip() in ("at", "around", "by", "saat") or bare_hour
        if sure and (found := _of_day(int(match["hour"]), 0, match["part"])):
            return found, _without(text, match)
    if match := _NOON.search(text):
        return time(12, 0), _without(text, match)
    return None, text


def _turkish_time(text: str) -> tuple[time | None, str]:
    if match := _TR_HALF.search(text):
        hour = int(match["hour"]) if match["hour"] else 12
        return _of_day(hour, 30, match["part"]), _without(text, match)
    if match := _TR_QUARTER.search(text):
        minutes, hour = int(match["minute"] or 15), int(match["hour"])
        if match["side"] in ("kala", "var"):
            minutes, hour = 60 - minutes, hour - 1 or 12
        return _of_day(hour, minutes, None), _without(text, match)
    if match := _TR_PART.search(text):
        return _of_day(int(match["hour"]), int(match["minute"] or 0), match["part"]), _without(text, match)
    return None, text


def _of_day(hour: int, minute: int, part: str | None, *, exact: bool = False) -> time | None:
    said = (part or "").replace(".", "").strip()
    if hour > 24 or minute > 59:
        return None
    if said.startswith("p") or any(
        word in said for word in ("afternoon", "evening", "tonight", "aksam", "sonra")
    ):
        hour = hour + 12 if hour < 12 else hour
    elif said.startswith("a") or "morning" in said or "sabah" in said:
        hour = 0 if hour == 12 and said.startswith("a") else hour
    elif ("night" in said and 5 < hour < 12) or (not exact and 1 <= hour <= 7):
        hour += 12
    return time(hour % 24, minute)


def _coming(today: date, day: int, month: int, year: str | None) -> date | None:
    if year:
        return _date(int(year), month, day)
    found = _date(today.year, month, day)
    return found if found is None or found >= today else _date(today.year + 1, month, day)


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _without(text: str, match: re.Match[str]) -> str:
    return f"{text[: match.start()]} {text[match.end() :]}"
