"""Hours of the day, on days of the week, on somebody's own clock."""

from datetime import time
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, field_serializer, model_validator

from api.http.wire import Wire

Day = Literal["mo", "tu", "we", "th", "fr", "sa", "su"]
DAYS: tuple[Day, ...] = get_args(Day)
"""In order, from the first that `date.weekday` counts."""


def _short(day: Any) -> Any:
    """`Monday`, `MON` and `mo` are one day; numbers count from Monday, which is 0."""
    if isinstance(day, int) and not isinstance(day, bool):
        return DAYS[day % 7]
    return day[:2].lower() if isinstance(day, str) else day


Weekday = Annotated[Day, BeforeValidator(_short)]


def _every_day() -> list[Weekday]:
    return ["mo", "tu", "we", "th", "fr", "sa", "su"]


class CallingHours(Wire):
    """From when to when, on which days."""

    start: time = time(9)
    end: time = time(20)
    weekdays: Annotated[list[Weekday], Field(min_length=1, max_length=7)] = Field(default_factory=_every_day)

    @model_validator(mode="after")
    def _in_order(self) -> "CallingHours":
        if self.start.tzinfo or self.end.tzinfo:
            raise ValueError("The hours are those of the person's own clock: no offset.")
        if self.start >= self.end:
            raise ValueError("start must be before end.")
        return self

    @field_serializer("start", "end")
    def _short(self, value: time) -> str:
        return value.strftime("%H:%M")
