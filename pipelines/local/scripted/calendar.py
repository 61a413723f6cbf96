"""Days as they are written and said: weekdays, ranges of them, and what today and tomorrow are."""

import re
from datetime import date, timedelta

# "Sun" and "sat" are words of their own unless something of a timetable comes after them.
_SHORT = r"(?=\.?\s*(?:-|–|—|:|,|/|to\b|and\b|\d|$))"
WEEKDAYS = (
    rf"mondays?|mon{_SHORT}|pazartesi\w*",
    rf"tuesdays?|tues?{_SHORT}|sali(?:ya|yi|nin)?",
    rf"wednesdays?|wed{_SHORT}|carsamba\w*",
    rf"thursdays?|thu(?:rs?)?{_SHORT}|persembe\w*",
    rf"fridays?|fri{_SHORT}|cuma(?:ya|yi|nin|lari|dan)?",
    rf"saturdays?|sat{_SHORT}|cumartesi\w*",
    rf"sundays?|sun{_SHORT}|pazar(?:a|i|in|lari|dan)?",
)
_ANY = "|".join(f"(?P<d{number}>{pattern})" for number, pattern in enumerate(WEEKDAYS))
_DAY = re.compile(rf"\b(?:{_ANY})\b(?!')")
_JOINED = re.compile(r"^\s*(?:-|–|—|to|through|thru|until|till|ile|gununden)\s*$")
_ALL = re.compile(r"\b(?:every ?day|daily|seven days|7 days|all week|her gun|haftanin her gunu)\b")
_WORKING = re.compile(r"\b(?:weekdays?|working days?|hafta ici)\b")
_WEEKEND = re.compile(r"\b(?:weekends?|hafta sonu)\b")
_RELATIVE = (
    (re.compile(r"\b(?:day after tomorrow|obur gun|ertesi gun)\b"), 2),
    (re.compile(r"\b(?:tomorrow|yarin\w*)\b"), 1),
    (re.compile(r"\b(?:today|tonight|this (?:morning|afternoon|evening)|bugun\w*)\b"), 0),
)


def weekdays_in(folded: str) -> frozenset[int]:
    """The weekdays (Monday is 0) a folded text speaks of; a range stands for all days in it."""
    found: set[int] = set()
    previous: tuple[int, int] | None = None
    for match in _DAY.finditer(folded):
        day = next(number for number in range(7) if match.group(f"d{number}"))
        if previous and _JOINED.match(folded[previous[1] : match.start()]):
            span = (day - previous[0]) % 7
            found.update((previous[0] + step) % 7 for step in range(span + 1))
        found.add(day)
        previous = (day, match.end())
    if _ALL.search(folded):
        found.update(range(7))
    if _WORKING.search(folded):
        found.update(range(5))
    if _WEEKEND.search(folded):
        found.update((5, 6))
    return frozenset(found)


def days_asked(folded: str, today: date) -> frozenset[int]:
    """The weekdays a question is about; "tomorrow" counts from `today`."""
    for pattern, ahead in _RELATIVE:
        if pattern.search(folded):
            return frozenset({(today + timedelta(days=ahead)).weekday()})
    return weekdays_in(folded)
